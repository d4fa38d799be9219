"""Judge modules: see in which order a reader's layers run, give them our weights, and tell which mistakes they show.

Names play no part: convolutions are known by when they run, norms by what they are fed with.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Mistake, Raised, Text, same
from reslab.nn.weights import translate_names

Variant = frozenset[str]
"""Which of the known mistakes a wrong answer makes."""


@dataclass(slots=True)
class Trace:
    """What ran, in order."""

    convolutions: list[nn.Conv2d] = field(default_factory=list)
    outputs: dict[nn.Module, tuple[int, ...]] = field(default_factory=dict)
    """The shape that each convolution gives."""
    norm_of: dict[nn.Module, nn.Module] = field(default_factory=dict)
    """The norm behind a convolution."""
    directly: set[nn.Conv2d] = field(default_factory=set)
    """Those that a norm follows at once."""
    linear: list[nn.Linear] = field(default_factory=list)
    error: Exception | None = None
    """What ended it."""

    def path(self, projections: bool) -> list[nn.Conv2d]:
        """The convolutions of the shortcuts, which are 1x1, or the others."""
        return [each for each in self.convolutions if (each.kernel_size == (1, 1)) == projections]


def trace(network: nn.Module, x: Tensor) -> Trace:
    """Run a network on `x` in evaluation mode and note what runs; an exception ends the list."""
    seen, sources, kept = Trace(), {}, []

    def note(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            if module not in seen.convolutions:
                seen.convolutions.append(module)
            seen.outputs[module] = tuple(output.shape)
            sources[id(output)] = module
            kept.append(output)  # so that no later tensor has its id
        elif isinstance(module, nn.Linear):
            seen.linear.append(module)
        elif hasattr(module, "running_mean"):
            behind = sources.get(id(given[0]))
            if behind:
                seen.directly.add(behind)
            elif seen.convolutions and seen.convolutions[-1] not in seen.norm_of:
                behind = seen.convolutions[-1]  # with a ReLU between
            if behind:
                seen.norm_of[behind] = module

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(x.clone())
    except Exception as error:  # where it stops is part of what is judged
        seen.error = error
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def give_weights(network: nn.Module, x: Tensor, ours: Mapping[str, Tensor]) -> None:
    """Copy our tensors into a reader's network: by the order in which layers run, or by names where they do not.

    Parameters that have no counterpart get fixed numbers, so that two networks with the same mistake answer alike.

    Args:
        ours: `….conv.weight`, `….norm.…`, and `head.…`; the main path in the order of execution, shortcuts beside it.
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            _fill(name, parameter)
        seen = trace(network, x)
        found = _by_order(seen, ours)
        if seen.error or not seen.convolutions:
            found = max(found, _by_names(network.state_dict(), ours), key=len)
        for name, target in found.items():
            target.copy_(ours[name])


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Norms as after some training, so that no two of them are alike."""
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                state = module.state_dict()
                for name in ("weight", "running_var"):
                    state[name].copy_(torch.rand(state[name].shape, generator=dice) + 0.5)
                for name in ("bias", "running_mean"):
                    state[name].copy_(torch.randn(state[name].shape, generator=dice) * 0.2)
    return network


def count(network: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


class Diagnosis:
    """Tells mistakes apart by what an answer gives: each combination of them is tried, smaller ones first."""

    def __init__(
        self,
        make: Callable[[Variant], Any],
        groups: Sequence[Sequence[str]],
        observe: Callable[[Any, tuple[Any, ...]], Any],
        cases: Callable[[], Sequence[tuple[Any, ...]]],
        most: int = 2,
        tolerance: float = 1e-5,
    ) -> None:
        """Prepare to try answers.

        Args:
            make: an answer with these mistakes.
            groups: mistakes; those of one group exclude each other.
            most: mistakes at a time.
            tolerance: of numbers, as the exercise has it.
        """
        self.make = lru_cache(maxsize=1)(make)  # the cases of one combination follow one another
        self.groups, self.observe, self.cases, self.most = groups, observe, cases, most
        self.tolerance = tolerance
        self.tried: dict[tuple[Variant, int], Any] = {}
        self.last: tuple[list[Any], Variant] | None = None
        """What an answer gave, and the combination that gives the same: every mistake asks for it."""

    def mistakes(self, says: Mapping[str, Text]) -> tuple[Mistake, ...]:
        """A bank: each mistake with what is said about it."""
        return tuple(Mistake(self.make(frozenset({name})), *said, self.shows(name)) for name, said in says.items())

    def shows(self, mistake: str) -> Callable[[list[Any], list[Any]], bool]:
        """Whether that is the first mistake of the smallest combination that gives the same."""

        def when(given: list[Any], expected: list[Any]) -> bool:
            if any(isinstance(result, Raised) and result.kind != "RuntimeError" for result in given):
                return False  # the answer does not run; ours do, up to shapes that do not fit
            if self.last is None or not all(map(operator.is_, self.last[0], given)):
                self.last = given, next((v for v in self._variants() if self._gives(v, given)), frozenset())
            found = self.last[1]
            return next((name for group in self.groups for name in group if name in found), None) == mistake

        return when

    def _variants(self) -> Iterator[Variant]:
        names = [(name, number) for number, group in enumerate(self.groups) for name in group]
        for size in range(1, self.most + 1):
            for chosen in combinations(names, size):
                if len({number for _, number in chosen}) == size:
                    yield frozenset(name for name, _ in chosen)

    def _gives(self, variant: Variant, given: Sequence[Any]) -> bool:
        """Whether an answer with these mistakes gives the same in every case; it runs up to the first that differs."""
        for number, (case, result) in enumerate(zip(self.cases(), given, strict=True)):
            if (variant, number) not in self.tried:
                try:
                    self.tried[variant, number] = self.observe(self.make(variant), case)
                except Exception as error:
                    self.tried[variant, number] = Raised(type(error).__name__, str(error))
            if not alike(result, self.tried[variant, number], self.tolerance):
                return False
        return True


def alike(given: Any, theirs: Any, tolerance: float) -> bool:
    """Whether two answers give the same in a case; of errors about shapes the sizes count, too."""
    return same(given, theirs, tolerance) and _sizes(given) == _sizes(theirs)


def _sizes(result: Any) -> list[str]:
    return sorted(re.findall(r"\d+", result.message)[:2]) if isinstance(result, Raised) else []


@cache
def _numbers(shape: tuple[int, ...]) -> Tensor:
    inputs = max(1, torch.Size(shape[1:]).numel())
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * (2 / inputs) ** 0.5


def _fill(name: str, parameter: Tensor) -> None:
    if parameter.ndim > 1:
        parameter.copy_(_numbers(tuple(parameter.shape)))
    else:
        parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def _by_order(seen: Trace, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names -> the reader's tensors of the same shape, layer by layer as they run; of shortcuts some may be new."""
    layers = [name.removesuffix(".conv.weight") for name in ours if name.endswith(".conv.weight")]
    found: dict[str, Tensor] = {}
    for projections in (False, True):
        names = [name for name in layers if ("shortcut" in name) == projections]
        path = seen.path(projections)
        if projections:
            shapes = [ours[f"{name}.conv.weight"].shape for name in names]
            path = [each for each in path if each.weight.shape in shapes]
        for name, convolution in zip(names, path, strict=False):
            pairs = {f"{name}.conv": convolution, f"{name}.norm": seen.norm_of.get(convolution)}
            for place, module in pairs.items():
                found |= _tensors(place, module, ours)
    for module in seen.linear[:1]:
        found |= _tensors("head", module, ours)
    return found


def _tensors(place: str, module: nn.Module | None, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if module is None:
        return {}
    theirs = {f"{place}.{leaf}": tensor for leaf, tensor in module.state_dict().items()}
    return {name: tensor for name, tensor in theirs.items() if name in ours and tensor.shape == ours[name].shape}


def _by_names(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same by the table that reads other libraries' checkpoints."""
    try:
        names = translate_names(theirs)[1]
    except (LookupError, TypeError, ValueError):
        return {}
    pairs = {our: theirs[their] for our, their in names.items() if our in ours}
    return {name: tensor for name, tensor in pairs.items() if tensor.shape == ours[name].shape}

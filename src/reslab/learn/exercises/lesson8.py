"""Lesson 8, ResNet-18 from a blank page: the capstone."""

from contextlib import suppress
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text, same
from reslab.learn.exercises.forbidden import without_modules
from reslab.learn.exercises.lesson8_count import PARAMETERS
from reslab.learn.exercises.lesson8_mistakes import LOOKS, NUMBERS, SEEN, STRUCTURE, When
from reslab.learn.exercises.lesson8_more import BUG_HUNT, SMALL_STEM
from reslab.learn.exercises.modules import Diagnosis, Trace, Variant, count, give_weights, randomise, trace
from reslab.learn.exercises.plain import ACTIVATIONS, ENDS, POOLS, Network
from reslab.nn.zoo import build_named

_SIZE = (64, 96)  # of the pictures: not square, and small enough to be quick
_TINY = (4, 8, 16, 32)
"""Widths of the networks with which logits are compared; ResNet-18 has the same logits if its other channels are zero."""
_TOLERANCE = 1e-4


@lru_cache(maxsize=1)
def _tiny_weights() -> dict[str, Tensor]:
    """The weights that every answer gets."""
    return randomise(build_named("resnet18", seed=8, widths=_TINY), 8).state_dict()


@lru_cache(maxsize=1)
def _weights() -> dict[str, Tensor]:
    """The same for ResNet-18: in the first channels of each layer; the others give zero."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in build_named("resnet18").state_dict().items()}
    found = {}
    for name, tiny in _tiny_weights().items():
        full = torch.ones(shapes[name]) if name.endswith("running_var") else torch.zeros(shapes[name])
        full[tuple(map(slice, tiny.shape))] = tiny
        found[name] = full
    return found


def _pictures() -> Tensor:
    return torch.rand(2, 3, *_SIZE, generator=torch.Generator().manual_seed(8))


class _Wrong:
    """Makes networks with mistakes."""

    def __init__(self, mistakes: Variant) -> None:
        self.mistakes = mistakes

    def __call__(self) -> nn.Module:
        """A network whose weights are still to be set, which saves drawing them."""
        with torch.device("meta"):
            outline = Network(mistakes=self.mistakes)
        network = outline.to_empty(device="cpu")
        for name, tensor in network.state_dict().items():
            tensor.fill_(float(name.endswith("running_var")))
        return network


@lru_cache(maxsize=2)
def _built(answer: Any) -> nn.Module:
    """A network; kept, since several looks are taken at it."""
    return answer()


@lru_cache(maxsize=2)
def _traced(answer: Any) -> Trace:
    return trace(_built(answer), _pictures())


@lru_cache(maxsize=2)
def _logits(answer: Any) -> Tensor:
    """Of a network that has our weights."""
    network = _built(answer)
    give_weights(network, _pictures(), _weights())
    with torch.no_grad():
        return network.eval()(_pictures())


_RIGHT = partial(build_named, "resnet18")


def _observe(answer: Any, case: tuple[Any, ...]) -> Any:
    """One look at a network: counts, shapes, or its logits with our weights.

    How it is made is told only if the logits are wrong: padding, for instance, may be done in other ways.
    """
    (look,) = case
    network = _built(answer)
    if look == "parameters":
        return f"{count(network):,} parameters"
    if look == "layers":
        return _layers(network)
    if look == "linear layer":
        linear = [each for each in network.modules() if isinstance(each, nn.Linear)]
        ends = ["" if each.bias is not None else " without a bias" for each in linear]
        sizes = [f"{each.in_features} to {each.out_features}" for each in linear]
        return ", ".join(map("".join, zip(sizes, ends, strict=True))) or "none"
    if look == "projections":
        ones = [each for each in network.modules() if isinstance(each, nn.Conv2d) and each.kernel_size == (1, 1)]
        return (
            ", ".join(f"{each.in_channels} to {each.out_channels} at stride {each.stride[0]}" for each in ones)
            or "none"
        )
    if look == "logits":
        return _logits(answer)
    with suppress(Exception):  # of an answer that does not run, the looks tell how far it comes
        if answer is not _RIGHT and same(_logits(answer), _logits(_RIGHT), _TOLERANCE):
            answer = _RIGHT
    return _run(_traced(answer), look)


def _layers(network: nn.Module) -> str:
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    projections = sum(each.kernel_size == (1, 1) for each in convolutions)
    biases = sum(each.bias is not None for each in convolutions)
    return f"{len(convolutions) - projections} convolutions and {projections} projections, {biases} of them with a bias"


def _run(seen: Trace, look: str) -> str:
    """What a look shows of a network that runs."""
    path = seen.path(projections=False)
    if not path:
        raise seen.error or RuntimeError("no convolution runs")
    if look == "stem":
        first = path[0]
        sides = " x ".join(map(str, first.kernel_size))
        height, width = seen.outputs[first][2:]
        return f"{sides}, {first.in_channels} to {first.out_channels}, stride {first.stride[0]}, to {height} x {width}"
    if look == "strides":
        strides = [str(each.stride[0]) for each in path]
        return " | ".join([strides[0], *(" ".join(strides[n : n + 4]) for n in range(1, len(strides), 4))])
    if look == "norms" and not seen.error:
        return _norms(seen, path)
    last = 4 * int(look.removeprefix("stage ")) if look.startswith("stage") else len(path)
    if len(path) <= last:
        raise seen.error or RuntimeError(f"the network ends before {look}: it has {len(path)} convolutions")
    return "ends with " + " x ".join(map(str, seen.outputs[path[last]][1:]))


def _norms(seen: Trace, path: list[nn.Conv2d]) -> str:
    norms = set(seen.norm_of.values())
    eps = ", ".join(sorted({f"{getattr(norm, 'eps', 0):g}" for norm in norms}))
    parts = (path[:1], path[1::2], path[2::2], seen.path(projections=True))
    stem, first, second, shortcuts = (sum(each in seen.directly for each in part) for part in parts)
    return (
        f"{len(norms)} norms, eps {eps}; directly behind the stem {stem}, in blocks {first} and {second}, "
        f"in shortcuts {shortcuts}"
    )


_JOINS = ("multiplied", "averaged", "maximum", "subtracted", "subtracted from", "shortcut twice", "residual twice")
_GROUPS = (
    ("no sum", *_JOINS),
    ("pooling 2 × 2", "average pooling"),
    ("ReLU before the sum", "ReLU twice", "no ReLU after"),
    ("no ReLU between",),
    ("no stem ReLU",),
    ("shortcut active",),
    tuple(POOLS),
    tuple(ENDS),
)


def _diagnosis(groups: Any, most: int) -> Diagnosis:
    """Compares logits with those of tiny networks."""
    return Diagnosis(
        lambda mistakes: partial(Network, widths=_TINY, mistakes=mistakes),
        groups,
        _tiny_logits,
        lambda: [("logits",)],
        most,
        _TOLERANCE,
    )


def _tiny_logits(answer: Any, case: tuple[Any, ...]) -> Tensor:
    network = answer()
    give_weights(network, _pictures(), _tiny_weights())
    with torch.no_grad():
        return network.eval()(_pictures())


_SEVERAL, _ALONE = _diagnosis(_GROUPS, 2), _diagnosis((tuple(ACTIVATIONS),), 1)


def _shows(name: str) -> When:
    """Whether the structure is right, and the logits show this mistake."""
    names = next((group for group in (_JOINS, ACTIVATIONS) if name in group), [name])
    found = [(_ALONE if each in ACTIVATIONS else _SEVERAL).shows(each) for each in names]

    def when(given: list[Any], expected: list[Any]) -> bool:
        return given[:-1] == expected[:-1] and any(each(given[-1:], expected[-1:]) for each in found)

    return when


def _plain(given: list[Any], expected: list[Any]) -> bool:
    """The logits are those of a plain network, whether or not it has projections."""
    theirs = _tiny_logits(partial(Network, widths=_TINY, mistakes=frozenset({"no sum"})), ())
    return same(given[-1], theirs, _TOLERANCE)


def _mistake(name: str, says: Text, when: When) -> Mistake:
    return Mistake(_Wrong(frozenset({name})), *says, when)


RESNET18 = Exercise(
    number="8.1",
    name="ResNet18",
    stub='''from torch import nn


class ResNet18(nn.Module):
    """ResNet-18 for 1,000 classes: pictures [batch, 3, height, width] -> logits [batch, 1000]."""

    def __init__(self):
        super().__init__()
        raise NotImplementedError

    def forward(self, x):
        raise NotImplementedError
''',
    expected=_RIGHT,
    cases=lambda: [(look,) for look in LOOKS],
    observe=_observe,
    tolerance=_TOLERANCE,
    watch=without_modules("torchvision", "timm", "reslab"),
    mistakes=(
        _mistake("no sum", NUMBERS["no sum"], _plain),
        *(_mistake(name, says, SEEN[name]) for name, says in STRUCTURE.items()),
        *(_mistake(name, says, _shows(name)) for name, says in NUMBERS.items() if name != "no sum"),
    ),
    hints=(
        Text(
            "Six parts: a stem that shrinks the picture by 4, four stages of two blocks, a head. Begin with the block of "
            "lesson 6.",
            "一共六个部分：把图片边长缩小到四分之一的起始层，四个阶段（各有两个块），末端。从第 6 课的残差块写起。",
        ),
        Text(
            "Stem: 7 × 7 at stride 2, norm, ReLU, max pooling 3 × 3 at stride 2 with padding 1. Widths 64, 128, 256, 512; the "
            "first block of stages 2 to 4 strides. No biases but the last layer's.",
            "起始层：7 × 7、步幅 2 的卷积，归一化，ReLU，3 × 3、步幅 2、填充 1 的最大池化。宽度 64、128、256、512；"
            "第 2 至 4 阶段的第一个块跨步。除最后一层外都不带偏置。",
        ),
        Text(
            "forward: x = maxpool(relu(bn1(conv1(x)))); x = stages(x); return fc(x.mean((2, 3))). Parameters: 11,689,512.",
            "forward：x = maxpool(relu(bn1(conv1(x))))；x = stages(x)；return fc(x.mean((2, 3)))。参数共 11,689,512 个。",
        ),
    ),
)

EXERCISES = (RESNET18, PARAMETERS, SMALL_STEM, BUG_HUNT)

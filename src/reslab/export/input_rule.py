"""What does a graph want its pictures to be? Tried on labelled ones: the likeliest answers tell."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, log, sqrt
from typing import Any, get_args

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import blocks
from reslab.errors import ResLabError
from reslab.export.foreign import Foreign, InputRule, Order
from reslab.export.options import Choices
from reslab.metrics.calibration import fit_temperature, log_softmax
from reslab.metrics.intervals import proportion
from reslab.metrics.paired import Comparison, compared
from reslab.pixels.preprocess import Preprocess

SAMPLE = 256
"""Pictures that a rule is judged on at most."""

_FEW = 64  # that the numbers are tried on first
_ERRORS = 2
_KEPT = 3  # of those, so many go on to the whole sample


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule and how it did."""

    question: str
    """`numbers` (range and order of colours) or `shape` (resize and interpolation)."""
    rule: InputRule
    right: np.ndarray
    """bool `[n]`."""
    losses: np.ndarray
    """float64 `[n]`: negative log likelihood of each label over `temperature`; infinite where answers are not finite."""
    temperature: float
    """The one that suits this rule best."""

    @property
    def nll(self) -> float:
        return float(self.losses.mean())

    @property
    def loss(self) -> float:
        """What decides, in nats per picture: `nll + (ln T)^2 / 2n`.

        The temperature is adopted with the rule, so a rule may have the one that suits it. But a network that learnt by
        its own probabilities needs one near 1 (a factor of e is taken for one standard deviation), while numbers 255
        times too large may leave every answer right and only make it absurdly sure: where all pictures are answered
        correctly, likelihood alone cannot see that.
        """
        return self.nll + log(self.temperature) ** 2 / (2 * len(self.right))

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    def document(self) -> dict[str, Any]:
        """As JSON has it; an infinite loss is null."""
        nll = self.nll if np.isfinite(self.nll) else None
        words = {"question": self.question, "numbers": self.rule.numbers, "order": self.rule.order}
        found = {"n": len(self.right), "accuracy": self.accuracy, "nll": nll, "temperature": self.temperature}
        return words | asdict(self.rule.preprocess) | found


@dataclass(frozen=True, slots=True)
class Search:
    """All that was tried."""

    tried: tuple[Tried, ...]
    """In the order of trying."""
    best: Tried
    doubts: dict[str, tuple[Tried, Comparison]]
    """Question -> the second best answer to it, and the best compared with that. Without the questions that had but one
    answer."""
    pixels: np.ndarray
    """uint8 `[n, size, size, 3]`: the sample as the best rule has it."""
    labels: np.ndarray


def find_rule(
    foreign: Foreign,
    pictures: Sequence[Picture],
    labels: np.ndarray,
    choices: Choices,
    skip_bad: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Search:
    """The rule under which the graph's answers are likeliest, on a sample of labelled pictures.

    First the numbers, which decide most: all of them on a few pictures, the best on the whole sample. Then, with the
    best numbers, how pictures become squares: the central square stays unless another way is better by more than chance.
    Rules are compared by `Tried.loss`, then by accuracy.

    Args:
        labels: int64 `[n]`.
        on_progress: hears how many pictures have been answered.

    Raises:
        ResLabError: a picture of the sample cannot be read, unless `skip_bad`, or none can.
    """
    chosen = np.random.default_rng(0).permutation(len(pictures))[:SAMPLE]
    sample = _Sample(
        foreign, [pictures[i] for i in chosen], labels[chosen], skip_bad, on_progress or (lambda count: None)
    )
    tried, finals = _numbers(sample, choices)
    first = _ranked(finals)[0]
    shapes = [replace(first, question="shape")]
    for resize, interpolation in itertools.product(choices.resizes, choices.interpolations):
        preprocess = replace(first.rule.preprocess, resize=resize, interpolation=interpolation)
        if preprocess != first.rule.preprocess:
            pixels, truth = sample.read(preprocess)
            shapes.append(sample.attempt("shape", replace(first.rule, preprocess=preprocess), pixels, truth))
    best = next((one for one in _ranked(shapes) if one is shapes[0] or _clearly_better(one, shapes[0])), shapes[0])
    pixels, truth = sample.read(best.rule.preprocess)
    doubts = _doubt("numbers", first, finals) | _doubt("shape", best, shapes)
    return Search((*tried, *shapes[1:]), best, doubts, pixels, truth)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Labelled pictures and the graph that answers for them."""

    foreign: Foreign
    pictures: Sequence[Picture]
    labels: np.ndarray
    skip_bad: bool
    on_progress: Callable[[int], None]

    def read(self, preprocess: Preprocess) -> tuple[np.ndarray, np.ndarray]:
        """The readable pictures, uint8 `[n, size, size, 3]`, and their labels."""
        parts, errors = [], {}
        for block in blocks(self.pictures, preprocess, preprocess.size):
            parts.append(block.pixels)
            errors |= block.errors
            if errors and not self.skip_bad:
                raise next(iter(errors.values()))
        good = [i for i in range(len(self.pictures)) if i not in errors]
        if not good:
            raise ResLabError("none of the pictures can be read", "labelled pictures tell what the graph wants")
        return np.concatenate(parts)[good], self.labels[good]

    def attempt(self, question: str, rule: InputRule, pixels: np.ndarray, labels: np.ndarray) -> Tried:
        logits = self.foreign.logits(pixels, rule)
        self.on_progress(len(pixels))
        return _judged(question, rule, logits, labels)


def _numbers(sample: _Sample, choices: Choices) -> tuple[list[Tried], list[Tried]]:
    """All that was tried for the numbers, and the last of it, which decides.

    The centre of the pictures may show nothing of what their classes are: then the next way to make squares is tried.
    """
    every: list[Tried] = []
    for resize in choices.resizes:
        preprocess = Preprocess(sample.foreign.picture.size, resize, choices.interpolations[0])
        pixels, labels = sample.read(preprocess)
        rules = [
            InputRule(name, mean, std, order, preprocess)
            for (name, (mean, std)), order in itertools.product(choices.numbers.items(), get_args(Order))
        ]
        tried = [sample.attempt("numbers", rule, pixels[:_FEW], labels[:_FEW]) for rule in rules]
        every += tried
        if len(pixels) > _FEW:
            tried = [sample.attempt("numbers", one.rule, pixels, labels) for one in _ranked(tried)[:_KEPT]]
            every += tried
        best = _ranked(tried)[0].right
        if proportion(int(best.sum()), len(best)).low > np.bincount(labels).max() / len(labels):
            return every, tried
    most = max(len(one.right) for one in every)
    return every, [one for one in every if len(one.right) == most]


def _judged(question: str, rule: InputRule, logits: np.ndarray, labels: np.ndarray) -> Tried:
    if not np.isfinite(logits).all():
        return Tried(question, rule, np.zeros(len(labels), bool), np.full(len(labels), inf), 1.0)
    temperature = fit_temperature(logits, labels)
    losses = -log_softmax(logits.astype(np.float64) / temperature)[np.arange(len(labels)), labels]
    return Tried(question, rule, logits.argmax(axis=1) == labels, losses, temperature)


def _ranked(tried: Sequence[Tried]) -> list[Tried]:
    """Best first; of equals, the one that was tried first."""
    return sorted(tried, key=lambda one: (one.loss, -one.accuracy))


def _clearly_better(one: Tried, other: Tried) -> bool:
    """Whether its labels are likelier, picture by picture, by twice the standard error of that difference."""
    if not np.isfinite(one.loss + other.loss):
        return one.loss < other.loss
    gains = other.losses - one.losses
    return bool(gains.mean() > _ERRORS * gains.std() / sqrt(len(gains)))


def _doubt(question: str, best: Tried, tried: Sequence[Tried]) -> dict[str, tuple[Tried, Comparison]]:
    others = [one for one in _ranked(tried) if one is not best]
    return {question: (others[0], compared(best.right, others[0].right))} if others else {}

"""Find a foreign graph's input rule (range, channel order, resize) by trying candidates on labelled pictures."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, log, sqrt
from typing import Any, get_args

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import blocks
from reslab.errors import ResLabError
from reslab.export.foreign import ForeignGraph, InputRule, Order
from reslab.export.options import RuleChoices
from reslab.metrics.calibration import fit_temperature, log_softmax
from reslab.metrics.intervals import proportion
from reslab.metrics.paired import Comparison, compare_paired
from reslab.pixels.preprocess import Preprocess

SAMPLE = 256
"""The most pictures that a rule is scored on."""

_FEW = 64  # pictures on which all ranges are tried first
_KEPT = 3  # the best ranges, which are tried on the whole sample
_ERRORS = 2  # standard errors by which another shape must be better


@dataclass(frozen=True, slots=True)
class Trial:
    """One rule and its score."""

    question: str
    """What was varied: `numbers` (range and order of colours) or `shape` (resize and interpolation)."""
    rule: InputRule
    right: np.ndarray
    """bool `[n]`."""
    losses: np.ndarray
    """float64 `[n]`: negative log-likelihood of each label at `temperature`; infinite where logits are not finite."""
    temperature: float
    """The best one for this rule."""

    @property
    def nll(self) -> float:
        return float(self.losses.mean())

    @property
    def loss(self) -> float:
        """The criterion, in nats per picture: `nll + (ln T)^2 / 2n`.

        The temperature is adopted with the rule, so each rule is scored at its best one. But a network trained on its own
        probabilities needs one near 1: the second term is a log-normal prior whose standard deviation is a factor of e.
        Without it, inputs 255 times too large may win: every answer can stay right and only become absurdly confident,
        which the likelihood at the best temperature does not show.
        """
        return self.nll + log(self.temperature) ** 2 / (2 * len(self.right))

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    def document(self) -> dict[str, Any]:
        """For JSON: an infinite loss is null."""
        nll = self.nll if np.isfinite(self.nll) else None
        rule = {"question": self.question, "numbers": self.rule.numbers, "order": self.rule.order}
        score = {"n": len(self.right), "accuracy": self.accuracy, "nll": nll, "temperature": self.temperature}
        return rule | asdict(self.rule.preprocess) | score


@dataclass(frozen=True, slots=True)
class RuleSearch:
    """The trials and the best rule."""

    tried: tuple[Trial, ...]
    """In order."""
    best: Trial
    doubts: dict[str, tuple[Trial, Comparison]]
    """Question -> its second-best trial, and the best compared with that; only questions with several candidates."""
    pixels: np.ndarray
    """uint8 `[n, size, size, 3]`: the sample, prepared by the best rule."""
    labels: np.ndarray


def find_rule(
    foreign: ForeignGraph,
    pictures: Sequence[Picture],
    labels: np.ndarray,
    choices: RuleChoices,
    skip_bad: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> RuleSearch:
    """The rule with the least loss of the graph's answers, on a sample of labelled pictures.

    First the range, which matters most: all candidates on a few pictures, the best on the whole sample. Then, with the
    best range, how pictures become squares: the central crop stays unless another way is better by more than chance.
    Rules are compared by `Trial.loss`, then by accuracy.

    Args:
        labels: int64 `[n]`.
        on_progress: is called with the number of pictures just computed.

    Raises:
        ResLabError: a picture of the sample cannot be read (unless `skip_bad`), or none can.
    """
    chosen = np.random.default_rng(0).permutation(len(pictures))[:SAMPLE]
    sample = _Sample(
        foreign, [pictures[i] for i in chosen], labels[chosen], skip_bad, on_progress or (lambda count: None)
    )
    tried, finals = _try_ranges(sample, choices)
    first = _rank(finals)[0]
    shapes = [replace(first, question="shape")]
    for resize, interpolation in itertools.product(choices.resizes, choices.interpolations):
        preprocess = replace(first.rule.preprocess, resize=resize, interpolation=interpolation)
        if preprocess != first.rule.preprocess:
            pixels, truth = sample.read(preprocess)
            shapes.append(sample.try_rule("shape", replace(first.rule, preprocess=preprocess), pixels, truth))
    best = next(one for one in _rank(shapes) if one is shapes[0] or _clearly_better(one, shapes[0]))
    pixels, truth = sample.read(best.rule.preprocess)
    doubts = _compare_second("numbers", first, finals) | _compare_second("shape", best, shapes)
    return RuleSearch((*tried, *shapes[1:]), best, doubts, pixels, truth)


@dataclass(frozen=True, slots=True)
class _Sample:
    """Labelled pictures and the graph that is run on them."""

    foreign: ForeignGraph
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
            raise ResLabError("none of the pictures can be read", "the input is found on labelled pictures")
        return np.concatenate(parts)[good], self.labels[good]

    def try_rule(self, question: str, rule: InputRule, pixels: np.ndarray, labels: np.ndarray) -> Trial:
        logits = self.foreign.logits(pixels, rule)
        self.on_progress(len(pixels))
        return _score(question, rule, logits, labels)


def _try_ranges(sample: _Sample, choices: RuleChoices) -> tuple[list[Trial], list[Trial]]:
    """All trials of the range and order of colours, and those that decide.

    The central crop may not show the classes: where no rule beats the majority class, the next resize is tried.
    """
    every: list[Trial] = []
    for resize in choices.resizes:
        preprocess = Preprocess(sample.foreign.input.size, resize, choices.interpolations[0])
        pixels, labels = sample.read(preprocess)
        rules = [
            InputRule(name, mean, std, order, preprocess)
            for (name, (mean, std)), order in itertools.product(choices.numbers.items(), get_args(Order))
        ]
        tried = [sample.try_rule("numbers", rule, pixels[:_FEW], labels[:_FEW]) for rule in rules]
        every += tried
        if len(pixels) > _FEW:
            tried = [sample.try_rule("numbers", one.rule, pixels, labels) for one in _rank(tried)[:_KEPT]]
            every += tried
        best = _rank(tried)[0].right
        if proportion(int(best.sum()), len(best)).low > np.bincount(labels).max() / len(labels):
            return every, tried
    most = max(len(one.right) for one in every)
    return every, [one for one in every if len(one.right) == most]


def _score(question: str, rule: InputRule, logits: np.ndarray, labels: np.ndarray) -> Trial:
    if not np.isfinite(logits).all():
        return Trial(question, rule, np.zeros(len(labels), bool), np.full(len(labels), inf), 1.0)
    temperature = fit_temperature(logits, labels)
    losses = -log_softmax(logits.astype(np.float64) / temperature)[np.arange(len(labels)), labels]
    return Trial(question, rule, logits.argmax(axis=1) == labels, losses, temperature)


def _rank(tried: Sequence[Trial]) -> list[Trial]:
    """Best first; of equals, the one that was tried first."""
    return sorted(tried, key=lambda one: (one.loss, -one.accuracy))


def _clearly_better(one: Trial, other: Trial) -> bool:
    """Whether the mean paired difference of their losses is more than twice its standard error."""
    if not np.isfinite(one.loss + other.loss):
        return one.loss < other.loss
    gains = other.losses - one.losses
    return bool(gains.mean() > _ERRORS * gains.std() / sqrt(len(gains)))


def _compare_second(question: str, best: Trial, tried: Sequence[Trial]) -> dict[str, tuple[Trial, Comparison]]:
    """The second-best trial, and the best compared with it; empty where there is no other."""
    others = [one for one in _rank(tried) if one is not best]
    return {question: (others[0], compare_paired(best.right, others[0].right))} if others else {}

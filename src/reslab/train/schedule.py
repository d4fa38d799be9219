"""The learning rate as a pure function of the step and the plan: nothing to save, nothing to restore."""

from dataclasses import dataclass
from math import cos, pi
from typing import Literal, Self, get_args

import numpy as np

from reslab.errors import ResLabError, nearest

Kind = Literal["constant", "step", "cosine", "onecycle"]


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """The learning rate, as a share of its peak, over a run of any length."""

    kind: Kind = "onecycle"

    warmup: float = 0.0
    """Share of the run in which the rate climbs from near zero to its peak (`onecycle`: its way up)."""

    milestones: tuple[float, ...] = (0.5, 0.75)
    """`step`: shares of the run after which the rate falls. The paper's 32k and 48k of 64k steps."""

    gamma: float = 0.1
    """`step`: what it falls to at each milestone."""

    floor: float = 0.0
    """`cosine` and `onecycle`: share of the peak that the end approaches."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ResLabError(f"the schedule {self.kind!r} is unknown", nearest(self.kind, get_args(Kind)))
        if not 0 <= self.warmup < 1:
            raise ResLabError(f"a warm-up of {self.warmup:g} of the run is not between 0 and 1")


@dataclass(frozen=True, slots=True)
class Timeline:
    """How much of a run lies behind each step: a line, or, where the length was changed on the way, several.

    The rate follows the share, so a run that turns out longer or shorter bends its schedule and never jumps.
    """

    breakpoints: tuple[tuple[int, float], ...]
    """(step, share done) from (0, 0) to (total + 1, 1): the end, where the rate would be zero, is one step away."""

    @classmethod
    def straight(cls, total: int) -> Self:
        """A run of `total` steps, as planned from the start."""
        return cls(((0, 0.0), (total + 1, 1.0)))

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.breakpoints[-1][0] - 1 if self.breakpoints else 0

    def done(self, step: int) -> float:
        """The share of the run, in (0, 1), that stands behind the end of step `step`, counted from 0."""
        steps, shares = zip(*self.breakpoints, strict=True)
        return float(np.interp(step + 1, steps, shares))

    def replanned(self, step: int, total: int) -> Self:
        """The timeline from step `step` on, if the run is to have `total` steps; what lies behind stays as it was."""
        behind = tuple(point for point in self.breakpoints if point[0] < step)
        here = ((step, self.done(step - 1)),) if step else ((0, 0.0),)
        return type(self)((*behind, *here, (total + 1, 1.0)))


def rate(config: ScheduleConfig, peak: float, done: float) -> float:
    """The learning rate where the share `done` of the run, in (0, 1), is behind. Never zero: no step is wasted.

    `onecycle` climbs and then falls linearly (the triangle of DAWNBench); `cosine` falls as half a wave
    (Loshchilov and Hutter 2016, equation 5, without restarts); `step` is the paper's.
    """
    if done < config.warmup:
        return peak * done / config.warmup
    if config.kind == "constant":
        return peak
    if config.kind == "step":
        return peak * config.gamma ** sum(done > share for share in config.milestones)
    past = (done - config.warmup) / (1 - config.warmup)
    left = 1 - past if config.kind == "onecycle" else (1 + cos(pi * past)) / 2
    return peak * (config.floor + (1 - config.floor) * left)

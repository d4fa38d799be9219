"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

from dataclasses import dataclass
from math import cos, pi
from typing import Literal, get_args

from reslab.errors import ResLabError, nearest

Kind = Literal["constant", "step", "cosine", "onecycle"]


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """The course of the rate, as a share of its peak, over a run of any length."""

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


def rate(config: ScheduleConfig, peak: float, step: int, total: int) -> float:
    """The learning rate of step `step` of `total`, counted from 0. Never zero: no step is wasted.

    `onecycle` climbs and then falls linearly (the triangle of DAWNBench); `cosine` falls as half a wave
    (Loshchilov and Hutter 2016, equation 5, without restarts); `step` is the paper's.
    """
    warm = config.warmup * total
    if step + 1 < warm:
        return peak * (step + 1) / warm
    done = (step + 1 - warm) / (total + 1 - warm) if total + 1 > warm else 0.0
    if config.kind == "constant":
        return peak
    if config.kind == "step":
        return peak * config.gamma ** sum(step >= share * total for share in config.milestones)
    left = 1 - done if config.kind == "onecycle" else (1 + cos(pi * done)) / 2
    return peak * (config.floor + (1 - config.floor) * left)

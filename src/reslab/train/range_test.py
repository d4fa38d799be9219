"""A learning rate for this network, these pictures and this optimizer, found by about a hundred steps of its training.

The range test of Smith 2015 (arXiv:1506.01186) as fastai does it (`callback/schedule.py`): the rate grows exponentially
from step to step, the loss is averaged, and the test ends where it runs away. What is read off depends on the schedule.
A peak that is only passed through may be the rate at which the averaged loss was least: Smith's upper bound of a rate that
rises and falls. A rate that is held, or that trained weights must survive, is a tenth of it: fastai's rule `minimum`.
"""

import itertools
import math
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import torch

from reslab.data.loader import Batch, Loader
from reslab.errors import ResLabError
from reslab.system import device
from reslab.system.events import Listener
from reslab.train.config import Origin, Plan, at_rate
from reslab.train.inputs import Stores
from reslab.train.loop import Diverged, update
from reslab.train.session import fresh_training, loader_of
from reslab.train.start import SCRATCH
from reslab.words.phrases import Phrase, say

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100
_MEMORY = 0.8  # of the averaged loss, from step to step: less than half a decade of rates (fastai's 0.98 keeps four)
_TOO_MUCH = 4.0  # times its least value: the loss has run away
_UNSETTLED = STEPS // 10  # steps after which the average has seen enough
_CAUTION = 0.1
_PASSING = ("onecycle", "cosine")

Caution = Literal["", "held", "trained"]


@dataclass(frozen=True, slots=True)
class RangeTest:
    """The curve: one entry per step, the rate growing."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    averages: tuple[float, ...]
    """The losses' exponential average, corrected for its start at zero."""
    careful: Caution = "held"
    """Why a tenth of the best rate is taken: it is held, or it must not destroy trained weights; empty where it is not."""

    @property
    def best(self) -> int:
        """The step at which the average was least."""
        return min(range(_UNSETTLED, len(self.rates)), key=lambda step: self.averages[step])

    @property
    def suggestion(self) -> float:
        """The rate to train with, to three digits: the rest is chance."""
        return float(f"{self.rates[self.best] * (_CAUTION if self.careful else 1.0):.3g}")

    @property
    def reason(self) -> Phrase:
        """Where the suggestion comes from."""
        if not self.careful:
            return say("reason.rate.least")
        key = "reason.rate.tenth_held" if self.careful == "held" else "reason.rate.tenth_trained"
        return say(key, rate=self.rates[self.best])


def range_test(step: Callable[[float], float], careful: Caution = "held") -> RangeTest:
    """Take steps of growing rates until the loss runs away.

    Args:
        step: makes one step at a rate and gives the loss before it; no number ends the test.
        careful: see `RangeTest`.

    Raises:
        ResLabError: no rate makes the loss fall.
    """
    rates: list[float] = []
    losses: list[float] = []
    averages: list[float] = []
    average = 0.0
    for number in range(STEPS):
        rate = LOWEST * (HIGHEST / LOWEST) ** (number / (STEPS - 1))
        loss = step(rate)
        if not math.isfinite(loss):
            break
        average = _MEMORY * average + (1 - _MEMORY) * loss
        rates.append(rate)
        losses.append(loss)
        averages.append(average / (1 - _MEMORY ** (number + 1)))
        if averages[-1] > _TOO_MUCH * min(averages):
            break
    found = RangeTest(tuple(rates), tuple(losses), tuple(averages), careful)
    if len(rates) <= _UNSETTLED + 1 or found.best == _UNSETTLED:
        raise ResLabError(
            f"the loss falls at no learning rate from {LOWEST:g} up", "reslab check looks at the data; or give --lr"
        )
    return found


def find_rate(plan: Plan, stores: Stores, listener: Listener) -> RangeTest:
    """The range test of a plan, on a throwaway network: its own batches, optimizer and precision, decided by its seed.

    Raises:
        ResLabError: the plan computes its head and uses no rate, or no rate makes the loss fall.
    """
    if plan.config.finetune == "head":
        raise ResLabError("--finetune head computes the best head: it uses no learning rate", "choose another mode")
    device.exact()
    plan = replace(plan, config=replace(plan.config, ema=0.0))
    where = device.fastest()
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        training = fresh_training(plan, stores)
        with closing(_batches(loader_of(plan, stores.train), plan.config.workers)) as batches:

            def step(rate: float) -> float:
                listener({"event": "range test", "step": training.progress.step + 1, "steps": STEPS, "lr": rate})
                try:
                    return update(training, next(batches), plan, rate)
                except Diverged:
                    return math.nan

            return range_test(step, _careful(plan))


def with_found_rate(plan: Plan, stores: Stores, listener: Listener) -> Plan:
    """The plan with its rate measured, where it asks for that; the number then stands in the config as any other."""
    if not plan.config.find_lr:
        return plan
    config, origins = replace(plan.config, find_lr=False), plan.origins | {"find_lr": Origin("default")}
    if config.finetune != "head":
        found = find_rate(plan, stores, listener)
        config = replace(config, optim=at_rate(config.optim, found.suggestion))
        origins["optim.lr"] = Origin("measured", found.reason)
        if config.optim.name == "muon":
            origins["optim.rest_lr"] = Origin("measured", say("reason.rate.rest"))
    return replace(plan, config=config, origins=origins)


def _careful(plan: Plan) -> Caution:
    if plan.config.weights != SCRATCH:
        return "trained"
    return "" if plan.config.schedule.kind in _PASSING else "held"


def _batches(loader: Loader, workers: int) -> Generator[Batch]:
    """The training's batches, epoch after epoch."""
    for epoch in itertools.count():
        yield from loader.batches(epoch, 0, workers)

"""Choose a recipe, a network and an input size that can be trained in the time there is, by timing steps.

From scratch, many epochs on small pictures teach more than one on large ones. So a step of each candidate is timed, from the
cheapest on until one is too slow, and the largest that fits is taken. What trained weights or the user have decided is kept.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from reslab.data.catalog import Catalog
from reslab.data.reader import load
from reslab.errors import BadPicture
from reslab.nn.config import config_from, last_map
from reslab.nn.count import macs
from reslab.nn.zoo import configuration
from reslab.pixels.preprocess import shrunk
from reslab.system import device
from reslab.system.machine import default_workers
from reslab.train.config import AUTO, Origin, Plan, TrainConfig
from reslab.train.plan.resolve import fixed_choices, resolve
from reslab.train.plan.speed import epoch_seconds, seconds_per_step
from reslab.train.start import SCRATCH
from reslab.words.phrases import Phrase, say

QUICK, QUICK_SIZE = "quick", 48
"""The recipe that learns most per minute from small inputs, and the side in pixels up to which inputs count as small."""

USEFUL_EPOCHS, LEAST_EPOCHS = {QUICK: 8, "standard": 16}, 8
"""Epochs that must fit for a run from scratch to be planned, by recipe, and below which a warning is given."""

DEFAULT_SECONDS = 1800.0
"""Longest default run where no time is given."""

PROCESSOR_SIZE = 160
"""Largest default input from scratch on a processor, in pixels."""


class Candidate(NamedTuple):
    """What may be trained."""

    recipe: str
    model: str
    size: int


LADDER = (
    *(Candidate(QUICK, "fast_resnet8", size) for size in (32, 48)),
    *(Candidate("standard", "resnet18", size) for size in (64, 96, 128, 160, 224)),
)
"""What `auto` may choose, the cheapest first (`benchmarks/grid.py`; LOG.md)."""

PLAIN_LADDER = tuple(
    Candidate("standard", "resnet20" if one.recipe == QUICK else one.model, one.size) for one in LADDER
)
"""The same where the recipe or the optimizer is not left open. At 64 px resnet20 is slower than resnet18, and no better."""

_PROBE_SECONDS, _PROBE_BATCH = 0.5, 32
_SURE_MACS = 1e10  # multiply-accumulates per second that every machine reaches: what fits at this speed is not timed
_SAMPLE = 8  # pictures that are decoded to learn how long that takes
_REPORT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Timed:
    """A plan, and the seconds of one of its epochs on this machine."""

    plan: Plan
    epoch_seconds: float
    epochs: int
    """How many of them must fit."""

    @property
    def seconds(self) -> float:
        return self.epochs * self.epoch_seconds

    def __str__(self) -> str:
        return f"{self.plan.config.model} at {self.plan.config.size} px"


def choose(timed: Sequence[Timed], seconds: float) -> tuple[Timed, Timed | None]:
    """The largest that fits into `seconds`, else the smallest; and the next larger one, which does not fit.

    Args:
        timed: from the smallest on.
    """
    last = max((number for number, one in enumerate(timed) if one.seconds <= seconds), default=0)
    return timed[last], timed[last + 1] if last + 1 < len(timed) else None


def candidates(plan: Plan) -> list[Candidate]:
    """What may be trained in place of a plan, the cheapest first, the plan itself last.

    What the user, a recipe or trained weights have decided is kept; nothing is larger than the plan.
    """
    config, own = plan.config, Candidate(plan.config.recipe, plan.config.model, plan.config.size)
    if config.weights != SCRATCH or plan.origins["size"].origin != "default":
        return [own]
    if _is_open(plan):
        ladder = list(LADDER)
    elif plan.origins["model"].origin != "default":
        network = config_from(plan.network)
        ladder = [own._replace(size=one.size) for one in LADDER if last_map(network, one.size) > 1]
    else:
        ladder = [one._replace(recipe=config.recipe) for one in PLAIN_LADDER]
    return [one for one in ladder if one.size < config.size] + [own]


def _is_open(plan: Plan) -> bool:
    """Whether nobody chose the network, the recipe, or what belongs to its optimizer."""
    chosen = [name for name, origin in plan.origins.items() if origin.origin == "user"]
    return plan.config.recipe in USEFUL_EPOCHS and not any(
        name in ("model", "recipe") or name.startswith(("optim.", "schedule.")) for name in chosen
    )


def with_affordable(
    plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str], seconds: float
) -> tuple[Plan, list[str]]:
    """A plan that can be trained in the time there is, and the warnings to give before it begins.

    Args:
        plan: `config` resolved.
        catalog: the training and validation pictures.
        seconds: what is left of the time that was given, reading and checking the pictures included; 0 if none was. Then
            the network and size of the default run are replaced only if it would take more than `DEFAULT_SECONDS`.
    """
    plan = _without_large_inputs(plan, config, catalog, user)
    if seconds:
        plan = _with_quick(plan, config, catalog, user)
    begun, alone = time.monotonic(), len(candidates(plan)) == 1
    # A head is computed in seconds; and without a time limit there must be something to choose from.
    if plan.config.finetune == "head" or (not seconds and alone):
        return plan, []
    train, val = _counts(plan, catalog)
    wanted = _useful_epochs(plan) if seconds else plan.config.epochs
    budget = seconds or DEFAULT_SECONDS
    # A training step costs about three forward passes. What takes half the time on any machine need not be timed.
    if 3 * (train + val) * wanted * macs(config_from(plan.network), plan.config.size) / _SURE_MACS < budget / 2:
        return plan, []
    if seconds:
        budget -= _reading_seconds(plan, catalog) + _REPORT_SECONDS
    timed = _time_pairs(plan, config, catalog, user, 0 if seconds else wanted, budget - (time.monotonic() - begun))
    chosen, larger = choose(timed, budget - (time.monotonic() - begun) if seconds else budget)
    # With a time limit fewer epochs than wanted are still worth training; without one the whole plan must fit.
    least = replace(chosen, epochs=min(chosen.epochs, LEAST_EPOCHS)) if seconds else chosen
    warnings = [] if least.seconds <= budget else [_too_little(least, budget, seconds)]
    if chosen.plan is plan:
        return plan, warnings
    reason = _reason(chosen, larger, seconds)
    open_ = [name for name in Candidate._fields if plan.origins[name].origin == "default"]
    origins = {name: Origin("measured", reason) for name in open_}
    return replace(chosen.plan, origins=chosen.plan.origins | origins), warnings


def _without_large_inputs(plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str]) -> Plan:
    """From scratch on a processor nobody gets a larger input than `PROCESSOR_SIZE` without asking for it."""
    chosen, asked = plan.config, plan.origins["size"].origin != "default"
    if asked or chosen.weights != SCRATCH or chosen.size <= PROCESSOR_SIZE or device.fastest().type != "cpu":
        return plan
    size = PROCESSOR_SIZE, Origin("default", say("reason.size.processor", size=PROCESSOR_SIZE))
    return resolve(config, catalog, user, fixed_choices(plan) | {"size": size})


def _with_quick(plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str]) -> Plan:
    """Small inputs are trained by `QUICK` where nothing was asked for and its network has a map left to pool."""
    small = plan.config.weights == SCRATCH and plan.config.size <= QUICK_SIZE
    if not small or not _is_open(plan) or last_map(configuration(LADDER[0].model), plan.config.size) == 1:
        return plan
    origin = Origin("default", say("reason.recipe.quick", size=QUICK_SIZE))
    chosen = {name: (getattr(LADDER[0], name), origin) for name in ("recipe", "model")}
    return resolve(config, catalog, user, fixed_choices(plan) | chosen)


def _useful_epochs(plan: Plan) -> int:
    """Epochs without which a plan is worth less than a smaller one."""
    return USEFUL_EPOCHS.get(plan.config.recipe, USEFUL_EPOCHS["standard"]) if plan.config.weights == SCRATCH else 1


def describe_tenth(
    plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str], seconds: float
) -> list[str]:
    """What `--minutes` would give for a tenth of the time that a long run without a limit takes; nothing for a short run.

    Args:
        plan: `config` resolved.
        seconds: what the run will take.
    """
    if seconds <= DEFAULT_SECONDS or plan.config.minutes or plan.config.folds:
        return []
    minutes = max(1, round(seconds / 600))
    timed = _time_pairs(plan, config, catalog, user, 0, 60.0 * minutes)
    chosen, _ = choose(timed, 60.0 * minutes)
    epochs = 60 * minutes / chosen.epoch_seconds
    return [f"--minutes {minutes}, a tenth of the time, is enough for {epochs:.1f} epochs of {chosen}"]


def _time_pairs(
    plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str], epochs: int, seconds: float
) -> list[Timed]:
    """The candidates with their seconds, from the cheapest to the first of which `epochs` do not fit; 0 means the useful ones."""
    begun, pairs, (train, val) = time.monotonic(), candidates(plan), _counts(plan, catalog)
    timed: list[Timed] = []
    for pair in pairs:  # the first that is too slow ends it, so no slower one is ever timed
        other = plan if pair == pairs[-1] else resolve(config, catalog, user, _fixed(plan, pair))
        each = epoch_seconds(_seconds_per_picture(other), train, val)
        timed.append(Timed(other, each, epochs or _useful_epochs(other)))
        if timed[-1].seconds > seconds - (time.monotonic() - begun):
            break
    return timed


def _fixed(plan: Plan, candidate: Candidate) -> dict[str, tuple[Any, Origin]]:
    values = candidate._asdict()
    return fixed_choices(plan) | {name: (value, plan.origins[name]) for name, value in values.items()}


def _counts(plan: Plan, catalog: Catalog) -> tuple[int, int]:
    """Training and validation pictures of an epoch, summed over the runs of a cross-validation."""
    runs = plan.config.runs
    return runs * len(catalog.split("train")), runs * len(catalog.split("val"))


def _seconds_per_picture(plan: Plan) -> float:
    """Seconds per picture of a step with few pictures, timed briefly."""
    batch = min(plan.config.batch_size, _PROBE_BATCH)
    layout = "channels-last" if plan.config.layout == AUTO else plan.config.layout
    config = replace(plan.config, batch_size=batch, accumulate=1, layout=layout)
    return seconds_per_step(plan.network, config, _PROBE_SECONDS) / batch


def _reading_seconds(plan: Plan, catalog: Catalog) -> float:
    """Seconds to decode every picture once."""
    pictures = catalog.pictures[:: max(1, len(catalog.pictures) // _SAMPLE)]
    begin = time.perf_counter()
    for picture in pictures:
        with suppress(BadPicture):  # the check names it
            shrunk(load(picture), plan.config.size)
    each = (time.perf_counter() - begin) / len(pictures) / default_workers()
    return each * len(catalog.pictures)


def _reason(chosen: Timed, larger: Timed | None, seconds: float) -> Phrase:
    """Why this one, and what the next larger one would cost."""
    if larger is None:
        return say("reason.time.smallest", seconds=chosen.epoch_seconds)
    other = {"model": larger.plan.config.model, "size": larger.plan.config.size}
    if seconds:
        fits = {"seconds": chosen.epoch_seconds, "epochs": chosen.epochs, "more": larger.epoch_seconds}
        return say("reason.time.fits", **fits, **other)
    takes = {"minutes": chosen.seconds / 60, "epochs": chosen.epochs, "more": larger.seconds / 60}
    return say("reason.time.default", **takes, **other)


def _too_little(chosen: Timed, budget: float, seconds: float) -> str:
    """The warning where nothing fits."""
    if not seconds:
        return (
            f"even {chosen} takes about {chosen.seconds / 60:.0f} minutes for {chosen.epochs} epochs on this machine; "
            f"--minutes sets a limit"
        )
    fitting, needed = max(0.0, budget / chosen.epoch_seconds), (seconds - budget + chosen.seconds) / 60
    return (
        f"the time is enough for about {fitting:.1f} epochs of {chosen}, but at least {chosen.epochs} are needed to learn "
        f"something useful; they take about {needed:.1f} minutes here: give more --minutes, or a smaller --model or --size"
    )

"""Choose a recipe, a network and an input size that can be trained in the time there is, by timing steps.

From scratch, many epochs on small pictures teach more than one on large ones. So a step of each pair of network and size
is timed, from the smallest pair on until one is too slow, and the largest that fits is taken. In limited time on a
processor, the recipe from scratch is `quick`. Where a recipe or the user have decided, nothing is chosen. Trained weights
of which no epoch fits get a new head only, at the largest input whose features can be computed in the time.
"""

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from reslab.data.catalog import Catalog
from reslab.data.reader import load
from reslab.errors import BadPicture
from reslab.nn.config import config_from, last_map
from reslab.nn.count import macs
from reslab.nn.zoo import configuration
from reslab.pixels.preprocess import shrunk
from reslab.system import device
from reslab.system.machine import default_workers
from reslab.train.config import AUTO, NONE, Origin, Plan, TrainConfig
from reslab.train.plan.resolve import fixed_choices, resolve
from reslab.train.plan.speed import epoch_seconds, seconds_per_step
from reslab.train.start import SCRATCH
from reslab.words.phrases import Phrase, say

USEFUL_EPOCHS, LEAST_EPOCHS = 16, 8
"""Epochs that must fit for a run from scratch to be planned, and below which a warning is given."""

QUICK, QUICK_NETWORK, QUICK_SIZE = "quick", "fast_resnet8", 96
"""What learns most per minute from scratch on a processor, and the largest input in pixels that it is given unasked."""

QUICK_EPOCHS, QUICK_SMALL_SIZE = 32, 48
"""Epochs of `QUICK` that must fit for a larger input than so many pixels to be planned; up to these, `LEAST_EPOCHS`."""

DEFAULT_SECONDS = 1800.0
"""Longest default run where no time is given."""

PROCESSOR_SIZE = 160
"""Largest default input from scratch on a processor, in pixels."""

LADDER = (
    ("resnet20", 32), ("resnet20", 48), ("resnet18", 64), ("resnet18", 96), ("resnet18", 128), ("resnet18", 160),
    ("resnet18", 224),
)  # fmt: skip
"""Pairs that `auto` may choose, the cheapest first. At 64 px resnet20 is slower than resnet18, and no better."""

_PROBE_SECONDS = 0.5
_SURE_MACS = 1e10  # multiply-accumulates per second that every machine reaches: what fits at this speed is not timed
_SAMPLE = 8  # pictures that are decoded to learn how long that takes
_REPORT_SECONDS = 3.0
_FEATURES_SHARE = 0.7  # of the time may go to the features of a head; the rest to its regression


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


def candidates(plan: Plan) -> list[tuple[str, int]]:
    """Pairs of network and size that may replace a plan's, the smallest first, its own last.

    What the user, a recipe or trained weights have decided is kept; nothing is larger than the plan.
    """
    config, own = plan.config, (plan.config.model, plan.config.size)
    if config.weights != SCRATCH or plan.origins["size"].origin != "default":
        return [own]
    if plan.origins["model"].origin == "default" and config.recipe != QUICK:
        return [pair for pair in LADDER if pair[1] < config.size] + [own]
    return [(config.model, size) for size in _sizes_up_to(plan)]


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
    if plan.config.finetune == "head":
        left = seconds and seconds - _reading_seconds(plan, catalog) - _REPORT_SECONDS
        return _with_features_in_time(plan, config, catalog, user, left), []
    if not seconds and alone:
        return plan, []
    train, val = _counts(plan, catalog)
    wanted = _useful_epochs(plan) if seconds else plan.config.epochs
    budget = seconds or DEFAULT_SECONDS
    # A training step costs about three forward passes. What takes half the time on any machine need not be timed.
    if 3 * (train + val) * wanted * macs(config_from(plan.network), plan.config.size) / _SURE_MACS < budget / 2:
        return plan, []
    if seconds:
        budget -= _reading_seconds(plan, catalog) + _REPORT_SECONDS
    epochs = None if seconds else wanted
    timed = _time_pairs(plan, config, catalog, user, epochs, budget - (time.monotonic() - begun))
    chosen, larger = choose(timed, budget - (time.monotonic() - begun) if seconds else budget)
    if seconds and chosen.seconds > budget and _may_train_head(plan):
        reason = say("reason.finetune.time", seconds=chosen.epoch_seconds)
        fixed = fixed_choices(plan) | {"finetune": ("head", Origin("measured", reason))}
        plan = resolve(config, catalog, user, fixed)
        return _with_features_in_time(plan, config, catalog, user, budget - (time.monotonic() - begun)), []
    # With a time limit fewer epochs than wanted are still worth training; without one the whole plan must fit.
    least = replace(chosen, epochs=min(chosen.epochs, LEAST_EPOCHS)) if seconds else chosen
    warnings = [] if least.seconds <= budget else [_too_little(least, budget, seconds)]
    if chosen.plan is plan:
        return plan, warnings
    reason = _reason(chosen, larger, seconds)
    origins = {name: Origin("measured", reason) for name in ("model", "size") if plan.origins[name].origin == "default"}
    return replace(chosen.plan, origins=chosen.plan.origins | origins), warnings


def _without_large_inputs(plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str]) -> Plan:
    """From scratch on a processor nobody gets a larger input than `PROCESSOR_SIZE` without asking for it."""
    chosen, asked = plan.config, plan.origins["size"].origin != "default"
    if asked or chosen.weights != SCRATCH or chosen.size <= PROCESSOR_SIZE or device.fastest().type != "cpu":
        return plan
    size = PROCESSOR_SIZE, Origin("default", say("reason.size.processor", size=PROCESSOR_SIZE))
    return resolve(config, catalog, user, fixed_choices(plan) | {"size": size})


def _with_quick(plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str]) -> Plan:
    """In limited time on a processor, a run from scratch is one of `QUICK` where nobody chose a network, recipe or optimizer."""
    chosen = [name for name, origin in plan.origins.items() if origin.origin == "user"]
    asked = [name for name in chosen if name in ("model", "recipe") or name.startswith(("optim.", "schedule."))]
    size, network = min(plan.config.size, QUICK_SIZE), configuration(QUICK_NETWORK)
    fits = last_map(network, size) > 1 and plan.config.recipe == TrainConfig().recipe
    if asked or not fits or plan.config.weights != SCRATCH or device.fastest().type != "cpu":
        return plan
    origin = Origin("default", say("reason.recipe.quick"))
    other: dict[str, tuple[Any, Origin]] = {"recipe": (QUICK, origin), "model": (QUICK_NETWORK, origin)}
    if plan.origins["size"].origin == "default" and size < plan.config.size:
        other["size"] = size, Origin("default", say("reason.size.quick", size=QUICK_SIZE))
    return resolve(config, catalog, user, fixed_choices(plan) | other)


def _may_train_head(plan: Plan) -> bool:
    """Whether the head alone may be trained: trained weights, and nobody asked for other layers."""
    return (
        plan.config.weights != SCRATCH and plan.origins["finetune"].origin == "default" and plan.config.teacher == NONE
    )


def _with_features_in_time(
    plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str], seconds: float
) -> Plan:
    """The plan of a head at the largest input whose features fit into `seconds`, else the smallest; unchanged without a time."""
    if not seconds or plan.origins["size"].origin != "default":
        return plan
    network, begun, (train, val) = config_from(plan.network), time.monotonic(), _counts(plan, catalog)
    passes = 2 * train + 3 * val  # pictures and mirror images; what validates is judged and calibrated, too
    work = {size: passes * macs(network, size) for size in _sizes_up_to(plan)}
    if max(work.values()) / _SURE_MACS < seconds / 2:
        return plan
    float32 = replace(plan, config=replace(plan.config, precision="float32"))  # in which features are computed
    per_mac = _seconds_per_picture(float32) / 3 / macs(network, plan.config.size)
    room = _FEATURES_SHARE * (seconds - (time.monotonic() - begun))
    size = max((each for each in work if per_mac * work[each] <= room), default=min(work))
    if size == plan.config.size:
        return plan
    reason = say("reason.size.features", seconds=per_mac * work[size], more=per_mac * work[plan.config.size])
    return resolve(config, catalog, user, fixed_choices(plan) | {"size": (size, Origin("measured", reason))})


def _sizes_up_to(plan: Plan) -> list[int]:
    """Sizes that may replace a plan's, the smallest first, its own last: the last map has more than one pixel."""
    network, sizes = config_from(plan.network), {size for _, size in LADDER}
    return [
        *sorted(size for size in sizes if size < plan.config.size and last_map(network, size) > 1),
        plan.config.size,
    ]


def _useful_epochs(plan: Plan) -> int:
    """Epochs below which a smaller input is worth more."""
    if plan.config.weights != SCRATCH:
        return 1
    if plan.config.recipe != QUICK:
        return USEFUL_EPOCHS
    return LEAST_EPOCHS if plan.config.size <= QUICK_SMALL_SIZE else QUICK_EPOCHS


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
    plan = _with_quick(plan, config, catalog, user)
    timed = _time_pairs(plan, config, catalog, user, None, 60.0 * minutes)
    chosen, _ = choose(timed, 60.0 * minutes)
    epochs = 60 * minutes / chosen.epoch_seconds
    return [f"--minutes {minutes}, a tenth of the time, is enough for {epochs:.1f} epochs of {chosen}"]


def _time_pairs(
    plan: Plan, config: TrainConfig, catalog: Catalog, user: Collection[str], epochs: int | None, seconds: float
) -> list[Timed]:
    """The candidates with their seconds, from the smallest to the first of which the epochs do not fit.

    Args:
        epochs: of each; None for as many as are useful.
    """
    begun, pairs, (train, val) = time.monotonic(), candidates(plan), _counts(plan, catalog)
    timed: list[Timed] = []
    for pair in pairs:  # the first that is too slow ends it, so no slower one is ever timed
        other = plan if pair == pairs[-1] else resolve(config, catalog, user, _fixed(plan, *pair))
        each = epoch_seconds(_seconds_per_picture(other), train, val)
        timed.append(Timed(other, each, _useful_epochs(other) if epochs is None else epochs))
        if timed[-1].seconds > seconds - (time.monotonic() - begun):
            break
    return timed


def _fixed(plan: Plan, model: str, size: int) -> dict[str, tuple[Any, Origin]]:
    return fixed_choices(plan) | {"model": (model, plan.origins["model"]), "size": (size, plan.origins["size"])}


def _counts(plan: Plan, catalog: Catalog) -> tuple[int, int]:
    """Training and validation pictures of an epoch, summed over the runs of a cross-validation."""
    runs = plan.config.runs
    return runs * len(catalog.split("train")), runs * len(catalog.split("val"))


def _seconds_per_picture(plan: Plan) -> float:
    """Seconds per picture of a step, timed briefly."""
    layout = "channels-last" if plan.config.layout == AUTO else plan.config.layout
    return seconds_per_step(plan.network, replace(plan.config, layout=layout), _PROBE_SECONDS) / plan.config.batch_size


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

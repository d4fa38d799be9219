"""Seconds of a training step on this machine, timed on a temporary network before the first real one."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from reslab.nn.config import config_from
from reslab.nn.count import macs
from reslab.nn.layers import to_images
from reslab.nn.resnet import build
from reslab.system import device
from reslab.train.config import AUTO, Origin, Plan, TrainConfig
from reslab.train.step.optim import build_optimizer
from reslab.words.phrases import say

_PROBE_SECONDS, _PROBE_STEPS = 2.0, 20
_CLEARLY = 1.3
"""How many times as fast as float32 bfloat16 must be where both are timed: it rounds more, and two runs must agree."""

_SHORT_MACS, _SHORT_MINUTES = 1e12, 1.0
"""Multiply-accumulates of a run, or its time, below which it stays in float32 and nothing is timed: seconds would be gained."""


def with_speed(plan: Plan, validation: int, left: float = 0.0) -> tuple[Plan, float]:
    """Time a few steps on a temporary network; return the plan and its seconds.

    The plan is given its precision and layout, where these are open, and its epochs, where its time is limited.

    The estimate counts training steps and a forward pass over the validation pictures after each epoch.

    Args:
        left: seconds that are left of the plan's time limit; all of it by default.
    """
    plan, per_step = _with_arithmetic(plan)
    per_epoch = epoch_seconds(
        per_step / plan.config.batch_size, plan.steps_per_epoch * plan.config.batch_size, validation
    )
    if plan.config.minutes:
        epochs = max(1, int((left or plan.config.minutes * 60) / per_epoch))
        reason = say("reason.epochs.minutes", minutes=plan.config.minutes, seconds=per_epoch)
        config = replace(plan.config, epochs=epochs)
        plan = replace(plan, config=config, origins={**plan.origins, "epochs": Origin("measured", reason)})
    return plan, per_step * plan.total_steps + (per_epoch - per_step * plan.steps_per_epoch) * plan.config.epochs


def epoch_seconds(per_picture: float, train: int, val: int) -> float:
    """Seconds of an epoch from those of a picture in a step: `train` steps, then for `val` the forward pass, a third of one."""
    return per_picture * (train + val / 3)


def _with_arithmetic(plan: Plan) -> tuple[Plan, float]:
    """The plan with the fastest precision and memory layout, timed where they are open, and the seconds of a step in them."""
    config, kinds = plan.config, _precisions(plan)
    choices = [replace(config, precision=kind, layout=each) for kind in kinds for each in _layouts(config, kind)]
    brief = min(_PROBE_SECONDS, 0.5 * config.minutes) if config.minutes else _PROBE_SECONDS  # 0.8 % of the time each
    seconds = {choice: seconds_per_step(plan.network, choice, brief) for choice in choices}
    best = min(choices, key=lambda choice: seconds[choice] * (1 if choice.precision == "float32" else _CLEARLY))
    speeds = {(choice.precision, choice.layout): config.batch_size / seconds[choice] for choice in choices}
    origins = dict(plan.origins)
    if len(kinds) > 1:
        fastest = {kind: max(speed for (each, _), speed in speeds.items() if each == kind) for kind in kinds}
        origins["precision"] = Origin("measured", say("reason.precision.timed", **fastest))
    elif kinds != (config.precision,):  # what was guessed is not worth timing
        origins["precision"] = Origin("default", say("reason.precision.short"))
    if config.layout == AUTO:
        timed = {
            layout.removeprefix("channels-"): speeds[kind, layout] for kind, layout in speeds if kind == best.precision
        }
        reason = say("reason.layout.timed", **timed) if len(timed) > 1 else say("reason.layout.usual")
        origins["layout"] = Origin("measured" if len(timed) > 1 else "default", reason)
    return replace(plan, config=best, origins=origins), seconds[best]


def _precisions(plan: Plan) -> tuple[str, ...]:
    """The precisions to time: both where only a timing tells, and a gain would be felt."""
    config, reason = plan.config, plan.origins["precision"].reason
    if reason is None or reason.key != device.GUESSED:
        return (config.precision,)
    work = (
        3 * plan.total_steps * config.batch_size * macs(config_from(plan.network), config.size)
    )  # forward, backward twice
    short = config.minutes < _SHORT_MINUTES if config.minutes else work < _SHORT_MACS
    return ("float32",) if short else ("float32", "bfloat16")


def _layouts(config: TrainConfig, precision: str) -> tuple[str, ...]:
    """The memory layouts to time: both where either may be the faster one."""
    if config.layout != AUTO:
        return (config.layout,)
    both = device.fastest().type == "cpu" and precision == "float32"
    return tuple(device.LAYOUTS) if both else ("channels-last",)


def seconds_per_step(shape: Mapping[str, Any], config: TrainConfig, seconds: float = _PROBE_SECONDS) -> float:
    """Median of full steps on random pictures, after one to warm up: up to twenty, for about `seconds`.

    Args:
        shape: `ResNetConfig` as plain values.
        config: batch, size, precision and optimizer are taken from it.
    """
    device.exact()
    device.keep_memory()  # as in training: memory that is returned to the system slows large steps down
    part = max(1, config.batch_size // config.accumulate)
    network = device.to_device(build(config_from(shape), seed=0), config.layout)
    optimizer = build_optimizer(network, config.optim)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (part, config.size, config.size, 3), dtype=torch.uint8, generator=generator).to(
        device.fastest()
    )
    labels = torch.arange(part, device=device.fastest()) % shape["num_classes"]
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 2 or (len(times) < _PROBE_STEPS and time.perf_counter() - started < seconds):
        begin = time.perf_counter()
        optimizer.zero_grad()
        with device.mixed_precision(device.fastest(), config.precision):
            logits = network(device.to_layout(to_images(pixels), config.layout))
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        device.synchronize(device.fastest())
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:]) * config.accumulate

"""Seconds of a training step on this machine, timed on a temporary network before the first real one."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from reslab.nn import winograd
from reslab.nn.config import config_from, last_map
from reslab.nn.convolution import is_small, use_convolution
from reslab.nn.count import macs
from reslab.nn.layers import to_images
from reslab.nn.resnet import build
from reslab.system import device
from reslab.train.config import AUTO, Origin, Plan, TrainConfig
from reslab.train.step.optim import build_optimizer
from reslab.words.phrases import say

_PROBE_SECONDS, _PROBE_STEPS, _PROBE_BATCH = 2.0, 20, 32
_CLEARLY = 1.3
"""How many times as fast as float32 bfloat16 must be where both are timed: it rounds more, and two runs must agree."""

_SHORT_MACS, _SHORT_MINUTES = 1e12, 1.0
"""Multiply-accumulates of a run, or its time, below which it stays in float32 and nothing is timed: seconds would be gained."""

_OTHERWISE = 1.1
"""How many times as fast as PyTorch's convolution another one must be: it rounds otherwise, and two runs must agree."""

_LONG_MACS, _LONG_MINUTES = 1e13, 3.0
"""The same, for other convolutions than PyTorch's."""


def with_speed(plan: Plan, validation: int, left: float = 0.0) -> tuple[Plan, float]:
    """Time a few steps on a temporary network; return the plan and its seconds.

    The plan is given its precision, layout and convolution, where these are open, and its epochs, where its time is limited.

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
    """The plan with the fastest precision, memory layout and convolution, timed together where they are open, and the seconds
    of a step in them."""
    config, kinds = plan.config, _precisions(plan)
    choices = [
        replace(config, precision=kind, layout=layout, convolution=way)
        for kind in kinds for layout in _layouts(config, kind) for way in _convolutions(plan, kind, layout)
    ]  # fmt: skip
    brief = min(_PROBE_SECONDS, 0.5 * config.minutes) if config.minutes else _PROBE_SECONDS  # 0.8 % of the time each
    seconds = {choice: seconds_per_step(plan.network, choice, brief) for choice in choices}
    best = min(choices, key=lambda choice: seconds[choice] * _least_gain(choice))
    speeds = {choice: config.batch_size / seconds[choice] for choice in choices}
    origins = dict(plan.origins)
    if len(kinds) > 1:
        fastest = {kind: max(speed for each, speed in speeds.items() if each.precision == kind) for kind in kinds}
        origins["precision"] = Origin("measured", say("reason.precision.timed", **fastest))
    elif kinds != (config.precision,):  # what was guessed is not worth timing
        origins["precision"] = Origin("default", say("reason.precision.short"))
    alike = {each: speed for each, speed in speeds.items() if each.precision == best.precision}
    if config.layout == AUTO:
        timed = {each.layout: speed for each, speed in alike.items() if each.convolution == best.convolution}
        origins["layout"] = _layout_origin(timed, len({each.layout for each in alike}))
    if config.convolution == AUTO:
        ways = {each.convolution for each in alike}
        fastest = {way: max(speed for each, speed in alike.items() if each.convolution == way) for way in sorted(ways)}
        origins["convolution"] = _convolution_origin(fastest)
    return replace(plan, config=best, origins=origins), seconds[best]


def _least_gain(choice: TrainConfig) -> float:
    """How many times as fast as float32 and PyTorch's convolution a choice must be to be taken."""
    return (1 if choice.precision == "float32" else _CLEARLY) * (1 if choice.convolution == "pytorch" else _OTHERWISE)


def _layout_origin(timed: Mapping[str, float], layouts: int) -> Origin:
    """Why a layout was chosen, from images/s with the chosen convolution; `layouts` were timed with any."""
    if len(timed) > 1:
        speeds = {layout.removeprefix("channels-"): speed for layout, speed in timed.items()}
        return Origin("measured", say("reason.layout.timed", **speeds))
    if layouts > 1:
        return Origin("measured", say("reason.layout.convolution"))
    return Origin("default", say("reason.layout.usual"))


def _convolution_origin(timed: Mapping[str, float]) -> Origin:
    """Why a convolution was chosen, from images/s with each in its faster layout."""
    if len(timed) == 1:
        return Origin("default", say("reason.convolution.usual"))
    speeds = ", ".join(f"{name} {speed:.0f}" for name, speed in timed.items())
    return Origin("measured", say("reason.convolution.timed", speeds=speeds))


def _precisions(plan: Plan) -> tuple[str, ...]:
    """The precisions to time: both where only a timing tells, and a gain would be felt."""
    config, reason = plan.config, plan.origins["precision"].reason
    if reason is None or reason.key != device.GUESSED:
        return (config.precision,)
    return ("float32",) if _is_short(plan, _SHORT_MACS, _SHORT_MINUTES) else ("float32", "bfloat16")


def _is_short(plan: Plan, least: float, minutes: float) -> bool:
    """Whether a run takes fewer multiply-accumulates, or where its time is limited, less of it."""
    config = plan.config
    if config.minutes:
        return config.minutes < minutes
    work = macs(config_from(plan.network), config.size)
    return 3 * plan.total_steps * config.batch_size * work < least  # forward, backward twice


def _convolutions(plan: Plan, precision: str, layout: str) -> tuple[str, ...]:
    """The convolutions to time: others than PyTorch's in long runs on a processor, channels last, where they can be faster."""
    if plan.config.convolution != AUTO:
        return (plan.config.convolution,)
    if device.fastest().type != "cpu" or layout != "channels-last" or _is_short(plan, _LONG_MACS, _LONG_MINUTES):
        return ("pytorch",)
    network = config_from(plan.network)
    side = last_map(network, plan.config.size)  # the smallest map, with the most channels
    products = ("matmul",) if is_small(side, side, 1, network.widths[-1]) else ()
    return ("pytorch", *products, *(("winograd",) if precision == "float32" and winograd.available() else ()))


def _layouts(config: TrainConfig, precision: str) -> tuple[str, ...]:
    """The memory layouts to time: both where either may be the faster one."""
    if config.layout != AUTO:
        return (config.layout,)
    both = device.fastest().type == "cpu" and precision == "float32"
    return tuple(device.LAYOUTS) if both else ("channels-last",)


def seconds_per_step(shape: Mapping[str, Any], config: TrainConfig, seconds: float = _PROBE_SECONDS) -> float:
    """Seconds of a step, from medians of up to twenty on random pictures after one to warm up, for about `seconds`.

    On a processor the gradients of few pictures tell what those of a large batch take; the update of the weights is timed
    by itself.

    Args:
        shape: `ResNetConfig` as plain values.
        config: batch, size, precision, layout, convolution and optimizer are taken from it.
    """
    device.exact()
    device.keep_memory()  # as in training: memory that is returned to the system slows large steps down
    part = max(1, config.batch_size // config.accumulate)
    part = min(part, _PROBE_BATCH) if device.fastest().type == "cpu" else part
    network = device.to_device(build(config_from(shape), seed=0), config.layout)
    use_convolution(network, config.convolution)
    optimizer = build_optimizer(network, config.optim)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (part, config.size, config.size, 3), dtype=torch.uint8, generator=generator).to(
        device.fastest()
    )
    labels = torch.arange(part, device=device.fastest()) % shape["num_classes"]
    gradients: list[float] = []
    updates: list[float] = []
    started = time.perf_counter()
    while len(updates) < 2 or (len(updates) < _PROBE_STEPS and time.perf_counter() - started < seconds):
        begin = time.perf_counter()
        optimizer.zero_grad()
        with device.mixed_precision(device.fastest(), config.precision):
            logits = network(device.to_layout(to_images(pixels), config.layout))
        F.cross_entropy(logits.float(), labels).backward()
        device.synchronize(device.fastest())
        gradients.append((computed := time.perf_counter()) - begin)
        optimizer.step()
        device.synchronize(device.fastest())
        updates.append(time.perf_counter() - computed)
    return statistics.median(gradients[1:]) * config.batch_size / part + statistics.median(updates[1:])

"""From options to a config."""

import dataclasses
from collections.abc import Collection
from typing import Any

from reslab.train.config import AUTO, TrainConfig

_OPTIM = ("lr", "weight_decay")  # options that are fields of the optimizer


def apply(config: TrainConfig, user: Collection[str], given: dict[str, Any]) -> tuple[TrainConfig, set[str]]:
    """The config with these fields set, and the names of all that a person chose."""
    given = dict(given)
    optim = {name: given.pop(name) for name in _OPTIM if name in given}
    if optim.get("lr") == AUTO:
        given["find_lr"] = bool(optim.pop("lr"))
    elif "lr" in optim:
        config = dataclasses.replace(config, find_lr=False)
    names = set(user) | given.keys() | {f"optim.{name}" for name in optim}
    return dataclasses.replace(config, optim=dataclasses.replace(config.optim, **optim), **given), names

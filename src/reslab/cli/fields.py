"""From options to a config."""

import dataclasses
from collections.abc import Collection
from typing import Any

from reslab.train.config import TrainConfig


def apply(config: TrainConfig, user: Collection[str], given: dict[str, Any]) -> tuple[TrainConfig, set[str]]:
    """The config with these fields set, and the names of all that a person chose."""
    given = dict(given)
    names = set(user) | given.keys()
    lr = given.pop("lr", None)
    if lr == "auto":
        config, names = dataclasses.replace(config, find_lr=True), names - {"lr"} | {"find_lr"}
    elif lr is not None:
        optim = dataclasses.replace(config.optim, lr=lr)
        config, names = dataclasses.replace(config, optim=optim, find_lr=False), names - {"lr"} | {"optim.lr"}
    return dataclasses.replace(config, **given), names

"""From options to a config."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from reslab.cli.options import RunOptions
from reslab.errors import ResLabError
from reslab.train.config import AUTO, TrainConfig
from reslab.train.plan.document import config_like
from reslab.train.recipes import recipe


def config_of(data: str, options: RunOptions) -> tuple[TrainConfig, set[str]]:
    """The recipe, or the config of an earlier run, with the person's choices; and the names of these."""
    given = options.given()
    name = given.pop("recipe", None)
    if options.like and name:
        raise ResLabError("--like and --recipe contradict each other", "an earlier run already names its recipe")
    base = config_like(options.like) if options.like else recipe(name or "standard")
    if given.keys() & {"folds", "epochs", "batch_size"}:  # another length than that of the earlier run
        base = replace(base, course=())
    if "epochs" in given:
        base = replace(base, minutes=0.0)
    config, user = apply(replace(base, data=data), {"data"}, given)
    return config, user | ({"recipe"} if name else set())


def apply(config: TrainConfig, user: Collection[str], given: dict[str, Any]) -> tuple[TrainConfig, set[str]]:
    """The config with these settings, and the names of all that a person chose."""
    given = dict(given)
    if given.get("optim.lr") == AUTO:
        del given["optim.lr"]
        given["find_lr"] = True
    elif "optim.lr" in given:
        config = replace(config, find_lr=False)
    optim = {name.removeprefix("optim."): value for name, value in given.items() if name.startswith("optim.")}
    others = {name: value for name, value in given.items() if not name.startswith("optim.")}
    return replace(config, optim=replace(config.optim, **optim), **others), {*user, *given}

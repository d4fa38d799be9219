"""The command that makes a run again: the data, and a flag for every choice that a person made."""

import shlex
from dataclasses import dataclass

from reslab.report.folder import RunFolder
from reslab.train.config import SETTINGS
from reslab.train.settings import flag_of, flat


@dataclass(frozen=True, slots=True)
class Remake:
    """How to make a run again."""

    command: str | None
    """`reslab train …`, quoted for a shell; None where some choice has no flag."""
    silent: tuple[str, ...]
    """Choices without a flag, as `name = value`."""
    resumed: bool
    """The run's length was changed on the way: no single command follows the same learning rate."""


def remake(run: RunFolder) -> Remake:
    """Work out the command of a run. One that had a time to keep is followed step by step, not measured again."""
    if run.config["minutes"]:
        return Remake(
            f"reslab train {shlex.quote(str(run.config['data']))} --like {shlex.quote(str(run.path))}", (), False
        )
    values = flat(run.config)
    chosen = {name for name, origin in run.document["origins"].items() if _decided(name, origin["origin"])}
    if "lr_per_128" in chosen:  # `--like` hands on a rate that is scaled already
        chosen = chosen - {"lr_per_128"} | {"optim.lr"}
    chosen -= {"data"}
    with_flags = [name for name, row in SETTINGS.items() if row.help and name in chosen]
    silent = tuple(f"{name} = {values[name]}" for name in sorted(chosen.difference(with_flags)))
    words = ["reslab", "train", shlex.quote(str(run.config["data"]))]
    for name in with_flags:
        words += _words(name, values[name])
    lengths = {event["epochs"] for event in run.epochs} | {max(1, run.config["epochs"])}  # a head that is computed: 1
    return Remake(None if silent else " ".join(words), silent, resumed=len(lengths) > 1)


def _decided(name: str, origin: str) -> bool:
    """Whether a value must be given again: one that a person or a search chose, or one that two measurements may differ in."""
    timed = name.startswith("optim.") or name in ("recipe", "model", "size", "precision", "layout", "convolution")
    return origin in ("user", "search") or (origin == "measured" and timed)


def _words(name: str, value: object) -> list[str]:
    """The flag of a setting and its value, as a shell takes them."""
    flag = flag_of(name)
    if isinstance(value, bool):
        return [flag] if value else []
    text = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
    text = next((word for word, meant in SETTINGS[name].words.items() if meant == value), text)
    return [f"{flag}={shlex.quote(text)}"] if text.startswith("-") else [flag, shlex.quote(text)]

"""The command that makes a run again: the data, and a flag for every choice that a person made."""

import shlex
from dataclasses import dataclass

from reslab.report.folder import RunFolder

FLAGS = {
    "recipe": "--recipe", "model": "--model", "weights": "--weights", "finetune": "--finetune", "start_decay": "--start-decay",
    "teacher": "--teacher", "teacher_share": "--teacher-share", "balance": "--balance",
    "drop_path": "--drop-path", "epochs": "--epochs",
    "batch_size": "--batch-size", "accumulate": "--accumulate", "precision": "--precision",
    "layout": "--layout", "optim.lr": "--lr", "optim.weight_decay": "--weight-decay",
    "label_smoothing": "--label-smoothing", "ema": "--ema",
    "size": "--size", "resize": "--resize",
    "normalize": "--normalize", "augment": "--augment", "seed": "--seed", "split_seed": "--split-seed",
    "group_by": "--group-by", "folds": "--folds", "fold": "--fold", "patience": "--patience",
    "skip_bad": "--skip-bad", "val": "--val",
    "data_dir": "--data-dir", "workers": "--workers", "save_seconds": "--save-seconds",
}  # fmt: skip
"""Field of the config -> its flag of `reslab train`."""


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
    silent = tuple(f"{name} = {values[name]}" for name in sorted(chosen - FLAGS.keys()))
    words = ["reslab", "train", shlex.quote(str(run.config["data"]))]
    for name, flag in FLAGS.items():
        if name in chosen:
            words += _words(flag, values[name])
    lengths = {event["epochs"] for event in run.epochs} | {max(1, run.config["epochs"])}  # a head that is computed: 1
    return Remake(None if silent else " ".join(words), silent, resumed=len(lengths) > 1)


def _decided(name: str, origin: str) -> bool:
    """Whether a value must be given again: one that a person or a search chose, or one that two measurements may differ in."""
    return origin in ("user", "search") or (origin == "measured" and (name.startswith("optim.") or name == "layout"))


def flat(config: dict[str, object]) -> dict[str, object]:
    """Nested fields by their dotted names, as `origins` has them."""
    values: dict[str, object] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            values |= {f"{name}.{inner}": v for inner, v in value.items()}
        else:
            values[name] = value
    return values


def _words(flag: str, value: object) -> list[str]:
    if flag == "--skip-bad":
        return [flag] if value else []
    if flag == "--val" and not value:
        return [flag, "none"]
    text = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
    return [f"{flag}={shlex.quote(text)}"] if text.startswith("-") else [flag, shlex.quote(text)]

"""The choices that a config leaves open, one function each: the value, and the reason."""

import statistics
from collections.abc import Collection
from dataclasses import asdict, replace
from math import ceil
from typing import Any

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import content
from reslab.errors import ResLabError
from reslab.nn.config import MOST_MEMBERS, last_map
from reslab.nn.zoo import configuration, native_size
from reslab.pixels.decode import facts
from reslab.pixels.preprocess import Preprocess
from reslab.system.fetch import has_cache_folder, reachable
from reslab.system.machine import free_memory
from reslab.tasks.task import Task, require, supports
from reslab.train.config import AUTO, FRESH, NONE, Origin, TrainConfig
from reslab.train.plan.memory import activation_bytes
from reslab.train.recipes import recipe
from reslab.train.settings import flat, with_value
from reslab.train.start import IMAGENET, IMAGENET_WORD, SCRATCH, Start, open_start
from reslab.words.phrases import Phrase, plain, say

SMALL = 64
"""Pictures up to this side go to a CIFAR network at their own size."""

_LARGE_SIZE, _SHORT_RUN_SIZE, _SHORT_RUN_MINUTES = 224, 160, 5
_SAMPLE = 200  # pictures whose size is read
_FEW = 20  # training pictures per class, below which only the head is trained
_SHARE_OF_FREE_MEMORY, _ROOM_TO_COMPUTE = 0.25, 1.5  # for activations; the pictures may take half of it (store)
_EPOCH_BUDGET = 600_000  # pictures shown in a run of the default length
_EPOCHS = (12, 40)
_FOR_TRAINED = 0.3  # of the rate for fresh weights: a tenth is too slow, all of it no better near the start (LOG.md)


class Choices:
    """A config whose open choices are being made, and the origin of each value."""

    def __init__(self, config: TrainConfig, user: Collection[str]) -> None:
        self.config = config
        self.origins: dict[str, Origin] = {}
        base, made = flat(asdict(TrainConfig())), flat(asdict(recipe(config.recipe)))
        for name, value in flat(asdict(config)).items():
            if name in user:
                self.origins[name] = Origin("user")
            elif value == made[name] != base[name]:
                self.origins[name] = Origin("recipe", plain(config.recipe))
            else:
                self.origins[name] = Origin("default" if value == base[name] else "user")

    def set(self, name: str, value: Any, reason: Phrase | None, origin: str = "default") -> None:
        self.config = with_value(self.config, name, value)
        self.origins[name] = Origin(origin, reason)


def choose_loss(choices: Choices, task: Task) -> None:
    """Refuse what the task does not support; label smoothing is left out with a reason."""
    config = choices.config
    if config.balance != NONE:
        require(task, "balance", "--balance")
    if config.teacher != NONE:
        require(task, "teacher", "--teacher")
    if config.logit_norm:
        require(task, "logit norm", "--logit-norm")
        if config.finetune == "head":
            raise ResLabError(
                "--finetune head computes the head by regression, which has no LogitNorm",
                "with --logit-norm, use --finetune last or all",
            )
    if config.folds:
        require(task, "folds", "--folds")
    if config.label_smoothing and not supports(task, "label smoothing"):
        choices.set("label_smoothing", 0.0, say("reason.labels"))


def choose_start(choices: Choices, side: int) -> Start | None:
    """Open the weights that the user named: they decide the network. ImageNet's are downloaded later."""
    config = choices.config
    if config.weights in (AUTO, SCRATCH):
        return None
    if config.weights == IMAGENET_WORD:
        if config.model == AUTO:
            choices.set("model", "resnet18", say("reason.model.imagenet"))
        return None
    start = open_start(config.weights, config.model)
    if start.members > 1:
        raise ResLabError(
            f"--weights {config.weights} are an ensemble of {start.members} networks, and training starts from one",
            "give the run of one of its folds, or learn from the answers of all: --teacher",
        )
    if config.size == 0 and 0 < start.size <= side:
        choices.set("size", start.size, say("reason.as_trained"))
    if config.model == AUTO:
        choices.set("model", start.name, say("reason.model.weights"))
    elif config.model != start.name:
        raise ResLabError(
            f"--weights {config.weights} are of {start.name}, not of {config.model}", f"--model {start.name}"
        )
    return start


def choose_size(choices: Choices, side: int) -> None:
    """The input size: large pictures are shrunk, none is enlarged."""
    config = choices.config
    if config.size == 0:
        asked = native_size(configuration(config.model)) if config.model != AUTO else 0
        if side <= SMALL:
            choices.set("size", max(8, side), say("reason.size.own", side=side))
        elif asked == 32:
            choices.set("size", 32, say("reason.size.designed", model=config.model))
        elif config.minutes and config.minutes < _SHORT_RUN_MINUTES:
            choices.set(
                "size", min(side, _SHORT_RUN_SIZE), say("reason.size.short", side=side, minutes=_SHORT_RUN_MINUTES)
            )
        else:
            choices.set("size", min(side, _LARGE_SIZE), say("reason.size.photographs", side=side))
    Preprocess(choices.config.size, choices.config.resize)  # type: ignore[arg-type]


def choose_network(choices: Choices) -> None:
    config = choices.config
    if config.model == AUTO:
        small = config.size <= SMALL
        reason = say("reason.model.cifar", size=config.size) if small else say("reason.model.photographs")
        choices.set("model", "resnet20" if small else "resnet18", reason)
    configuration(choices.config.model)


def choose_weights(choices: Choices, side: int) -> None:
    """Photographs start from ImageNet's weights if these are here or can be downloaded, other pictures from scratch."""
    config = choices.config
    if config.weights != AUTO:
        return
    remote = IMAGENET.get(config.model)
    if side <= SMALL:
        choices.set("weights", SCRATCH, say("reason.weights.small"))
    elif remote is None:
        choices.set("weights", SCRATCH, say("reason.weights.none", model=config.model))
    elif not has_cache_folder():
        choices.set("weights", SCRATCH, say("reason.weights.homeless"))
    elif remote.place.is_file():
        choices.set(
            "weights", IMAGENET_WORD, say("reason.weights.here", place=str(remote.place), licence=remote.licence)
        )
    elif reachable(remote.address):
        choices.set(
            "weights", IMAGENET_WORD, say("reason.weights.reachable", address=remote.address, licence=remote.licence)
        )
    else:
        missing = {"url": remote.url, "megabytes": remote.size / 1e6, "place": str(remote.place)}
        choices.set("weights", SCRATCH, say("reason.weights.unreachable", **missing))


def choose_normalization(choices: Choices, start: Start | None) -> None:
    config = choices.config
    if config.normalize == AUTO and start:
        choices.set("normalize", "weights", say("reason.as_trained"))
    elif config.normalize == AUTO and config.weights == IMAGENET_WORD:
        choices.set("normalize", "imagenet", say("reason.as_trained"))
    elif config.normalize == AUTO:
        choices.set("normalize", "-1-1", say("reason.normalize.centred"))
    if choices.config.normalize == "weights" and start is None:
        raise ResLabError(
            "--normalize weights needs the weights of a file or a run", "ImageNet's are named: --normalize imagenet"
        )


def choose_finetune(choices: Choices, per_class: float) -> None:
    config = choices.config
    if config.weights == SCRATCH:
        if config.finetune not in (AUTO, FRESH):
            raise ResLabError(f"--finetune {config.finetune} needs trained weights", "say which with --weights")
        if config.start_decay:
            raise ResLabError("--start-decay needs trained weights to pull towards", "say which with --weights")
        choices.set("finetune", FRESH, say("reason.finetune.scratch"))
    elif config.finetune == AUTO:
        choices.set("finetune", *choose_layers(per_class))


def choose_layers(per_class: float) -> tuple[str, Phrase]:
    """Which layers of trained weights to train with so many training pictures per class, and why."""
    if per_class < _FEW:
        return "head", say("reason.finetune.head", per_class=per_class)
    return "all", say("reason.finetune.all", per_class=per_class)


def choose_teacher(choices: Choices, classes: tuple[str, ...]) -> str | None:
    """Open the teacher, if one was named; return the hash of its file."""
    config = choices.config
    if config.teacher == NONE:
        return None
    if config.finetune == "head":
        raise ResLabError(
            "--finetune head computes the head, which learns from labels only",
            "with a teacher, use --finetune last or all",
        )
    start = open_start(config.teacher, AUTO)
    if set(start.classes) != set(classes):
        theirs, ours = sorted(set(start.classes) - set(classes)), sorted(set(classes) - set(start.classes))
        odd = f"{ours[0]!r}" if ours else f"the data have no {theirs[0]!r}"
        raise ResLabError(
            f"the teacher {config.teacher} has other classes: " + (f"it does not know {odd}" if ours else odd),
            "a teacher must know exactly the classes of the data",
        )
    choices.set("teacher", config.teacher, plain(start.name), choices.origins["teacher"].origin)
    return start.digest


def choose_length(choices: Choices, pictures: int) -> None:
    config = choices.config
    if config.finetune == "head":
        choices.set("minutes", 0.0, say("reason.minutes.head"))
        choices.set("epochs", 0, say("reason.epochs.head"))
    elif config.epochs == 0:
        epochs = min(max(_EPOCH_BUDGET // pictures, _EPOCHS[0]), _EPOCHS[1])
        reason = say("reason.epochs.default", shown=_EPOCH_BUDGET, least=_EPOCHS[0], most=_EPOCHS[1])
        choices.set("epochs", epochs, reason)
    if config.batch_size == 0:
        top = 128 if config.size <= SMALL else 64 if config.size <= 128 else 32
        batch = min(top, max(8, 2 ** int(np.log2(max(pictures // 20, 1)))))
        choices.set("batch_size", batch, say("reason.batch.pictures", pictures=pictures, size=config.size))
    if config.batch_size > pictures:
        reason = say("reason.batch.all", asked=config.batch_size)
        choices.set("batch_size", pictures, reason, choices.origins["batch_size"].origin)
    if config.lr_per_128 and choices.origins["optim.lr"].origin != "user":
        rate, batch = config.optim.lr, choices.config.batch_size
        lr, reason = rate * batch / 128, say("reason.rate.batch", rate=rate, batch=batch)
        if config.weights != SCRATCH:
            lr = float(f"{lr * _FOR_TRAINED:.6g}")
            reason = say("reason.rate.trained", rate=rate, batch=batch, share=_FOR_TRAINED)
        choices.set("optim.lr", lr, reason, "recipe")
    choices.config = replace(choices.config, lr_per_128=False)  # done: the rate now stands as it is


def choose_arithmetic(choices: Choices) -> None:
    """What depends on the machine: the precision, and the number of parts of a batch that fit its memory."""
    from reslab.system import device

    config = choices.config
    if config.precision == AUTO:
        precision, key = device.precision()
        choices.set("precision", precision, Phrase(key))
    if config.accumulate == 0:
        needed = _ROOM_TO_COMPUTE * activation_bytes(configuration(config.model), config.size)
        room = _SHARE_OF_FREE_MEMORY * free_memory()
        parts = min(ceil(config.batch_size * needed / room), max(1, config.batch_size // 2))
        reason = say("reason.memory", megabytes=needed / 1e6, gigabytes=room / 1e9)
        choices.set("accumulate", parts, reason, "measured" if parts > 1 else "default")


def choose_validation(choices: Choices) -> None:
    """In a cross-validation every picture validates, so the validation share is not used."""
    if choices.config.folds:
        choices.set("val", choices.config.val, say("reason.val.folds"))


def refuse_contradictions(config: TrainConfig, user: Collection[str]) -> None:
    """Refuse what a cross-validation cannot be combined with, and two losses that cannot both decide the logits' norm."""
    if config.logit_norm and config.teacher != NONE:
        raise ResLabError(
            "--logit-norm and --teacher contradict each other: a teacher decides the norm of the logits too",
            "leave one of them out",
        )
    if config.fold and not config.folds:
        raise ResLabError(f"--fold {config.fold} needs --folds", f"for example --folds 5 --fold {config.fold}")
    if config.keep_folds and (not config.folds or (config.fold and "keep_folds" in user)):
        raise ResLabError("--keep-folds keeps the networks of all --folds", "for example --folds 5 --keep-folds")
    if config.keep_folds and config.folds > MOST_MEMBERS:
        raise ResLabError(
            f"--keep-folds keeps at most {MOST_MEMBERS} networks, not {config.folds}",
            "use fewer folds, such as --folds 5",
        )
    for name, given, hint in (
        ("--val", "val" in user, "every picture validates once, in its fold: leave --val out"),
        ("--minutes", config.minutes > 0, "the folds must be as long as the run on everything: give --epochs"),
        (
            "--patience",
            config.patience > 0,
            "no fold may choose its length by the pictures that judge it: give --epochs",
        ),
    ):
        if config.folds and given:
            raise ResLabError(f"--folds and {name} contradict each other", hint)


def refuse_batch_of_one(config: TrainConfig) -> None:
    if config.batch_size == 1 and last_map(configuration(config.model), config.size) == 1:
        raise ResLabError(
            f"{config.model} ends in a one-pixel map at {config.size} px, and batch norm cannot normalise a single value",
            "use --batch-size 2 or more, or a larger --size",
        )


def typical_side(pictures: tuple[Picture, ...]) -> int:
    """The median of the shorter sides of evenly chosen pictures, read from their headers."""
    sides = []
    for picture in pictures[:: max(1, len(pictures) // _SAMPLE)]:
        if picture.box:
            sides.append(min(picture.box[2:]))
        elif isinstance(picture.source, np.ndarray):
            sides.append(min(picture.source.shape[:2]))
        else:
            try:
                header = facts(content(picture) or b"")
            except Exception:  # the check names it; here it only has no size
                continue
            sides.append(min(header.width, header.height))
    return round(statistics.median(sides)) if sides else _LARGE_SIZE

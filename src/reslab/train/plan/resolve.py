"""Resolve a config: every `auto` becomes a value with a reason, before the first step."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from reslab.data.augment import RISKY, SETS, parse
from reslab.data.catalog import Catalog
from reslab.data.corrections import corrections_digest
from reslab.data.draws import steps_per_epoch
from reslab.data.sources import absolute
from reslab.data.splits import most_folds
from reslab.data.store import Store
from reslab.errors import ResLabError
from reslab.nn.config import config_from, last_map
from reslab.nn.zoo import configuration, native_size
from reslab.pixels.preprocess import STATISTICS, Preprocess
from reslab.tasks.table import task_named
from reslab.tasks.task import supports
from reslab.train.config import Origin, Plan, TrainConfig
from reslab.train.plan.choices import (
    Choices,
    choose_arithmetic,
    choose_finetune,
    choose_length,
    choose_loss,
    choose_network,
    choose_normalization,
    choose_size,
    choose_start,
    choose_teacher,
    choose_validation,
    choose_weights,
    refuse_batch_of_one,
    refuse_contradictions,
    typical_side,
)
from reslab.train.recipes import with_recipe
from reslab.train.start import IMAGENET, IMAGENET_WORD, Start
from reslab.words.phrases import say

_UNEQUAL = 10  # times as many pictures in the largest class as in the smallest
_MANY, _FOLDS = 1000, 5  # pictures up to which cross-validation is worth its time (suggested, not chosen)
_TOO_LARGE = 128  # pixels for a network without a shrinking stem


def resolve(
    config: TrainConfig,
    catalog: Catalog,
    user: Collection[str] = (),
    fixed: Mapping[str, tuple[Any, Origin]] | None = None,
) -> Plan:
    """Decide everything that `config` leaves open.

    Args:
        catalog: the training and validation pictures, splits assigned. The folds of a cross-validation and the run on
            everything share all choices, so these go by the pictures of both splits there.
        user: names of the fields that the user set, such as `epochs` or `optim.lr`.
        fixed: fields that were chosen elsewhere (`affordable`, `fixed_choices`), with their values and origins; `recipe`
            replaces the one that `config` began with.

    Raises:
        ResLabError: a value is unknown or impossible; the message says which and what to change.
    """
    pictures = catalog.split("train")
    if not pictures:
        raise ResLabError(
            f"{catalog.root} has no training pictures", "put them into a folder train/ or leave it undivided"
        )
    refuse_contradictions(config, user)
    fixed = dict(fixed or {})
    if "recipe" in fixed:
        config = with_recipe(config, fixed["recipe"][0], user)
    choices = Choices(config, user)
    for name, (value, origin) in fixed.items():
        choices.set(name, value, origin.reason, origin.origin)
    choose_validation(choices)
    # Each choice builds on those before: the weights decide the network and the size, the size the batch, the batch the rate.
    basis = catalog.pictures if config.folds else pictures
    side = typical_side(basis)
    start = choose_start(choices, side)
    choose_size(choices, side)
    choose_network(choices)
    choose_weights(choices, side)
    choose_normalization(choices, start)
    # The classes are those of all pictures that the choices go by, also where a fold lacks one.
    tally = dataclasses.replace(catalog, pictures=basis).counts()
    classes = tuple(sorted(tally))
    choose_finetune(choices, tally.total() / max(1, len(classes)))
    choose_length(choices, len(basis))
    choose_loss(choices, task_named(catalog.task))
    digest = choose_teacher(choices, classes)
    refuse_batch_of_one(choices.config)
    choose_arithmetic(choices)  # late, since it is the first to import PyTorch: mistakes are found sooner
    changes = _choose_augment(choices, catalog.mirrored)
    trained = catalog.only(("train",)).counts()
    counts = tuple(trained[label] for label in classes)
    steps = steps_per_epoch(len(pictures), choices.config.batch_size)
    network = _network(choices.config, len(classes), start)
    licence = _licence(choices, start)
    return Plan(
        choices.config, choices.origins, network, classes, steps, changes, licence, counts, digest, catalog.task,
        data_path=absolute(config.data), corrections_digest=corrections_digest(catalog),
    )  # fmt: skip


def _licence(choices: Choices, start: Start | None) -> str | None:
    """The licence of the weights that training starts from, which the plan names."""
    licence = start.licence if start else None
    if choices.config.weights == IMAGENET_WORD and choices.config.model in IMAGENET:
        licence = IMAGENET[choices.config.model].licence
    if licence and not choices.origins["weights"].reason:
        reason = say("reason.weights.licence", licence=licence)
        choices.origins["weights"] = Origin(choices.origins["weights"].origin, reason)
    return licence


def _choose_augment(choices: Choices, mirrored: bool) -> tuple[str, ...]:
    """The changes of the pictures; a named set loses what would change labels."""
    asked, origin = choices.config.augment, choices.origins["augment"]
    changes = parse(asked, mirrored)
    if not mirrored and asked in SETS and changes != SETS[asked]:
        reason = say("reason.augment.mirror", augment=asked)
        choices.set("augment", ",".join(changes) or "none", reason, origin.origin)
    elif changes and not origin.reason:
        used = [name for name in RISKY if name in changes]
        key = "reason.augment.risky" if used else "reason.augment.safe"
        reason = say(key, names=", ".join(used or RISKY))
        choices.origins["augment"] = Origin(origin.origin, reason)
    return changes


def fixed_choices(plan: Plan) -> dict[str, tuple[Any, Origin]]:
    """What `resolve` keeps when a plan is resolved again, because pictures could not be read; `finetune` if it was measured."""
    names = ["recipe", "model", "size", "weights"]
    if plan.origins["finetune"].origin == "measured":
        names.append("finetune")
    return {name: (getattr(plan.config, name), plan.origins[name]) for name in names}


def cautions(plan: Plan) -> list[str]:
    """Warnings about unequal classes, and about the choice of network and size."""
    network, name, size = config_from(plan.network), plan.config.model, plan.config.size
    said = _unequal(plan)
    if last_map(network, size) == 1:
        said.append(
            f"{name} ends in a one-pixel map at {size} px, which leaves little to tell pictures apart; try --model resnet20"
        )
    if native_size(network) == 32 and size > _TOO_LARGE:
        said.append(
            f"{name} was designed for 32 px: at {size} px it is slow and sees small details only; try --model resnet18"
        )
    return said


def _unequal(plan: Plan) -> list[str]:
    sizes = sorted(zip(plan.counts, plan.classes, strict=True))
    if not sizes or plan.config.balance != "none":
        return []
    (least, rare), (most, frequent) = sizes[0], sizes[-1]
    if most <= _UNEQUAL * least:
        return []
    return [
        f"{frequent!r} has {most:,} training pictures, {rare!r} {least:,}: compare by the balanced accuracy, and try "
        f"--balance logit-adjust"
    ]


def hints(plan: Plan, catalog: Catalog) -> list[str]:
    """Suggestions for these pictures."""
    config, n = plan.config, len(catalog.pictures)
    refused = config.folds or config.minutes or not supports(task_named(plan.task), "folds")
    if n >= _MANY or refused or most_folds(catalog.pictures) < _FOLDS:
        return []
    judged = f"{len(catalog.split('val')):,}" if catalog.split("val") else "none"
    return [f"with {n:,} pictures, --folds {_FOLDS} scores each of them once instead of {judged}, and trains on all"]


def with_statistics(plan: Plan, store: Store) -> Plan:
    """`measured` becomes the mean and standard deviation of the training pictures, as the network sees them."""
    if plan.config.normalize != "measured":
        return plan
    fit = Preprocess(plan.config.size, plan.config.resize)  # type: ignore[arg-type]
    levels, first = np.zeros(3 * 256, np.int64), np.arange(3) * 256  # how often each band has each level
    for index in range(len(store)):
        levels += np.bincount((fit(store[index]) + first).ravel(), minlength=len(levels))
    share = levels.reshape(3, 256) / levels[:256].sum()
    value = np.arange(256) / 255.0
    mean = share @ value
    std = np.sqrt(np.maximum(share @ value**2 - mean**2, 1e-6))
    statistics_ = {"mean": [round(float(m), 6) for m in mean], "std": [round(float(s), 6) for s in std]}
    values = {name: str(numbers) for name, numbers in statistics_.items()}
    origin = Origin("measured", say("reason.normalize.measured", **values, pictures=len(store)))
    return replace(plan, network={**plan.network, **statistics_}, origins={**plan.origins, "normalize": origin})


def _network(config: TrainConfig, num_classes: int, start: Start | None) -> dict[str, Any]:
    mean, std = STATISTICS.get(config.normalize, STATISTICS["0-1"])
    if config.normalize == "weights" and start:
        mean, std = start.network.config.mean, start.network.config.std
    zoo = configuration(config.model)
    shape = replace(zoo, num_classes=num_classes, mean=mean, std=std, zero_init_last_norm=config.zero_init)
    shape = replace(shape, drop_path=config.drop_path)
    return {"name": config.model, **asdict(shape)}

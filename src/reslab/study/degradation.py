"""The experiment behind residual networks: deeper plain networks train worse, deeper residual ones do not.

He et al. 2015, sections 4.1 and 4.2, figures 1 and 6: networks that differ only in depth and shortcuts.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from reslab.data.catalog import Catalog, Picture
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.engine.open import open_engine
from reslab.engine.torch import network_from_file
from reslab.evaluate.evaluation import evaluate_engine
from reslab.model.file import read_model
from reslab.model.run import CONFIG_NAME, MODEL_NAME, read_journal
from reslab.nn.config import config_from
from reslab.nn.layers import to_images
from reslab.nn.resnet import ResNet, build
from reslab.nn.zoo import ZOO
from reslab.system import device
from reslab.system.events import Listener, ignore
from reslab.system.files import write_json
from reslab.system.sampling import evenly_spaced
from reslab.tasks.table import task_named
from reslab.tasks.task import require
from reslab.train.config import Plan, TrainConfig
from reslab.train.inputs import Stores, open_stores, preprocess_of
from reslab.train.job import Job
from reslab.train.plan.resolve import resolve, with_statistics
from reslab.train.plan.speed import seconds_per_step
from reslab.train.recipes import paper
from reslab.train.schedule import ScheduleConfig
from reslab.train.session import begin, fit

NETWORKS = ("plain20", "plain56", "plain110", "resnet20", "resnet56", "resnet110")

_BATCH = 128  # pictures for the gradient norms


@dataclass(frozen=True, slots=True)
class Length:
    """How long each of the networks trains."""

    epochs: int = 10
    share: float = 1.0
    """Of the training pictures."""


def length_for(minutes: float, seconds_per_epoch: Mapping[str, float]) -> Length:
    """The length that takes about that long here: fewer pictures if time is short, more epochs if there is plenty."""
    usual = Length()
    times = minutes * 60 / (usual.epochs * sum(seconds_per_epoch.values()))
    if times < 1:
        return dataclasses.replace(usual, share=times)
    return Length(int(usual.epochs * times))


def measure_epochs(data: str, data_dir: str | None = None, batch: int = 128) -> dict[str, float]:
    """Seconds that an epoch of each network takes on this machine, estimated from a few steps."""
    catalog = _read_and_split(data, data_dir, 0, 1.0)
    steps = -(-len(catalog.split("train")) // batch)
    found = {}
    for name in NETWORKS:
        plan = resolve(_config(data, data_dir, name, 1, 0), catalog)
        found[name] = steps * seconds_per_step(plan.network, plan.config)
    return found


def study(
    data: str,
    out: Path,
    length: Length,
    data_dir: str | None = None,
    seed: int = 0,
    on_event: Listener | None = None,
) -> dict[str, Any]:
    """Train every network in a folder of its own, score each once on the test pictures, and write `degradation.json`.

    An interrupted study is resumed: networks that are finished are not trained again.
    """
    listener = on_event or ignore
    catalog = _read_and_split(data, data_dir, seed, length.share)
    rows = []
    for name in NETWORKS:
        listener({"event": "network", "name": name, "epochs": length.epochs})
        rows.append(_row(name, _config(data, data_dir, name, length.epochs, seed), catalog, out / name, listener))
    document = {
        "schema": 1,
        "data": catalog.name,
        "pictures": {split: len(catalog.split(split)) for split in ("train", "val", "test")},
        "seeds": [seed],
        "recipe": "SGD with Nesterov momentum 0.9 at 0.1, one cycle, weight decay 1e-4, batch 128, crop and mirror",
        "machine": device.describe(),
        "networks": rows,
    }
    write_json(out / "degradation.json", document)
    return document


def gradients(network: ResNet, pixels: np.ndarray, labels: np.ndarray) -> list[float]:
    """Norm of the gradient of each convolution on the longest path, from the first to the last.

    Args:
        pixels: uint8 `[batch, size, size, 3]`.
        labels: int64 `[batch]`.
    """
    network.train().zero_grad()
    images = to_images(torch.from_numpy(pixels)).to(network.head.weight)
    F.cross_entropy(network(images), torch.from_numpy(labels)).backward()
    return [
        float(p.grad.norm())
        for name, p in network.named_parameters()
        if p.ndim == 4 and p.grad is not None and "shortcut" not in name
    ]


def _row(name: str, config: TrainConfig, catalog: Catalog, folder: Path, listener: Listener) -> dict[str, Any]:
    """Train one network, or resume it, and collect its errors and gradients."""
    plan = resolve(config, catalog.only(("train", "val")))
    stores = open_stores(plan, catalog)
    plan = with_statistics(plan, stores.train)
    resume = (folder / CONFIG_NAME).is_file()
    job = Job(folder, plan, catalog, stores, listener, resume=resume)
    if not resume:
        begin(job)
    fit(job)
    epochs = [event for event in read_journal(folder) if event["event"] == "epoch"]
    tested = evaluate_engine(open_engine(folder), catalog.split("test"), "test").document()
    right = tested["top1"]
    return {
        "name": name,
        "layers": ZOO[name].layers,
        "epochs": [
            {"train_error": 1 - e["train_accuracy"], "train_loss": e["train_loss"], "val_error": 1 - e["val_accuracy"]}
            for e in epochs
        ],
        "test": {"n": tested["n"], "error": 1 - right["value"], "low": 1 - right["high"], "high": 1 - right["low"]},
        "gradients": _before_and_after(plan, stores, folder),
        "seconds": round(sum(e["seconds"] for e in epochs), 1),
        "precision": plan.config.precision,
    }  # fmt: skip


def _before_and_after(plan: Plan, stores: Stores, folder: Path) -> dict[str, list[float]]:
    """Gradient norms on the same pictures, before and after training."""
    fit_to = preprocess_of(plan)
    chosen = evenly_spaced(len(stores.train), _BATCH)
    pixels = np.stack([fit_to(stores.train[int(i)]) for i in chosen])
    labels = np.array([plan.classes.index(stores.train.pictures[int(i)].label) for i in chosen])
    path = folder / MODEL_NAME
    trained = network_from_file(read_model(path), path)
    return {
        "start": gradients(build(config_from(plan.network), plan.config.seed), pixels, labels),
        "end": gradients(trained, pixels, labels),
    }


def _config(data: str, data_dir: str | None, model: str, epochs: int, seed: int) -> TrainConfig:
    """The paper's recipe (section 4.2) on a short cycle instead of 64,000 steps in three levels."""
    schedule = ScheduleConfig("onecycle", warmup=0.2)
    return dataclasses.replace(
        paper(), data=data, data_dir=data_dir, model=model, epochs=epochs, seed=seed, schedule=schedule,
        layout="channels-last",
    )  # fmt: skip


def _read_and_split(data: str, data_dir: str | None, seed: int, share: float) -> Catalog:
    """The data with a validation split, and with an evenly chosen share of each class's training pictures."""
    catalog = assign_splits(read_data(data, None if data_dir is None else Path(data_dir)), 0.1, 0, None)
    require(task_named(catalog.task), "study", "the study", "give a table with one label per picture")
    if share >= 1:
        return catalog
    kept: list[Picture] = [p for p in catalog.pictures if p.split != "train"]
    for label in catalog.classes:
        mine = [p for p in catalog.split("train") if p.label == label]
        kept += [mine[int(i)] for i in np.linspace(0, len(mine) - 1, max(2, round(share * len(mine))))]
    order = {p.key: number for number, p in enumerate(catalog.pictures)}
    return dataclasses.replace(catalog, pictures=tuple(sorted(kept, key=lambda p: order[p.key])))

"""Images per second from a folder of files, first decode included: ResLab beside its peers, one run, ratios.

    python benchmarks/training.py DATA [--model resnet20] [--size 32] [--batch 128] [--pictures 6400] ...

DATA is a folder of class folders (or one with `train/`). Every contestant trains the same network on the same pictures
with the same augmentation (random crop and flip) and SGD, from the same files; each round runs them one after the other,
so that a machine whose speed drifts is fair to all. Imports come before the clock. The bare step (no data work) is the
ceiling. ResLab runs twice: in float32, as the peers do unless told otherwise, and in the precision that it takes by itself.

Peers that are not installed are left out and named: pip install timm fastai transformers accelerate.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from reslab.data.catalog import Catalog
from reslab.data.sources import read_data
from reslab.nn.zoo import build_named
from reslab.system import device
from reslab.train.config import Plan
from reslab.train.inputs import open_stores
from reslab.train.loop import update
from reslab.train.plan.resolve import resolve
from reslab.train.plan.speed import with_speed
from reslab.train.recipes import recipe
from reslab.train.session import fresh_training, loader_of

RATE, MOMENTUM, DECAY = 0.01, 0.9, 5e-4
ZOOM = (0.35, 1.0)
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
WORKERS = 2


@dataclass(frozen=True)
class Task:
    """What every contestant does."""

    folder: Path
    model: str
    size: int
    batch: int
    pictures: int
    epochs: int
    classes: int
    arithmetic: dict[str, list[str]]
    """`--precision` -> the precision and layout that ResLab's plan measured to be the fastest here; the bare step's too."""

    @property
    def small(self) -> bool:
        """Pictures of their own size are shifted by an eighth; larger ones zoomed into."""
        return self.size <= 32

    def network(self) -> nn.Module:
        if self.model == "resnet18":
            return torchvision.models.resnet18(num_classes=self.classes)
        return build_named(self.model, num_classes=self.classes)

    def transform(self, *last) -> v2.Compose:
        crop = v2.RandomCrop(self.size, padding=self.size // 8) if self.small else v2.RandomResizedCrop(self.size, ZOOM)
        return v2.Compose([crop, v2.RandomHorizontalFlip(), *last])

    def sgd(self, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(network.parameters(), RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)


TO_TENSOR = (v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD))


def planned(task: Task, precision: str) -> tuple[Plan, Catalog]:
    catalog = read_data(task.folder)
    catalog = replace(catalog, pictures=tuple(replace(p, split="train") for p in catalog.pictures))
    base = recipe("standard")
    kind, layout = task.arithmetic.get(precision, (precision, "auto"))
    config = replace(
        base, data=str(task.folder), model=task.model, size=task.size, batch_size=task.batch, epochs=task.epochs,
        label_smoothing=0.0, ema=0.0, precision=kind, layout=layout,
        optim=replace(base.optim, clip_norm=0.0),
    )  # fmt: skip
    return resolve(config, catalog), catalog


def reslab_in(precision: str) -> Callable[[Task], None]:
    def train(task: Task) -> None:
        plan, catalog = planned(task, precision)
        training, loader = fresh_training(plan), loader_of(plan, open_stores(plan, catalog).train)
        for epoch in range(task.epochs):
            for batch in loader.batches(epoch, workers=plan.config.workers):
                update(training, batch, plan, RATE)

    return train


def sgd_loop(task: Task, loader) -> None:
    network = task.network().train()
    optimizer = task.sgd(network)
    for _ in range(task.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()


def torchvision_loop(task: Task) -> None:
    data = ImageFolder(task.folder, task.transform(*TO_TENSOR))
    sgd_loop(task, DataLoader(data, task.batch, shuffle=True, num_workers=WORKERS, persistent_workers=True))


def timm_loop(task: Task) -> int:
    """Its data set, its loader and the steps of its loop; the wheel lacks train.py."""
    import timm.data

    data = timm.data.create_dataset("", root=str(task.folder), split="train", is_training=True)
    loader = timm.data.create_loader(
        data, (3, task.size, task.size), task.batch, is_training=True, num_workers=WORKERS, use_prefetcher=False,
        scale=ZOOM, color_jitter=None, mean=MEAN, std=STD, persistent_workers=True,
    )  # fmt: skip
    sgd_loop(task, loader)
    return task.epochs * (task.pictures // task.batch) * task.batch  # it drops the last, short batch


def fastai_learner(task: Task) -> None:
    from fastai.vision import all as fastai

    small = [fastai.CropPad(task.size + task.size // 4), fastai.RandomCrop(task.size)]
    block = fastai.DataBlock(
        (fastai.ImageBlock, fastai.CategoryBlock), get_items=fastai.get_image_files, get_y=fastai.parent_label,
        splitter=fastai.IndexSplitter([]),
        item_tfms=small if task.small else fastai.RandomResizedCrop(task.size, min_scale=ZOOM[0]),
        batch_tfms=[fastai.Flip(), fastai.Normalize.from_stats(MEAN, STD)],
    )  # fmt: skip
    loaders = block.dataloaders(task.folder, bs=task.batch, num_workers=WORKERS, device="cpu")
    learner = fastai.Learner(loaders, task.network(), fastai.CrossEntropyLossFlat(), opt_func=fastai.SGD)
    with learner.no_bar(), learner.no_logging():
        learner.fit(task.epochs, RATE, wd=DECAY)


def hugging_face_trainer(task: Task) -> None:
    import transformers

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = task.network()

        def forward(self, pixel_values, labels):
            logits = self.network(pixel_values)
            return {"loss": F.cross_entropy(logits, labels), "logits": logits}

    def collate(rows):
        return {"pixel_values": torch.stack([r[0] for r in rows]), "labels": torch.tensor([r[1] for r in rows])}

    with tempfile.TemporaryDirectory() as out:
        arguments = transformers.TrainingArguments(
            out, per_device_train_batch_size=task.batch, num_train_epochs=task.epochs, learning_rate=RATE, optim="sgd",
            dataloader_num_workers=WORKERS, dataloader_persistent_workers=True, save_strategy="no", report_to="none",
            disable_tqdm=True, use_cpu=True, logging_strategy="no", weight_decay=DECAY,
        )  # fmt: skip
        data = ImageFolder(task.folder, task.transform(*TO_TENSOR))
        transformers.Trainer(Classifier(), arguments, train_dataset=data, data_collator=collate).train()


def bare_in(precision: str) -> Callable[[Task], int]:
    """The step alone, on one batch that lies in memory, in the layout that the plan chose."""

    def train(task: Task) -> int:
        kind, layout = task.arithmetic[precision]
        network = device.to_device(build_named(task.model, num_classes=task.classes), layout).train()
        optimizer = torch.optim.SGD(
            network.parameters(), RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY, fused=True
        )
        images = torch.rand(task.batch, 3, task.size, task.size).to(memory_format=device.LAYOUTS[layout])
        labels = torch.arange(task.batch) % task.classes
        steps = task.epochs * round(task.pictures / task.batch)
        for _ in range(steps):
            optimizer.zero_grad()
            with device.mixed_precision(device.fastest(), kind):
                logits = network(images)
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
        return steps * task.batch

    return train


OURS = {"reslab float32": reslab_in("float32"), "reslab auto": reslab_in("auto")}
BARE = {"bare step float32": bare_in("float32"), "bare step auto": bare_in("auto")}
PEERS = {
    "torchvision loop": torchvision_loop,
    "timm loop": timm_loop,
    "fastai": fastai_learner,
    "Hugging Face Trainer": hugging_face_trainer,
}

MODULES = {
    "timm loop": ["timm.data"], "fastai": ["fastai.vision.all"], "Hugging Face Trainer": ["transformers.trainer"],
}  # fmt: skip
"""What a peer imports: before the clock, as ours is."""


def link_folder(data: Path, pictures: int, target: Path) -> Path:
    """A folder of class folders with some of the pictures, as links."""
    chosen = [p for p in read_data(data).pictures if p.split in (None, "train")]
    for picture in chosen[:: max(1, len(chosen) // pictures)][:pictures]:
        link = target / picture.label / picture.key.replace("/", "_")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(picture.source).resolve())
    return target


def compete(name: str, task: Task) -> float:
    """Images per second of one contestant, in this process; 0 if it is not installed."""
    warnings.simplefilter("ignore")  # the peers'
    if name in OURS or name in BARE:
        device.keep_memory()
        device.exact()
    try:
        for module in MODULES.get(name, ()):
            importlib.import_module(module)
    except ImportError as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return 0.0
    begin = time.perf_counter()
    shown = {**OURS, **PEERS, **BARE}[name](task) or task.pictures * task.epochs
    return shown / (time.perf_counter() - begin)


def measure(task: Task, rounds: int) -> dict[str, list[float]]:
    """The same for all, round by round, each in a process of its own: nobody sits in another's memory."""
    speeds: dict[str, list[float]] = {}
    for number in range(rounds):
        for name in (*OURS, *PEERS, *BARE):
            words = [
                sys.executable,
                __file__,
                "--only",
                name,
                "--task",
                json.dumps({**asdict(task), "folder": str(task.folder)}),
            ]
            spin = {"GOMP_SPINCOUNT": "10000"} if name in OURS or name in BARE else {}  # what `reslab` sets
            done = subprocess.run(words, env=os.environ | spin, stdout=subprocess.PIPE, text=True, check=True)
            if speed := float(done.stdout.split()[-1]):
                speeds.setdefault(name, []).append(speed)
                print(f"round {number + 1}: {name}: {speed:.1f} images/s", flush=True)
    return speeds


def ratios(speeds: dict[str, list[float]]) -> dict[str, dict]:
    """Ours over the best peer and over the bare step of the same precision, pair by pair."""
    peers = [name for name in PEERS if name in speeds]
    best = max(peers, key=lambda name: statistics.median(speeds[name])) if peers else None
    found = {}
    for ours, bare in zip(OURS, BARE, strict=True):
        for other in filter(None, (best, bare)):
            pairs = [a / b for a, b in zip(speeds[ours], speeds[other], strict=True)]
            found[f"{ours} / {other}"] = {
                "median": round(statistics.median(pairs), 3), "all": [round(p, 3) for p in pairs],
            }  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pictures", type=int, default=6400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(compete(options.only, Task(**options.task | {"folder": Path(options.task["folder"])})))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = link_folder(options.data, options.pictures, Path(folder))
        sizes = [len(list(c.iterdir())) for c in root.iterdir()]
        task = Task(root, options.model, options.size, options.batch, sum(sizes), options.epochs, len(sizes), {})
        chosen = {kind: with_speed(planned(task, kind)[0], 0)[0].config for kind in ("float32", "auto")}
        task = replace(task, arithmetic={kind: [config.precision, config.layout] for kind, config in chosen.items()})
        speeds = measure(task, options.rounds)
    report = {"machine": device.describe(), "cores": os.cpu_count()}
    report |= {
        "arithmetic": task.arithmetic,
        "model": task.model,
        "size": task.size,
        "batch": task.batch,
        "pictures": task.pictures,
    }
    report |= {"epochs": task.epochs, "images_per_second": {k: [round(x, 1) for x in v] for k, v in speeds.items()}}
    print(json.dumps(report | {"ratios": ratios(speeds)}, indent=1))


if __name__ == "__main__":
    main()

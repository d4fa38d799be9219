"""Images per second from a folder of files, first decode included: ResLab beside its peers, one run, ratios.

    python benchmarks/training.py DATA [--model resnet20] [--size 32] [--batch 128] [--pictures 6400] ...

DATA is a folder of class folders (or one with `train/`). Every contestant trains the same network on the same pictures
with the same augmentation (random crop and flip) and SGD; each round runs them one after the other, so that a machine
whose speed drifts is fair to all. The bare step (no data work) is the ceiling.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from reslab import runtime
from reslab.data.catalog import Catalog
from reslab.data.sources import read_data
from reslab.nn.zoo import build_named
from reslab.train.fit import fresh_training, loader_of
from reslab.train.inputs import open_stores
from reslab.train.loop import update
from reslab.train.plan import resolve
from reslab.train.recipes import recipe


def link_folder(data: Path, pictures: int, target: Path) -> Path:
    """A folder of class folders with some of the pictures, as links."""
    catalog = read_data(data)
    chosen = [p for p in catalog.pictures if p.split in (None, "train")]
    for picture in chosen[:: max(1, len(chosen) // pictures)][:pictures]:
        link = target / picture.label / picture.key.replace("/", "_")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(picture.source).resolve())
    return target


def ours(folder, options):
    catalog: Catalog = read_data(folder)
    pictures = tuple(replace(p, split="train") for p in catalog.pictures)
    config = replace(
        recipe("standard"), data=str(folder), model=options.model, size=options.size,
        batch_size=options.batch, epochs=options.epochs, label_smoothing=0.0, ema=0.0,
        optim=replace(recipe("standard").optim, clip_norm=0.0),
    )  # fmt: skip
    catalog = replace(catalog, pictures=pictures)
    plan = resolve(config, catalog)
    training, loader = fresh_training(plan), loader_of(plan, open_stores(plan, catalog).train)
    for epoch in range(options.epochs):
        for batch in loader.batches(epoch, workers=config.workers):
            update(training, batch, plan, 0.01)


def torchvision_network(options, classes):
    if options.model.startswith("resnet") and options.size > 64 or options.model == "resnet18":
        return torchvision.models.get_model(options.model, num_classes=classes)
    return build_named(options.model, num_classes=classes)


def torchvision_loop(folder, options):
    size = options.size
    crop = (
        v2.RandomCrop(size, padding=size // 8)
        if size <= 64 and options.small
        else v2.RandomResizedCrop(size, (0.35, 1))
    )
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    transform = v2.Compose(
        [crop, v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
    )
    data = ImageFolder(folder, transform)
    loader = DataLoader(data, options.batch, shuffle=True, num_workers=2, persistent_workers=True)
    sgd_loop(torchvision_network(options, len(data.classes)), loader, options)


def timm_loop(folder, options):
    import timm.data

    data = timm.data.create_dataset("", root=str(folder), split="train", is_training=True)
    shape = (3, options.size, options.size)
    loader = timm.data.create_loader(
        data, shape, options.batch, is_training=True, num_workers=2, use_prefetcher=False, scale=(0.35, 1),
        color_jitter=None, persistent_workers=True,
    )  # fmt: skip
    sgd_loop(torchvision_network(options, len(data.reader.class_to_idx)), loader, options)


def sgd_loop(network, loader, options):
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    network.train()
    for _ in range(options.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()


def bare(folder, options):
    """The step alone, on one batch that lies in memory."""
    network = runtime.placed(build_named(options.model, num_classes=options.classes))
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = torch.rand(options.batch, 3, options.size, options.size).to(memory_format=torch.channels_last)
    labels = torch.arange(options.batch) % options.classes
    network.train()
    for _ in range(options.epochs * -(-options.pictures // options.batch)):
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()


CONTESTANTS = {"reslab": ours, "torchvision loop": torchvision_loop, "timm loader": timm_loop, "bare step": bare}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pictures", type=int, default=6400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = link_folder(options.data, options.pictures, Path(folder))
        options.classes = len(list(root.iterdir()))
        options.pictures = sum(len(list(c.iterdir())) for c in root.iterdir())
        options.small = options.size <= 64
        speeds = {name: [] for name in CONTESTANTS}
        for number in range(options.rounds):
            for name, contestant in CONTESTANTS.items():
                begin = time.perf_counter()
                contestant(root, options)
                speeds[name].append(options.pictures * options.epochs / (time.perf_counter() - begin))
                print(f"round {number + 1}: {name}: {speeds[name][-1]:.1f} images/s", flush=True)
    best_peer = max(("torchvision loop", "timm loader"), key=lambda name: statistics.median(speeds[name]))
    ratios = {
        f"reslab / {peer}": [a / b for a, b in zip(speeds["reslab"], speeds[peer], strict=True)]
        for peer in (best_peer, "bare step")
    }
    report = {"machine": runtime.describe(), "cores": os.cpu_count(), "model": options.model, "size": options.size}
    report |= {"batch": options.batch, "pictures": options.pictures, "epochs": options.epochs}
    report |= {"images_per_second": {k: [round(x, 1) for x in v] for k, v in speeds.items()}}
    report |= {
        "ratios": {
            k: {"median": round(statistics.median(v), 3), "all": [round(x, 3) for x in v]} for k, v in ratios.items()
        }
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

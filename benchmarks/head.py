"""A head on frozen layers: ResLab computes the features once; fastai and a torchvision loop train 20 epochs. One run.

    python benchmarks/head.py DATA [--size 64] [--epochs 20] [--rounds 3]

DATA is a folder with train/ and val/ (ants_bees). Everybody starts from the packaged cifar10_resnet20, sees the same
pictures without augmentation, and answers for the same val/ pictures, which chose nothing. Times are from the folder to
the trained head, imports excluded; ResLab's include the check of the data, the calibration and the report. Each round runs
them one after the other, each in a process of its own. Peers that are not installed are left out and named.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from reslab.metrics.intervals import proportion
from reslab.run.evaluate import evaluate
from reslab.run.train import train
from reslab.system import device
from reslab.train.config import TrainConfig
from reslab.train.start import open_start

START = "cifar10_resnet20"
BATCH, WORKERS, RATE, MOMENTUM = 32, 2, 0.1, 0.9


class Frozen(nn.Module):
    """The packaged network below a fresh head; its layers and norm statistics stay as they are."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.below = open_start(START, "auto").network.requires_grad_(False)
        self.head = nn.Linear(self.below.head.in_features, classes)

    def train(self, mode: bool = True) -> "Frozen":
        super().train(mode)
        self.below.eval()
        return self

    def forward(self, images):
        with torch.no_grad():
            features = self.below.features(images).mean((2, 3))
        return self.head(features)


def prepared(size: int) -> v2.Compose:
    return v2.Compose([v2.Resize(size), v2.CenterCrop(size), v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)])


def accuracy(network: nn.Module, data: Path, size: int) -> float:
    pictures = DataLoader(ImageFolder(data / "val", prepared(size)), 64)
    network.eval()
    with torch.inference_mode():
        return float(np.mean(torch.cat([network(x).argmax(1) == y for x, y in pictures]).numpy()))


def reslab_head(data: Path, size: int, epochs: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as out:
        folder = Path(out) / "data"  # val/ is kept back as test/: a tenth of train/ validates
        folder.mkdir()
        (folder / "train").symlink_to((data / "train").resolve())
        (folder / "test").symlink_to((data / "val").resolve())
        begin = time.perf_counter()
        config = TrainConfig(data=str(folder), weights=START, finetune="head", size=size, augment="none")
        run = train(config, Path(out) / "run")
        seconds = time.perf_counter() - begin
        return seconds, evaluate(run.folder, folder, "test").score.top1.value


def torchvision_loop(data: Path, size: int, epochs: int) -> tuple[float, float]:
    begin = time.perf_counter()
    pictures = ImageFolder(data / "train", prepared(size))
    network = Frozen(len(pictures.classes)).train()
    optimizer = torch.optim.SGD(network.head.parameters(), RATE, MOMENTUM)
    loader = DataLoader(pictures, BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True)
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
    return time.perf_counter() - begin, accuracy(network, data, size)


def fastai_learner(data: Path, size: int, epochs: int) -> tuple[float, float]:
    from fastai.vision import all as fastai

    begin = time.perf_counter()
    block = fastai.DataBlock(
        (fastai.ImageBlock, fastai.CategoryBlock), get_items=fastai.get_image_files, get_y=fastai.parent_label,
        splitter=fastai.IndexSplitter([]), item_tfms=fastai.Resize(size),
    )  # fmt: skip
    loaders = block.dataloaders(data / "train", bs=BATCH, num_workers=WORKERS, device="cpu")
    network = Frozen(len(loaders.vocab))
    learner = fastai.Learner(loaders, network, fastai.CrossEntropyLossFlat(), opt_func=fastai.SGD)
    with learner.no_bar(), learner.no_logging():
        learner.fit(epochs, RATE, wd=0.0)
    return time.perf_counter() - begin, accuracy(network, data, size)


CONTESTANTS = {"ResLab": reslab_head, "torchvision loop": torchvision_loop, "fastai": fastai_learner}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        warnings.simplefilter("ignore")  # the peers'
        try:
            print(json.dumps(CONTESTANTS[options.only](options.data, options.size, options.epochs)))
        except ImportError as error:
            print(f"{options.only} is left out: {error}", file=sys.stderr)
            print("null")
        return
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(options.rounds):
        for name in CONTESTANTS:
            words = [sys.executable, __file__, *sys.argv[1:], "--only", name]
            spin = {"GOMP_SPINCOUNT": "10000"} if name == "ResLab" else {}  # what `reslab` sets
            done = subprocess.run(words, env=os.environ | spin, stdout=subprocess.PIPE, text=True, check=True)
            if result := json.loads(done.stdout.splitlines()[-1]):
                found.setdefault(name, []).append(result)
                print(f"round {number + 1}: {name}: {result[0]:.2f} s, {result[1]:.1%}", flush=True)
    n = len(ImageFolder(options.data / "val"))
    report = {"machine": device.describe(), "n": n, "size": options.size, "epochs": options.epochs}
    for name, results in found.items():
        value = statistics.median(r[1] for r in results)
        share = proportion(round(value * n), n)
        times = [r[0] / ours[0] for r, ours in zip(results, found["ResLab"], strict=True)]
        report[name] = {
            "seconds": [round(r[0], 2) for r in results], "accuracy": [round(r[1], 4) for r in results],
            "interval": [round(share.low, 4), round(share.high, 4)], "times ours": [round(t, 1) for t in times],
        }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    main()

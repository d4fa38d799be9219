"""Files on disk -> answers: ResLab's torch engine beside a torchvision eager loop with a DataLoader, one run, ratios.

    python benchmarks/prediction.py DATA [--model resnet18] [--size 224] [--pictures 398] [--rounds 5]

Both hold the same weights and see the same files. The loop is what the torchvision references do: v2.Resize of the short
side, CenterCrop, Normalize, two loader processes, batches of 64, `no_grad`. Each round runs one after the other, each in
a process of its own whose start is not counted; the loader's processes are, as they start with every pass.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
import torchvision
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from reslab import runtime
from reslab.data.sources import read_data
from reslab.modelfile import Header, write_model
from reslab.nn.weights import to_torchvision
from reslab.nn.zoo import build_named
from reslab.pixels.preprocess import Preprocess
from reslab.predict import load_model

CLASSES = 10
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH, WORKERS = 64, 2


def write_fresh_model(path: Path, name: str, size: int) -> None:
    """A model file with random weights: speed does not depend on them."""

    network = build_named(name, num_classes=CLASSES, mean=MEAN, std=STD)
    header = Header(
        {"name": name, **dataclasses.asdict(network.config)},
        tuple(f"class {k}" for k in range(CLASSES)),
        Preprocess(size),
    )
    write_model(path, {k: v.numpy() for k, v in network.state_dict().items()}, header)


def ours(files: list[str], model: Path, options) -> int:
    return sum(row.error is None for row in load_model(model).stream(files))


class Files(Dataset):
    def __init__(self, files: list[str], size: int) -> None:
        self.files = files
        self.prepare = v2.Compose(
            [v2.Resize(size), v2.CenterCrop(size), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int):
        return self.prepare(decode_image(self.files[index], ImageReadMode.RGB))


def eager_loop(files: list[str], model: Path, options) -> int:
    weights = build_named(options.model, num_classes=CLASSES, mean=MEAN, std=STD)
    if options.model.startswith("resnet") and hasattr(torchvision.models, options.model):
        network = torchvision.models.get_model(options.model, num_classes=CLASSES)
        network.load_state_dict(to_torchvision(weights))
    else:
        network = weights
    network.eval()
    answered = 0
    with torch.no_grad():
        for images in DataLoader(Files(files, options.size), BATCH, num_workers=WORKERS):
            answered += len(network(images).softmax(1).argmax(1))
    return answered


CONTESTANTS = {"reslab": ours, "torchvision eager loop": eager_loop}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=398)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    files = [str(p.source) for p in read_data(options.data).pictures]
    files = files[:: max(1, len(files) // options.pictures)][: options.pictures]
    if options.only:
        warnings.simplefilter("ignore")
        begin = time.perf_counter()
        answered = CONTESTANTS[options.only](files, options.file, options)
        print(answered / (time.perf_counter() - begin))
        return
    speeds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        write_fresh_model(Path(folder) / "model.safetensors", options.model, options.size)
        for number in range(options.rounds):
            for name in CONTESTANTS:
                words = [
                    sys.executable,
                    __file__,
                    *sys.argv[1:],
                    "--only",
                    name,
                    "--file",
                    f"{folder}/model.safetensors",
                ]
                spin = {"GOMP_SPINCOUNT": "10000"} if name == "reslab" else {}  # what `reslab` sets
                done = subprocess.run(words, env=os.environ | spin, stdout=subprocess.PIPE, text=True, check=True)
                speeds[name].append(float(done.stdout.split()[-1]))
                print(f"round {number + 1}: {name}: {speeds[name][-1]:.1f} images/s", flush=True)
    pairs = [a / b for a, b in zip(*speeds.values(), strict=True)]
    report = {"machine": runtime.describe(), "model": options.model, "size": options.size, "files": len(files)}
    report |= {"images_per_second": {k: [round(x, 1) for x in v] for k, v in speeds.items()}}
    report |= {"ratio": {"median": round(statistics.median(pairs), 3), "all": [round(p, 3) for p in pairs]}}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

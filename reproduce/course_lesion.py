"""The lesion study of lesson 7: blocks of the packaged network are removed, and nothing is trained again.

    python reproduce/course_lesion.py CIFAR10

Removed means that the residual F(x) is left out and the shortcut stays (Veit et al. 2016, section 4.1). The nine blocks one
by one on all test pictures; then two, three and four at a time, ten draws each, on every fifth. Writes
`lessons/results/lesion.json`. The test pictures choose nothing here.
"""

import argparse
import datetime
import random
from collections.abc import Collection
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.engine.torch import network_from_file
from reslab.metrics.intervals import proportion
from reslab.model.file import read_model
from reslab.model.run import packaged_file
from reslab.nn.layers import to_images
from reslab.nn.resnet import ResNet
from reslab.system import device
from reslab.system.files import write_json

DRAWS, FEWER = 10, 5
RESULT = Path(__file__).parents[1] / "lessons" / "results" / "lesion.json"


@contextmanager
def without(network: ResNet, names: Collection[str]):
    """The network with these blocks' residuals removed."""
    blocks = [network.get_submodule(f"stages.{name}") for name in names]
    for block in blocks:
        block.residual = lambda x, block=block: torch.zeros_like(block.shortcut(x))
    try:
        yield network
    finally:
        for block in blocks:
            del block.residual


def hits(network: ResNet, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which pictures are answered rightly."""
    with torch.inference_mode():
        batches = np.array_split(np.arange(len(pixels)), -(-len(pixels) // 500))
        answers = [network(to_images(torch.from_numpy(pixels[batch]))).argmax(1).numpy() for batch in batches]
    return np.concatenate(answers) == labels


def score(right: np.ndarray) -> dict[str, float]:
    share = proportion(int(right.sum()), len(right))
    return {"accuracy": round(float(right.mean()), 4), "low": round(share.low, 4), "high": round(share.high, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cifar10")
    data = parser.parse_args().cifar10
    path = packaged_file("cifar10_resnet20", ".safetensors")
    network = network_from_file(read_model(path), path).eval()
    catalog = read_data(data, None)
    pictures = catalog.split("test")
    pixels = np.stack([load(picture) for picture in pictures])
    labels = np.array([catalog.classes.index(picture.label) for picture in pictures])
    names = [f"{stage}.{number}" for stage, blocks in enumerate(network.stages) for number in range(len(blocks))]
    document = {
        "command": "python reproduce/course_lesion.py CIFAR10",
        "machine": device.describe(),
        "date": datetime.date.today().isoformat(),
        "model": "cifar10_resnet20",
        "pictures": len(pixels),
        "whole": score(hits(network, pixels, labels)),
        "removed": {},
        "together": {"pictures": len(pixels[::FEWER]), "accuracies": {}},
    }
    for name in names:
        with without(network, [name]):
            document["removed"][name] = score(hits(network, pixels, labels))
        print(name, document["removed"][name], flush=True)
    dice = random.Random(0)
    for count in (2, 3, 4):
        found = []
        for _ in range(DRAWS):
            with without(network, dice.sample(names, count)):
                found.append(round(float(hits(network, pixels[::FEWER], labels[::FEWER]).mean()), 4))
        document["together"]["accuracies"][str(count)] = sorted(found)
        print(count, found, flush=True)
    write_json(RESULT, document)


if __name__ == "__main__":
    main()

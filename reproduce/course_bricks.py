"""What wrong preparation of the pictures costs the packaged network, on test pictures of CIFAR-10: lesson 1.

    python reproduce/course_bricks.py DATA [--pictures 10000]

DATA is a folder with train/ and test/ (one folder per class), or cifar10. Writes lessons/results/bricks.json.
"""

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reslab.data.sources import read_data
from reslab.engine.torch import open_torch
from reslab.metrics.intervals import proportion
from reslab.model.run import packaged_file
from reslab.nn.layers import to_images
from reslab.pixels.decode import decode
from reslab.system.files import write_json
from reslab.system.machine import describe

RESULT = Path(__file__).parents[1] / "lessons" / "results" / "bricks.json"
MODEL = "cifar10_resnet20"
BATCH = 250


def ways(normalize: Callable[[Tensor], Tensor]) -> dict[str, Callable[[Tensor], Tensor]]:
    """Name -> how uint8 pixels `[batch, height, width, 3]` become the network's input, rightly and wrongly."""
    return {
        "as in training": to_images,
        "blue and red exchanged": lambda pixels: to_images(pixels).flip(1),
        "turned by 90 degrees": lambda pixels: to_images(pixels).rot90(1, (2, 3)),
        "not divided by 255": lambda pixels: to_images(pixels) * 255,
        "divided by 255 twice": lambda pixels: to_images(pixels) / 255,
        "[-1, 1] for [0, 1]": lambda pixels: to_images(pixels) * 2 - 1,
        "normalised twice": lambda pixels: normalize(to_images(pixels)),
        "reshaped, not permuted": lambda pixels: pixels.reshape(len(pixels), 3, *pixels.shape[1:3]).float() / 255,
    }


def decoded(source: object) -> np.ndarray:
    """The pixels of a catalog's picture."""
    return source if isinstance(source, np.ndarray) else decode(source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--pictures", type=int, default=10_000)
    options = parser.parse_args()

    engine = open_torch(packaged_file(MODEL, ".safetensors"))
    network = engine.network.eval()
    classes = list(engine.header.classes)
    pictures = [picture for picture in read_data(options.data).pictures if picture.split == "test"]
    pictures = pictures[:: max(1, len(pictures) // options.pictures)][: options.pictures]
    right = dict.fromkeys(ways(network.normalize), 0)
    for start in range(0, len(pictures), BATCH):
        part = pictures[start : start + BATCH]
        pixels = torch.from_numpy(np.stack([decoded(picture.source) for picture in part]))
        labels = torch.tensor([classes.index(picture.label) for picture in part])
        with torch.inference_mode():
            for name, prepare in ways(network.normalize).items():
                right[name] += int((network(prepare(pixels)).argmax(dim=1) == labels).sum())
    document = {
        "command": f"python reproduce/course_bricks.py DATA --pictures {len(pictures)}",
        "machine": describe("torch"),
        "date": date.today().isoformat(),
        "model": MODEL,
        "pictures": len(pictures),
        "right": right,
        "interval": {
            name: [proportion(hits, len(pictures)).low, proportion(hits, len(pictures)).high]
            for name, hits in right.items()
        },
    }
    RESULT.parent.mkdir(exist_ok=True)
    write_json(RESULT, document)
    for name, hits in right.items():
        print(f"{name:24} {hits / len(pictures):.1%}")


if __name__ == "__main__":
    main()

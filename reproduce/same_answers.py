"""An exported model against its network, picture by picture, through the doors of `predict`.

    python reproduce/same_answers.py CIFAR_MODEL CIFAR ANTS_BEES [--pictures 2000]

CIFAR_MODEL is a finished run or a model file for CIFAR-10, CIFAR the unpacked set with test/, ANTS_BEES the folder of
photographs. The model is exported and asked about the first test pictures of each class; all photographs are put to a
resnet18 at 224 px with random weights, its norms and its answers settled on some of them. Through each door (paths, bytes,
folder) the exported model is compared with the torch engine asked by path. One JSON document: n, unreadable files, labels
that flipped, and the greatest difference of a probability. Exit code 1 where a label flipped or that exceeds 1e-4.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from trials import link

from reslab.data.catalog import Picture
from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.engine.open import find_model
from reslab.engine.torch import network_from_file
from reslab.evaluate.predict import Prediction, load_model
from reslab.export.graph import write_onnx
from reslab.model.file import Header, read_model, write_model
from reslab.nn.layers import to_images
from reslab.nn.zoo import build_named
from reslab.pixels.preprocess import Preprocess

DIFFERENCE = 1e-4
SETTLING = 32  # photographs


def compare(model: Path, folder: Path, work: Path) -> Iterator[dict]:
    """One row per door, all pictures below `folder`."""
    opened = read_model(model)
    write_onnx(work / "model.onnx", network_from_file(opened, model).eval(), opened.header, opened.seen)
    ours, paths = load_model(work / "model.onnx"), sorted(folder.glob("*/*"))
    expected = {row.path: row for row in load_model(model).stream(paths)}
    by_bytes = ours.stream(path.read_bytes() for path in paths)
    for door, rows in (
        ("paths", ours.stream(paths)),
        ("bytes", (dataclasses.replace(row, path=str(path)) for path, row in zip(paths, by_bytes, strict=True))),
        ("folder", ours.stream([folder])),
    ):
        found = [(row, expected[row.path]) for row in rows]
        yield {"door": door, "n": len(found), **difference(found), "classes": len({b.label for _, b in found})}


def difference(found: list[tuple[Prediction, Prediction]]) -> dict:
    """Between the two engines' answers."""
    assert all(a.error == b.error for a, b in found)
    answered = [(a, b) for a, b in found if a.error is None]
    greatest = 0.0
    for a, b in answered:
        probabilities = dict(b.top)
        greatest = max([greatest, *(abs(p - probabilities[label]) for label, p in a.top if label in probabilities)])
    flips = sum(a.label != b.label for a, b in answered)
    return {"unreadable": len(found) - len(answered), "flips": flips, "max_difference": greatest}


def settled_resnet18(photographs: list[Picture], path: Path) -> None:
    """A model file whose random weights give each label to about half of these photographs."""
    prepare = Preprocess(224)
    images = to_images(torch.from_numpy(np.stack([prepare(load(picture)) for picture in photographs])))
    network = build_named("resnet18", num_classes=2, seed=0)
    with torch.no_grad():
        for _ in range(10):
            network.train()(images)
        network.eval().head.weight *= 5
        network.head.bias -= network(images).median(dim=0).values
    header = Header({"name": "resnet18", **dataclasses.asdict(network.config)}, ("ants", "bees"), prepare)
    write_model(path, {k: v.numpy() for k, v in network.state_dict().items()}, header)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("cifar", type=Path)
    parser.add_argument("ants_bees", type=Path)
    parser.add_argument("--pictures", type=int, default=2000, help="of CIFAR-10")
    options = parser.parse_args()
    test = read_data(options.cifar).split("test")
    classes = sorted({picture.label for picture in test})
    each = options.pictures // len(classes)
    chosen = [p for label in classes for p in [q for q in test if q.label == label][:each]]
    photographs = read_data(options.ants_bees).pictures
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "a").mkdir(), (work / "b").mkdir()
        report = {"cifar10": list(compare(find_model(options.model), link(chosen, work / "cifar"), work / "a"))}
        settled_resnet18([*photographs[:: len(photographs) // SETTLING]], work / "resnet18.safetensors")
        report["ants_bees"] = list(
            compare(work / "resnet18.safetensors", link(photographs, work / "photos"), work / "b")
        )
    print(json.dumps(report, indent=1))
    doors = [row for rows in report.values() for row in rows]
    sys.exit(any(row["flips"] or row["max_difference"] > DIFFERENCE for row in doors))


if __name__ == "__main__":
    main()

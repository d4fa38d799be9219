"""What the tests leave out because it takes minutes: resnet1202 and preact1001, built, compiled in one graph, exported.

    python reproduce/deepest.py [--names resnet1202 preact1001]

Prints, for each, layers, parameters, multiply-accumulates, the seconds that compiling and exporting took, and the greatest
relative difference of the compiled, the exported (torch.export) and the ONNX form from the network itself.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from reslab.engine.onnx import open_exported
from reslab.export.graph import write_onnx
from reslab.model.file import Header
from reslab.nn.count import macs, parameters
from reslab.nn.layers import to_images
from reslab.nn.zoo import ZOO, build_named
from reslab.pixels.preprocess import Preprocess

SIZE = 32


@torch.no_grad()
def checked(name: str) -> dict:
    network = build_named(name)
    network.train()(torch.rand(4, 3, SIZE, SIZE))
    network.eval()
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    images = to_images(torch.from_numpy(pixels))
    expected = network(images)

    def off(found: torch.Tensor) -> float:
        return float((found - expected).abs().max() / max(1.0, float(expected.abs().max())))

    row = {"name": name, "layers": ZOO[name].layers, "parameters": parameters(ZOO[name]), "macs": macs(ZOO[name], SIZE)}
    begun = time.perf_counter()
    row["compiled"] = off(torch.compile(network, backend="aot_eager", fullgraph=True)(images))
    batch = torch.export.Dim("batch", min=2)
    exported = torch.export.export(network, (images[:2],), dynamic_shapes={"images": {0: batch}})
    row["exported"] = off(exported.module()(images))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        classes = tuple(map(str, range(network.config.num_classes)))
        header = Header({"name": name, **dataclasses.asdict(network.config)}, classes, Preprocess(SIZE))
        write_onnx(path, network, header, np.zeros((0, 5), np.uint8))
        row["onnx"] = off(torch.from_numpy(open_exported(path).logits(pixels)))
    return row | {"seconds": round(time.perf_counter() - begun, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", default=["resnet1202", "preact1001"])
    for name in parser.parse_args().names:
        print(json.dumps(checked(name)), flush=True)


if __name__ == "__main__":
    main()

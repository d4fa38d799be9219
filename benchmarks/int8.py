"""Eight-bit integers: onnxruntime's quantiser and NNCF's, each computed by onnxruntime and by OpenVINO.

    python benchmarks/int8.py MODEL DATA [--rounds 5] [--most 2000]     accuracy and speed of a trained model
    python benchmarks/int8.py resnet18 [--size 224]                      speed alone, of a fresh network

MODEL is a model file or run; the training pictures of DATA show the ranges, its test pictures judge. NNCF comes with
`pip install nncf`; without it its rows are left out. One block of pictures at a time, all engines by turns in every round.
"""

import argparse
import dataclasses
import json
import statistics
import time
from pathlib import Path

import numpy as np
import onnx

from reslab.data.reader import blocks
from reslab.data.sources import read_data
from reslab.engine.base import batch_size, block_logits
from reslab.engine.onnx import from_bytes
from reslab.engine.open import find_model, open_engine
from reslab.engine.openvino import OpenvinoEngine, openvino
from reslab.engine.torch import TorchEngine
from reslab.metrics.paired import compare_paired
from reslab.model.file import Header, encode_metadata
from reslab.nn.resnet import build
from reslab.nn.zoo import ZOO
from reslab.pixels.preprocess import Preprocess
from reslab.system import device
from reslab.tasks.table import TASKS

CALIBRATE = 256


def pictures(data: str, split: str, engine: TorchEngine, most: int) -> tuple[np.ndarray, np.ndarray]:
    found = read_data(data).split(split)
    found = [found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int))]
    prepare = engine.header.preprocess
    pixels = np.concatenate([block.pixels for block in blocks(found, prepare, prepare.size)])
    return pixels, TASKS["single"].targets(found, engine.header.classes, split)


def engines(engine: TorchEngine, calibrating: np.ndarray) -> dict[str, object]:
    graph = export_onnx(engine.network, engine.header)
    small = quantize(graph, calibrating)
    found: dict[str, object] = {}
    for name, one in (("float32", graph), ("onnxruntime's int8", small)):
        onnx.helper.set_model_props(one, encode_metadata(engine.header, engine.seen))
        data = one.SerializeToString()
        found[f"{name}, by onnxruntime"] = from_bytes(data, Path(name))
        found[f"{name}, by openvino"] = OpenvinoEngine(data, b"", Path(name))
    try:
        import nncf
    except ImportError:
        return found
    batches = np.array_split(calibrating, len(calibrating) // 8)
    theirs = nncf.quantize(
        openvino.Core().read_model(graph.SerializeToString()), nncf.Dataset(batches), subset_size=len(batches),
        preset=nncf.QuantizationPreset.MIXED,
    )  # fmt: skip
    by_nncf = OpenvinoEngine(graph.SerializeToString(), b"", Path("nncf's int8"))
    by_nncf.model = theirs
    found["nncf's int8, by openvino"] = by_nncf
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=2000)
    options = parser.parse_args()
    dice = np.random.default_rng(0)
    if options.data:
        engine = open_engine(find_model(options.model))
        calibrating, _ = pictures(options.data, "train", engine, CALIBRATE)
        asked, labels = pictures(options.data, "test", engine, options.most)
    else:
        config = ZOO[options.model]
        classes = tuple(map(str, range(config.num_classes)))
        header = Header({"name": options.model, **dataclasses.asdict(config)}, classes, Preprocess(options.size))
        engine = TorchEngine(build(config), header)
        asked = dice.integers(0, 256, (32, options.size, options.size, 3), dtype=np.uint8)
        calibrating, labels = asked, None
    found = engines(engine, calibrating)
    found = {"float32, by torch": engine, **found}
    block = asked[np.arange(batch_size(asked.shape[1])) % len(asked)]
    rates: dict[str, list[float]] = {name: [] for name in found}
    for number in range(options.rounds + 1):
        for name, one in found.items():
            begin = time.perf_counter()
            one.logits(block)
            if number:
                rates[name].append(len(block) / (time.perf_counter() - begin))
    right = {name: block_logits(one, asked).argmax(1) == labels for name, one in found.items()} if options.data else {}
    base = rates["float32, by onnxruntime"]
    for name in found:
        ratios = [a / b for a, b in zip(rates[name], base, strict=True)]
        row = {"engine": name, "images_per_second": round(statistics.median(rates[name]), 1)}
        row["times onnxruntime's float32"] = [round(f(ratios), 2) for f in (statistics.median, min, max)]
        if right:
            versus = compare_paired(right["float32, by torch"], right[name])
            row |= {
                "n": versus.n,
                "accuracy": round(100 * versus.b, 2),
                "drop_points": round(100 * versus.difference, 2),
            }
            row["interval"] = [round(100 * versus.low, 2), round(100 * versus.high, 2)]
        print(json.dumps(row), flush=True)
    print(json.dumps({"model": options.model, "batch": len(block), "machine": device.describe()}))


if __name__ == "__main__":
    main()

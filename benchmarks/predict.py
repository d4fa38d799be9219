"""Files on disk -> answers: `reslab predict`'s stream beside a torchvision eager loop with a DataLoader, one run, ratios.

    python benchmarks/predict.py DATA [--model resnet18] [--size 224] [--pictures 397] [--rounds 5] [--int8 FILE.onnx]
    python benchmarks/predict.py DATA --enlarge --pictures 40 --before OTHER/src    # 12-megapixel JPEGs, two versions of ResLab

All hold the same random weights and see the same files. The loop is what the torchvision references do: ImageFolder, two
loader processes, Resize of the short side, CenterCrop, Normalize, float32, `inference_mode`; with maps channels-first and
channels-last, and the faster of the two in the whole run is the peer. ResLab answers with the exported graph, with its
torch engine, and with an int8 graph where one is given (of the same network and size; its weights do not matter here).
Every contestant has a process of its own in each round; loading the model and a first pass over a batch are not counted,
the start of the loader's processes is, as they start with every pass.
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
from collections.abc import Callable
from pathlib import Path

CLASSES = 1000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LOADERS = 2
MODEL, GRAPH, WEIGHTS = "model.safetensors", "model.onnx", "torchvision.pth"
BEFORE = "onnx, before"
PEERS = ("eager, channels-first", "eager, channels-last")


def write_models(folder: Path, name: str, size: int) -> None:
    """The same random weights for every contestant: speed does not depend on them."""
    import numpy as np
    import torch

    from reslab.export.graph import write_onnx
    from reslab.model.file import Header, write_model
    from reslab.nn.weights import to_torchvision
    from reslab.nn.zoo import build_named
    from reslab.pixels.preprocess import Preprocess

    network = build_named(name, num_classes=CLASSES, mean=MEAN, std=STD).eval()
    classes = tuple(f"class {k}" for k in range(CLASSES))
    header = Header({"name": name, **dataclasses.asdict(network.config)}, classes, Preprocess(size))
    write_model(folder / MODEL, {k: v.numpy() for k, v in network.state_dict().items()}, header)
    write_onnx(folder / GRAPH, network, header, np.zeros((0, 5), np.uint8))
    torch.save(to_torchvision(network), folder / WEIGHTS)


def link_pictures(data: Path, count: int, folder: Path) -> None:
    """`folder/<class>/…`: links to files that ImageFolder reads as well."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    from reslab.data.sources import read_data

    found = [p for p in read_data(data).pictures if Path(p.source).suffix.lower() in IMG_EXTENSIONS]
    for picture in found[:: max(1, len(found) // count)][:count]:
        link = folder / picture.label / picture.key.replace("/", "_")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(picture.source).resolve())


def enlarge_pictures(folder: Path) -> None:
    """Put a JPEG of 4000 x 3000 pixels with fine noise in the place of each picture."""
    import numpy as np
    from PIL import Image

    for number, link in enumerate(sorted(folder.glob("*/*"))):
        large = np.asarray(Image.open(link).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)).astype(
            np.int16
        )
        noise = np.random.default_rng(number).normal(0, 4, (1500, 2000, 1)).astype(np.int16).repeat(2, 0).repeat(2, 1)
        link.unlink()
        Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8)).save(link.with_suffix(".jpg"), quality=90)


def ours(model: Path, pictures: Path) -> Callable[[], int]:
    from reslab.evaluate.predict import load_model

    opened = load_model(model)
    opened.predict(next(pictures.glob("*/*")))
    return lambda: sum(row.error is None for row in opened.stream([pictures]))


def eager(layout: str, folder: Path, pictures: Path, options: argparse.Namespace) -> Callable[[], int]:
    import torch
    import torchvision
    from torch.utils.data import DataLoader
    from torchvision import transforms

    prepare = transforms.Compose(
        [
            transforms.Resize(options.size),
            transforms.CenterCrop(options.size),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    data = torchvision.datasets.ImageFolder(str(pictures), prepare)
    kind = torch.channels_last if layout == "channels-last" else torch.contiguous_format
    network = torchvision.models.get_model(options.model, num_classes=CLASSES).eval()
    network.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    network = network.to(memory_format=kind)

    @torch.inference_mode()
    def answer(images: torch.Tensor) -> int:
        return len(network(images.contiguous(memory_format=kind)).softmax(1).topk(5).indices.tolist())

    answer(torch.zeros(options.batch, 3, options.size, options.size))
    loader = DataLoader(data, options.batch, num_workers=LOADERS)
    return lambda: sum(answer(images) for images, _ in loader)


def contestant(name: str, folder: Path, options: argparse.Namespace) -> Callable[[], int]:
    """Ready to answer for all pictures; gives how many were answered."""
    pictures = folder / "pictures"
    if name in PEERS:
        return eager(name.removeprefix("eager, "), folder, pictures, options)
    return ours(
        {"onnx": folder / GRAPH, BEFORE: folder / GRAPH, "torch": folder / MODEL, "int8": options.int8}[name], pictures
    )


def run_one(name: str, folder: Path, options: argparse.Namespace) -> None:
    """What the child process does: prints pictures, seconds, and seconds of the processor in all its processes."""
    warnings.simplefilter("ignore")
    work = contestant(name, folder, options)
    before, begin = os.times(), time.perf_counter()
    answered = work()
    seconds, after = time.perf_counter() - begin, os.times()
    print(json.dumps([answered, seconds, sum(after[:4]) - sum(before[:4])]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=397)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32, help="of the eager loop")
    parser.add_argument("--int8", type=Path, help="an exported int8 graph, to be measured too")
    parser.add_argument("--enlarge", action="store_true", help="every picture as a JPEG of 12 megapixels")
    parser.add_argument("--before", type=Path, help="src of another version of ResLab: compared with this one alone")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        run_one(options.only, options.folder, options)
        return
    names = ["onnx", "torch", *(["int8"] if options.int8 else []), *PEERS]
    names = ["onnx", BEFORE] if options.before else names
    speeds: dict[str, list[float]] = {name: [] for name in names}
    costs: dict[str, list[float]] = {name: [] for name in names}
    spin = {"GOMP_SPINCOUNT": "10000"}  # what `reslab` sets for itself
    with tempfile.TemporaryDirectory() as folder:
        write_models(Path(folder), options.model, options.size)
        link_pictures(options.data, options.pictures, Path(folder) / "pictures")
        if options.enlarge:
            enlarge_pictures(Path(folder) / "pictures")
        for number in range(options.rounds):
            for name in names if number % 2 else names[::-1]:
                words = [sys.executable, __file__, *sys.argv[1:], "--only", name, "--folder", folder]
                environment = os.environ | ({} if name in PEERS else spin)
                environment |= {"PYTHONPATH": str(options.before.resolve())} if name == BEFORE else {}
                done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                answered, seconds, busy = json.loads(done.stdout.splitlines()[-1])
                speeds[name].append(answered / seconds)
                costs[name].append(1e3 * busy / answered)
                print(f"round {number + 1}: {name}: {speeds[name][-1]:.1f} images/s", file=sys.stderr, flush=True)
    peers = [BEFORE] if options.before else PEERS
    peer = max(peers, key=lambda name: statistics.median(speeds[name]))
    report = {"model": options.model, "size": options.size, "pictures": answered, "processors": os.cpu_count()}
    report |= {"images_per_second": {k: [round(x, 1) for x in v] for k, v in speeds.items()}}
    report |= {"processor_ms_per_image": {k: round(statistics.median(v), 1) for k, v in costs.items()}, "peer": peer}
    report["times_the_peer"] = {name: ratio(speeds[name], speeds[peer]) for name in names if name != peer}
    print(json.dumps(report, indent=1))


def ratio(mine: list[float], theirs: list[float]) -> dict[str, float]:
    """Of speeds measured in the same round: median, least and greatest."""
    pairs = [a / b for a, b in zip(mine, theirs, strict=True)]
    return {key: round(f(pairs), 2) for key, f in (("median", statistics.median), ("least", min), ("most", max))}


if __name__ == "__main__":
    main()

"""How the cost of a picture grows with the number of pictures: `check`, `train`, `eval` and `predict`, processor time and memory.

    python benchmarks/growth.py [--counts 1000 10000 100000] [--verbs check train eval predict] [--folder FOLDER]

Each count gets a folder of so many small pictures (16 px, all different, ten classes) below FOLDER, kept for the next time. A
verb runs as a process of its own on one thread; `train` takes one epoch of a tiny network, and `eval` and `predict` judge that
of the smallest folder. Printed per picture, above what the verb costs on ten pictures: milliseconds of processor time and
kilobytes of the largest resident memory, and both over those of the smallest count.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, CLASSES, FEW = 16, 10, 10


def fill(folder: Path, count: int) -> Path:
    """`count` pictures in class folders; each has its number in its first pixels, so no two are alike."""
    place = folder / str(count)
    if not place.is_dir():
        unfinished = folder / f"{count}.unfinished"
        dice = np.random.default_rng(count)
        ground = dice.integers(0, 256, (256, SIDE, SIDE, 3), dtype=np.uint8)
        for label in range(CLASSES):
            (unfinished / f"class{label}").mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = ground[number % 256] // 2 + 12 * (number % CLASSES)
            pixels[0, :4, 0] = list(number.to_bytes(4, "big"))
            Image.fromarray(pixels.astype(np.uint8)).save(
                unfinished / f"class{number % CLASSES}" / f"{number:07}.png", compress_level=1
            )
        unfinished.rename(place)
    return place


def cost(words: list[str]) -> dict[str, float]:
    """Processor seconds, seconds and peak memory in megabytes of a command."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "reslab", *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"reslab {' '.join(words)}\n{said[-2000:].decode()}")
    return {
        "cpu": usage.ru_utime + usage.ru_stime, "seconds": time.perf_counter() - begin, "megabytes": usage.ru_maxrss / 1024,
    }  # fmt: skip


def command(verb: str, data: Path, run: Path, out: Path) -> list[str]:
    tiny = [
        "--model",
        "resnet20",
        "--size",
        "8",
        "--epochs",
        "1",
        "--precision",
        "float32",
        "--layout",
        "channels-last",
    ]
    return {
        "check": ["check", str(data)],
        "train": ["train", str(data), *tiny, "--out", str(out / "run")],
        "eval": ["eval", str(run), str(data), "--split", "val", "--allow-seen"],
        "predict": ["predict", str(run), str(data), "--csv", str(out / "answers.csv")],
    }[verb]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--verbs", nargs="+", default=["check", "train", "eval", "predict"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "reslab-growth"))
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as kept:
        run = Path(kept, "run")
        cost(command("train", fill(options.folder, options.counts[0]), run, Path(kept)))
        for verb in options.verbs:
            first: dict[str, float] = {}
            with tempfile.TemporaryDirectory() as place:
                ground = cost(command(verb, fill(options.folder, FEW * CLASSES), run, Path(place)))
            for count in options.counts:
                with tempfile.TemporaryDirectory() as place:
                    spent = cost(command(verb, fill(options.folder, count), run, Path(place)))
                each = {
                    "milliseconds": 1e3 * (spent["cpu"] - ground["cpu"]) / count,
                    "kilobytes": 1024 * max(0.0, spent["megabytes"] - ground["megabytes"]) / count,
                }
                first = first or each
                row = {"verb": verb, "pictures": count} | {name: round(value, 3) for name, value in each.items()}
                row |= {f"{name} / smallest": round(each[name] / max(first[name], 1e-9), 2) for name in each}
                print(json.dumps(row | {name: round(value, 1) for name, value in spent.items()}), flush=True)


if __name__ == "__main__":
    main()

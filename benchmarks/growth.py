"""How the cost of a picture grows with the number of pictures: processor time and memory.

    python benchmarks/growth.py [--counts 1000 10000 100000 1000000] [--verbs start check train eval predict] [--folder FOLDER]

Each count gets a folder of so many small pictures (16 px, ten classes) below FOLDER, kept for the next time; each file has
ten names (hard links), so a million pictures take 0.4 GB and as many inodes as a tenth of them. A verb runs as a process of
its own on one thread. `start` is a training that ends just before its first picture is decoded; `train` takes one epoch of a
tiny network, and `eval` and `predict` judge that of the smallest folder.

Printed for each verb and count: milliseconds of processor time and kilobytes of the largest resident memory per picture, above
what the verb costs on a hundred pictures; both over those of the smallest count that can be told from them; seconds and the
resident peak of the process.

The memory of `predict` with an exported model: --verbs predict --counts 10000 --model cifar10_resnet20 (goal: at most 160 MB).
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, CLASSES, NAMES, FEW = 16, 10, 10, 100
ROUNDS, MANY = 5, 10_000
"""A verb is run so often on so many pictures or fewer, and the median counts: it takes little more than the start there."""

LEAST, SCALE = {"cpu": 0.1, "megabytes": 4.0}, {"cpu": 1e3, "megabytes": 1024}
"""What a count must cost above the hundred pictures to be compared with; from seconds and megabytes to what is printed."""

VERBS = ("start", "check", "train", "eval", "predict")


def fill(folder: Path, count: int) -> Path:
    """`count` pictures in class folders; each has its number in its first pixels, and ten names in its class."""
    place = folder / f"{count}-{NAMES}"
    if not place.is_dir():
        unfinished = folder / f"{count}.unfinished"
        dice = np.random.default_rng(count)
        ground = dice.integers(0, 256, (256, SIDE, SIDE, 3), dtype=np.uint8)
        for label in range(CLASSES):
            (unfinished / f"class{label}").mkdir(parents=True, exist_ok=True)
        for number in range(count // NAMES):
            pixels = ground[number % 256] // 2 + 12 * (number % CLASSES)
            pixels[0, :4, 0] = list(number.to_bytes(4, "big"))
            names = [unfinished / f"class{number % CLASSES}" / f"{number:07}-{name}.png" for name in range(NAMES)]
            Image.fromarray(pixels.astype(np.uint8)).save(names[0], compress_level=1)
            for name in names[1:]:
                name.hardlink_to(names[0])
        unfinished.rename(place)
    return place


def start(data: str, out: str) -> None:
    """Begin a training, and end before the first decode."""
    from reslab.run.train import train
    from reslab.train.config import TrainConfig

    def end(event: dict[str, object]) -> None:
        if event["event"] == "check":
            os._exit(0)  # at once: what the garbage collector does at the end is no part of the start

    train(TrainConfig(data=data), out, on_event=end)


def cost(words: list[str]) -> dict[str, float]:
    """Processor seconds, seconds and peak memory in megabytes of a command."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) and words[2:3] != ["check"]:  # equal pictures in two splits are an error
        raise SystemExit(f"{' '.join(words)}\n{said[-2000:].decode()}")
    return {
        "cpu": usage.ru_utime + usage.ru_stime, "seconds": time.perf_counter() - begin, "megabytes": usage.ru_maxrss / 1024,
    }  # fmt: skip


def typical(verb: str, folder: Path, count: int, run: str) -> dict[str, float]:
    """The median cost of a verb on so many pictures."""
    costs = []
    for _ in range(ROUNDS if count <= MANY else 1):
        with tempfile.TemporaryDirectory() as place:
            costs.append(cost(command(verb, fill(folder, count), run, Path(place))))
    return {name: statistics.median(each[name] for each in costs) for name in costs[0]}


def command(verb: str, data: Path, run: str, out: Path) -> list[str]:
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
        "start": [__file__, "--start", str(data), str(out / "run")],
        "check": ["-m", "reslab", "check", str(data)],
        "train": ["-m", "reslab", "train", str(data), *tiny, "--out", str(out / "run")],
        "eval": ["-m", "reslab", "eval", run, str(data), "--split", "val", "--allow-seen"],
        "predict": ["-m", "reslab", "predict", run, str(data), "--csv", str(out / "answers.csv")],
    }[verb]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=VERBS)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "reslab-growth"))
    parser.add_argument(
        "--model", help="what eval and predict answer with, in place of the network of the smallest folder"
    )
    parser.add_argument("--start", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start:
        start(*options.start)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    print("verb     pictures  ms each  / smallest  kB each  / smallest  seconds  peak MB", flush=True)
    with tempfile.TemporaryDirectory() as kept:
        run = options.model or str(Path(kept, "run"))
        if {"eval", "predict"} & set(options.verbs) and not options.model:
            cost(command("train", fill(options.folder, options.counts[0]), run, Path(kept)))
        for verb in options.verbs:
            ground = typical(verb, options.folder, FEW, run)
            first: dict[str, float] = {}
            for count in options.counts:
                spent = typical(verb, options.folder, count, run)
                above = {name: max(0.0, spent[name] - ground[name]) for name in LEAST}
                each = {name: SCALE[name] * above[name] / (count - FEW) for name in LEAST}
                for name in LEAST:
                    if name not in first and above[name] >= LEAST[name]:
                        first[name] = each[name]
                ratios = {
                    name: f"{each[name] / first[name]:11.2f}" if name in first else f"{'-':>11}" for name in LEAST
                }
                print(
                    f"{verb:8} {count:8} {each['cpu']:8.3f} {ratios['cpu']} {each['megabytes']:8.2f} {ratios['megabytes']} "
                    f"{spent['seconds']:8.1f} {spent['megabytes']:8.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

"""Equal minutes: what each tool makes of a folder of pictures, from scratch, in the same time on the same machine.

    python benchmarks/minutes.py SET --minutes 5 --peers PYTHON [--seeds 0 1 2] [--only reslab fastai ...] [--work FOLDER]

SET is a folder of `benchmarks/sets.py`; PYTHON is an interpreter that has the peers (`contestants.py` says which, and how each of
them trains). ResLab is `reslab train SET/data --minutes M --weights none`, its start and its report inside the time; the peers'
imports and their answers to the test pictures are outside it. In each round the contestants train one after the other, so that a
machine whose speed drifts is fair to all. Each opens the test pictures once per seed, after its training. What was trained is
kept in FOLDER/SET-M.jsonl, so the same command goes on where it stopped.

`--size` gives the peers another input size than their own (32 px for pictures of that size, else 224).
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from reslab.system import device
from reslab.system.files import read_json

HERE = Path(__file__).parent
PEERS = ("torchvision", "timm", "fastai", "Hugging Face", "Ultralytics")
SMALL, LARGE = 32, 224
"""Sides of the peers' input for pictures of their own size and for photographs: what their tutorials take."""


def reslab(folder: Path, minutes: float, seed: int, more: list[str]) -> dict:
    """Train as a person would, and answer the test pictures."""
    with tempfile.TemporaryDirectory() as place:
        run, command = Path(place, "run"), [sys.executable, "-m", "reslab"]
        words = ["train", str(folder / "data"), "--minutes", f"{minutes:g}", "--weights", "none", "--seed", str(seed)]
        begin, begun = time.perf_counter(), time.time()
        done(command + words + ["--out", str(run), *more])
        seconds = time.perf_counter() - begin
        done(command + ["eval", str(run), str(folder / "data"), "--split", "test"])
        with (run / "predictions-test.csv").open(encoding="utf-8", newline="") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
        config, journal = read_json(run / "config.json"), (run / "journal.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in journal]
        steps = max(event["step"] for event in events if event["event"] == "epoch")
        values = config["config"]
        return {
            "hits": "".join(row["correct"] for row in rows), "seconds": round(seconds, 1),
            "before the first step": round((run / "config.json").stat().st_mtime - begun, 1),
            "chose": {name: values[name] for name in ("model", "size", "batch_size", "precision", "augment")},
            "epochs": round(steps / config["steps_per_epoch"], 2),
        }  # fmt: skip


def peer(name: str, python: str, folder: Path, minutes: float, seed: int, size: int) -> dict:
    """Train a peer in its own environment, and compare its answers with the names of the folders."""
    files = sorted(path for path in (folder / "data" / "test").rglob("*.*") if path.is_file())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("\n".join(map(str, files)))
        listed.flush()
        words = [
            python,
            str(HERE / "contestants.py"),
            name,
            str(folder / "data"),
            "--size",
            str(size),
            "--files",
            listed.name,
        ]
        words += ["--seconds", str(60 * minutes), "--seed", str(seed)]
        document = json.loads(done(words).splitlines()[-1])
    hits = "".join(
        str(int(answer == file.parent.name)) for answer, file in zip(document.pop("answers"), files, strict=True)
    )
    return {"hits": hits, "size": size, **document}


def done(words: list[str]) -> str:
    """What a command prints; it must succeed."""
    environment = os.environ | {"YOLO_OFFLINE": "true", "HF_HUB_OFFLINE": "1", "WANDB_MODE": "disabled"}
    process = subprocess.run(words, capture_output=True, text=True, env=environment)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}\n{process.stderr[-3000:]}")
    return process.stdout


def matrix(rows: list[dict], name: str, seeds: list[int]) -> np.ndarray:
    """bool `[seeds, pictures]`: right or wrong."""
    found = {row["seed"]: row["hits"] for row in rows if row["name"] == name}
    return np.array([[letter == "1" for letter in found[seed]] for seed in seeds if seed in found])


def bootstrapped(values: np.ndarray, draws: int = 2000) -> tuple[float, float, float]:
    """Mean of `[seeds, pictures]` and its 95 % interval; seeds and pictures are both drawn again."""
    dice, (seeds, n) = np.random.default_rng(0), values.shape
    means = [values[dice.integers(0, seeds, seeds)][:, dice.integers(0, n, n)].mean() for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def report(rows: list[dict], seeds: list[int]) -> list[str]:
    """A line per contestant, best first, and ours against the best peer, pair by pair."""
    names = dict.fromkeys(row["name"] for row in rows if row["seed"] in seeds)
    means = {name: matrix(rows, name, seeds) for name in names}
    order = sorted(means, key=lambda name: -means[name].mean())
    lines = []
    for name in order:
        value, low, high = (100 * each for each in bootstrapped(means[name].astype(float)))
        each = ", ".join(f"{100 * row.mean():.1f}" for row in means[name])
        lines.append(f"{name:14}{value:6.1f} % ({low:.1f} to {high:.1f}; n = {means[name].shape[1]}; seeds {each})")
    peers = [name for name in order if name in PEERS]
    if "reslab" in means and peers and means["reslab"].shape == means[peers[0]].shape:
        gain = means["reslab"].astype(float) - means[peers[0]]
        value, low, high = (100 * each for each in bootstrapped(gain))
        lines.append(f"reslab above {peers[0]}: {value:.1f} points ({low:.1f} to {high:.1f})")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="SET")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--peers", required=True, metavar="PYTHON")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=["reslab", *PEERS], choices=("reslab", *PEERS))
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/minutes"))
    options, more = parser.parse_known_args()
    options.work.mkdir(parents=True, exist_ok=True)
    size = options.size or (SMALL if options.folder.name == "cifar10" else LARGE)
    file = options.work / f"{options.folder.name}-{options.minutes:g}{f'-{size}' if options.size else ''}.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    for seed in options.seeds:
        for name in options.only:
            if any((row["name"], row["seed"]) == (name, seed) for row in rows):
                continue
            if name == "reslab":
                row = reslab(options.folder, options.minutes, seed, more)
            else:
                row = peer(name, options.peers, options.folder, options.minutes, seed, size)
            rows.append({"name": name, "seed": seed, "minutes": options.minutes, "machine": device.describe(), **row})
            with file.open("a") as lines:
                print(json.dumps(rows[-1]), file=lines)
            accuracy = round(row["hits"].count("1") / len(row["hits"]), 4)
            print(json.dumps({**{k: v for k, v in rows[-1].items() if k != "hits"}, "accuracy": accuracy}), flush=True)
    print("\n".join(report(rows, options.seeds)))


if __name__ == "__main__":
    main()

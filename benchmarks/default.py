"""What `reslab train DATA --minutes M` makes of photographs from scratch, beside the version before and the best hand-set pair.

    python benchmarks/default.py DATA [--data ants clutter] [--only before after grid hand] [--seeds 0 1 2] [--work FOLDER]

DATA holds `ants_bees.zip` and `cifar10.zip` (ImageFolder layout: CLASS folders below `train` and `val` or `test`).

- `ants`: 244 photographs to train on, 153 to test; two minutes.
- `clutter`: 10 classes x 200 pictures of CIFAR-10 to train on, 10 x 100 to test, each enlarged to 64 to 128 px and pasted at a
  random place on a background of 160 px that is noise, a texture or another picture; three minutes. Drawn from fixed seeds.

`grid` trains every pair of network and size once on seed 0 and looks at validation pictures only (a quarter is set aside for
it); `hand` is the best pair of the grid. Test pictures are opened once per contestant and seed, after its training. Every
training is a process of its own, one after the other; what was trained already is read from FOLDER/results.json, so the same
command goes on where it stopped.
"""

import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from reslab.metrics.intervals import proportion
from reslab.system.files import read_json, write_json

BEFORE = "caf36f2"
MINUTES = {"ants": 2.0, "clutter": 3.0}
PAIRS = (
    ("resnet18", 160), ("resnet18", 128), ("resnet18", 96), ("resnet18", 64), ("resnet20", 64), ("resnet20", 48),
    ("resnet20", 32),
)  # fmt: skip
CONTESTANTS = ("before", "after", "hand")
GRID_SHARE = 0.25  # of the training pictures validates in the grid: a tenth of 244 would be too few to choose by
SIDE, OBJECT, COUNTS = 160, (64, 128), {"train": 200, "test": 100}
REPOSITORY = Path(__file__).resolve().parents[1]


def ants(source: Path, target: Path) -> None:
    """Its `val` becomes the test split, so that no training looks at it."""
    with zipfile.ZipFile(source / "ants_bees.zip") as archive:
        for name in archive.namelist():
            parts = Path(name).parts
            if len(parts) < 3 or name.endswith("/") or parts[-3] not in ("train", "val"):
                continue
            place = target / {"train": "train", "val": "test"}[parts[-3]] / parts[-2] / parts[-1]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(archive.read(name))


def clutter(source: Path, target: Path) -> None:
    """Small objects on busy backgrounds; the background pictures are of classes drawn at random, so they tell nothing."""
    with zipfile.ZipFile(source / "cifar10.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        for number, (split, count) in enumerate(COUNTS.items()):
            dice = np.random.default_rng([15, number])
            mine = [name for name in names if Path(name).parts[-3] == split]
            for label in sorted({Path(name).parts[-2] for name in mine}):
                place = target / split / label
                place.mkdir(parents=True, exist_ok=True)
                for name in [name for name in mine if Path(name).parts[-2] == label][-count:]:
                    other = mine[int(dice.integers(len(mine)))]
                    picture = pasted(opened(archive, name), background(opened(archive, other), dice), dice)
                    picture.save(place / Path(name).name.replace(".png", ".jpg"), quality=90)


def opened(archive: zipfile.ZipFile, name: str) -> Image.Image:
    return Image.open(io.BytesIO(archive.read(name))).convert("RGB")


def background(other: Image.Image, dice: np.random.Generator) -> Image.Image:
    """Noise, stripes, or another picture in a mosaic, each a third of the time."""
    kind = int(dice.integers(3))
    if kind == 0:
        coarse = int(dice.choice([8, 20, 80]))
        return Image.fromarray(dice.integers(0, 256, (coarse, coarse, 3), dtype=np.uint8)).resize((SIDE, SIDE))
    if kind == 1:
        x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
        angle, period = dice.uniform(0, np.pi), dice.uniform(6, 40)
        wave = 0.5 + 0.5 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
        low, high = dice.integers(0, 256, (2, 3))
        return Image.fromarray((low + wave[..., None] * (high - low)).astype(np.uint8))
    tiles, pixels = int(dice.choice([1, 2, 4])), np.asarray(other)
    return Image.fromarray(np.tile(pixels, (tiles, tiles, 1))).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def pasted(picture: Image.Image, ground: Image.Image, dice: np.random.Generator) -> Image.Image:
    side = int(dice.integers(OBJECT[0], OBJECT[1] + 1))
    left, upper = dice.integers(0, SIDE - side + 1, 2)
    ground.paste(picture.resize((side, side), Image.Resampling.BICUBIC), (int(left), int(upper)))
    return ground


def worktree(work: Path) -> Path:
    """The sources of the version before."""
    place = work / BEFORE
    if not place.is_dir():
        subprocess.run(["git", "-C", str(REPOSITORY), "worktree", "add", "--detach", str(place), BEFORE], check=True)
    return place / "src"


def trained(source: Path, data: Path, out: Path, minutes: float, *words: str) -> dict:
    """Train by the command line of the version in `source`; what it chose and its validation score."""
    begin = time.perf_counter()
    # --weights none: weights that happen to lie on this machine would decide otherwise
    command = ["train", str(data), "--minutes", str(minutes), "--weights", "none", "--out", str(out), "--json", *words]
    document = json.loads(reslab(source, *command))
    config, steps = read_json(out / "config.json"), [0]
    for line in (out / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        steps += [event["step"]] if event["event"] == "epoch" else []
    return {
        "model": config["config"]["model"], "size": config["config"]["size"], "why": config["origins"]["size"],
        "epochs": round(steps[-1] / config["steps_per_epoch"], 2), "val": document["top1"], "val_n": document["n"],
        "seconds": round(time.perf_counter() - begin, 1),
    }  # fmt: skip


def tested(source: Path, data: Path, out: Path) -> str:
    """1 or 0 for each test picture, in the order of their names."""
    reslab(source, "eval", str(out), str(data), "--split", "test", "--json")
    with (out / "predictions-test.csv").open(encoding="utf-8", newline="") as file:
        return "".join(row["correct"] for row in sorted(csv.DictReader(file), key=lambda row: row["path"]))


def reslab(source: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, "-m", "reslab", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout


class Results:
    """`results.json`: what has been trained and judged already."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[str, dict] = read_json(file)["rows"] if file.is_file() else {}

    def keep(self, key: str, row: dict) -> dict:
        self.rows[key] = row
        write_json(self.file, {"schema": 1, "rows": self.rows})
        print(key, json.dumps({k: v for k, v in row.items() if k != "hits"}), flush=True)
        return row


def grid(name: str, data: Path, work: Path, results: Results) -> tuple[str, int]:
    """The pair that validates best in the time given."""
    for model, size in PAIRS:
        key = f"{name}/grid/{model}/{size}"
        if key not in results.rows:
            words = ("--model", model, "--size", str(size), "--seed", "0", "--val", str(GRID_SHARE))
            with tempfile.TemporaryDirectory(dir=work) as folder:
                row = trained(REPOSITORY / "src", data, Path(folder, "run"), MINUTES[name], *words)
            results.keep(key, row)
    return max(PAIRS, key=lambda pair: results.rows[f"{name}/grid/{pair[0]}/{pair[1]}"]["val"]["value"])


def contest(name: str, who: str, seed: int, data: Path, work: Path, results: Results) -> None:
    key = f"{name}/{who}/{seed}"
    if key in results.rows:
        return
    words = ["--seed", str(seed)]
    if who == "hand":
        model, size = grid(name, data, work, results)
        words += ["--model", model, "--size", str(size)]
    source = worktree(work) if who == "before" else REPOSITORY / "src"
    with tempfile.TemporaryDirectory(dir=work) as folder:
        row = trained(source, data, Path(folder, "run"), MINUTES[name], *words)
        results.keep(key, row | {"hits": tested(source, data, Path(folder, "run"))})


def table(name: str, seeds: list[int], results: Results) -> list[dict]:
    """One row per contestant: mean over seeds, spread, and an interval over pictures and seeds (bootstrap)."""
    rows = []
    for who in CONTESTANTS:
        found = [results.rows[key] for seed in seeds if (key := f"{name}/{who}/{seed}") in results.rows]
        if not found:
            continue
        hits = np.array([[int(c) for c in row["hits"]] for row in found], float)
        each = hits.mean(1)
        low, high = bootstrapped(hits)
        first = proportion(int(hits[0].sum()), hits.shape[1])
        pairs = sorted({f"{row['model']} at {row['size']} px" for row in found})
        rows.append({
            "data": name, "contestant": who, "minutes": MINUTES[name], "pairs": pairs, "seeds": len(found),
            "n": hits.shape[1], "mean": round(float(each.mean()), 4), "low": low, "high": high,
            "std": round(statistics.stdev(each), 4) if len(found) > 1 else None,
            "each": [round(float(value), 4) for value in each],
            "wilson_of_first": [round(first.low, 4), round(first.high, 4)],
            "epochs": [row["epochs"] for row in found], "seconds": [row["seconds"] for row in found],
        })  # fmt: skip
    return rows


def tried(name: str, results: Results) -> list[dict]:
    """The grid: every pair, how many epochs fitted, and its validation score (n differs from the test's)."""
    keys = ("model", "size", "epochs", "val", "val_n", "seconds")
    return [{k: row[k] for k in keys} for key, row in results.rows.items() if key.startswith(f"{name}/grid/")]


def bootstrapped(hits: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the mean of `[seeds, pictures]`; both are drawn again."""
    dice, (seeds, n) = np.random.default_rng(0), hits.shape
    means = [hits[dice.integers(0, seeds, seeds)][:, dice.integers(0, n, n)].mean() for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="DATA")
    parser.add_argument("--data", nargs="+", choices=tuple(MINUTES), default=list(MINUTES))
    parser.add_argument("--only", nargs="+", choices=("grid", *CONTESTANTS), default=["grid", *CONTESTANTS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "reslab-default"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results = Results(options.work / "results.json")
    rows, grids = [], {}
    for name in options.data:
        data = options.work / name
        if not data.is_dir():
            unfinished = options.work / f"{name}.unfinished"
            {"ants": ants, "clutter": clutter}[name](options.source, unfinished)
            unfinished.rename(data)
        if "grid" in options.only:
            grid(name, data, options.work, results)
        for seed in options.seeds:  # in turns: a machine whose speed drifts is fair to all
            for who in CONTESTANTS:
                if who in options.only:
                    contest(name, who, seed, data, options.work, results)
        rows += table(name, options.seeds, results)
        grids[name] = tried(name, results)
    write_json(options.work / "default.json", {"schema": 1, "before": BEFORE, "rows": rows, "grids": grids})
    for name, grid_rows in grids.items():
        for row in grid_rows:
            val = "{value:.3f} ({low:.3f} to {high:.3f})".format(**row["val"])
            print(
                f"{name:8}grid    {row['model']} at {row['size']} px, {row['epochs']} epochs: val {val}, n = {row['val_n']}"
            )
    for row in rows:
        spread = "" if row["std"] is None else f", std {100 * row['std']:.1f}"
        print(
            f"{row['data']:8}{row['contestant']:8}{100 * row['mean']:6.1f} % ({100 * row['low']:.1f} to "
            f"{100 * row['high']:.1f}{spread}; n = {row['n']} x {row['seeds']} seeds)  {', '.join(row['pairs'])}, "
            f"epochs {row['epochs']}, seconds {row['seconds']}"
        )


if __name__ == "__main__":
    main()

"""How far each network and input size gets within so many seconds of training: what the rule of `--minutes` is derived from.

    python benchmarks/grid.py SET [--seconds 20 80 320] [--arms ...] [--seeds 0] [--work FOLDER]

SET is a folder of `benchmarks/sets.py`. A cell is an arm (recipe, network, size, batch) and a time: so many steps are trained
as fit into the time at the arm's speed, with a schedule that ends with them, and the kept weights answer the pictures of
`SET/dev`. Test pictures are never opened. The speeds are measured once, by `--speeds` on a quiet machine, and kept in
FOLDER/speeds.json: the cells then need no quiet one. A cell that is in FOLDER/SET.jsonl already is not trained again. `table`
below prints the best arm of each time, and how much the others lose.

Seconds of another machine are others; what carries over is how the arms' order changes with the pictures that they are shown.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch

from reslab.nn.zoo import configuration
from reslab.run.evaluate import EvaluationOptions, evaluate
from reslab.run.train import train
from reslab.system import device
from reslab.train.config import TrainConfig
from reslab.train.plan.speed import seconds_per_step
from reslab.train.recipes import recipe
from reslab.train.schedule import Timeline

ARMS = (
    "quick/fast_resnet8/32", "quick/fast_resnet8/48", "quick/fast_resnet8/64", "quick/fast_resnet8/96",
    "standard/resnet20/32", "standard/resnet20/48", "standard/resnet18/64", "standard/resnet18/96", "standard/resnet18/128",
)  # fmt: skip
"""Recipe, network, size, and after further slashes what else differs from the recipe, as `batch_size=64`."""


def count(folder: Path) -> int:
    return sum(1 for _ in (folder / "data" / "train").rglob("*.*"))


def configured(arm: str, data: Path, pictures: int, seed: int) -> TrainConfig:
    """What an arm trains with; the standard recipe's batch and rate follow from size and pictures, as `auto` chooses them."""
    name, model, size, *more = arm.split("/")
    changes = {field: json.loads(value) for field, value in (each.split("=") for each in more)}
    base = replace(
        recipe(name), data=str(data), model=model, size=int(size), weights="none", minutes=0.0, epochs=1, seed=seed
    )
    if "lr" in changes:
        base = replace(base, optim=replace(base.optim, lr=changes.pop("lr")))
    if not base.batch_size:
        top = 128 if base.size <= 64 else 64 if base.size <= 128 else 32
        changes = {"batch_size": min(top, max(8, 2 ** ((pictures // 20).bit_length() - 1)))} | changes
    config = replace(base, **changes)
    return replace(config, batch_size=min(config.batch_size, pictures))


def speed(arm: str, pictures: int) -> dict:
    """Seconds of a step, in the faster of the precisions."""
    config = replace(configured(arm, Path(), pictures, 0), layout="channels-last", accumulate=1)
    shape = asdict(configuration(config.model))
    kinds = {kind: seconds_per_step(shape, replace(config, precision=kind), 3.0) for kind in ("float32", "bfloat16")}
    precision = min(kinds, key=lambda kind: kinds[kind])
    return {"precision": precision, "seconds_per_step": kinds[precision], "batch": config.batch_size}


def cell(arm: str, folder: Path, seconds: float, seed: int, speeds: dict[str, dict]) -> dict:
    """Train one arm for a time, and judge it."""
    pictures = count(folder)
    config = configured(arm, folder / "data", pictures, seed)
    kind, each = speeds[arm]["precision"], speeds[arm]["seconds_per_step"] * config.batch_size / speeds[arm]["batch"]
    steps = max(2, round(seconds / each))
    config = replace(
        config, precision=kind, layout="channels-last", accumulate=1, course=Timeline.straight(steps).breakpoints
    )
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        train(config, Path(out, "run"), {"model", "size", "weights", "batch_size", "course"})
        trained = time.perf_counter() - begin
        judged = evaluate(
            Path(out, "run"), folder / "dev", how=EvaluationOptions(allow_seen=True)
        )  # cifar10's dev is its val
    shown = steps * config.batch_size
    return {
        "arm": arm, "seconds": seconds, "seed": seed, "accuracy": round(judged.score.top1.value, 4), "n": len(judged.labels),
        "shown": shown, "epochs": round(shown / pictures, 2), "steps": steps, "batch": config.batch_size,
        "images_per_second": round(config.batch_size / each, 1), "took": round(trained, 1), "precision": kind,
        "machine": device.describe(), "threads": torch.get_num_threads(),
    }  # fmt: skip


def table(rows: list[dict]) -> str:
    """A line per time: the best arm, and what each of the others loses to it, in points."""
    lines = []
    for seconds in sorted({row["seconds"] for row in rows}):
        found: dict[str, list[float]] = {}
        for row in rows:
            if row["seconds"] == seconds:
                found.setdefault(row["arm"], []).append(100 * row["accuracy"])
        means = {arm: sum(values) / len(values) for arm, values in found.items()}
        order = sorted(means, key=lambda arm: -means[arm])
        others = ", ".join(f"{arm} {means[arm] - means[order[0]]:.1f}" for arm in order[1:])
        lines.append(f"{seconds:g} s: {order[0]} {means[order[0]]:.1f} %; {others}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, nargs="+", default=[20.0, 80.0, 320.0])
    parser.add_argument("--arms", nargs="+", default=ARMS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--work", type=Path, default=Path("runs/grid"))
    parser.add_argument("--speeds", action="store_true", help="measure the speeds of the arms only")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    kept = options.work / "speeds.json"
    speeds = json.loads(kept.read_text()) if kept.is_file() else {}
    speeds |= {arm: speed(arm, count(options.folder)) for arm in options.arms if arm not in speeds}
    kept.write_text(json.dumps(speeds, indent=1))
    if options.speeds:
        return
    file = options.work / f"{options.folder.name}.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    for seed in options.seeds:
        for seconds in options.seconds:
            for arm in options.arms:
                if not any((row["arm"], row["seconds"], row["seed"]) == (arm, seconds, seed) for row in rows):
                    rows.append(cell(arm, options.folder, seconds, seed, speeds))
                    with file.open("a") as lines:
                        print(json.dumps(rows[-1]), file=lines)
                    print(json.dumps({k: rows[-1][k] for k in ("arm", "seconds", "accuracy", "epochs")}), flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()

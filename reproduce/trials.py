"""What the scripts here share: folders of links, trainings repeated over seeds, and differences with an interval."""

import dataclasses
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from reslab.data.catalog import Picture
from reslab.model.run import CONFIG_NAME
from reslab.run.evaluate import evaluate
from reslab.run.train import resume, train
from reslab.train.recipes import recipe


def reslab(*words: str) -> str:
    """What a verb prints on stdout."""
    command = [sys.executable, "-m", "reslab", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def train_or_resume(run: Path, data: str, *flags: str) -> Path:
    """Train into a run folder, or finish what was begun there."""
    if (run / CONFIG_NAME).is_file():
        reslab("resume", str(run))
    else:
        reslab("train", data, *flags, "--out", str(run))
    return run


def link(pictures: Iterable[Picture], target: Path) -> Path:
    """`target/<class>/…`: links to picture files."""
    for picture in pictures:
        place = target / picture.label / picture.key.replace("/", "_")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(Path(picture.source).resolve())
    return target


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training, judged once on pictures that it was not trained on."""

    hits: np.ndarray
    """bool per picture."""
    balanced: float
    seconds: float
    """From the folder to the written report."""


def trial(data: Path, out: Path, seed: int, split: str = "test", **fields: object) -> Trial:
    """Train with the standard recipe and these fields, and score.

    A training that is there already is taken as it is. Validation pictures chose the epoch that is kept; test pictures nothing.
    """
    config = dataclasses.replace(recipe("standard"), data=str(data), seed=seed, **fields)  # type: ignore[arg-type]
    seconds_file = out / "seconds.txt"
    if not seconds_file.is_file():
        begin = time.perf_counter()
        resume(out) if (out / CONFIG_NAME).is_file() else train(config, out, set(fields))
        seconds_file.write_text(f"{time.perf_counter() - begin:.2f}\n")
    judged = evaluate(out, data, split)
    answers = judged.calibrated.argmax(1)
    return Trial(answers == judged.labels, judged.score.balanced_accuracy, float(seconds_file.read_text()))


def summary(trials: list[Trial]) -> dict[str, float]:
    """Mean and spread over seeds, as plain numbers."""
    accuracies = [float(t.hits.mean()) for t in trials]
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    return {
        "seeds": len(trials),
        "accuracy": round(statistics.mean(accuracies), 4),
        "std": round(spread, 4),
        "balanced": round(statistics.mean(t.balanced for t in trials), 4),
        "seconds": round(statistics.median(t.seconds for t in trials), 1),
    }


def difference(a: list[Trial], b: list[Trial]) -> dict[str, float]:
    """Mean accuracy of `a` minus that of `b`, the same seeds and test pictures, with a 95 % interval.

    Bootstrap over both: seeds and pictures are drawn again (percentiles of 2,000).
    """
    return interval(np.stack([x.hits.astype(float) - y.hits for x, y in zip(a, b, strict=True)]))


def interval(gains: np.ndarray) -> dict[str, float]:
    """Mean of `[seeds, pictures]` with its interval."""
    dice, (seeds, n) = np.random.default_rng(0), gains.shape
    means = []
    for _ in range(2000):
        weights = np.bincount(dice.integers(0, n, n), minlength=n)
        means.append(gains[dice.integers(0, seeds, seeds)].mean(0) @ weights / n)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"difference": round(float(gains.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}

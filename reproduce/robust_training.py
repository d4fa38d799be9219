"""What PixMix and LogitNorm cost and give: CIFAR-10, three seeds each, beside the same training without them.

    python reproduce/robust_training.py DATA [--variants plain pixmix ...] [--plain RUN ...] [--photos FOLDER]   (choosing)
    python reproduce/robust_training.py DATA ... --test                                                          (once)

DATA is a folder with train/ and test/. Runs lie in --out as VARIANT-sSEED; an interrupted one goes on where it stood, one
that is done is taken as it is, and --plain names runs that were made elsewhere with the same options, one per seed. Prints
for each run accuracy, ECE and temperature on the validation split, its accuracy under common corruptions where this version
has `eval --corruptions`, and with --photos the figures of `rejection.py`; then each variant against plain on the same
pictures: McNemar's test per seed, and the mean over seeds with a bootstrap interval. With --test all of this on test.
"""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from trials import interval, reslab, train_or_resume

from reslab.evaluate.evaluation import Evaluation, compare
from reslab.run.evaluate import evaluate

OPTIONS = {
    "--recipe": "cifar10_10min", "--epochs": "3", "--precision": "bfloat16", "--val": "0.1", "--label-smoothing": "0.1",
}  # fmt: skip
VARIANTS = {
    "plain": {},
    "pixmix": {"--augment": "quick,pixmix"},
    "logit-norm": {"--logit-norm": "0.04"},
    "logit-norm-hard": {"--logit-norm": "0.04", "--label-smoothing": "0"},  # as in its paper
    "both": {"--augment": "quick,pixmix", "--logit-norm": "0.04"},
}


def trained(data: str, variant: str, seed: int, out: Path) -> Path:
    run = out / f"{variant}-s{seed}"
    flags = [word for pair in (OPTIONS | VARIANTS[variant]).items() for word in pair]
    return train_or_resume(run, data, *flags, "--seed", str(seed))


def judged(run: Path, options: argparse.Namespace) -> Evaluation:
    """Prints everything about one run."""
    split: Any = "test" if options.test else "val"
    found = evaluate(run, options.data, split)
    row = {
        "run": run.name, "split": split, "n": found.score.n, "accuracy": found.score.top1.value,
        "nll": round(found.score.nll, 4), "ece": round(found.score.ece, 4), "temperature": found.temperature,
        "median norm of the logits": round(float(np.median(np.linalg.norm(found.logits, axis=1))), 3),
    }  # fmt: skip
    if find_spec("reslab.evaluate.corruptions"):
        words = reslab("eval", str(run), options.data, "--split", split, "--corruptions", "--json")
        row["corruptions"] = json.loads(words)["corruptions"]
    if options.photos:
        from rejection import judge, outputs_of

        rows = judge(outputs_of(run, options), "known" if options.test else "val")["rows"]
        row["AUROC, FPR@95"] = {name: [round(value, 4) for value in pair] for name, pair in rows.items()}
    print(json.dumps(row), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--variants", nargs="+", default=["plain", "pixmix", "logit-norm"], choices=VARIANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--plain", type=Path, nargs="+", default=[])
    parser.add_argument("--photos")
    parser.add_argument("--out", type=Path, default=Path("runs/robust"))
    parser.add_argument("--cache", type=Path, default=Path("runs/rejection"), help="of rejection.py")
    parser.add_argument("--test", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[Evaluation]] = {}
    for variant in options.variants:
        runs = options.plain if variant == "plain" else []
        runs = runs or [trained(options.data, variant, seed, options.out) for seed in options.seeds]
        found[variant] = [judged(run, options) for run in runs]
    plain = found.pop("plain", [])
    for variant, ours in found.items() if plain else ():
        pairs = [compare(one, other) for one, other in zip(ours, plain, strict=True)]
        gains = np.stack([[a.correct()[k] - float(b.correct()[k]) for k in a.keys] for a, b in zip(ours, plain)])  # noqa: B905
        row = {"variant": variant, "accuracy above plain": interval(gains)}
        row["each seed"] = [{"difference": round(p.difference, 4), "p": round(p.p_value, 4)} for p in pairs]
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()

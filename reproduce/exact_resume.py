"""kill -9 at random moments, resume each time: the same bytes as a run that never stopped.

    python reproduce/exact_resume.py [--kills 30] [--data digits] [--epochs 40] [--seed 0]

Prints one JSON document and exits with 1 if anything differs: the model file, weights, moving average and optimizer of
the last state, and the journal (times excluded).
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from reslab.model.file import read_tensors

CLOCKS = ("seconds", "images_per_second")


def start(*tokens):
    return subprocess.Popen(
        [sys.executable, "-m", "reslab", *map(str, tokens)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def state(run):
    """The tensors and progress of the newest generation."""
    found = [read_tensors(path) for path in sorted((run / "state").glob("*.safetensors"))]
    return max(found, key=lambda generation: generation[1]["progress"]["step"])


def journal(run):
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in CLOCKS} for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--epochs", type=int, default=160)
    parser.add_argument("--wait", type=float, nargs=2, default=(3.0, 8.0), help="seconds from a start to its kill")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    work = Path(tempfile.mkdtemp(prefix="reslab-resume-"))
    whole, parts = work / "whole", work / "parts"
    arguments = ("train", options.data, "--epochs", options.epochs, "--augment", "strong", "--save-seconds", "0.1")
    begin = time.perf_counter()
    assert start(*arguments, "--out", whole).wait() == 0
    length = time.perf_counter() - begin
    kills, steps = 0, []
    process = start(*arguments, "--out", parts)
    while True:
        try:
            code = process.wait(timeout=dice.uniform(*options.wait) if kills < options.kills else None)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            saved = list((parts / "state").glob("*.safetensors"))
            steps.append(state(parts)[1]["progress"]["step"] if saved else 0)
            begun = (parts / "config.json").exists()
            process = start("resume", parts) if begun else start(*arguments, "--out", parts)
            continue
        assert code == 0, f"exit code {code}"
        break
    tensors, others = state(whole)[0], state(parts)[0]
    same = {
        "model bytes": (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes(),
        "weights, average, optimizer": tensors.keys() == others.keys()
        and all(np.array_equal(tensors[name], others[name]) for name in tensors),
        "journal": journal(whole) == journal(parts),
        "evaluation": (whole / "evaluation.json").read_bytes() == (parts / "evaluation.json").read_bytes(),
    }
    kinds = {"network", "average", "optimizer"} & {name.split(".")[0] for name in tensors}
    print(json.dumps({"kills": kills, "steps of the states resumed": steps, "seconds of the whole run": round(length, 1),
                      "kinds of tensors": sorted(kinds), "same": same}, indent=1))  # fmt: skip
    sys.exit(not all(same.values()))


if __name__ == "__main__":
    main()

"""`--minutes M` against the clock, and against a run of the same length set by hand.

    python reproduce/minutes.py DATA [--minutes 1 3] [--model resnet20]

For each M: seconds from the command's start to its end over 60 M (the promise is 0.90 to 1.02), how often the plan changed,
and the validation score; then a run that was set to the same number of steps from the start, without a clock.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from reslab.model.run import read_config, read_journal
from reslab.run.train import train
from reslab.train.recipes import recipe
from reslab.train.schedule import Timeline


def trained(data: str, model: str, out: Path, *length: str) -> dict:
    words = [sys.executable, "-m", "reslab", "train", data, "--model", model, *length, "--out", str(out), "--json"]
    begin = time.perf_counter()
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    seconds = time.perf_counter() - begin
    events = list(read_journal(out))
    steps = [e for e in events if e["event"] == "epoch"][-1]["step"]
    return {
        "seconds": round(seconds, 1), "steps": steps, "epochs": round(steps / read_config(out)["steps_per_epoch"], 2),
        "replans": sum(e["event"] == "replan" for e in events), "val": json.loads(done.stdout)["top1"],
    }  # fmt: skip


def set_by_hand(data: str, model: str, out: Path, steps: int) -> dict:
    """The same training on a straight timeline of so many steps."""
    course = Timeline.straight(steps).breakpoints
    run = train(replace(recipe("standard"), data=data, model=model, epochs=1, course=course), out)
    last = [e for e in read_journal(out) if e["event"] == "epoch"][-1]
    assert run.evaluation is not None
    return {"steps": last["step"], "val": run.evaluation.document()["top1"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 3.0])
    parser.add_argument("--model", default="resnet20")
    options = parser.parse_args()
    for minutes in options.minutes:
        with tempfile.TemporaryDirectory() as folder:
            timed = trained(options.data, options.model, Path(folder, "timed"), "--minutes", str(minutes))
            timed["of_the_time"] = round(timed["seconds"] / 60 / minutes, 3)
            by_hand = set_by_hand(options.data, options.model, Path(folder, "hand"), timed["steps"])
        print(json.dumps({"minutes": minutes, "timed": timed, "by_hand": by_hand}), flush=True)


if __name__ == "__main__":
    main()

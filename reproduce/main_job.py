"""The main job on real pictures, through the command line as a person would type it.

    python reproduce/main_job.py SHARED_DATA [--work FOLDER]

SHARED_DATA holds cifar10/ and ants_bees/ (unzipped). Prints one JSON document: CIFAR-10 with resnet20 after three epochs,
`eval` and `predict` compared on all 10,000 test pictures, and the 398 ants and bees. About ten minutes on two cores.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PREDICT_TOLERANCE = 1e-5  # probabilities from two processes, printed


def reslab(*tokens):
    """Standard output of one command; its progress goes to the terminal."""
    command = [sys.executable, "-m", "reslab", *map(str, tokens)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def agreement(run, data, split):
    """`predict` on the pictures of a split against `eval`, picture by picture."""
    document = json.loads(reslab("eval", run, data, "--split", split, "--json"))
    rows = (run / ("predictions.csv" if split == "val" else f"predictions-{split}.csv")).read_text().splitlines()[1:]
    judged = {}
    for row in rows:
        path, _, answer, probability, _ = row.rsplit(",", 4)
        judged[path] = (answer, float(probability))
    lines = [json.loads(line) for line in reslab("predict", run, data / split, "--json").splitlines()]
    asked = {Path(line["path"]).relative_to(data).as_posix(): (line["label"], line["probability"]) for line in lines}
    differences = [abs(asked[key][1] - judged[key][1]) for key in judged]
    return {
        "top1": document["top1"],
        "n": document["n"],
        "predicted": len(lines),
        "other_label": sum(asked[key][0] != judged[key][0] for key in judged),
        "largest_difference": max(differences),
        "agree": max(differences) <= PREDICT_TOLERANCE,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="reslab-main-job-"))
    report = {}
    begin = time.perf_counter()
    reslab("train", options.data / "cifar10", "--model", "resnet20", "--epochs", "3", "--out", work / "cifar10")
    report["cifar10 train seconds"] = round(time.perf_counter() - begin)
    report["cifar10 test"] = agreement(work / "cifar10", options.data / "cifar10", "test")
    report["ants_bees check"] = json.loads(reslab("check", options.data / "ants_bees", "--json"))["problems"]
    reslab("train", options.data / "ants_bees", "--size", "64", "--epochs", "15", "--out", work / "ants_bees")
    report["ants_bees val"] = json.loads(reslab("eval", work / "ants_bees", options.data / "ants_bees", "--json"))[
        "top1"
    ]
    rows = [
        json.loads(line)
        for line in reslab("predict", work / "ants_bees", options.data / "ants_bees", "--json").splitlines()
    ]
    report["ants_bees predicted"] = {"rows": len(rows), "errors": sum(row["error"] is not None for row in rows)}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

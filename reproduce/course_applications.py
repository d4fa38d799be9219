"""Gather what the detectors and segmentation networks of lesson 17 reached: lessons/results/applications.json.

    python examples/detection/train.py bccd.zip --minutes 15 --out RUNS/bccd
    python benchmarks/detection.py bccd.zip --minutes 15 --out RUNS/fcos
    python examples/segmentation/train.py camvid_small.zip --minutes 60 --out RUNS/camvid
    python benchmarks/segmentation.py camvid_small.zip --minutes 60 --out RUNS/fcn
    python reproduce/course_applications.py RUNS [--out lessons/results/applications.json]

Each of the four is one training; where they ran, and on how many cores, is what the first line of the result says.
"""

import argparse
import datetime
import json
from pathlib import Path

from reslab.system import device
from reslab.system.files import write_json

RUNS = {"bccd": {"ours": "bccd", "FCOS": "fcos"}, "camvid": {"ours": "camvid", "FCN": "fcn"}}
"""Data set -> who -> its run folder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--out", type=Path, default=Path("lessons/results/applications.json"))
    options = parser.parse_args()
    command = [line.strip() for line in (__doc__ or "").splitlines() if line.strip().startswith("python")]
    found = {data: {who: read(options.runs / run) for who, run in runs.items()} for data, runs in RUNS.items()}
    today = datetime.date.today().isoformat()
    write_json(options.out, {"command": "; ".join(command), "machine": device.describe(), "date": today, **found})


def read(run: Path) -> dict:
    """What a training reached; of the path of its data the name alone."""
    found = json.loads((run / "result.json").read_text())
    return found | {"data": Path(found["data"]).name}


if __name__ == "__main__":
    main()

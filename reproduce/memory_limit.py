"""A training under a 2 GB memory limit that the kernel enforces, on pictures that do not fit into its cache.

    sudo python reproduce/memory_limit.py DATA [--limit-mb 2048] [--model resnet18] [--times 20]

Needs Linux and root (control groups). Each time a process in a fresh group with that limit trains a few steps of an
automatic plan (one epoch on a part of DATA, other seeds, other batch sizes asked for); the kernel kills whoever takes
more. Prints how many finished, the plan's division of the batch, and the greatest memory of each.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from reslab.data.sources import read_data

GROUPS = Path("/sys/fs/cgroup")


@contextmanager
def limited(megabytes: int):
    """A control group with a limit; gives the file to write a process number into, and the one that tells the peak."""
    old = (GROUPS / "memory").is_dir()
    group = (GROUPS / "memory" if old else GROUPS) / f"reslab-{os.getpid()}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(megabytes * 2**20))
        yield group / "cgroup.procs", group / ("memory.max_usage_in_bytes" if old else "memory.peak")
    finally:
        group.rmdir()


def train(data: Path, model: str, size: int, number: int, megabytes: int) -> dict:
    """One training under the limit."""
    with tempfile.TemporaryDirectory() as folder, limited(megabytes) as (members, peak):
        words = [
            sys.executable,
            "-m",
            "reslab",
            "train",
            str(data),
            "--model",
            model,
            "--size",
            str(size),
            "--epochs",
            "1",
        ]
        words += ["--seed", str(number), "--out", f"{folder}/run"] + (["--batch-size", "256"] if number % 2 else [])
        done = subprocess.run(
            words, preexec_fn=lambda: members.write_text(str(os.getpid())), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        row = {"rc": done.returncode, "peak_mb": int(peak.read_text()) // 2**20}
        if done.returncode:
            return row | {"said": done.stderr.splitlines()[-2:]}
        config = json.loads(Path(folder, "run/config.json").read_text())["config"]
        return row | {key: config[key] for key in ("batch_size", "accumulate", "precision")}


def part(data: Path, pictures: int, target: Path) -> Path:
    """Links to some pictures of each class."""
    chosen = [p for p in read_data(data).pictures if p.split in (None, "train")]
    for picture in chosen[:: max(1, len(chosen) // pictures)][:pictures]:
        link = target / picture.label / picture.key.replace("/", "_")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(picture.source).resolve())
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit-mb", type=int, default=2048)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=150)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = part(options.data, options.pictures, Path(folder))
        rows = []
        for number in range(options.times):
            rows.append(train(data, options.model, options.size, number, options.limit_mb))
            print(json.dumps(rows[-1]), flush=True)
    finished = sum(row["rc"] == 0 for row in rows)
    print(
        json.dumps(
            {
                "finished": finished,
                "of": len(rows),
                "limit_mb": options.limit_mb,
                "greatest_mb": max(r["peak_mb"] for r in rows),
            }
        )
    )
    sys.exit(finished != len(rows))


if __name__ == "__main__":
    main()

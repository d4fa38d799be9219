"""What a picture costs in one bulk run as their number grows: processor time, and the memory of all its processes.

    python benchmarks/bulk_growth.py [--verb predict] [--counts 10000 100000 1000000] [--processes 1] [--folder FOLDER]

Each count gets shards of so many small pictures (16 px PNG) of about 20 MB below FOLDER, kept for the next time: a million take
2.1 GB. For `--verb predict` 4,096 pictures come again and again; for `--verb check`, whose cost depends on what it sees, all are
different, and a line tells of looking (`check --near --parts --share 0/1`), another of judging (without `--share`). Each is a
command of its own, whose processes compute with one thread. Printed for each count: parts, rows written, processor seconds per
thousand pictures, and the largest sum of resident memory of the command and its processes, looked at four times a second.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pyarrow import parquet

from reslab.data.archives.shards import INDEX_NAME
from reslab.data.archives.write import write_shards
from reslab.data.catalog import Catalog, Picture
from reslab.pixels.encode import encode_picture

SMALL, DIFFERENT, CLASSES, SHARD_BYTES = (8, 8, 3), 4096, 10, 20_000_000
MODEL = "cifar10_resnet20"
PAUSE = 0.25  # seconds between two looks at memory


def fill(folder: Path, count: int, different: int) -> Path:
    """Shards of `count` pictures, so many of them different."""
    place = folder / f"{count}-{different}"
    if not (place / INDEX_NAME).exists():
        dice = np.random.default_rng(0)
        files = [
            encode_picture(dice.integers(0, 256, SMALL, np.uint8).repeat(2, 0).repeat(2, 1)) for _ in range(different)
        ]
        named = (Picture(f"{n % CLASSES}/{n:08d}.png", files[n % different], str(n % CLASSES)) for n in range(count))
        write_shards(Catalog("growth", str(place), tuple(named)), place, SHARD_BYTES)
    return place


def resident(pid: int) -> float:
    """Megabytes of a process and its descendants; of one that has just ended, none."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(map(resident, children))


def measured(words: list[str]) -> tuple[float, float, float]:
    """Processor seconds, seconds and megabytes of a command and its processes."""
    begun, peak = time.perf_counter(), 0.0
    quiet, environment = subprocess.DEVNULL, os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "reslab", *words], env=environment, stdout=quiet, stderr=quiet)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, resident(process.pid))
        time.sleep(PAUSE)
    if os.waitstatus_to_exitcode(status) not in (0, 1):  # 1: a check has found errors
        raise SystemExit(f"reslab {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verb", choices=("predict", "check"), default="predict")
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "reslab-bulk-growth"))
    options = parser.parse_args()
    print("         pictures  parts      rows  CPU s per 1,000  seconds  peak MB", flush=True)
    for count in options.counts:
        shards = fill(options.folder, count, min(count, DIFFERENT) if options.verb == "predict" else count)
        out = options.folder / f"{count}-{options.verb}"
        shutil.rmtree(out, ignore_errors=True)
        look = ["check", str(shards), "--near", "--parts", str(out)]
        commands = {
            "predict": {"predict": ["predict", MODEL, str(shards), "--parquet", str(out)]},
            "check": {"look": [*look, "--share", "0/1"], "judge": look},
        }[options.verb]
        for what, words in commands.items():
            cpu, seconds, peak = measured([*words, "--processes", str(options.processes)])
            files = list(out.glob("*.parquet"))
            rows, each = sum(parquet.read_metadata(file).num_rows for file in files), 1000 * cpu / count
            print(f"{what:8} {count:8} {len(files):6} {rows:9} {each:16.3f} {seconds:8.0f} {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()

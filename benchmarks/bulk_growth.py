"""What a picture costs in one `predict --parquet` as their number grows: processor time, and the memory of all its processes.

    python benchmarks/bulk_growth.py [--counts 10000 100000 1000000] [--processes 1] [--model cifar10_resnet20] [--folder FOLDER]

Each count gets shards of so many small pictures (16 px PNG, 4,096 different ones again and again) of about 20 MB below FOLDER,
kept for the next time: a million take 2.1 GB. Each run is a command of its own, whose processes compute with one thread.
Printed for each count: parts, rows written, processor seconds per thousand pictures, and the largest sum of resident memory
of the command and its processes, looked at four times a second.
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

SIDE, DIFFERENT, CLASSES, SHARD_BYTES = 16, 4096, 10, 20_000_000
PAUSE = 0.25  # seconds between two looks at memory


def fill(folder: Path, count: int) -> Path:
    """Shards of `count` pictures."""
    place = folder / f"{count}"
    if not (place / INDEX_NAME).exists():
        pixels = np.random.default_rng(0).integers(0, 256, (DIFFERENT, SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
        files = [encode_picture(one.repeat(4, 0).repeat(4, 1)) for one in pixels]
        named = (Picture(f"{n % CLASSES}/{n:08d}.png", files[n % DIFFERENT], str(n % CLASSES)) for n in range(count))
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
    process = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, resident(process.pid))
        time.sleep(PAUSE)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--model", default="cifar10_resnet20")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "reslab-bulk-growth"))
    options = parser.parse_args()
    print("pictures  parts      rows  CPU s per 1,000  seconds  peak MB", flush=True)
    for count in options.counts:
        shards, out = fill(options.folder, count), options.folder / f"{count}-answers"
        shutil.rmtree(out, ignore_errors=True)
        words = [sys.executable, "-m", "reslab", "predict", options.model, str(shards), "--parquet", str(out)]
        cpu, seconds, peak = measured([*words, "--processes", str(options.processes)])
        files = list(out.glob("*.parquet"))
        rows = sum(parquet.read_metadata(file).num_rows for file in files)
        print(f"{count:8} {len(files):6} {rows:9} {1000 * cpu / count:16.3f} {seconds:8.0f} {peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()

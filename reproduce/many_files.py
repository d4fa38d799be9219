"""`predict` on ten thousand files: does its memory stay, and does it go on after kill -9?

    python reproduce/many_files.py [--files 10000] [--model cifar10_resnet20] [--kills 3]

Writes small JPEG files, every hundredth of them broken, into a temporary folder; answers for all of them with `--csv`, once
undisturbed while the memory of the process is watched, and once killed so many times at even distances. Prints the
resident memory after the first tenth and the greatest after it, the rate, and whether both tables are equal byte for byte.
"""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64


def write_files(folder: Path, count: int) -> None:
    """`folder/00000.jpg`, …: noise on a coloured ground."""
    folder.mkdir()
    for number in range(count):
        dice = np.random.default_rng(number)
        pixels = dice.integers(0, 256, 3) + dice.normal(0, 30, (SIDE, SIDE, 3))
        file = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG")
        (folder / f"{number:05d}.jpg").write_bytes(file.getvalue()[: 500 if number % 100 == 99 else None])


def begin(model: str, folder: Path, out: Path) -> subprocess.Popen:
    words = [sys.executable, "-m", "reslab", "predict", model, str(folder), "--csv", str(out)]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rows_in(out: Path) -> int:
    part = out.with_name(f"{out.name}.part")
    return part.read_bytes().count(b"\n") - 1 if part.exists() else 0


def resident(process: subprocess.Popen) -> float:
    """Megabytes, as Linux tells."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def watched(model: str, folder: Path, out: Path, count: int) -> dict:
    """One run, its memory looked at five times a second."""
    process, started, early, later = begin(model, folder, out), time.perf_counter(), 0.0, 0.0
    while process.poll() is None:
        try:
            if rows_in(out) < count / 10:
                early = max(early, resident(process))
            else:
                later = max(later, resident(process))
        except (OSError, IndexError):  # it has just ended
            break
        time.sleep(0.2)
    assert process.wait() == 0
    seconds = time.perf_counter() - started
    return {
        "files_per_second": round(count / seconds, 1),
        "mb_first_tenth": round(early, 1),
        "mb_after": round(later, 1),
    }


def killed(model: str, folder: Path, out: Path, count: int, kills: int) -> list[int]:
    """How many rows were there at each kill."""
    found = []
    for number in range(kills):
        process = begin(model, folder, out)
        while process.poll() is None and rows_in(out) < count * (number + 1) / (kills + 1):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found.append(rows_in(out))
    assert begin(model, folder, out).wait() == 0
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--model", default="cifar10_resnet20")
    parser.add_argument("--kills", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder, whole, pieces = Path(work) / "files", Path(work) / "whole.csv", Path(work) / "pieces.csv"
        write_files(folder, options.files)
        report = {"files": options.files} | watched(options.model, folder, whole, options.files)
        report["rows_at_kills"] = killed(options.model, folder, pieces, options.files, options.kills)
        report["rows"] = whole.read_bytes().count(b"\n") - 1
        report["equal"] = whole.read_bytes() == pieces.read_bytes()
    print(json.dumps(report, indent=1))
    sys.exit(not report["equal"] or report["rows"] != options.files)


if __name__ == "__main__":
    main()

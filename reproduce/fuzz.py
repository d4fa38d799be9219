"""Mutated input through every door, many times: foreign exceptions, and cases beyond their budget of time or memory.

    python reproduce/fuzz.py [--cases 100000] [--seed 0] [--doors pictures bodies headers tables]

The cases are those of `tests/fuzz/`, drawn without end from the seed; every door gets an equal share of them. Each door runs
in a process of its own, so that a crash is a finding as well. Prints one JSON document: per door the number of cases,
the findings (the case's number and what was raised), CPU seconds of the slowest case, and megabytes above the start at the
peak. Exit code 1 where anything was found.
"""

import argparse
import importlib
import itertools
import json
import multiprocessing
import os
import resource
import sys
import time
import traceback
from pathlib import Path

SECONDS = 12.0  # CPU, of one case
MEGABYTES = 600.0  # above the start, at any time
DOORS = ("pictures", "bodies", "headers", "tables")
SHOWN = 20  # findings per door


def fuzz(door: str, seed: int, count: int, results: "multiprocessing.SimpleQueue[dict]") -> None:
    """Run `count` cases of one door; the row says what was found."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    module = importlib.import_module(f"tests.fuzz.test_{door}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff writes there about every damaged strip
    start, findings, slowest, done = peak_megabytes(), [], 0.0, 0
    for number, case in enumerate(itertools.islice(module.cases(seed), count)):
        began = time.process_time()
        try:
            module.check_one(case)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            findings.append(
                {
                    "case": number,
                    "error": f"{type(error).__name__}: {error}"[:300],
                    "at": f"{where.name}:{where.lineno}",
                }
            )
        seconds = time.process_time() - began
        if seconds > SECONDS:
            findings.append({"case": number, "error": f"{seconds:.1f} CPU seconds"})
        slowest, done = max(slowest, seconds), done + 1
    above = peak_megabytes() - start
    if above > MEGABYTES:
        findings.append({"error": f"{above:.0f} MB above the start"})
    results.put({
        "door": door, "cases": done, "findings": len(findings), "shown": findings[:SHOWN],
        "slowest_cpu_seconds": round(slowest, 2), "megabytes_above_start": round(above),
    })  # fmt: skip


def peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000, help="over all doors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--doors", nargs="+", choices=DOORS, default=DOORS)
    asked = parser.parse_args()
    context, rows = multiprocessing.get_context("spawn"), []
    for door in asked.doors:
        results = context.SimpleQueue()
        process = context.Process(target=fuzz, args=(door, asked.seed, asked.cases // len(asked.doors), results))
        process.start()
        process.join()
        rows.append({"door": door, "findings": 1, "crashed": process.exitcode} if results.empty() else results.get())
        print(json.dumps(rows[-1], indent=1), file=sys.stderr)
    print(json.dumps({"schema": 1, "seed": asked.seed, "doors": rows}, indent=1))
    return int(any(row["findings"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())

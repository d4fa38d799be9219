"""How long one waits for an answer that computes nothing: each verb beside `import torch`, and beside other tools.

    python benchmarks/startup.py [--repeat 5] [--cpu] [--before PYTHON]

Every command is a fresh process. They are run in turn, `import torch` among them, so that a busy machine slows all alike;
the median counts. `--cpu` takes the processor's time instead of the clock's. `--before` measures the ResLab of another
interpreter in the same turns. The target is 0.3 of `import torch`, and for a training 0.6 s more than that.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

BEGINS = """
from dataclasses import replace
import reslab
def stop(event):
    if event["event"] == "check":
        raise SystemExit
reslab.fit(replace(reslab.recipe("standard"), data="digits", epochs=1), on_event=stop)
"""
OURS = {
    "--help": ["--help"], "train --help": ["train", "--help"], "train, a misspelt flag": ["train", "digits", "--epohs", "3"],
    "train, an unknown model": ["train", "digits", "--model", "resnet21"],
    "train, an unknown recipe": ["train", "digits", "--recipe", "x"],
    "train, no such path": ["train", "nowhere"], "runs": ["runs"], "report, no such run": ["report", "nowhere"],
    "models": ["models"], "models resnet50": ["models", "resnet50"], "check digits": ["check", "digits"],
    "predict --help": ["predict", "--help"], "eval, no such model": ["eval", "nowhere", "digits"],
    "export --help": ["export", "--help"], "search --help": ["search", "--help"], "study": ["study"],
}  # fmt: skip
PEERS = {
    "yolo help": ("ultralytics", "from ultralytics.cfg import entrypoint; entrypoint('help')"),
    "timm, list of models": ("timm", "import timm; timm.list_models()"),
}
TORCH = "import torch"


def seconds(command: list[str], place: str, cpu: bool) -> float:
    """What one run of a command takes."""
    before, begun = os.times(), time.perf_counter()
    subprocess.run(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    spent, after = time.perf_counter() - begun, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used if cpu else spent


def commands(python: str, mark: str) -> dict[str, list[str]]:
    """What is measured of a ResLab."""
    found = {f"{name}{mark}": [python, "-m", "reslab", *words] for name, words in OURS.items()}
    return found | {f"train digits, to its first picture{mark}": [python, "-c", BEGINS]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--before", type=Path, help="the interpreter of another installation")
    options = parser.parse_args()
    measured = {TORCH: [sys.executable, "-c", TORCH]} | commands(sys.executable, "")
    if options.before:
        measured |= commands(str(options.before), ", before")
    missing = [name for name, (package, _) in PEERS.items() if find_spec(package) is None]
    measured |= {name: [sys.executable, "-c", code] for name, (_, code) in PEERS.items() if name not in missing}
    times: dict[str, list[float]] = {name: [] for name in measured}
    with tempfile.TemporaryDirectory() as place:
        for _ in range(options.repeat):
            for name, command in measured.items():
                times[name].append(seconds(command, place, options.cpu))
    torch = statistics.median(times[TORCH])
    unit = "CPU s" if options.cpu else "s"
    print(f"{'command':45} {unit:>6} {'of import torch':>16}")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:45} {median:6.2f} {median / torch:16.2f}")
    for name in missing:
        print(f"{name:45} not installed")


if __name__ == "__main__":
    main()

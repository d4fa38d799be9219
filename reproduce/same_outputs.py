"""Two versions of ResLab, one list of commands: are their documents, files, errors and exit codes the same?

    python reproduce/same_outputs.py OLD NEW [--begun CHECKOUT] [--only WORD …] [--keep FOLDER]

OLD and NEW are checkouts. Each runs the same commands in a folder of its own with the same small pictures, one thread and no
network; a run that the version --begun began (OLD by default; killed after two epochs) is resumed by both, and both read its
model file. Compared are exit codes, JSON on standard output and in files (without seconds, dates, speeds, versions and paths
of the checkout), CSV tables, the model's bytes, and standard error where a command is refused. Prints one row per command;
what differs is shown. Differences on purpose are listed by hand in `INTENDED` and shown as such. Exit code 1 where anything
else differs.
"""

import argparse
import difflib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SMALL = "--model resnet20 --size 16 --epochs 2 --layout channels-last --precision float32 --seed 3"
VOLATILE = re.compile(
    r"second|speed|per_image|date|time|machine|version|data_path|torch|images_per|milliseconds|memory|sha256_of_config"
)
SHOWN = 12  # lines of a difference


@dataclass(frozen=True)
class Command:
    """One command line, and the files that it leaves to be compared."""

    words: str
    files: tuple[str, ...] = ()


RUN_FILES = ("model.safetensors", "split.csv", "evaluation.json", "predictions.csv", "config.json")


def run_files(folder: str, *more: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in (*RUN_FILES, *more))


COMMANDS = (
    Command("models --json"),
    Command("models resnet50 --json"),
    Command("check pictures --json"),
    Command("check table.csv --json"),
    Command("check labels.csv --json"),
    Command("check broken --json"),
    Command("check nowhere"),
    Command(f"train pictures {SMALL} --out runs/single", run_files("runs/single")),
    Command(f"train table.csv {SMALL} --group-by parent --out runs/table"),
    Command(f"train labels.csv {SMALL} --out runs/multi", run_files("runs/multi")),
    Command(f"train pictures {SMALL} --folds 2 --out runs/folds", run_files("runs/folds", "evaluation-oof.json")),
    Command(
        f"train pictures {SMALL} --balance weights --augment hflip --out runs/balanced", run_files("runs/balanced")
    ),
    Command(f"train pictures {SMALL} --teacher runs/single --out runs/taught", run_files("runs/taught")),
    Command(
        f"train pictures {SMALL} --weights runs/single --finetune head --out runs/tuned",
        run_files("runs/tuned"),
    ),
    Command(f"train pictures {SMALL} --recipe article --out runs/article", run_files("runs/article")),
    Command(f"train broken {SMALL} --out runs/refused"),
    Command(f"train broken {SMALL} --skip-bad --out runs/skipped", run_files("runs/skipped")),
    Command(f"train pictures {SMALL} --out runs/single"),
    Command("train pictures --model resnet21"),
    Command("train pictures --epoch 3"),
    Command("resume runs/begun", run_files("runs/begun")),
    Command("resume runs/single --epochs 3", run_files("runs/single")),
    Command("eval runs/single pictures --json"),
    Command("eval runs/single pictures --split train --allow-seen --csv rows.csv --json", ("rows.csv",)),
    Command("eval runs/single pictures --split train"),
    Command("eval runs/multi labels.csv --json"),
    Command("eval runs/single labels.csv"),
    Command("compare runs/single runs/taught pictures --json"),
    Command("predict runs/single pictures --json"),
    Command("predict runs/single pictures/a/00.png nothing.png broken --json"),
    Command("predict runs/multi pictures --csv multi.csv", ("multi.csv",)),
    Command("predict cifar10_resnet20 pictures --json"),
    Command("predict runs/single/model.safetensors pictures --csv rows2.csv", ("rows2.csv",)),
    Command("predict nothing.safetensors pictures"),
    Command("explain runs/single pictures/a --out maps --json"),
    Command("export runs/single --out single.onnx --json"),
    Command("predict single.onnx pictures --json"),
    Command("export runs/multi --out multi.onnx --data labels.csv --json"),
    Command("eval single.onnx pictures --json"),
    Command("report runs/single"),
    Command("runs --json"),
    Command("eval old.safetensors pictures --json"),
    Command("train pictures --minutes 0"),
    Command("predict runs/single"),
    Command("nothing"),
)


FURTHER_KEYS = {"reasons"}
"""Keys that the newer version alone writes: in config.json, the key and values of each reason, so that it is translated."""

INTENDED: tuple[tuple[str, str], ...] = (
    (r'config\.json: [-+]\s+"reason": "', "the sentence of a reason is worded anew"),
    (r"problem\(s\) in broken must be fixed|thing\(s\) in broken must be mended", "plainer sentence"),
    (r"the model gives each picture one label", "one sentence for every task (tasks.task.check_labels)"),
    (r"a random ranking: mAP|ranking without a look: mAP", "plainer sentence"),
    (
        r'"model": "[0-9a-f]{64}"',
        "sha256 of an exported file: PyTorch's exporter writes names of source lines into its nodes",
    ),
)
"""What differs on purpose: a pattern of the line, and why."""


def lay_out(folder: Path) -> None:
    """The same pictures and tables for either version."""
    for label, mean in (("a", 60), ("b", 120), ("c", 190)):
        (folder / "pictures" / label).mkdir(parents=True)
        for number in range(24):
            dice = np.random.default_rng([mean, number])
            pixels = np.clip(dice.normal(mean, 45, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / label / f"{number:02d}.png")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.glob("pictures/*/*.png"))
    (folder / "table.csv").write_text("path,label\n" + "".join(f"{n},{n.split('/')[1]}\n" for n in names))
    several = (f"{n},{n.split('/')[1]}{';odd' if i % 2 else ''}\n" for i, n in enumerate(names))
    (folder / "labels.csv").write_text("path,labels\n" + "".join(several))
    for number, name in enumerate(names):
        target = folder / name.replace("pictures", "broken", 1)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((folder / name).read_bytes()[: 90 if number == 7 else None])


def run(checkout: Path, work: Path, words: str, stop_after_epochs: int = 0) -> tuple[int, str, str]:
    """One command by the version in `checkout`: exit code, standard output, standard error."""
    environment = {
        **os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1",
        "RESLAB_MIRROR": "http://127.0.0.1:9", "RESLAB_CACHE": str(work / "cache"), "ORT_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "reslab", *words.split()], cwd=work, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    journal = work / words.split()[-1] / "journal.jsonl"
    while stop_after_epochs and process.poll() is None:
        if journal.exists() and journal.read_text().count('"epoch",') > stop_after_epochs:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.01)
    out, err = process.communicate()
    return process.returncode, out, err


def comparable(text: str, work: Path) -> Any:
    """JSON or JSON Lines without what differs from run to run; other text as it is."""
    text = text.replace(str(work), "WORK")
    try:
        return steady(json.loads(text))
    except ValueError:
        pass
    try:
        return [steady(json.loads(line)) for line in text.splitlines()]
    except ValueError:
        return re.sub(r"\d+(\.\d+)? (s|seconds|min|images/s|GB)\b", "MEASURED", text)


def steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: steady(inner) for key, inner in value.items() if not VOLATILE.search(key) and key not in FURTHER_KEYS
        }
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def outcome(result: tuple[int, str, str], command: Command, work: Path) -> dict[str, Any]:
    """All of one command that is compared."""
    code, out, err = result
    found: dict[str, Any] = {"exit": code, "stdout": comparable(out, work)}
    if code:
        found["stderr"] = comparable(err, work)
    for name in command.files:
        path = work / name
        data = path.read_bytes() if path.exists() else None
        found[name] = data if data is None or path.suffix == ".safetensors" else comparable(data.decode(), work)
    return found


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for name in old:
        if old[name] == new[name]:
            continue
        if isinstance(old[name], bytes | None) or isinstance(new[name], bytes | None):
            yield f"{name}: bytes differ"
            continue
        before, after = (json.dumps(side[name], indent=1, sort_keys=True).splitlines() for side in (old, new))
        lines = [
            line for line in difflib.unified_diff(before, after, lineterm="", n=0) if line[:2] not in ("--", "++", "@@")
        ]
        yield from (f"{name}: {line}" for line in lines[:SHOWN])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="commands that hold one of these words")
    parser.add_argument("--keep", type=Path, help="an empty folder for the work, kept")
    parser.add_argument("--begun", type=Path, help="the checkout whose run is resumed and whose model file is read")
    asked = parser.parse_args()
    begun = (asked.begun or asked.old).resolve()
    root = asked.keep or Path(tempfile.mkdtemp(prefix="reslab-same-"))
    sides = {"old": asked.old.resolve(), "new": asked.new.resolve()}
    for side in sides:
        lay_out(root / side)
        longer = SMALL.replace("--epochs 2", "--epochs 6")
        run(begun, root / side, f"train pictures {longer} --out runs/begun", stop_after_epochs=2)
        run(begun, root / side, f"train pictures {SMALL} --out runs/old")
        (root / side / "runs/old/model.safetensors").rename(root / side / "old.safetensors")
        (root / side / "runs/old").rename(root / side / "ignored")
    differing = 0
    for command in COMMANDS:
        if asked.only and not any(word in command.words for word in asked.only):
            continue
        found = {
            side: outcome(run(checkout, root / side, command.words), command, root / side)
            for side, checkout in sides.items()
        }
        lines = list(differences(found["old"], found["new"]))
        meant = {line: why for line in lines for pattern, why in INTENDED if re.search(pattern, line)}
        unexpected = [line for line in lines if line not in meant]
        differing += bool(unexpected)
        verdict = "differs" if unexpected else "as meant" if lines else "same"
        print(f"{verdict:9}(exit {found['new']['exit']})", command.words, flush=True)
        for line in lines:
            print(f"    {line}" + (f"    [{meant[line]}]" if line in meant else ""), flush=True)
    print(f"{differing} of {len(COMMANDS)} commands differ in what was not meant")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())

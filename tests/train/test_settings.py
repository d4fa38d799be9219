"""A setting is one row: a copy of the package gets a new one, and its flag, help, report line, command and refusal follow."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import reslab
from reslab.train.config import SETTINGS
from tests.report.folders import make_run

PACKAGE = Path(reslab.__file__).parent
ROW = '    dropout: float = setting(0.0, SHARE, "Share of the pooled features that a step leaves out.")\n'

_CHILD = """
import json, sys
from pathlib import Path
from reslab.cli.app import run
from reslab.report.folder import read_run
from reslab.report.page import render
from reslab.report.remake import remake
made = read_run(Path(sys.argv[1]))
print(json.dumps([remake(made).command, render(made)]))
print(run(["train", "--help"]), run(["train", "digits", "--dropout", "1"]), run(["train", "digits", "--dropout", "x"]))
"""


def with_new_setting(place):
    """A copy of the package with one more setting, and the files that were changed for it."""
    shutil.copytree(PACKAGE, place / "reslab", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    changed = []
    for path in sorted((place / "reslab").rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines):
            if line.startswith("    workers: int = setting("):
                lines.insert(number, ROW)
                break
            if '"setting.workers":' in line:
                text = line.partition(": ")[2]
                lines.insert(number, '    "setting.dropout": ' + re.sub('"[^"]+"', '"zzq words"', text))
                break
        else:
            continue
        path.write_text("".join(lines), encoding="utf-8")
        changed.append(path)
    return changed


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    """What that copy says of a run in which a person chose the new setting."""
    place = tmp_path_factory.mktemp("copy")
    changed = with_new_setting(place)
    run = make_run(place / "run", splits=(), dropout=0.25)
    document = json.loads((run / "config.json").read_text())
    document["origins"] = {"dropout": {"origin": "user", "reason": ""}}
    (run / "config.json").write_text(json.dumps(document))
    environment = {**os.environ, "PYTHONPATH": str(place), "COLUMNS": "160"}
    words = [sys.executable, "-c", _CHILD, run]
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    command, page = json.loads(done.stdout.splitlines()[0])
    return changed, command, page, done.stdout, done.stderr


def test_a_new_setting_is_written_into_at_most_three_files(child):
    changed, *_ = child
    assert 2 <= len(changed) <= 3 and {path.name for path in changed} >= {"config.py"}


def test_its_flag_and_help_follow(child):
    *_, out, _ = child
    assert re.search(r"--dropout FLOAT +Share of the pooled features that a step leaves out\.", out)
    assert out.splitlines()[-1] == "0 2 2"


def test_its_line_in_the_report_and_its_words_in_the_command_follow(child):
    _, command, page, *_ = child
    assert command == "reslab train nowhere --dropout 0.25"
    assert "zzq words" in page and "<code>dropout</code>" in page


def test_its_refusals_follow(child):
    *_, err = child
    assert "error: --dropout 1 is not between 0 and 1\nhint: give a number from 0, below 1" in err
    assert 'error: invalid value for --dropout: unable to convert "x" into float' in err


def test_every_flag_has_a_help_and_every_number_a_bound():
    assert len([row for row in SETTINGS.values() if row.help]) > 30
    numbers = {
        name: row for name, row in SETTINGS.items() if row.kind in (int, float) and not name.startswith("schedule.")
    }
    assert [name for name, row in numbers.items() if row.allowed is None] == []

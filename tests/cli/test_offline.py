"""No verb looks up a name, connects to anything, or writes into the home folder, whatever its libraries would like to do.

The variables that silence onnxruntime elsewhere (`CI`, `ORT_DISABLE_TELEMETRY`) are taken away first.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from reslab.cli.app import VERBS
from reslab.export.options import NUMBERS
from reslab.model.run import packaged_file
from tests.export.foreigners import NAMES, nearest_colour
from tests.pictures import colour_folder

SILENCING = ("CI", "ORT_DISABLE_TELEMETRY", "RESLAB_CACHE", "RESLAB_MIRROR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
GRAPH = packaged_file("cifar10_resnet20", ".onnx")
TALK = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(.*(sin_port|sin6_port|resolve)")
"""A system call that reaches for another machine or asks for a name."""

SMALL = ("--model", "resnet20", "--size", "16", "--layout", "channels-last", "--epochs", "1")
COMMANDS = (
    ("check", "data"), ("check", "data", "--deep", "--html", "check.html"),
    ("shard", "data", "shards"), ("check", "shards"), ("predict", "cifar10_resnet20", "shards"),
    ("train", "data", *SMALL, "--out", "run"), ("resume", "run"), ("report", "run"), ("runs",), ("models",),
    ("preview", "data", "--out", "sheet.png"), ("export", "run", "--out", "m.onnx"), ("predict", "m.onnx", "data"),
    ("predict", "m.onnx", "data", "--engine", "openvino"), ("eval", "m.onnx", "data", "--split", "val"),
    ("explain", str(GRAPH), "data/green/000.png", "--out", "heat.png"), ("embed", "run", "data"),
    ("near", "run", "data", "data/green/000.png", "--features", "run/features.npz", "--html", "near.html"),
    ("bench", "m.onnx", "--seconds", "0.1"),
    ("compare", "run", "m.onnx", "data", "--split", "val"), ("study",), ("lr-find", "data", *SMALL),
    ("review", "run", "--html", "review.html"),
    ("search", "data", *SMALL, "--minutes", "0.1", "--out", "search"), ("demo", "--epochs", "1", "--out", "demo"),
    ("learn",), ("learn", "1"), ("learn", "start", "3.2", "--out", "begun.py"), ("learn", "check", "3.2", "mine.py"),
    ("learn", "hint", "2.1"), ("learn", "notebook", "1", "--out", "one.ipynb"),
    ("adopt", "theirs.onnx", "--classes", "names.txt", "--data", "data", "--out", "ours.onnx"),
)  # fmt: skip
VERBS_BY_SERVER = {"serve"}
RIGHT = "from reslab.learn.check import exercise\n\nhead = exercise('3.2').expected\n"
KEPT = "home/.cache/reslab/learn"
"""The pages of the course and a reader's progress: the one thing that is kept at home."""
RUN_THEM = """
import json, sys
from reslab.cli.app import run
for words in json.loads(sys.argv[1]):
    code = run(words)
    assert code == 0, (words, code)
"""


def test_every_verb_is_tried():
    assert {words[0] for words in COMMANDS} | VERBS_BY_SERVER == set(VERBS)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "home").mkdir()
    colour_folder(tmp_path / "data", each=30)
    return tmp_path


def watched(words, place):
    """A process with an empty home, its system calls on the network written down where `strace` can do that."""
    environment = {k: v for k, v in os.environ.items() if k not in SILENCING} | {"HOME": str(place / "home")}
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=network", "-o", str(place / "net.txt")]
    if shutil.which("strace") and subprocess.run([*strace, "true"], capture_output=True).returncode == 0:
        words = [*strace, *words]
    return subprocess.Popen(
        words, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def refuse_traces(place):
    left = [path for path in (place / "home").rglob("*") if path.is_file()]
    assert [path for path in left if not path.is_relative_to(place / KEPT)] == []
    if not (place / "net.txt").exists():
        pytest.skip("the home stayed empty; strace, which shows look-ups, is missing or forbidden here")
    assert [line for line in (place / "net.txt").read_text().splitlines() if TALK.search(line)] == []


def test_no_verb_talks_or_leaves_anything_in_the_home(place):
    pytest.importorskip("openvino")
    nearest_colour(place / "theirs.onnx", *NUMBERS["0-1"])
    (place / "names.txt").write_text("\n".join(NAMES))
    (place / "mine.py").write_text(RIGHT)
    child = watched([sys.executable, "-c", RUN_THEM, json.dumps(COMMANDS)], place)
    output, _ = child.communicate(timeout=500)
    assert child.returncode == 0, output
    refuse_traces(place)


def test_a_server_talks_to_those_who_ask_it_only(place):
    child = watched([sys.executable, "-m", "reslab", "serve", "cifar10_resnet20", "--port", "0"], place)
    try:
        for line in child.stdout:
            if found := re.search(r"http://\S+?:\d+", line):
                break
        body = next((place / "data").rglob("*.png")).read_bytes()
        asked = urllib.request.Request(found[0] + "/predict", body, {"Content-Type": "image/png"})
        assert urllib.request.build_opener().open(asked, timeout=30).status == 200
        time.sleep(3)  # reports go out in the background
    finally:
        pid = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(child.pid)], capture_output=True, text=True
        ).stdout.split()
        os.kill(int(pid[0]) if "strace" in str(child.args[0]) else child.pid, signal.SIGTERM)
        child.communicate(timeout=60)
    refuse_traces(place)

"""Help, mistakes and lists are answered at once: each verb says what it does without, in a process of its own."""

import json
import subprocess
import sys

import pytest

from reslab.cli.app import VERBS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")

HEAVY = {
    "torch", "torchvision", "torch._dynamo", "sklearn", "scipy", "pandas", "sympy", "onnx", "onnxscript", "onnxruntime",
    "openvino", "optuna", "pyarrow", "filelock", "fastapi", "uvicorn", "tensorboard", "matplotlib",
}  # fmt: skip
"""Each takes from a tenth of a second to several."""

AT_ONCE = {
    "demo": [["--help"], ["--epochs", "three"]],
    "models": [["--help"], [], ["resnet50"], ["resnet1202", "--json"], ["resnet21"]],
    "check": [["--help"], ["digits", "--json"], ["nowhere"]],
    "shard": [["--help"], ["nowhere", "out"], ["digits", "digits-shards"], ["s4://a/b", "out"]],
    "preview": [["--help"], ["nowhere", "--out", "a.png"]],
    "train": [
        ["--help"], ["digits", "--epohs", "3"], ["nowhere"], ["digits", "--model", "resnet21"], ["digits", "--recipe", "paprr"],
        ["digits", "--like", "nowhere"], ["digits", "--weights", "nowhere.pt"], ["digits", "--teacher", "nowhere.pt"],
        ["digits", "--augment", "vflop"], ["digits", "--size", "3"], ["digits", "--finetune", "heed"],
        ["digits", "--precision", "float8"], ["digits", "--ray", "ray://h:1"],
    ],
    "resume": [["--help"], ["nowhere"]],
    "runs": [["--help"], [], ["--json"]],
    "eval": [["--help"], ["nowhere", "digits"]],
    "compare": [["--help"], ["nowhere", "latest", "digits"]],
    "review": [["--help"], ["nowhere"]],
    "predict": [["--help"], ["nowhere", "a.png"], ["cifar10_resnet20"]],
    "adopt": [["--help"], ["nowhere.onnx", "--data", "digits"]],
    "embed": [["--help"], ["nowhere", "digits"], ["cifar10_resnet20", "nowhere"], ["cifar10_resnet20", ".", "--out", "a.csv"]],
    "near": [["--help"], ["nowhere", "digits", "a.png"], ["cifar10_resnet20", "."], ["cifar10_resnet20", "nowhere", "a.png"]],
    "explain": [["--help"], ["nowhere", "a.png"]],
    "export": [["--help"], ["nowhere"], ["cifar10_resnet20", "--out", "model.exe"]],
    "serve": [["--help"], ["nowhere"]],
    "search": [["--help"], ["nowhere", "--minutes", "1"], ["digits", "--minutes", "1", "--model", "resnet21"]],
    "lr-find": [["--help"], ["nowhere"]],
    "bench": [["--help"], ["nowhere"]],
    "study": [["--help"], [], ["degradation", "--json"]],
    "learn": [
        ["--help"], [], ["--json", "--lang", "zh"], ["99"], ["check", "--help"], ["check", "2.1", "nowhere.py"], ["hint", "x"],
    ],
    "report": [["--help"], ["nowhere"]],
}  # fmt: skip
"""Verb -> what it answers with nothing of HEAVY."""

ANSWERED = (0, 2)

_CHILD = """
import contextlib, io, json, os, sys
from reslab.cli.app import run
for words in json.loads(sys.argv[1]):
    if not os.fork():
        with contextlib.redirect_stderr(io.StringIO()) as told, contextlib.redirect_stdout(io.StringIO()):
            code = run(words)
        print(json.dumps([code, sorted(sys.modules), told.getvalue()]), flush=True)
        os._exit(0)
    os.wait()
"""


def loaded(commands, place):
    """Of each command the exit code, what it has imported, and what it said, in a fork of a process that has the parser only."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(commands)], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(commands), done.stderr
    return [(code, set(modules), told) for code, modules, told in rows]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Every command of AT_ONCE."""
    commands = [(verb, *words) for verb, lines in AT_ONCE.items() for words in lines]
    return dict(zip(commands, loaded(commands, tmp_path_factory.mktemp("empty")), strict=True))


def test_what_is_heavy_is_seen(tmp_path):
    """The instrument itself: a training loads PyTorch, but neither its compiler nor what only some trainings need."""
    ((code, modules, told),) = loaded([["train", "digits", "--epochs", "1", "--out", str(tmp_path / "run")]], tmp_path)
    assert code == 0, told
    assert modules & HEAVY == {"torch", "filelock"}


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_answers_at_once(verb, answers):
    """A new verb must say here what it answers without waiting."""
    mine = {words: answer for words, answer in answers.items() if words[0] == verb}
    assert mine and (verb, "--help") in mine
    for words, (code, modules, told) in mine.items():
        assert code in ANSWERED, (words, told)
        assert not modules & HEAVY, words

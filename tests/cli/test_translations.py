"""RESLAB_LANG=zh: help lines, lines of scores and the commonest mistakes are Chinese; everything else is as it was."""

import json
import re
import shlex
from pathlib import Path

import pytest

from reslab.cli.app import VERBS, run
from reslab.cli.translations import HELP, TEMPLATES, translate
from tests.pictures import colour_folder

SOURCE = Path(__file__).parents[2] / "src" / "reslab"
MISTAKES = """
train nowhere
train empty
train pictures --model resnet49
train pictures --recipe fast
train pictures --imgsz 64
train pictures --augment foo
train pictures --lr abc
train pictures --val 2
train pictures --minutes -1
train pictures --folds 500
train pictures --size 7
train ""
train
trane pictures
eval nowhere pictures
eval latest pictures
eval x.safetensors pictures
predict x.onnx pictures
predict cifar10_resnet20 nowhere.jpg
predict cifar10_resnet20 pictures --coverage 1.5
predict cifar10_resnet20
check bad.csv
check nowhere.csv
resume empty
report empty
review empty
compare empty empty pictures
explain empty pictures
export cifar10_resnet20 --out a.foo
serve cifar10_resnet20 --port 99999
models resnet49
near empty pictures x
learn 42
learn notebook nope
learn start 8
learn start 2.9
learn start 42.1
learn hint x
learn check 2.1 nowhere.py
learn check 2.1 empty
learn check 2.1
learn check x empty
learn start
learn start 2.1 --out
learn start 2.1 --out empty
learn 1 --lang fr
learn 6 7
learn 6.2
""".strip().splitlines()


def chinese(text):
    return re.search("[一-鿿]", text) is not None


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESLAB_LANG", "zh_CN.UTF-8")
    colour_folder(tmp_path / "pictures")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.csv").write_text("image_id,foo\na,b\n")
    for name in ("x.safetensors", "x.onnx"):
        (tmp_path / name).write_bytes(b"abc")
    return tmp_path


@pytest.mark.parametrize("command", MISTAKES)
def test_the_commonest_mistakes_are_explained_in_chinese(command, place, capsys):
    assert run(shlex.split(command)) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line]
    assert said and all(chinese(line.partition("：")[2]) for line in said if line.startswith(("错误", "提示"))), said
    assert any(line.startswith("错误：") for line in said)


def test_help_lines_are_chinese(place, capsys):
    run(["--help"])
    said = capsys.readouterr().out
    assert len(HELP) == len(VERBS) + 2
    for _, line in VERBS.values():
        assert re.sub(r"[\s│]", "", translate(line)) in re.sub(r"[\s│]", "", said)


@pytest.mark.parametrize("verb", [[], ["start"], ["check"], ["hint"], ["notebook"]])
def test_the_help_of_learn_is_in_the_language_that_is_asked_for(verb, place, monkeypatch, capsys):
    monkeypatch.setenv("RESLAB_LANG", "en")
    english_sentence = r"[A-Z][a-z]+ [a-z]+ [a-z]+"
    for language in ("zh", "en"):
        run(["learn", *verb, "--help", "--lang", language])
        found = re.search(english_sentence, capsys.readouterr().out)
        assert (found is None) == (language == "zh"), found
    assert run(["learn", "99", "--lang", "zh"]) == 2 and capsys.readouterr().err.startswith("错误：没有第 99 课")


def test_scores_are_chinese_and_json_is_not_touched(place, capsys):
    assert run(["check", "pictures"]) == 0 and chinese(capsys.readouterr().out)
    assert run(["check", "pictures", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_english_is_what_it_was(place, monkeypatch, capsys):
    monkeypatch.setenv("RESLAB_LANG", "en")
    assert run(["train", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no nowhere\nhint: DATA is")


def test_what_varies_is_translated_in_turn():
    line = "test score   98.89 % (95 % interval 97.17 % to 99.57 %, n = 359); never seen in training"
    assert translate(line) == "测试得分     98.89 %（95 % 置信区间 97.17 % 至 99.57 %，n = 359）；训练中从未见过"
    assert translate("nothing that stands in the table") == "nothing that stands in the table"


def test_every_row_is_still_said_somewhere():
    """Of the text between two blanks the longest part without punctuation stands in the source."""
    source = "\n".join(
        path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.name != "translations.py"
    )
    source = re.sub(r'"\s*\n\s*f?"', "", source)
    longest = {row: max(re.split(r"\{\}|[,;:(]", row), key=len).strip() for row in TEMPLATES}
    assembled = ("unknown", "unable", "needs", "give a", "holds no model", "pictures of every", "sets  ")  # from parts
    assembled += ("Commands", "Parameters", "[", "Display", "invalid value", "unused Tokens")  # what cyclopts says
    gone = [row for row, piece in longest.items() if piece not in source and not piece.startswith(assembled)]
    assert gone == []

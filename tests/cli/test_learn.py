"""`reslab learn` as a reader uses it: lessons, stubs, hints, verdicts on files of every kind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from reslab.errors import ResLabError
from reslab.learn import answer, course
from reslab.learn.check import Texts, exercise, exercises_of, texts_of
from reslab.learn.start import as_comment, folded

RIGHT = """
import torch
from torch.nn import functional as F
print("a print of the reader's own")

def conv2d(x, weight, stride, padding):
    y = F.unfold(x, weight.shape[2:], padding=padding, stride=stride)
    height, width = ((n + 2 * padding - weight.shape[2]) // stride + 1 for n in x.shape[2:])
    return (weight.flatten(1) @ y).unflatten(2, (height, width))
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RESLAB_LANG", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_the_list_has_titles_and_progress(reslab):
    code, out, _ = reslab("learn", "--lang", "zh")
    assert code == 0 and all(lesson.title in out for lesson in course.lessons("zh"))
    document = json.loads(reslab("learn", "--json")[1])
    assert [row["title"] for row in document["lessons"]] == [lesson.title for lesson in course.lessons("en")]
    assert all(row["passed"] == [] for row in document["lessons"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["0"], "no lesson 0"), (["9" * 5000], "no lesson"), (["hint", "9" * 5000 + ".1"], "error: "),
         (["99"], "lessons are 1 to 17"), (["6.2"], "reslab learn start 6.2"),
        (["chek"], "did you mean 'check'"), (["start", "2.77"], "no exercise 2.77"), (["start", "x"], "is no exercise"),
        (["hint", "2"], "lesson 2 has 2.1, 2.2, 2.3, 2.4"), (["bogus"], "reslab learn lists the lessons"),
        (["notebook", "nope"], "reslab learn lists the lessons"), (["notebook", "notebok"], "lists the lessons"),
        (["check", "2.1", "nowhere.py"], "nowhere.py does not exist"),
        (["check", "2.1", "."], ". is a folder"), (["check", "2.1", "a.ipynb"], "is a notebook"),
        (["check", "2.1"], "needs FILE"), (["check", "x", "nowhere.py"], "'x' is no exercise"),
        (["notebook", "99"], "no lesson 99"), (["1", "--lang", "fr"], "Choose from"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(reslab, place, words, said):
    code, out, err = reslab("learn", *words)
    assert code == 2 and out == "" and err.startswith("error: ") and said in err
    assert list(place.iterdir()) == []


def test_a_page_and_a_notebook_are_written_where_they_belong(reslab, place, tmp_path):
    code, out, _ = reslab("learn", "1", "--no-open", "--lang", "zh")
    page = Path(out.strip())
    assert code == 0 and page.is_relative_to(tmp_path / "cache") and '<html lang="zh-CN">' in page.read_text("utf-8")
    assert list(place.iterdir()) == []
    assert reslab("learn", "notebook", "1")[0] == 0
    (made,) = place.iterdir()
    assert made.name == f"{course.lesson(1, 'en').slug}.en.ipynb"
    assert reslab("learn", "notebook", "1")[0] == 2 and reslab("learn", "notebook", "1", "--overwrite")[0] == 0


def test_a_stub_is_written_once(reslab, place):
    assert reslab("learn", "start", "2.1")[1].startswith("exercise_2_1.py is yours")
    file = place / "exercise_2_1.py"
    text = file.read_text()
    assert text.startswith("# Lesson 2, exercise 2.1: ") and text.endswith(exercise("2.1").stub)
    assert "# The page, with figures and formulas: reslab learn 2\n" in text
    file.write_text("mine")
    code, _, err = reslab("learn", "start", "2.1")
    assert code == 2 and "is there already" in err and file.read_text() == "mine"
    assert reslab("learn", "start", "2.1", "--overwrite", "--lang", "zh")[0] == 0
    assert file.read_text().startswith("# 第 2 课，练习 2.1：")


def test_what_an_exercise_asks_isfolded_by_columns():
    asked = "Repair " + "these words\n" * 12 + "now.\n\n```python\nx = 1\n```\n\n" + "请把这个网络修好，" * 12
    first, *rest = folded(as_comment(asked, "en"))
    assert rest[0].endswith("now.") and rest[1] == ""
    assert len(first) <= 88 < len(f"{first} these") and first.startswith("Repair these")
    assert "".join(rest).endswith("修好，") and not any("x = 1" in line or line.startswith("，") for line in rest)
    assert max(map(cell_len, rest)) in (87, 88)


def test_a_comment_needs_no_page():
    asked = "*Bug hunt.* `reslab learn start 6.4` gives you `f`.\n\n![A](../a.svg)\n\n$W_2\\,\\mathrm{ReLU}(x)$ and 2 * 3 * 4"
    assert folded(as_comment(asked, "en")) == ["Bug hunt. Below is `f`.", "", "W2 ReLU(x) and 2 * 3 * 4"]
    assert folded(as_comment("*找错。* 求损失之*和*。", "zh")) == ["找错。求损失之和。"]
    for language in ("en", "zh"):
        asked = "".join(
            as_comment(each, language) for page in course.lessons(language) for each in page.statements.values()
        )
        assert not any(mark in asked for mark in ("$", "\\", "![", "learn start", "the block above"))


def test_a_stub_and_hints_are_told_without_pytorch(place):
    code = "import sys; from reslab.cli.app import run; run(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    for words in (["start", "8.1"], ["hint", "8.1"], ["start", "8"]):
        done = subprocess.run([sys.executable, "-c", code, "learn", *words], capture_output=True, text=True)
        assert done.returncode == 0, done
    for each in exercises_of(8):
        assert texts_of(each.number) == Texts(each.name, each.stub, each.hints)


def test_a_long_check_gives_a_sign_of_life(place, monkeypatch, capsys):
    (place / "mine.py").write_text("while True:\n    pass\n")
    monkeypatch.setattr(answer, "QUIET", 0.1)
    said = []
    with pytest.raises(ResLabError, match="did not end"):
        answer.judge_file(place / "mine.py", "2.1", "en", seconds=0.5, waiting=lambda: said.append("waiting"))
    assert said == ["waiting"]


def test_a_language_that_there_is_not_is_said(reslab, monkeypatch):
    monkeypatch.setenv("RESLAB_LANG", "fr")
    assert "RESLAB_LANG is fr" in reslab("learn")[2]
    monkeypatch.setenv("RESLAB_LANG", "zh_CN.UTF-8")
    assert reslab("learn")[2] == ""


def test_hints_follow_one_another(reslab):
    told = [reslab("learn", "hint", "2.1", *words)[1] for words in ([], ["--lang", "zh"], [], [])]
    hints = exercise("2.1").hints
    assert [hints[0].en in told[0], hints[1].zh in told[1], hints[2].en in told[2], hints[0].en in told[3]] == [
        True
    ] * 4


def test_a_right_answer_passes_and_is_remembered(reslab, place):
    (place / "mine.py").write_text(RIGHT)
    code, out, _ = reslab("learn", "check", "2", "mine.py")  # whichever of lesson 2 it answers
    assert code == 0 and out.startswith("2.1 ✔ right in all ") and "lesson 2: " in out
    assert json.loads((place.parent / "cache/learn/progress.json").read_text())["passed"] == ["2.1"]
    assert [path.name for path in place.iterdir()] == ["mine.py"]


def test_a_mistake_gets_its_sentence(reslab, place):
    (place / "mine.py").write_text(RIGHT.replace("weight.flatten(1)", "weight.flip(2, 3).flatten(1)"))
    code, out, _ = reslab("learn", "check", "2.1", "mine.py", "--lang", "zh", "--json")
    (verdict,) = json.loads(out)["verdicts"]
    assert code == 1 and verdict == {"exercise": "2.1", "right": False, "says": exercise("2.1").mistakes[0].says.zh}
    assert not (place.parent / "cache/learn/progress.json").exists()


BAD = {
    "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n1 / 0\n": ":3 raises Zero",
    "def conv2d(x:\n    pass\n": ":1 raises SyntaxError",
    "import sys\nx = 1\nx / 0\n": ":3 raises ZeroDivisionError",
    "def f():\n    raise KeyError('a')\n\nf()\n": ":2 raises KeyError",
    "import nowhere_at_all\n": ":1 raises ModuleNotFoundError",
    "import sys\nsys.exit()\n": ":2 raises SystemExit",
    "import os\nos._exit(3)\n": "ended Python before it could be judged (exit code 3)",
    "x = '\xff'\n": "SyntaxError",
    "\0": "SyntaxError",
}


@pytest.mark.parametrize(("text", "said"), BAD.items(), ids=range(len(BAD)))
def test_a_file_that_cannot_be_run_is_said(place, text, said):
    (place / "mine.py").write_bytes(text.encode("latin-1"))
    with pytest.raises(ResLabError) as told:
        answer.judge_file(place / "mine.py", "2.1", "en")
    assert str(place / "mine.py") in told.value.message and said in told.value.message


def test_a_missing_name_and_a_loop_without_an_end(place):
    file = place / "mine.py"
    file.write_text("def conv2dd(x): pass\n")
    with pytest.raises(ResLabError) as told:
        answer.judge_file(file, "2.1", "zh")
    assert "没有定义 conv2d" in told.value.message and "'conv2dd'" in told.value.hint
    file.write_text("while True:\n    pass\n")
    with pytest.raises(ResLabError) as told:
        answer.judge_file(file, "2.1", "en", seconds=0.5)
    assert "did not end within 0.5 seconds" in told.value.message and "loop" in told.value.hint


def test_the_readers_folder_shadows_nothing_and_stays_as_it_is(place, monkeypatch):
    """A file named like a module, beside the answer or being it, is not imported in its place."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    (place / "random.py").write_text("raise SystemExit('shadowed')")
    (place / "helper.py").write_text("from torch.nn.functional import conv2d as theirs")
    (place / "torch.py").write_text(
        "from helper import theirs\ndef conv2d(x, weight, stride, padding):\n    return x.foo\n"
    )
    (verdict,) = answer.judge_file(place / "torch.py", "2.1", "en")
    assert not verdict.right and "AttributeError (line 3): " in verdict.says.en
    assert sorted(path.name for path in place.iterdir()) == ["helper.py", "random.py", "torch.py"]

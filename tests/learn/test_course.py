"""Where the lessons lie, in a checkout and in a wheel; what is remembered of a reader."""

import ast
import re
import zipfile

import pytest

from reslab.errors import ResLabError
from reslab.learn import course, progress
from reslab.learn.check import _texts
from reslab.learn.stubs import CHINESE, notes_of, stub_in
from reslab.system.language import ASKED, reader_language
from tests.learn.rules import FOLDER, ROOT


def test_the_wheel_has_the_lessons(tmp_path):
    wheel = pytest.importorskip(
        "hatchling.builders.wheel", reason="hatchling, which builds the package, is not installed"
    )
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(built).namelist())
    wanted = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.*")}
    first = [lesson.path.relative_to(FOLDER).as_posix() for lesson in (course.lesson(1, "en"), course.lesson(1, "zh"))]
    assert {"TERMS.md", *first} < wanted and any(name.startswith("figures/1-") for name in wanted)
    assert {f"reslab/learn/lessons/{name}" for name in wanted} <= names
    assert "reslab/learn/page/style.css" in names and "reslab/report/palette.css" in names
    assert len([name for name in names if name.startswith("reslab/learn/lessons/")]) == len(wanted)


def test_lessons_are_in_order_and_have_titles():
    for language in ("en", "zh"):
        there = course.lessons(language)
        assert [each.number for each in there] == sorted({each.number for each in there})
        assert all(each.title and not each.title.startswith("#") for each in there)
    assert course.lesson(1, "zh").title != course.lesson(1, "en").title
    for number in (0, 18, 10**9):
        with pytest.raises(ResLabError, match="there is no lesson"):
            course.lesson(number, "en")


def test_other_pages_come_after_the_lessons(tmp_path):
    (tmp_path / "en").mkdir()
    for name in ("article", "10-steps", "2-two"):
        (tmp_path / "en" / f"{name}.md").write_text(f"# About {name}\n")
    assert [(page.number, page.slug) for page in course.pages("en", tmp_path)] == [
        (2, "2-two"), (10, "10-steps"), (0, "article"),
    ]  # fmt: skip
    assert [page.title for page in course.lessons("en", tmp_path)] == ["About 2-two", "About 10-steps"]


def test_what_an_exercise_asks_ends_where_its_answer_begins():
    first = "**6.1** Write\nit.\n\n```python\nx = 1\n```\n\n<details>\nno\n</details>\n\n"
    text = f"# T\n\n## Exercises\n\n{first}**6.2** *Hunt.*\n\n**6.3** A\n"
    assert [found.groups() for found in course.STATEMENT.finditer(text)] == [
        ("6.1", "Write\nit.\n\n```python\nx = 1\n```\n\n"), ("6.2", "*Hunt.*\n\n"), ("6.3", "A\n"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "asked", "language"),
    [("", None, "en"), ("zh", None, "zh"), ("zh_CN.UTF-8", None, "zh"), (" ZH-tw", None, "zh"), ("de", None, "en"),
     ("zh", "en", "en")],
)  # fmt: skip
def test_the_language_is_that_of_the_option_or_the_environment(monkeypatch, variable, asked, language):
    monkeypatch.setenv("RESLAB_LANG", variable)
    before = ASKED.set(asked)
    assert reader_language() == language
    ASKED.reset(before)


def test_stubs_have_chinese_notes_and_the_same_code():
    known = {number: each.stub for lesson in range(1, course.LESSONS + 1) for number, each in _texts(lesson).items()}
    assert {number: len(notes_of(stub)) for number, stub in known.items()} == {
        number: len(said) for number, said in CHINESE.items()
    }
    for number, stub in known.items():
        chinese = stub_in("zh", number, stub)
        assert [code(each) for each in ast.walk(ast.parse(chinese))] == [
            code(each) for each in ast.walk(ast.parse(stub))
        ]
        assert max(map(len, chinese.splitlines())) <= 120 and chinese.endswith("\n")
        for note in notes_of(chinese):
            assert re.search("[一-鿿]", note.string) or re.search(r"\[batch|^# [A-D] ", note.string), note


def code(node):
    """A node without what it contains, strings without their text."""
    return type(node), getattr(node, "id", getattr(node, "name", getattr(node, "arg", getattr(node, "attr", None))))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path))
    return tmp_path / "learn" / "progress.json"


def test_progress_is_kept_and_hints_follow_one_another(cache):
    assert progress.read_progress() == progress.Progress() and not cache.exists()
    progress.keep_passed("2.1")
    assert [progress.next_hint("2.1", 3) for _ in range(4)] == [1, 2, 3, 1] and progress.next_hint("2.2", 3) == 1
    progress.keep_passed("6.4")
    progress.keep_passed("2.1")
    assert progress.read_progress() == progress.Progress(passed=("2.1", "6.4"), hints={"2.1": 1, "2.2": 1})


def test_damaged_progress_is_an_error_that_says_what_to_do(cache):
    cache.parent.mkdir()
    cache.write_text('{"passed": 3}')
    with pytest.raises(ResLabError) as told:
        progress.read_progress()
    assert str(cache) in told.value.message and "delete" in told.value.hint
    progress.keep_passed("2.1")  # a verdict is given all the same
    assert cache.read_text() == '{"passed": 3}'

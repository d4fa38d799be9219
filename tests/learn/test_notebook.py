"""Notebooks: valid, from the same run as the page, and their cells run."""

import contextlib
import io
import os
import re

import nbformat
import pytest

from reslab.learn import course
from reslab.learn.check import exercises_of
from reslab.learn.lesson import executed
from reslab.learn.notebook import notebook
from reslab.learn.stubs import stub_in
from tests.learn.rules import DETAILS

LESSONS = [
    pytest.param(lesson, language, id=f"{language}-{lesson.slug}")
    for language in ("en", "zh")
    for lesson in course.lessons(language)
]
RUN = 1
"""The number of the lesson whose cells are executed."""


def cells(document, kind):
    return [cell for cell in document["cells"] if cell["cell_type"] == kind]


@pytest.mark.parametrize(("lesson", "language"), LESSONS)
def test_a_notebook_is_valid_and_has_all_of_the_page(lesson, language):
    document = notebook(lesson, language)
    nbformat.validate(nbformat.from_dict(document))
    page = lesson.path.read_text(encoding="utf-8")
    code = [cell["source"].removesuffix("\nfigure") for cell in cells(document, "code")][1:]
    asked = {each.number: each for each in exercises_of(lesson.number) if each.number in lesson.statements}
    own = {n: stub_in(language, n, each.stub) for n, each in asked.items()}
    stubs = [
        f'{own[number].rstrip()}\n\nfrom reslab.learn.check import check\n\ncheck("{number}", {each.name});'
        for number, each in asked.items()
        if f'check("{number}"' not in lesson.statements[number]
    ]
    assert [source for source in code if source in stubs] == stubs
    blocks = [block.rstrip() for block in executed(DETAILS.sub("", page))]
    assert [source for source in code if source not in stubs] == blocks
    words = "".join(cell["source"] for cell in cells(document, "markdown"))
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)]*)\)", words)
    assert all(re.match("https://(?!github.com/reslab)|#|data:", link) for link in links), links
    assert "](../" not in words and words.count("<details>") == page.count("<details>") and "quote=" not in words
    figures = [
        out["data"]
        for cell in cells(document, "code")
        for out in cell["outputs"]
        if out["output_type"] == "display_data"
    ]
    assert len(figures) == page.count("```python figure=") and all("<svg" in data["image/svg+xml"] for data in figures)


def test_another_page_is_named_by_the_command_that_shows_it():
    words = "".join(cell["source"] for cell in cells(notebook(course.lesson(7, "en"), "en"), "markdown"))
    assert "(`reslab learn 6`)" in words and ".md" not in words


def test_its_cells_run_and_print_what_stands_below_them(monkeypatch):
    lesson = course.lesson(RUN, "zh")
    document = notebook(lesson, "zh")
    monkeypatch.setenv("RESLAB_LANG", "en")  # the first cell sets it
    namespace = {"__name__": "__main__"}
    for cell in cells(document, "code"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(cell["source"], namespace)
        expected = [out["text"] for out in cell["outputs"] if out["output_type"] == "stream"]
        if "check(" not in cell["source"]:  # a stub is no answer yet
            assert [printed.getvalue()] == (expected or [""])
        if cell["source"].endswith("\nfigure"):
            assert namespace["figure"]._repr_svg_() == namespace["figure"].file("zh")
    assert os.environ["RESLAB_LANG"] == "zh"

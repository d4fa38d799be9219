"""Every lesson runs and stands as its run left it; English and Chinese teach the same; broken lessons are noticed."""

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reslab.cli.app import VERBS
from reslab.cli.app import run as reslab
from reslab.errors import ResLabError
from reslab.learn.lesson import BLOCK, alike, bring_up_to_date, executed, lessons, render, source_of, stale
from tests.pictures import colour_folder

FOLDER = Path(__file__).parents[2] / "lessons"
PAGES = lessons(FOLDER)
ENGLISH = [page for page in PAGES if page.parent.name == "en"]
LESSONS = [page for page in ENGLISH if page.name[0].isdigit()]
QUICK = ["--model", "resnet20", "--size", "16", "--epochs", "1"]

SMALL = """# Small

```python quote=reslab.errors:ResLabError.__init__
```

```python figure=dot
print(1 + 1)
from reslab.figures.svg import Drawing, element
figure = Drawing("dot", 9, 9, [element("circle", cx=4.5, cy=4.5, r=2, opacity="0.50")])
```
"""


def name_of(page):
    return f"{page.parent.name}/{page.name}"


def twin(page):
    return FOLDER / "zh" / page.name


def prose(page):
    """A page without its code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`|[*_]", "", text)


def headings(page):
    return [len(marks) for marks in re.findall(r"^(#+) ", prose(page), re.M)]


def terms():
    table = (FOLDER / "TERMS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|([^|]*)\|", table, re.M)
    return [(en, {zh, *re.findall("[一-鿿]+", also)}) for en, zh, also in rows if en != "English"]


def uses(text, term):
    return re.search(rf"\b{re.escape(term)}(s|es)?\b", text, re.I) is not None


@pytest.mark.parametrize("page", ENGLISH, ids=name_of)
def test_a_page_and_its_twin_are_what_their_run_gives(page):
    assert executed(page.read_text(encoding="utf-8")) or page.stem == "glossary"
    assert stale(page) == [] == stale(twin(page))


def test_both_languages_have_the_same_lessons():
    assert len(ENGLISH) >= 3
    assert sorted(ENGLISH + [twin(page) for page in ENGLISH]) == PAGES


@pytest.mark.parametrize("page", ENGLISH, ids=name_of)
def test_twins_show_the_same_code_under_the_same_headings(page):
    here, there = ([m.groups() for m in BLOCK.finditer(p.read_text(encoding="utf-8"))] for p in (page, twin(page)))
    assert (len(here) > 5 or page.stem == "glossary") and here == there
    assert headings(page) == headings(twin(page))
    assert headings(page)[0] == 1 and set(headings(page)[1:]) == {2}


@pytest.mark.parametrize("page", ENGLISH, ids=name_of)
def test_terms_are_translated_as_agreed(page):
    english, chinese = (re.sub(r"\]\([^)]+\)", "]", prose(p)) for p in (page, twin(page)))
    used = [(en, words) for en, words in terms() if uses(english, en)]
    assert len(used) > 5
    assert [(en, words) for en, words in used if not any(word in chinese for word in words)] == []


@pytest.mark.parametrize("page", [*PAGES, FOLDER / "README.md"], ids=name_of)
def test_links_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", prose(page)) if "://" not in link]
    assert links and all((page.parent / link).is_file() for link in links), links


def test_every_figure_is_shown_and_is_a_picture_with_a_title():
    figures = sorted((FOLDER / "figures").glob("*.svg"))
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert len(figures) >= 5 and all(figure.name in shown for figure in figures)
    for figure in figures:
        root = ElementTree.parse(figure).getroot()
        assert root.tag.endswith("svg") and any(child.tag.endswith("title") for child in root)
    moving = {path.stem for path in (FOLDER / "figures").glob("*.json")}  # each stands still where nothing moves
    assert moving <= {figure.name.split(".")[0] for figure in figures}


def commands(page):
    fences = re.findall(r"^```(.*?)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    return [line for language, code in fences if not language for line in code.splitlines()]


def test_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    colour_folder(tmp_path / "pictures")
    shown = [command for page in ENGLISH for command in commands(page)]
    assert shown == [command for page in ENGLISH for command in commands(twin(page))]
    for command in shown:
        program, verb, *rest = shlex.split(command)
        assert program == "reslab" and verb in VERBS
        if verb not in ("learn", "serve"):  # one is for the reader's own file, the other does not end
            assert reslab([verb, *rest, *(QUICK if verb == "train" else [])]) == 0, capsys.readouterr().err


def test_one_lesson_is_found_by_its_number():
    assert [path.parent.name for path in lessons(FOLDER, "1")] == ["en", "zh"]
    assert all(path.name.startswith("1-") for path in lessons(FOLDER, "1")) and lessons(FOLDER, "99") == []


@pytest.fixture
def small(tmp_path):
    (tmp_path / "en").mkdir()
    page = tmp_path / "en" / "small.md"
    page.write_text(SMALL, encoding="utf-8")
    return page


def test_a_fresh_lesson_is_filled_in(small):
    assert bring_up_to_date(small) == ["small.md", "dot.svg"]
    text = small.read_text(encoding="utf-8")
    assert source_of("reslab.errors:ResLabError.__init__") in text and "\n```\n\n```text\n2\n```\n" in text
    assert stale(small) == [] and bring_up_to_date(small) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def __init__", "def __unit__"),  # a quote that the source has left behind
        ("text\n2\n", "text\n3\n"),  # an output that is no longer printed
        ("\n```text\n2\n```\n", ""),  # one that was forgotten
        ("print(1 + 1)", "pass"),  # one whose code prints nothing any more
    ],
)
def test_a_page_that_is_not_what_its_run_gives_is_noticed(small, old, new):
    bring_up_to_date(small)
    text = small.read_text(encoding="utf-8")
    assert old in text
    small.write_text(text.replace(old, new), encoding="utf-8")
    assert stale(small) == ["small.md"]


def test_a_figure_that_is_not_what_its_run_draws_is_noticed(small):
    bring_up_to_date(small)
    file = small.parents[1] / "figures" / "dot.svg"
    drawn = file.read_text(encoding="utf-8")
    file.write_text(drawn.replace('cx="4.5"', 'cx="4.6"'), encoding="utf-8")
    assert stale(small) == []  # another machine's rounding
    for old, new in (('cx="4.5"', 'cx="6"'), ('="0.50"', '="0.40"')):
        file.write_text(drawn.replace(old, new), encoding="utf-8")
        assert stale(small) == ["dot.svg"]
    file.unlink()
    assert stale(small) == ["dot.svg"]
    assert not alike(drawn, drawn.replace("circle", "square"))


@pytest.mark.parametrize(
    "symbol", ["reslab.nowhere:Block", "reslab.errors:Nothing", "reslab.errors:ResLabError.nothing"]
)
def test_a_quote_of_nothing_is_an_error(symbol):
    with pytest.raises(ResLabError, match=re.escape(symbol)):
        render(f"```python quote={symbol}\n```\n", "en")


def test_code_that_fails_and_a_figure_that_is_missing_are_errors():
    with pytest.raises(AssertionError):
        render("```python\nassert 1 + 1 == 3\n```\n", "en")
    with pytest.raises(ResLabError, match="nothing-drawn"):
        render("```python figure=nothing-drawn\nx = 1\n```\n", "en")


def test_a_verdict_is_printed_in_the_language_of_the_page():
    text = """```python
from reslab.learn.check import check, exercise

print("first")
check("3.2", exercise("3.2").expected)
```
"""
    assert "first\n3.2 ✔ right in all " in render(text, "en").text
    assert "first\n3.2 ✔ 5 个用例全部正确\n" in render(text, "zh").text


def test_a_quote_is_found_by_name():
    assert source_of("reslab.nn.zoo:_CIFAR_WIDTHS") == "_CIFAR_WIDTHS = (16, 32, 64)\n"
    assert source_of("reslab.nn.config:ResNetConfig.layers").startswith("@property\ndef layers(self)")

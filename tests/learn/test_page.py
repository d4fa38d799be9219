"""Every page of the course as HTML: whole, leading somewhere, asking nobody; and in a real Chromium."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from reslab.learn import course
from reslab.learn.page.formula import mathml
from reslab.learn.page.render import render_page
from reslab.learn.page.write import page_of
from tests.browser import opened
from tests.learn.rules import FENCE, FOLDER, PAGES

NOTHING_OUTSIDE = re.compile(r"data:|#|file:|[\w./-]+\.html(#|$)|https://")


class Tags(HTMLParser):
    """Every tag with its attributes, and whether each that was opened was closed."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "br", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Every page, written once: (its source, its HTML file)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        first = page_of(course.lessons("en")[0])
    there = {path: first.parents[1] / path.relative_to(FOLDER).with_suffix(".html") for path in FOLDER.rglob("*.md")}
    assert set(PAGES) < set(there) and all(page.is_file() for page in there.values())
    return there


def test_pages_are_whole_and_ask_nobody(pages):
    for source, page in pages.items():
        text = page.read_text(encoding="utf-8")
        tags = Tags(text)
        assert tags.open == [] and [tag for tag, _ in tags.found].count("h1") == 1, page
        assert all(given["src"].startswith("data:") for _, given in tags.found if "src" in given)
        blocks, shown = FENCE.findall(source.read_text(encoding="utf-8")), sum(tag == "pre" for tag, _ in tags.found)
        assert shown == len(blocks) and "$" not in re.sub(r"<(pre|code|script).*?</\1>", "", text, flags=re.S), page


def test_links_lead_somewhere(pages):
    for page in pages.values():
        for tag, given in Tags(page.read_text(encoding="utf-8")).found:
            if tag == "a":
                address = urlparse(given["href"])
                assert NOTHING_OUTSIDE.match(given["href"]), (page, given)
                if address.scheme == "file":
                    assert Path(unquote(address.path)).is_file(), (page, given)
                elif not address.scheme and address.path:
                    assert (page.parent / address.path).is_file(), (page, given)


def test_a_page_is_written_again_only_when_something_changed(pages, monkeypatch):
    lesson = course.lessons("en")[0]
    page = pages[lesson.path]
    monkeypatch.setenv("RESLAB_CACHE", str(page.parents[3]))
    before = page.stat().st_mtime_ns
    assert page_of(lesson) == page and page.stat().st_mtime_ns == before
    (page.parents[1] / "digest.txt").write_text("of another version")
    assert page_of(lesson) == page and page.stat().st_mtime_ns > before


def digest_of(code):
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()


@pytest.fixture
def folder(tmp_path):
    """A course of two small lessons with a figure that moves."""
    for language in ("en", "zh"):
        (tmp_path / language).mkdir()
        for name in ("1-one", "2-two"):
            links = "[two](2-two.md#a) $x_1$ [a](../../src/reslab/errors.py)"
            text = f"# {name} <b>\n\n![A *dot*](../figures/1-dot.svg)\n\n{links}\n"
            (tmp_path / language / f"{name}.md").write_text(text + "\nBeside ![text](../figures/1-dot.svg) words.\n")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "1-dot.svg").write_text("<svg/>")
    return tmp_path


def test_pages_are_written_again_when_a_picture_changes(folder, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path_factory.mktemp("cache")))
    lesson = course.lessons("en", folder)[0]
    before = page_of(lesson).read_text("utf-8")
    (folder / "figures" / "1-dot.svg").write_text("<svg />")
    assert page_of(lesson).read_text("utf-8") != before


@pytest.mark.parametrize(("kind", "moves"), [("sliding-window", True), ("unheard-of", False)])
def test_a_figure_moves_where_there_are_data_for_it(folder, kind, moves):
    path, lessons = folder / "en" / "1-one.md", course.lessons("en", folder)
    assert '<figure><img src="data:image/svg+xml;base64,' in render_page(path, "en", lessons)
    data = {"figure": kind, "text": "</script><b>", "x": [1, 2]}
    (folder / "figures" / "1-dot.json").write_text(json.dumps(data))
    page = render_page(path, "en", lessons)
    assert page.count(f'<figure class="live" data-figure="{kind}"><img ') == 1 and page.count("<img ") == 2
    inside = re.search(r'<script type="application/json">(.*?)</script>', page)[1]
    assert json.loads(inside) == data
    code = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(code) == moves
    assert all(f"script-src 'sha256-{digest_of(each)}'" in page for each in code)


def test_a_figure_that_is_not_drawn_yet_is_described(folder):
    (folder / "figures" / "1-dot.svg").unlink()
    page = render_page(folder / "en" / "1-one.md", "en")
    assert "[A dot]" in page and "Beside [text] words." in page and "<img" not in page


def test_only_a_paragraph_that_is_all_stressed_is_a_caption(folder):
    path = folder / "en" / "1-one.md"
    path.write_text("# T\n\n*All of it `x`.*\n\nBeware of *this*.\n\n*This* and *that*\n\n*This* too.\n")
    assert render_page(path, "en").count('class="caption"') == 1
    assert '<p class="caption"><em>All of it <code>x</code>.</em></p>' in render_page(path, "en")


def test_a_page_knows_its_neighbours_and_its_twin(folder):
    page = render_page(folder / "zh" / "1-one.md", "zh", course.lessons("zh", folder))
    assert '<html lang="zh-CN">' in page and "<title>1-one &lt;b&gt;</title>" in page
    assert (
        '<a class="after" href="2-two.html"><small>下一课</small>2 2-two &lt;b&gt;</a>' in page and "上一课" not in page
    )
    assert 'href="../en/1-one.html">English</a>' in page and 'href="2-two.html#a"' in page and "第 1 课" in page
    assert re.search(r'href="file://[^"]*/reslab/errors\.py"', page)


@pytest.mark.parametrize(
    ("latex", "inside"),
    [
        (r"\mathcal L", "<mi>ℒ</mi>"),
        (r"\mathbb{R}", "<mi>ℝ</mi>"),
        (r"\mathbf{x}", "<mi>𝐱</mi>"),
        (r"\left(\sum_{i=1}^n x\right)", "<munderover><mo>∑</mo>"),
        (r"\frac{a}{b}", "<mfrac>"),
    ],
)
def test_a_formula_is_drawn_as_it_is_meant(latex, inside):
    assert inside in mathml(latex, block=True)
    assert "munder" not in mathml(latex, block=False)


@pytest.mark.browser
@pytest.mark.parametrize(("language", "width"), [("en", 360), ("zh", 1280), ("zh", 360)])
def test_a_browser_shows_every_lesson_without_asking_anybody(browser, pages, language, width):
    for lesson in course.lessons(language):
        page = opened(browser, pages[lesson.path].as_uri(), viewport={"width": width, "height": 800})
        assert page.complaints == []
        assert [url for url in page.asked if not url.startswith("data:")] == [pages[lesson.path].as_uri()]
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        page.context.close()

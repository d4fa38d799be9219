"""The page of `reslab review` in a real Chromium: keys decide, decisions last, the table downloads as the data name things."""

import csv
import io
from pathlib import Path

import pytest

from reslab.report.review import Case, Page, choose, render
from reslab.words.phrases import plain
from tests.browser import opened

pytestmark = pytest.mark.browser

FEW, MANY = ("ant", "bee, wild", 'cat "tom"'), tuple(f"class {number}" for number in range(40))


def case(number, classes, label="ant", proposed="bee, wild"):
    return Case(
        f"f/{number}.png", label, proposed, plain("doubtful"), choose(classes, (proposed, label, *classes)), None
    )


def written(tmp_path, classes, *tabs, table="corrections.csv"):
    page = Page(plain("Review"), [], tabs, classes, table, "reslab train DATA", str(tmp_path))
    (tmp_path / "review.html").write_text(render(page), encoding="utf-8")
    return (tmp_path / "review.html").as_uri()


def downloaded(page):
    with page.expect_download() as waiting:
        page.click("#download")
    rows = list(csv.reader(io.StringIO(Path(waiting.value.path()).read_text("utf-8-sig"))))
    assert rows[0] == ["path", "label"]
    return waiting.value.suggested_filename, dict(rows[1:])


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def test_keys_decide_and_decisions_last(browser, tmp_path):
    cases = [case(n, FEW) for n in range(6)]
    address = written(tmp_path, FEW, ("suspects", cases), ("doubtful", [case(7, FEW, proposed="")]), ("far", []))
    page = opened(browser, address)
    assert page.is_disabled("#download") and page.is_disabled("#undo")
    press(page, "Enter", "3", "-", "Delete", "1", "Backspace", "x", "4")
    assert page.inner_text("#decided") == "4"
    page.click("#tab-doubtful")
    press(page, "Enter")  # nothing is proposed: the label is right
    expected = {"f/0.png": "bee, wild", "f/1.png": 'cat "tom"', "f/2.png": "-", "f/3.png": "-", "f/7.png": "ant"}
    assert downloaded(page) == ("corrections.csv", expected)
    page.reload()
    assert downloaded(page)[1] == expected
    page.click("#undo")
    page.click("#tab-suspects")
    page.click('[data-path="f/2.png"] [data-choice="ant"]')
    assert downloaded(page)[1] == {**{k: v for k, v in expected.items() if k != "f/7.png"}, "f/2.png": "ant"}
    page.click("#tab-far")
    press(page, "Enter", "1")
    assert page.inner_text("#decided") == "4"
    assert (
        page.complaints == [] and [url for url in page.asked if not url.startswith(("data:", "blob:"))] == [address] * 2
    )


def test_of_many_classes_the_likeliest_have_keys_and_any_can_be_written(browser, tmp_path):
    cases = [case(n, MANY, "class 3", "class 9") for n in range(3)]
    page = opened(browser, written(tmp_path, MANY, ("suspects", cases)))
    assert page.locator(".case >> nth=0 >> [data-key]").count() == 11
    press(page, "2")
    for text in ("class 39", "no such class"):
        page.fill(f".case >> nth={1 if text == 'class 39' else 2} >> .other", text)
        page.keyboard.press("Tab")
    assert downloaded(page)[1] == {"f/0.png": "class 3", "f/1.png": "class 39"}


def test_pictures_without_a_label_may_get_any_and_those_left_out_have_no_row(browser, tmp_path):
    cases = [case(n, FEW, "", "ant") for n in range(4)]
    page = opened(browser, written(tmp_path, FEW, ("unlabelled", cases), table="labels.csv"))
    press(page, "Enter", "-", "2")
    page.fill(".case >> nth=3 >> .other", "蜻蜓")
    page.keyboard.press("Tab")
    expected = {"f/0.png": "ant", "f/2.png": "bee, wild", "f/3.png": "蜻蜓"}
    assert downloaded(page) == ("labels.csv", expected)


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_nothing_sticks_out_on_a_phone(browser, tmp_path, locale):
    address = written(tmp_path, MANY, ("suspects", [case(n, MANY, "class 3", "class 9") for n in range(3)]))
    page = opened(browser, address, locale=locale, viewport={"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.inner_text("#tab-suspects").startswith("疑似错标" if locale == "zh-CN" else "Wrong labels")

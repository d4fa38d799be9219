"""The page in a real Chromium: it asks nobody for anything, fits a phone, and switches its language."""

import pytest

from tests.browser import opened
from tests.report.folders import make_run

LONG = ("a class with a name that is far too long for any phone", "ants", "bees", "<b>bold</b>", "五", "six", "seven")

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    from reslab.report.page import write_report

    run = make_run(tmp_path_factory.mktemp("runs") / "run", LONG, n=200)
    return write_report(run).resolve().as_uri()


def test_it_asks_nobody_and_complains_of_nothing(browser, address):
    page = opened(browser, address, locale="en-GB")
    assert [url for url in page.asked if not url.startswith("data:")] == [address]
    assert page.complaints == []


@pytest.mark.parametrize("width", [360, 390, 800, 1280])
@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_nothing_sticks_out_sideways(browser, address, width, locale):
    page = opened(browser, address, locale=locale, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_language_follows_the_browser_and_the_button(browser, address):
    page = opened(browser, address, locale="zh-TW")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert page.title() == "resnet20 在 nowhere 上的训练"
    assert "测试集准确率" in page.inner_text("main")
    page.click("#language")
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title() == "resnet20 on nowhere"
    assert "Accuracy on the test split" in page.inner_text("main") and "测试集" not in page.inner_text("main")
    assert page.locator(".sheet img").get_attribute("alt").startswith("Contact sheet")
    page.click("#language")
    assert page.locator(".sheet img").get_attribute("alt").startswith("训练图片样张")
    page.reload()  # remembers nothing
    assert page.locator("html").get_attribute("lang") == "zh-CN"


@pytest.mark.parametrize(("locale", "following"), [("en-GB", "中文"), ("fr-FR", "中文"), ("zh-CN", "English")])
def test_the_button_names_the_language_that_follows(browser, address, locale, following):
    page = opened(browser, address, locale=locale)
    assert page.inner_text("#language") == following


def test_without_scripts_it_is_english_and_offers_no_button(browser, address):
    page = opened(browser, address, locale="zh-CN", java_script_enabled=False)
    assert "Accuracy on the test split" in page.inner_text("main")
    assert not page.is_visible("#language")


def test_hostile_names_do_nothing(browser, address):
    page = opened(browser, address)
    assert page.locator("main b").count() == 0
    assert page.get_by_text("<b>bold</b>").count() > 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(browser, address, scheme):
    """WCAG AA, 4.5 : 1, for the text of the page and its quiet notes."""
    page = opened(browser, address, color_scheme=scheme)
    for selector in (".trust p", ".quiet", ".tiles dt", ".mistakes .wrong", ".mistakes .key", "nav a", ".chip"):
        ground = ".card" if selector in (".trust p", ".tiles dt", ".mistakes .wrong", ".mistakes .key") else "html"
        ground = ".mistakes li" if selector.startswith(".mistakes") else ground
        ink = page.eval_on_selector(selector, "e => getComputedStyle(e).color")
        paper = page.eval_on_selector(ground, "e => getComputedStyle(e).backgroundColor")
        assert contrast(ink, paper) >= 4.5, (selector, ink, paper)


def contrast(first, second):
    def luminance(colour):
        channels = [int(part) / 255 for part in colour.strip("rgb()").split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)

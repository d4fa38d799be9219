"""The documentation site is built, links lead somewhere, nothing is fetched from outside, and both languages are searched."""

import functools
import http.server
import re
import runpy
import threading
from pathlib import Path

import pytest

pytest.importorskip("furo", reason="the documentation tools are not installed")

ROOT = Path(__file__).parents[2]
LINK = re.compile(r'href="([^"#?]+)')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """`docs/build.py` fails on any warning of Sphinx: missing pages, broken references, unknown anchors."""
    out = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["build.py", "--out", str(out)])
        runpy.run_path(str(ROOT / "docs" / "build.py"), run_name="__main__")
    return out


def pages(site):
    found = sorted(site.rglob("*.html"))
    assert len(found) > 40
    return found


def test_links_lead_somewhere(site):
    missing = {
        (page.relative_to(site).as_posix(), link)
        for page in pages(site)
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if ":" not in link and not (page.parent / link).exists()
    }
    assert missing == set()


def test_every_language_has_the_lessons_and_the_guides_of_the_other(site):
    for part in ("lessons", "how-to"):
        english, chinese = (
            sorted(p.name for p in (site / language / part).glob("*.html")) for language in ("en", "zh")
        )
        assert english == chinese and len(english) > 3


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_the_guides_show_exists(language, capsys):
    from reslab.cli.app import VERBS, run

    helps = {}
    for verb in VERBS:
        run([verb, "--help"])
        helps[verb] = capsys.readouterr().out
    for page in sorted((ROOT / "docs" / language / "how-to").glob("*.md")):
        shown = re.findall(r"reslab ([a-z-]+)([^`\n]*)", page.read_text(encoding="utf-8"))
        for verb, rest in shown:
            flags = re.findall(r"--[a-z][a-z0-9-]*", rest)
            assert verb in helps and all(flag in helps[verb] for flag in flags), (page.name, verb, rest)


def test_the_guides_of_both_languages_show_the_same_commands():
    for page in sorted((ROOT / "docs" / "en" / "how-to").glob("*.md")):
        twin = ROOT / "docs" / "zh" / "how-to" / page.name
        one, other = (re.findall(r"^```\n(.*?)^```", p.read_text(encoding="utf-8"), re.M | re.S) for p in (page, twin))
        assert one == other, page.name


def test_every_verb_is_described(site):
    from reslab.cli.app import VERBS

    text = (site / "en" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert all(f'id="reslab-{verb}"' in text for verb in VERBS)


@pytest.mark.browser
def test_both_languages_are_searched_and_nothing_is_fetched_from_outside(site, browser):
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}"
        page, asked, errors = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for language, word in (("zh", "残差"), ("zh", "卷积"), ("en", "residual")):
            page.goto(f"{home}/{language}/search.html?q={word}")
            page.wait_for_selector("#search-results li a")
            assert page.locator("#search-results li a").count() > 1
        page.goto(f"{home}/zh/how-to/index.html")
        page.click("a[hreflang=en]")
        assert page.url == f"{home}/en/how-to/index.html"
        server.shutdown()
    assert errors == [] and {url.split("/")[2] for url in asked} == {home.split("/")[2]}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass

"""A real Chromium for the tests that look at pages."""

import os
import shutil
from contextlib import contextmanager

import pytest

_FLAGS = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


@contextmanager
def chromium():
    """A browser; skips where there is no Chromium, or no playwright to drive it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=[*_FLAGS, *["--no-sandbox"] * root])
        yield browser
        browser.close()


def opened(browser, address, **context):
    """The page with every request and every complaint that it made."""
    page = browser.new_context(**context).new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(address)
    return page

"""Pictures that a person is to decide about, as one self-contained page: thumbnails, keys, and a table to download."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reslab.data.catalog import Picture
from reslab.data.corrections import DROP
from reslab.report import pictures
from reslab.report.frame import render_template
from reslab.words.phrases import Phrase, say

_KEYS = "1234567890"
_TEMPLATE, _STYLES, _SCRIPTS = "review.html.j2", ("style.css", "review.css"), ("switch.js", "review.js")


@dataclass(frozen=True, slots=True)
class Case:
    """One picture to decide about."""

    path: str
    """As the table that is downloaded names it."""
    label: str
    """The label that the data give; empty where they give none."""
    proposed: str
    """What the network proposes; empty where it agrees with the label."""
    reason: Phrase
    choices: tuple[str, ...]
    """The labels to choose from by a key, ten at most."""
    picture: Picture | None
    """None where it cannot be found: the page then shows its path alone."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything on the page but its pictures."""

    title: Phrase
    notes: Sequence[Phrase]
    tabs: Sequence[tuple[str, Sequence[Case]]]
    """`suspects`, `doubtful`, `duplicates`, `far` or `unlabelled` (`review.tab.*` of `reslab.words`) -> its pictures."""
    classes: Sequence[str]
    table: str
    """The name of the table that is downloaded."""
    command: str
    """What to do with it."""
    about: str
    """What the page is about: decisions that a browser kept return on a page about the same."""


def choose(classes: Sequence[str], likely: Iterable[str]) -> tuple[str, ...]:
    """The labels to choose from: all of them in their order or, of many, the likeliest first."""
    return tuple(classes if len(classes) <= len(_KEYS) else dict.fromkeys(one for one in likely if one))[: len(_KEYS)]


def render(page: Page) -> str:
    """The page as HTML."""
    view = {
        "title": page.title,
        "page": page,
        "tabs": [_tab(name, cases) for name, cases in page.tabs],
        "gives_labels": any(case.label for _, cases in page.tabs for case in cases),
        "many": len(page.classes) > len(_KEYS),
        "drop": DROP,
        "store": f"reslab review {hashlib.sha256(page.about.encode(errors='replace')).hexdigest()[:16]}",
    }
    return render_template(_TEMPLATE, view, _STYLES, _SCRIPTS)


def _tab(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    text = say(f"review.read.{name}") if cases else say(f"review.none.{name}")
    return {"name": name, "label": say(f"review.tab.{name}"), "text": text, "cards": [_card(case) for case in cases]}


def _card(case: Case) -> dict[str, Any]:
    alt = say("review.alt", path=case.path, label=case.label or "–")
    return {"case": case, "keys": _keyed(case.choices), "picture": pictures.thumbnail(case.picture), "alt": alt}


def _keyed(choices: Sequence[str]) -> list[tuple[str, str]]:
    """(key, label) of each choice: digits have their own."""
    digits = all(len(label) == 1 and label in _KEYS for label in choices)
    return list(zip(choices if digits else _KEYS, choices, strict=False))

"""What the data check found, as one self-contained page: pairs side by side, pictures that stand out, and the rest as a table."""

import json
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from reslab.check.data import Problem, Verdict
from reslab.data.catalog import Catalog, Picture
from reslab.report import pictures
from reslab.report.page import environment, part, policy
from reslab.words import phrases
from reslab.words.phrases import Phrase, plain, say

PAIRS, PICTURES, ROWS = 200, 200, 500
"""The most that the page shows of each kind of finding; what is left out is counted."""

_TEMPLATE, _SCRIPT, _STYLES = "data_page.html.j2", "switch.js", ("style.css", "data_page.css")
_SEEN = ("blurred", "dark", "odd size", "odd shape", "one colour", "almost blank", "gif", "animation")
"""Kinds of problem that one judges by looking at the picture."""


def render(catalog: Catalog, verdict: Verdict) -> str:
    """The page as HTML.

    Args:
        catalog: the data set that was checked; the pictures that are shown are decoded once more.
    """
    script = part(_SCRIPT)
    known = {picture.key: picture for picture in catalog.pictures}
    pairs = [p for p in verdict.problems if p.other]
    pairs.sort(key=lambda p: "across" not in p.kind)
    seen = [p for p in verdict.problems if p.kind in _SEEN and not p.other and p.path in known]
    shown = {*map(id, pairs), *map(id, seen)}
    rest = [p for p in verdict.problems if id(p) not in shown]
    return (
        environment()
        .get_template(_TEMPLATE)
        .render(
            say=say,
            element=phrases.element,
            attribute=phrases.attribute,
            style=Markup("\n".join(part(name) for name in _STYLES)),
            script=Markup(script),
            policy=policy(script),
            languages=json.dumps(phrases.languages(), ensure_ascii=False),
            title=say("data.title", data=catalog.name),
            verdict=verdict,
            facts=_facts(verdict),
            state=say("data.ok") if verdict.ok else say("data.errors", n=_count(verdict, "error")),
            pairs=[_pair(problem, known) for problem in pairs[:PAIRS]],
            pairs_left=len(pairs) - PAIRS,
            seen=[_row(problem) | {"picture": _side(problem.path, known)} for problem in seen[:PICTURES]],
            seen_left=len(seen) - PICTURES,
            columns=[say(f"data.column.{name}") for name in ("severity", "kind", "where", "detail")],
            rest=[_row(problem) for problem in rest[:ROWS]],
            rest_left=len(rest) - ROWS,
        )
    )


def _facts(verdict: Verdict) -> Sequence[tuple[str, Phrase]]:
    counts = (("pictures", verdict.images), ("classes", len(verdict.classes)))
    severities = ((severity, _count(verdict, severity)) for severity in ("error", "warning", "note"))
    return [(f"{n:,}", say(f"data.fact.{name}")) for name, n in (*counts, *severities)]


def _count(verdict: Verdict, severity: str) -> int:
    return sum(problem.severity == severity for problem in verdict.problems)


def _row(problem: Problem) -> dict[str, Any]:
    kind = f"data.kind.{problem.kind}"
    return {
        "severity": say(f"data.severity.{problem.severity}"),
        "kind": say(kind) if kind in phrases.TABLES[phrases.ENGLISH] else plain(problem.kind),
        "problem": problem,
    }


def _pair(problem: Problem, known: dict[str, Picture]) -> dict[str, Any]:
    return _row(problem) | {"sides": [_side(key, known) for key in (problem.path, problem.other)]}


def _side(key: str, known: dict[str, Picture]) -> dict[str, Any]:
    picture = known.get(key)
    label = picture.label if picture else ""
    return {
        "key": key,
        "label": label,
        "split": picture.split if picture else "",
        "image": pictures.thumbnail(picture),
        "alt": say("data.alt", key=key, label=label or "–"),
    }

"""The nearest pictures as one self-contained page: each query beside its neighbours."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reslab.data.catalog import Catalog, Picture
from reslab.evaluate.features import Near, Neighbour, find_picture
from reslab.report.frame import render_template
from reslab.report.pictures import thumbnail
from reslab.system.files import write_atomically
from reslab.words.phrases import say

PICTURES = 1000
"""On a page, about: a thumbnail takes some 6 kB."""


def write_near(path: Path, model: str, catalog: Catalog, queries: Sequence[Picture], rows: Sequence[Near]) -> None:
    """Write the page.

    Args:
        model: what the person called it.
        catalog: the pictures that were searched.
        queries: the pictures of `rows`, in their order.
    """
    there = {picture.key: picture for picture in catalog.pictures}
    room = PICTURES // (1 + max((len(row.neighbours) for row in rows), default=0)) or 1
    shown = [_row(query, row, there) for query, row in zip(queries[:room], rows, strict=False)]
    note = say("near.first", shown=len(shown), n=f"{len(rows):,}") if len(rows) > len(shown) else None
    view = {
        "title": say("near.title", data=catalog.name), "read": say("near.read", data=catalog.name, model=model),
        "note": note, "rows": shown,
    }  # fmt: skip
    write_atomically(path, render_template("near.html.j2", view).encode(errors="replace"))


def _row(query: Picture, row: Near, there: dict[str, Picture]) -> dict[str, Any]:
    picture, neighbours = None if row.error else thumbnail(query), [_neighbour(one, there) for one in row.neighbours]
    return {"path": row.path, "error": row.error, "picture": picture, "neighbours": neighbours}


def _neighbour(one: Neighbour, there: dict[str, Picture]) -> dict[str, Any]:
    return {**asdict(one), "picture": thumbnail(find_picture(one, there))}

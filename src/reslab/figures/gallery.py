"""Rows of photographs inside one drawing; names instead of sentences, so that one file serves both languages."""

import base64
from collections.abc import Sequence

import numpy as np

from reslab.figures.svg import Drawing, element, text
from reslab.pixels.encode import encode_picture

_TILE, _GAP, _LEFT = 96, 6, 92


def gallery(rows: Sequence[tuple[str, Sequence[np.ndarray]]]) -> Drawing:
    """A name and its pictures in each row.

    Args:
        rows: uint8 `[height, width, 3]` each; all are drawn as squares of the same size.
    """
    parts = []
    for number, (name, pictures) in enumerate(rows):
        top = number * (_TILE + _GAP)
        parts.append(text(_LEFT - 10, top + _TILE / 2 + 4, name, "", "end"))
        for column, picture in enumerate(pictures):
            content = base64.b64encode(encode_picture(picture, "JPEG", quality=85)).decode("ascii")
            left = _LEFT + column * (_TILE + _GAP)
            parts.append(
                element("image", href=f"data:image/jpeg;base64,{content}", x=left, y=top, width=_TILE, height=_TILE)
            )
    width = _LEFT + max(len(pictures) for _, pictures in rows) * (_TILE + _GAP) - _GAP
    return Drawing(", ".join(name for name, _ in rows), width, len(rows) * (_TILE + _GAP) - _GAP, parts)

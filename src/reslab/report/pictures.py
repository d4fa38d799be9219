"""Pictures for the page: small, and inside it as data URIs."""

import base64
from collections.abc import Collection
from pathlib import Path
from typing import Any

from PIL import Image

from reslab.data.catalog import Picture
from reslab.data.reader import load
from reslab.data.sources import at_hand, read_data
from reslab.errors import BadPicture
from reslab.model.run_data import as_corrected
from reslab.pixels.decode import decode
from reslab.pixels.encode import encode_picture

THUMBNAIL = 160
"""Longest side of a thumbnail, in pixels: twice what is shown, for dense screens."""

_SHEET = 1400  # widest contact sheet, in pixels
_SHEET_BYTES = 300_000  # up to this size the file itself is taken
_SMALL = 64  # up to this side a picture is enlarged, each of its pixels to be seen


def find_pictures(config: dict[str, Any], labels: dict[str, str], run: Path) -> dict[str, Picture]:
    """The pictures with these keys, where the data are still there and still say the same.

    Args:
        config: the run's config: `data` and `data_dir` are used.
        labels: key -> label; a picture with another label now is another picture, and is left out.
        run: its folder, which may hold corrections of labels.

    Returns:
        Key -> picture; empty where the data are gone.
    """
    if not labels or not at_hand(config["data"], config["data_dir"]):
        return {}
    try:
        catalog = as_corrected(run, read_data(config["data"], config["data_dir"]))
    except Exception:  # whatever ails the data by now, the page of a finished run must still be written
        return {}
    return {p.key: p for p in catalog.pictures if labels.get(p.key) == p.label}


def thumbnail(picture: Picture | None) -> str | None:
    """A data URI of at most `THUMBNAIL` pixels a side; None where there is no picture or it cannot be read."""
    if picture is None:
        return None
    try:
        image = Image.fromarray(load(picture))
    except (BadPicture, OSError):
        return None
    if max(image.size) > _SMALL:
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        return _uri(image, "JPEG")
    factor = THUMBNAIL // max(image.size)
    return _uri(image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST), "PNG")


def sheet(path: Path) -> str | None:
    """The contact sheet as a data URI, made smaller where it is large; None where there is none."""
    try:
        pixels, data = decode(path), path.read_bytes()
    except (BadPicture, OSError):
        return None
    if len(data) <= _SHEET_BYTES:
        return _encoded(data, "PNG")
    image = Image.fromarray(pixels)
    image.thumbnail((_SHEET, image.height))
    return _uri(image, "JPEG")


def _uri(image: Image.Image, kind: str) -> str:
    options: dict[str, Any] = {"optimize": True} if kind == "PNG" else {"quality": 82}
    return _encoded(encode_picture(image, kind, **options), kind)


def _encoded(data: bytes, kind: str) -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"


def labels_of(rows: Collection[dict[str, str]]) -> dict[str, str]:
    """Key -> true label of rows of `predictions.csv`."""
    return {row["path"]: row["label"] for row in rows}

"""Golden vectors beside an exported model: what it must be given for some pictures, and what it must answer.

With them a program in any language checks its pixels and its numbers against ours, without Python (`examples/`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reslab.engine.base import Engine, block_logits, probabilities
from reslab.errors import ResLabError
from reslab.pixels.preprocess import shrunk
from reslab.system.files import write_atomically, write_json

GOLDEN_NAME = "golden.json"
TOLERANCE = 1e-4
"""What two right programs may differ by: as a part of max(1, largest |logit|), and of a probability of 1."""

_ABOUT = (
    "Golden vectors of one model. Decode `picture`, prepare it as `preprocess` says (docs/pixels.md of ResLab): the result "
    "must be `prepared`, byte for byte. Give it to the model as `input`: logits and probabilities must be those written "
    "here, within `tolerance`. pixels.bin (uint8 [n, size, size, 3]), logits.bin, probabilities.bin (little-endian "
    "float32 [n, classes]) and tolerance.bin (two float32) hold the same for programs that read no PNG or JSON."
)


def write_golden(folder: Path, engine: Engine, pictures: Sequence[np.ndarray], tolerance: float = TOLERANCE) -> None:
    """Write pictures, prepared pixels and answers into a new or empty folder; `golden.json` comes last.

    Args:
        engine: of the exported file, whose sha256 the vectors name.
        pictures: decoded, uint8 `[height, width, 3]`, at least one. What is larger is first shrunk until its short side
            is twice the network's, so that a bundle of photographs stays small.

    Raises:
        ResLabError: there is no picture, something is in the folder already, or it cannot be written.
    """
    if not pictures:
        raise ResLabError("golden vectors need at least one picture")
    refuse_taken(folder)
    preprocess = engine.header.preprocess
    small = [shrunk(picture, 2 * preprocess.size) for picture in pictures]
    pixels = np.stack([preprocess(picture) for picture in small])
    logits = block_logits(engine, pixels).astype("<f4")
    shares = probabilities(engine, logits).astype("<f4")
    allowed = {"logits": tolerance * max(1.0, float(np.abs(logits).max())), "probabilities": tolerance}
    plain = {
        "pixels": pixels,
        "logits": logits,
        "probabilities": shares,
        "tolerance": np.array([*allowed.values()], "<f4"),
    }
    for name, array in plain.items():
        write_atomically(folder / f"{name}.bin", array.tobytes())
    rows = [
        _row(folder, number, *of_one) for number, of_one in enumerate(zip(small, pixels, logits, shares, strict=True))
    ]
    write_json(folder / GOLDEN_NAME, _head(engine) | {"tolerance": allowed, "pictures": rows})


def refuse_taken(folder: Path) -> None:
    """One sentence where something lies there already."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ResLabError(f"{folder} is there already, and not an empty folder", "golden vectors need one of their own")


def _head(engine: Engine) -> dict[str, Any]:
    header = engine.header
    side = header.preprocess.size
    return {
        "schema": 1,
        "about": _ABOUT,
        "model": {"sha256": engine.sha256, "answered_by": engine.name},
        "input": {"name": "images", "type": "uint8", "shape": ["batch", side, side, 3]},
        "preprocess": asdict(header.preprocess),
        "task": header.task,
        "classes": list(header.classes),
    }


def _row(
    folder: Path, number: int, picture: np.ndarray, pixels: np.ndarray, logits: np.ndarray, shares: np.ndarray
) -> dict:
    """Write the two pictures of one row, and give the row back."""
    names = {"picture": f"{number:02d}.png", "prepared": f"{number:02d}.prepared.png"}
    for name, array in zip(names.values(), (picture, pixels), strict=True):
        png = BytesIO()
        Image.fromarray(array).save(png, "PNG")
        write_atomically(folder / name, png.getvalue())
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return {**names, "prepared_sha256": digest, "logits": logits.tolist(), "probabilities": shares.tolist()}

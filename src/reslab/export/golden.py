"""Golden vectors beside an exported model: its input for some pictures, and the output that it must give.

With them, a program in any language checks its preprocessing and its results against ours (`examples/`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reslab.engine.base import Engine, block_logits, probabilities
from reslab.errors import ResLabError
from reslab.export.certify import RELATIVE, logit_tolerance
from reslab.pixels.encode import encode_picture
from reslab.pixels.preprocess import shrunk
from reslab.system.files import write_atomically, write_json

GOLDEN_NAME = "golden.json"
_ABOUT = (
    "Golden vectors of one model. Decode `picture`, prepare it as `preprocess` says (docs/en/reference/pixels.md of ResLab): "
    "the result must be `prepared`, byte for byte. Give it to the model as `input`: logits and probabilities must be those "
    "written here, within `tolerance`. pixels.bin (uint8 [n, size, size, 3]), logits.bin, probabilities.bin (little-endian "
    "float32 [n, classes]) and tolerance.bin (two float32) hold the same for programs that read no PNG or JSON."
)


def write_golden(folder: Path, engine: Engine, pictures: Sequence[np.ndarray]) -> None:
    """Write pictures, prepared pixels and answers into a new or empty folder; `golden.json` comes last.

    Args:
        engine: of the exported file, whose sha256 the vectors record.
        pictures: decoded, uint8 `[height, width, 3]`, at least one. Larger ones are first shrunk until their short side is
            twice the network's, so that a bundle of photographs stays small.

    Raises:
        ResLabError: there is no picture, the folder is not empty, or it cannot be written.
    """
    if not pictures:
        raise ResLabError("golden vectors need at least one picture")
    refuse_nonempty(folder)
    preprocess = engine.header.preprocess
    small = [shrunk(picture, 2 * preprocess.size) for picture in pictures]
    pixels = np.stack([preprocess(picture) for picture in small])
    logits = block_logits(engine, pixels).astype("<f4")
    shares = probabilities(engine, logits).astype("<f4")
    allowed = {"logits": logit_tolerance(logits), "probabilities": RELATIVE}
    arrays = {
        "pixels": pixels,
        "logits": logits,
        "probabilities": shares,
        "tolerance": np.array([*allowed.values()], "<f4"),
    }
    for name, array in arrays.items():
        write_atomically(folder / f"{name}.bin", array.tobytes())
    rows = [
        _write_row(folder, number, *values)
        for number, values in enumerate(zip(small, pixels, logits, shares, strict=True))
    ]
    write_json(folder / GOLDEN_NAME, _head(engine) | {"tolerance": allowed, "pictures": rows})


def refuse_nonempty(folder: Path) -> None:
    """Refuse a file, or a folder that is not empty."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ResLabError(f"{folder} exists and is not an empty folder", "golden vectors need a folder of their own")


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


def _write_row(
    folder: Path, number: int, picture: np.ndarray, pixels: np.ndarray, logits: np.ndarray, shares: np.ndarray
) -> dict:
    """Write the two pictures of one row, and return the row."""
    names = {"picture": f"{number:02d}.png", "prepared": f"{number:02d}.prepared.png"}
    for name, array in zip(names.values(), (picture, pixels), strict=True):
        write_atomically(folder / name, encode_picture(array))
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    return {**names, "prepared_sha256": digest, "logits": logits.tolist(), "probabilities": shares.tolist()}

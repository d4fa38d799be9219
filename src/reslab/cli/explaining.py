"""`explain`: class activation maps as pictures."""

import dataclasses
import json as json_format
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.options import outside_data
from reslab.data.reader import load
from reslab.engine.open import EngineName, find_model, open_engine
from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.predict import expand
from reslab.explain.cam import Explanation
from reslab.explain.cam import explain as explained
from reslab.explain.draw import draw_explanation
from reslab.pixels.encode import encode_picture
from reslab.system.files import write_atomically

_LONGEST = 200  # bytes of a file's name
_SIDE = 384  # of a drawn picture, in pixels, whatever the network's input is


def explain(
    model: str,
    /,
    *paths: str,
    out: Path = Path("heat.png"),
    label: str | None = None,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
    engine: EngineName = "auto",
) -> None:
    """Draw where in each picture the answer comes from: a class activation map with its scale.

    Args:
        model: A model file, an exported model.onnx, a run folder, latest, or a packaged model.
        paths: Pictures, folders, patterns.
        out: The PNG; a folder where there are several pictures.
        label: The class to explain; by default the most likely one of each picture.
        json: Print JSON Lines: label, probability, logit, the map's values.
        engine: auto, torch, onnxruntime or openvino: the library that computes, where the file leaves a choice.
    """
    if not paths:
        raise ResLabError("explain needs at least one picture, folder or pattern", "reslab explain MODEL photo.jpg")
    foreign.refuse_for(find_model(model))
    opened = open_engine(model, foreign.assumed(), engine)
    prepare, seen = opened.header.preprocess, replace(opened.header.preprocess, size=_SIDE)
    pictures = list(expand(paths))
    names, drawn = _file_names(picture.key for picture in pictures), 0
    with show.bar("explaining", len(pictures)) as progress:
        for number, picture in enumerate(pictures):
            progress.move(1)
            try:
                pixels = load(picture)
            except BadPicture as error:
                show.people.print(f"{picture.key}: cannot explain: {error.reason}")
                continue
            found = explained(opened, prepare(pixels), label)
            place = out if len(pictures) == 1 else out / names[number]
            for path in paths:
                outside_data(place, path)
            _draw(place, seen(pixels), found)
            _print_row(picture.key, place, found, prepare.size, json)
            drawn += 1
    if not drawn:
        raise ResLabError("none of the inputs could be read", "each row above says why")


def _file_names(keys: Iterable[str]) -> list[str]:
    """A file name for each picture, unique on every system: its path with _ for /, and a number where that is taken."""
    names: dict[str, str] = {}
    for key in keys:
        plain = re.sub(r'[\\/:*?"<>|\0-\x1f]', "_", key.strip("/"))
        stem, number = plain.encode()[-_LONGEST:].decode(errors="ignore"), 1
        while (name := stem + (f"-{number}" if number > 1 else "") + ".png").casefold() in names:
            number += 1
        names[name.casefold()] = name
    return list(names.values())


def _draw(place: Path, picture: np.ndarray, found: Explanation) -> None:
    write_atomically(place, encode_picture(draw_explanation(picture, found.heat)))


def _print_row(name: str, place: Path, found: Explanation, size: int, json: bool) -> None:
    x, y = found.peak(size)
    if json:
        document = {"schema": 1, "path": name, "out": str(place), "peak": [x, y], **dataclasses.asdict(found)}
        document["heat"] = np.round(found.heat, 5).tolist()
        sys.stdout.write(json_format.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        show.say(
            f"{name}: {found.label} {found.probability:.3f}; strongest at ({x:.0f}, {y:.0f}) of {size} px; {place}"
        )

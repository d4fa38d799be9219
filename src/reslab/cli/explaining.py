"""`explain`: class activation maps as pictures."""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.options import outside_data
from reslab.data.catalog import Picture
from reslab.data.reader import load, load_image
from reslab.engine.open import EngineName, find_model, open_engine
from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.features import Embedding, Neighbour, find_near, find_picture
from reslab.evaluate.predict import expand
from reslab.explain.cam import Explanation
from reslab.explain.cam import explain as explained
from reslab.explain.draw import draw_explanation
from reslab.explain.neighbours import draw_neighbours
from reslab.pixels.encode import encode_picture
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Decoded, Preprocess
from reslab.run.features import Searched, training_features
from reslab.system.files import write_atomically

_LONGEST = 200  # bytes of a file's name
_NEAREST = 5  # training pictures beside each explanation
_SIDE = 384  # of a drawn picture, in pixels, whatever the network's input is


def explain(
    model: str,
    /,
    *paths: str,
    out: Path = Path("heat.png"),
    label: str | None = None,
    near: str | None = None,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    json: Annotated[bool, Parameter(negative="")] = False,
    engine: EngineName = "auto",
) -> None:
    """Draw where in each picture the answer comes from: a class activation map with its scale.

    Below it stand the nearest training pictures, where `reslab embed RUN DATA` has kept their features in the run folder, or
    where --near says where they are.

    Args:
        model: A model file, an exported model.onnx, a run folder, latest, or a packaged model.
        paths: Pictures, folders, archives, patterns.
        out: The PNG; a folder where there are several pictures.
        label: The class to explain; by default the most likely one of each picture.
        near: Training pictures to compare with: a features.npz of reslab embed, or DATA, which is then read first.
        json: Print JSON Lines: label, probability, logit, the map's values, the nearest training pictures.
        engine: auto, fastest, torch, onnxruntime or openvino: the library that computes, where the file leaves a choice.
    """
    if not paths:
        raise ResLabError("explain needs at least one picture, folder or pattern", "reslab explain MODEL photo.jpg")
    place_of_model = find_model(model)
    foreign.refuse_for(place_of_model)
    opened = open_engine(model, foreign.assumed(), engine)
    with show.bar("embedding", None) as progress:
        known = training_features(place_of_model, opened, near, show.people.print, progress.move)
    prepare, seen = opened.header.preprocess, replace(opened.header.preprocess, size=_SIDE)
    pictures = list(expand(paths))
    names, drawn = _file_names(picture.key for picture in pictures), 0
    with show.bar("explaining", len(pictures)) as progress:
        for number, picture in enumerate(pictures):
            progress.move(1)
            try:
                pixels = load_image(picture)
            except BadPicture as error:
                show.people.print(f"{picture.key}: cannot explain: {error.reason}")
                continue
            found = explained(opened, prepare(pixels), label)
            place = out if len(pictures) == 1 else out / names[number]
            for path in paths:
                outside_data(place, path)
            nearest = _nearest(opened, known, picture, pixels) if known else None
            drawing = draw_explanation(seen(pixels), found.heat)
            if known and nearest:
                drawing = draw_neighbours(drawing, [(one, _shown(one, known, seen)) for one in nearest])
            write_atomically(place, encode_picture(drawing))
            _print_row(picture.key, place, found, prepare.size, nearest, json)
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


def _nearest(engine: Any, known: Searched, picture: Picture, pixels: Decoded) -> tuple[Neighbour, ...]:
    """The training pictures that are nearest to one; its decoded pixels are given."""
    features = engine.embed(engine.header.preprocess(pixels)[None]).features
    found = Embedding(features, np.frombuffer(fingerprint(pixels), np.uint8)[None], {})
    return find_near(known.table, [picture], found, _NEAREST)[0].neighbours


def _shown(one: Neighbour, known: Searched, prepare: Preprocess) -> np.ndarray | None:
    picture = find_picture(one, known.pictures)
    return None if picture is None else prepare(load(picture))


def _print_row(
    name: str, place: Path, found: Explanation, size: int, nearest: tuple[Neighbour, ...] | None, json: bool
) -> None:
    x, y = found.peak(size)
    if json:
        document: dict[str, Any] = {"path": name, "out": str(place), "peak": [x, y], **dataclasses.asdict(found)}
        document["heat"] = np.round(found.heat, 5).tolist()
        document["near"] = None if nearest is None else [dataclasses.asdict(one) for one in nearest]
        show.print_json_line(document)
    else:
        show.say(
            f"{name}: {found.label} {found.probability:.3f}; strongest at ({x:.0f}, {y:.0f}) of {size} px; {place}"
        )
        for one in nearest or ():
            show.say(
                f"   near: {one.similarity:.4f} {one.label}   {one.path}{'   the same picture' if one.same else ''}"
            )

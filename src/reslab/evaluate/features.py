"""Pooled features of pictures as a table, and the nearest pictures of a table to others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from reslab.data.catalog import Picture
from reslab.data.reader import load, load_image
from reslab.engine.base import Engine, stream_outputs
from reslab.errors import BadPicture, NoAnswer, ResLabError
from reslab.metrics.neighbours import nearest_rows
from reslab.pixels.fingerprint import FINGERPRINT_BYTES, fingerprint
from reslab.pixels.preprocess import Decoded, Preprocess


@dataclass(frozen=True, eq=False, slots=True)
class Embedding:
    """The features of some pictures, in their order."""

    features: np.ndarray
    """float32 `[n, d]`; zeros where there is an error."""
    fingerprints: np.ndarray
    """uint8 `[n, 5]`: a hash of each decoded picture."""
    errors: dict[int, BadPicture]
    """Position -> why there are no features."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a table was made from."""

    model: str
    """The model file's sha256."""
    preprocess: Preprocess
    """How pictures were prepared; a checkpoint of another library does not say it itself."""
    classes: tuple[str, ...]
    data: str
    """An absolute path, or a name."""
    data_dir: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class FeatureTable:
    """The features of the readable pictures of a data set."""

    source: Source
    features: np.ndarray
    """float32 `[n, d]`."""
    fingerprints: np.ndarray
    """uint8 `[n, 5]`."""
    keys: tuple[str, ...]
    labels: tuple[str, ...]
    """Empty where the data have none."""
    splits: tuple[str, ...]
    """`train`, `val` or `test`; empty where the data have no labels."""
    unreadable: tuple[BadPicture, ...] = ()

    def rows(self, chosen: np.ndarray) -> Self:
        """The table of some pictures, given by their positions."""
        texts = {name: tuple(getattr(self, name)[i] for i in chosen) for name in ("keys", "labels", "splits")}
        arrays = {name: getattr(self, name)[chosen] for name in ("features", "fingerprints")}
        return replace(self, **texts, **arrays)

    def training(self) -> Self:
        """The table of the training pictures; all where the data are not split."""
        chosen = [i for i, split in enumerate(self.splits) if split == "train"]
        return self.rows(np.array(chosen)) if chosen else self


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A picture of a table that is near another one."""

    path: str
    label: str
    split: str
    similarity: float
    """Cosine of the angle between their features, from -1 to 1."""
    same: bool
    """It is the same picture: every decoded pixel is equal."""
    fingerprint: str
    """Hexadecimal."""


@dataclass(frozen=True, slots=True)
class Near:
    """The nearest pictures to one, nearest first; or the reason why there are none."""

    path: str
    neighbours: tuple[Neighbour, ...] = ()
    error: str | None = None


def require_features(engine: Engine) -> None:
    """Refuse a model that does not give features.

    Raises:
        ResLabError: it does not.
    """
    if not engine.explains:
        raise ResLabError(
            "this model gives no features: its graph does not end in average pooling and one linear layer",
            "predict and eval work; a network that ResLab trained or exported gives them",
        )


def embed_pictures(
    engine: Engine,
    pictures: Sequence[Picture],
    skip_bad: bool = True,
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Embedding:
    """The features and hashes of pictures, of one pass that holds only its result and a few blocks of pixels.

    Raises:
        ResLabError: the model gives no features; a picture cannot be read and `skip_bad` is not set.
    """
    require_features(engine)
    fingerprints = np.zeros((len(pictures), FINGERPRINT_BYTES), np.uint8)
    features, errors = np.zeros((len(pictures), 0), np.float32), {}
    row_of = {picture: row for row, picture in enumerate(pictures)}

    def read(picture: Picture) -> Decoded:
        image = load_image(picture)
        fingerprints[row_of[picture]] = np.frombuffer(fingerprint(image), np.uint8)
        return image

    for block, outputs in stream_outputs(engine, pictures, workers, read, embed=True):
        found = outputs.features
        assert found is not None
        if not features.shape[1]:
            features = np.empty((len(pictures), found.shape[1]), np.float32)
        features[block.indices] = found
        bad = block.indices[~np.isfinite(found).all(axis=1)]
        errors |= {int(i): NoAnswer(pictures[i].key) for i in bad} | block.errors
        if errors and not skip_bad:
            raise errors[min(errors)]
        if on_progress:
            on_progress(len(block.indices))
    features[list(errors)] = 0
    return Embedding(features, fingerprints, errors)


def make_table(
    engine: Engine, pictures: Sequence[Picture], data: str, data_dir: str | None, found: Embedding
) -> FeatureTable:
    """The table of the pictures that could be read.

    Raises:
        ResLabError: none could.
    """
    if len(found.errors) == len(pictures):
        raise ResLabError(f"none of the {len(pictures)} pictures of {data} can be read", found.errors[0].message)
    return part_table(engine, pictures, data, data_dir, found)


def part_table(
    engine: Engine, pictures: Sequence[Picture], data: str, data_dir: str | None, found: Embedding
) -> FeatureTable:
    """The same of a part of a data set, in which there may be none."""
    header = engine.header
    source = Source(engine.sha256, header.preprocess, header.classes, data, data_dir)
    good = [i for i in range(len(pictures)) if i not in found.errors]
    features, fingerprints = found.features, found.fingerprints
    if found.errors:
        features, fingerprints = features[good], fingerprints[good]
    return FeatureTable(
        source, features, fingerprints,
        keys=tuple(pictures[i].key for i in good), labels=tuple(pictures[i].label for i in good),
        splits=tuple(pictures[i].split or "" for i in good), unreadable=tuple(found.errors.values()),
    )  # fmt: skip


def require_same_model(table: FeatureTable, engine: Engine, name: object) -> None:
    """Refuse features of another model: they lie in another space, where similarities mean nothing.

    Args:
        name: the table's file, for the message.

    Raises:
        ResLabError: another model, or another preprocessing, made them.
    """
    source = table.source
    if source.model != engine.sha256:
        there, here = source.model[:12], engine.sha256[:12]
        what = f"{name} holds the features of another model (sha256 {there}…, this one is {here}…)"
    elif source.preprocess != engine.header.preprocess:
        what = f"{name} was made with another preprocessing of the pictures"
    else:
        return
    raise ResLabError(what, "make them anew: reslab embed MODEL DATA --out features.npz")


def find_near(table: FeatureTable, pictures: Sequence[Picture], found: Embedding, top: int) -> list[Near]:
    """For each picture the `top` nearest of the table.

    Args:
        found: the features of `pictures`, by the model that made the table.
    """
    if found.features.shape[1] != (d := table.features.shape[1]):
        raise ResLabError(f"the table is damaged: its features are {d} numbers, the model's {found.features.shape[1]}")
    nearest, answers = nearest_rows(found.features, table.features, top), []
    for i, picture in enumerate(pictures):
        if error := found.errors.get(i):
            answers.append(Near(picture.key, error=error.reason))
            continue
        mine = found.fingerprints[i].tobytes()
        places = zip(nearest.rows[i], nearest.similarity[i], strict=True)
        rows = tuple(_neighbour(table, int(row), float(value), mine) for row, value in places)
        answers.append(Near(picture.key, rows))
    return answers


def _neighbour(table: FeatureTable, row: int, similarity: float, mine: bytes) -> Neighbour:
    theirs = table.fingerprints[row].tobytes()
    return Neighbour(
        table.keys[row], table.labels[row], table.splits[row], similarity, same=mine == theirs, fingerprint=theirs.hex()
    )


def find_picture(neighbour: Neighbour, pictures: Mapping[str, Picture]) -> Picture | None:
    """The decoded picture of a neighbour; None where it is gone, cannot be read, or is another one by now.

    Args:
        pictures: by key, those that its table was made from.
    """
    try:
        pixels = load(pictures[neighbour.path])
    except (KeyError, BadPicture):
        return None
    same = fingerprint(pixels).hex() == neighbour.fingerprint
    return Picture(neighbour.path, pixels, neighbour.label) if same else None

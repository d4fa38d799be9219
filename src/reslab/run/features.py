"""Features of the pictures that a person names: a whole data set, its nearest pictures to others, the training pictures."""

import glob
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from reslab.data.catalog import SPLITS, Catalog, Picture, Split
from reslab.data.folder import read_folder
from reslab.data.sources import TABLES, absolute, at_hand, path_of, read_data
from reslab.data.splits import SplitConfig
from reslab.errors import BadPicture, ResLabError
from reslab.evaluate.evaluation import shared_rows
from reslab.evaluate.feature_file import read_features
from reslab.evaluate.features import FeatureTable, Source, embed_pictures, make_table, require_same_model
from reslab.evaluate.predict import expand
from reslab.model.run import CONFIG_NAME, FEATURES_NAME
from reslab.model.run_data import is_data_of

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class PictureSet:
    """The pictures of DATA, as a person names it."""

    data: str
    """An absolute path, or a name or pattern."""
    data_dir: str | None
    catalog: Catalog
    labelled: bool
    """Otherwise each picture has the label `""` and no split."""

    def divided(self, division: SplitConfig) -> Self:
        """The same with every labelled picture in a split."""
        return replace(self, catalog=division.apply(self.catalog)) if self.labelled else self

    def by_key(self) -> dict[str, Picture]:
        return {picture.key: picture for picture in self.catalog.pictures}

    def pictures(self, split: Split | None = None) -> tuple[Picture, ...]:
        """All pictures, or those of one split.

        Raises:
            ResLabError: there is none.
        """
        chosen = self.catalog.split(split) if split else self.catalog.pictures
        if not chosen:
            there = [name for name in SPLITS if self.catalog.split(name)]
            hint = f"it has {', '.join(there)}" if there else "its pictures have no labels, so they are not split"
            raise ResLabError(f"the {split} split of {self.data} is empty", hint)
        return chosen


def read_pictures(data: str, data_dir: str | None = None) -> PictureSet:
    """The pictures of DATA, not yet split: labelled as `eval` reads them, else without labels as `predict` takes them.

    Raises:
        ResLabError: DATA is neither, or holds no picture.
    """
    place = absolute(data) or data
    try:
        return PictureSet(place, data_dir, read_data(data, data_dir), labelled=True)
    except ResLabError:
        pictures = tuple(expand(data)) if _is_loose(path_of(data, "DATA"), data) else ()
        if all(isinstance(picture.source, BadPicture) for picture in pictures):
            raise
    return PictureSet(place, None, Catalog(Path(data).name, data, pictures), labelled=False)


def _is_loose(path: Path, written: str) -> bool:
    """Whether DATA names pictures without labels: a folder without class folders, a picture, or a pattern."""
    if path.is_dir():
        return not read_folder(path).pictures
    return path.suffix.lower() not in TABLES if path.is_file() else glob.has_magic(written)


def embed(
    engine: Any, pictures: PictureSet, split: Split | None, skip_bad: bool, workers: int | None, on_progress: Progress
) -> FeatureTable:
    """The features of these pictures (`evaluate.features.embed_pictures`)."""
    chosen = pictures.pictures(split)
    found = embed_pictures(engine, chosen, skip_bad, workers, on_progress)
    return make_table(engine, chosen, pictures.data, pictures.data_dir, found)


def features_place(model: Path, pictures: PictureSet, split: Split | None) -> Path:
    """Where features are kept that a person gives no place for: the run folder of the model, if these are its pictures.

    Raises:
        ResLabError: they are not all of its pictures, or the model is in no run folder.
    """
    run = model.parent
    if not (run / CONFIG_NAME).is_file():
        raise ResLabError(f"{model} is in no run folder: where are the features to go?", "--out features.npz")
    if split or not is_data_of(run, pictures.catalog):
        raise ResLabError(
            f"{run} keeps the features of all pictures that it was trained on, not of these", "give --out"
        )
    return run / FEATURES_NAME


def kept_table(file: Path, engine: Any, pictures: PictureSet, split: Split | None) -> FeatureTable:
    """The features in a file, of those of these pictures that it holds.

    Raises:
        ResLabError: it is damaged, of another model, or holds none of them.
    """
    table = read_features(file)
    require_same_model(table, engine, file)
    here, _ = shared_rows(table.keys, [picture.key for picture in pictures.pictures(split)])
    return table.rows(here)


@dataclass(frozen=True, slots=True)
class Searched:
    """Pictures among which the nearest are found."""

    table: FeatureTable
    pictures: Mapping[str, Picture]
    """By key, as far as they are still there."""


def training_features(
    model: Path, engine: Any, near: str | None, on_message: Callable[[str], None], on_progress: Progress
) -> Searched | None:
    """The training pictures with their features; None where nothing says where to find them.

    Args:
        model: the model's file.
        near: a file of `reslab embed`, or DATA, whose training pictures are then read; by default `features.npz` in the
            run folder, where `reslab embed` keeps it.

    Raises:
        ResLabError: the file is damaged or of another model, or there are no such data.
    """
    if near and not near.endswith(".npz"):
        recorded = SplitConfig.recorded(engine.header.training)
        given = read_pictures(near).divided(recorded)
        table = embed(engine, given, "train" if given.labelled else None, True, None, on_progress)
        return Searched(table, given.by_key())
    file = Path(near) if near else model.parent / FEATURES_NAME
    if not near and not file.is_file():
        return None
    table = read_features(file)
    if not near and table.source.model != engine.sha256:
        on_message(f"{file} is of another state of the model: the nearest training pictures are left out")
        return None
    require_same_model(table, engine, file)
    return Searched(table.training(), _pictures_of(table.source))


def _pictures_of(source: Source) -> dict[str, Picture]:
    if not at_hand(source.data, source.data_dir):
        return {}
    try:
        return read_pictures(source.data, source.data_dir).by_key()
    except ResLabError:  # whatever ails the data by now, their names and similarities are known
        return {}

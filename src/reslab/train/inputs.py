"""What a plan feeds the network: its pictures, decoded at most once, and how they are prepared and changed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from reslab.data.augment import ROOM, Augment
from reslab.data.catalog import Catalog, Picture
from reslab.data.store import Store
from reslab.pixels.preprocess import Decoded, Preprocess, shrunk
from reslab.train.config import Plan


@dataclass(frozen=True, slots=True)
class Stores:
    """The pictures of a run, decoded at most once: roomy ones to train on, final ones to validate on."""

    train: Store
    val: Store

    def keep(self, picture: Picture, pixels: Decoded, digest: bytes) -> None:
        """Take a picture that has just been decoded, and its fingerprint."""
        self._of(picture).keep(picture, pixels, digest)

    def preparation(self) -> Callable[[Picture, Decoded], np.ndarray]:
        """Makes of a decoded picture what is kept of it; can be pickled."""
        return partial(_prepared, self.train.transform, self.val.transform)

    def take(self, picture: Picture, prepared: np.ndarray, digest: bytes) -> None:
        """Take what `preparation` has made of a picture, and the picture's fingerprint."""
        self._of(picture).take(picture, prepared, digest)

    def fingerprint(self, picture: Picture) -> str:
        """The hash of a decoded picture in hexadecimal; decodes it if it has not been decoded yet."""
        return self._of(picture).fingerprint(picture).hex()

    def _of(self, picture: Picture) -> Store:
        return self.train if picture.split == "train" else self.val


def open_stores(plan: Plan, catalog: Catalog) -> Stores:
    """Empty stores for a plan; they fill as pictures are asked for."""
    preprocess = preprocess_of(plan)
    room = round(plan.config.size * ROOM)
    return Stores(
        Store(catalog.split("train"), partial(shrunk, short_side=room)), Store(catalog.split("val"), preprocess)
    )


def _prepared(
    train: Callable[[Decoded], np.ndarray], val: Callable[[Decoded], np.ndarray], picture: Picture, pixels: Decoded
) -> np.ndarray:
    return (train if picture.split == "train" else val)(pixels)


def preprocess_of(plan: Plan) -> Preprocess:
    """How every door will prepare pictures for this model."""
    return Preprocess(plan.config.size, plan.config.resize)  # type: ignore[arg-type]


def augment_of(plan: Plan) -> Augment:
    """How training pictures are changed."""
    return Augment(plan.changes, preprocess_of(plan), plan.config.seed)

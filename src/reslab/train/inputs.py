"""What a plan feeds the network: its pictures, decoded at most once, and how they are prepared and changed."""

from dataclasses import dataclass

import numpy as np

from reslab.data.augment import ROOM, Augment
from reslab.data.catalog import Catalog, Picture
from reslab.data.store import Store
from reslab.pixels.preprocess import Preprocess, shrunk
from reslab.train.config import Plan


@dataclass(frozen=True, slots=True)
class Stores:
    """The pictures of a run, decoded at most once: roomy ones to train on, final ones to validate on."""

    train: Store
    val: Store

    def keep(self, picture: Picture, pixels: np.ndarray) -> None:
        """Take a picture that has just been decoded (by the data check)."""
        store = self.train if picture.split == "train" else self.val
        store.keep(store.index[picture.key], pixels)

    def fingerprints(self) -> dict[str, str]:
        """Key -> hash of the decoded picture in hexadecimal; decodes what has not been decoded yet."""
        return {
            picture.key: digest.hex()
            for store in (self.train, self.val)
            for picture, digest in zip(store.pictures, store.fingerprints(), strict=True)
        }


def open_stores(plan: Plan, catalog: Catalog) -> Stores:
    """Empty stores for a plan; they fill as pictures are asked for."""
    preprocess = preprocess_of(plan)
    room = round(plan.config.size * ROOM)
    return Stores(
        Store(catalog.split("train"), lambda picture: shrunk(picture, room)), Store(catalog.split("val"), preprocess)
    )


def preprocess_of(plan: Plan) -> Preprocess:
    """How every door will prepare pictures for this model."""
    return Preprocess(plan.config.size, plan.config.resize)  # type: ignore[arg-type]


def augment_of(plan: Plan) -> Augment:
    """How training pictures are changed."""
    return Augment(plan.changes, preprocess_of(plan), plan.config.seed)

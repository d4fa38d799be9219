"""Where the pictures of an evaluation lie on the map of their features: two numbers each, kept in the run folder."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from reslab.errors import ResLabError
from reslab.metrics.components import principal_components
from reslab.system.files import SCHEMA, read_json, write_json
from reslab.system.sampling import evenly_spaced
from reslab.system.values import build_known

LARGEST = 2000
"""Pictures on a map: more would hide each other."""


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """The first two principal components of the pooled features."""

    d: int
    """Length of the features."""
    explained_variance: tuple[float, float]
    """The share of each component."""
    rows: tuple[int, ...]
    """Positions of the pictures in the evaluation, that is rows of `predictions.csv`."""
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.x) == len(self.y) or any(row < 0 for row in self.rows):
            raise ResLabError("its rows and coordinates do not fit together")


def make_map(features: np.ndarray) -> FeatureMap | None:
    """The map of features `[n, d]`: of all pictures, or of `LARGEST` that are evenly spaced; None of fewer than three."""
    n, d = features.shape
    if n < 3 or d < 2:
        return None
    rows = evenly_spaced(n, LARGEST)
    coordinates, explained = principal_components(features[rows])
    x, y = (tuple(float(f"{value:.5g}") for value in column) for column in coordinates.T)
    first, second = (float(f"{share:.5g}") for share in explained)
    return FeatureMap(d, (first, second), tuple(rows.tolist()), x, y)


def write_map(path: Path, made: FeatureMap, model: str) -> None:
    """Write it as JSON, with the sha256 of the model."""
    write_json(path, {"schema": SCHEMA, "model": model, **asdict(made)})


def read_map(path: Path, model: str) -> FeatureMap | None:
    """The inverse; None where there is no such file, or another model made it.

    Raises:
        ResLabError: it is damaged.
    """
    if not path.is_file():
        return None
    document = read_json(path)
    return build_known(FeatureMap, document, path) if document.get("model") == model else None

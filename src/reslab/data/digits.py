"""scikit-learn's handwritten digits: the built-in data set, read from its file without importing the library."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from reslab.data.catalog import Catalog, Picture

_LEVELS, _SIDE = 16, 8
_TEST_EVERY = 5


def read_digits() -> Catalog:
    """1,797 real handwritten digits, 8 x 8 pixels, from scikit-learn (UCI, Alpaydin and Kaynak 1998); no network.

    Every fifth picture is a test picture: a fixed set of 359, large enough for a useful interval.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    table = np.loadtxt(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz", np.uint8, delimiter=",")
    grey = np.rint(table[:, :-1].reshape(-1, _SIDE, _SIDE) * (255 / _LEVELS)).astype(np.uint8)
    pictures = tuple(
        Picture(
            f"digits/{index:04d}",
            np.repeat(grey[index][..., None], 3, axis=2),
            str(label),
            "test" if index % _TEST_EVERY == _TEST_EVERY - 1 else "train",
        )
        for index, label in enumerate(table[:, -1])
    )
    return Catalog("digits", "digits", pictures, mirrored=False)

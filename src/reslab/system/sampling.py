"""Which of many are taken, where some stand for all."""

import numpy as np


def evenly_spaced(n: int, most: int) -> np.ndarray:
    """At most so many positions out of `n`, from the first to the last: int64, rising."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))

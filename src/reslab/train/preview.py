"""A contact sheet of exactly what the network sees: prepared, and then augmented a few times over."""

import numpy as np

from reslab.data.store import Store
from reslab.system.sampling import evenly_spaced
from reslab.train.config import Plan
from reslab.train.inputs import augment_of, preprocess_of

_GAP = 2
_LEAST_SIDE = 64
_WHITE = 255


def sheet(plan: Plan, store: Store, columns: int = 8, rows: int = 6) -> np.ndarray:
    """One picture per row: first as it is prepared for evaluation, then as epochs 0, 1, 2, … would show it.

    Args:
        store: the training pictures.

    Returns:
        uint8 `[height, width, 3]`; small pictures are enlarged by a whole factor, pixels kept.
    """
    chosen = evenly_spaced(len(store), rows)
    prepare, augment = preprocess_of(plan), augment_of(plan)
    cells = [[prepare(store[int(i)]) for i in chosen]]
    cells += [list(augment.pictures([store[int(i)] for i in chosen], e, chosen)) for e in range(columns - 1)]
    factor = max(1, _LEAST_SIDE // plan.config.size)
    tiles = np.array(cells).repeat(factor, axis=2).repeat(factor, axis=3)
    framed = np.pad(tiles, ((0, 0), (0, 0), (_GAP, _GAP), (_GAP, _GAP), (0, 0)), constant_values=_WHITE)
    across, down, side = framed.shape[:3]
    return framed.transpose(1, 2, 0, 3, 4).reshape(down * side, across * side, 3)

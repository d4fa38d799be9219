"""The nearest rows of a table of features by cosine similarity: exact, by matrix products of bounded size. numpy only."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_TINY = 1e-12
_BLOCK = 2**22  # similarities that are held at once


class Neighbours(NamedTuple):
    """The k nearest rows of each of n queries, nearest first; of equally near rows the first."""

    rows: np.ndarray
    """int64 `[n, k]`."""
    similarity: np.ndarray
    """`[n, k]`: the cosine of the angle between the two, from -1 to 1."""


def nearest_rows(
    queries: Float[np.ndarray, "n d"], known: Float[np.ndarray, "m d"], k: int, leave_out_self: bool = False
) -> Neighbours:
    """The k rows of `known` with the greatest cosine similarity to each query; all of them where there are fewer.

    Args:
        leave_out_self: `queries` are the rows of `known` themselves, and none is its own neighbour.
    """
    m = len(known)
    k = min(k, m - leave_out_self)
    scale, step = 1 / _lengths(known), max(1, _BLOCK // m)
    found = []
    for start in range(0, len(queries) or 1, step):
        part = queries[start : start + step]
        similarity = (part / _lengths(part)[:, None]) @ known.T
        similarity *= scale
        if leave_out_self:
            here = np.arange(len(part))
            similarity[here, start + here] = -np.inf
        found.append(_best(similarity, k))
    rows, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Neighbours(rows, np.clip(values, -1, 1))


def _best(similarity: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and values of the k greatest numbers of each row, in order."""
    edge = np.partition(similarity, -k, axis=1)[:, -k]
    rows = np.empty((len(similarity), k), np.int64)
    for i, (row, least) in enumerate(zip(similarity, edge, strict=True)):
        candidates = np.flatnonzero(row >= least)  # in ascending order; more than k where several are equally near
        rows[i] = candidates[np.argsort(-row[candidates], kind="stable")[:k]]
    return rows, np.take_along_axis(similarity, rows, axis=1)


def _lengths(features: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(np.einsum("nd,nd->n", features, features), _TINY**2))

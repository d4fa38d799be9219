"""Decide whether two small pictures show the same: lay one over the other, then compare their pixels.

Position and scale along each axis are found by Gauss-Newton steps on the normalised pictures, as in ECC (Evangelidis and
Psarakis, 2008), which a change of brightness and contrast does not disturb.
"""

import numpy as np

from reslab.check.hashes import GREY, SIDE

_STEPS = 5
_OVERLAP = 0.6  # least share of the first picture that the second covers
_WINDOW, _STRIDE = 5, 2  # pixels
_NOISE = 10.0  # grey levels squared: added to the variance of a window, so that flat ones do not count
_PLAIN = 4.0  # grey levels: pictures with less contrast have nothing to compare
_BATCH = 250


def similarities(first: np.ndarray, second: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How alike the pictures of each pair are once they are aligned, from about 0 (unrelated) to 1: float `[n]`.

    The mean correlation of corresponding windows of 5 x 5 pixels: of their grey values, counted twice, and of their
    colour differences R - G and B - G. Two grey pictures are compared by their grey values alone.

    Args:
        first, second: uint8 `[n, SIDE, SIDE, 3]`.
        boxes: `[n, 2, 2, 2]`: for both pictures the (top, bottom) and (left, right), in [0, 1], that correspond.
    """
    parts = [slice(start, start + _BATCH) for start in range(0, len(first), _BATCH)]
    found = [_batch(first[p].astype(np.float32), second[p].astype(np.float32), boxes[p]) for p in parts]
    return np.concatenate(found) if found else np.empty(0)


def _batch(first: np.ndarray, second: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    fit = _align(_halved(first @ GREY), _halved(second @ GREY), _start(boxes) * [0.5, 1, 0.5, 1])
    rows, columns = _places(fit * [2, 1, 2, 1], SIDE)
    mask = _mask(rows, columns, SIDE)
    moved = np.stack([_warp(second[..., channel], rows, columns) for channel in range(3)], axis=3)
    one, other = first @ GREY, moved @ GREY
    grey, colour = _windows(one, other, mask), np.zeros(len(first), np.float32)
    coloured = np.zeros(len(first), bool)
    for channel in (0, 2):
        left, right = (picture[..., channel] - picture[..., 1] for picture in (first, moved))
        colour += _windows(left, right, mask) / 2
        for difference in (left, right):
            coloured |= _deviation(_centred(difference, mask)) > _PLAIN
    alike = np.where(coloured, (2 * grey + colour) / 3, grey)
    plain = np.minimum(_deviation(_centred(one, mask)), _deviation(_centred(other, mask))) < _PLAIN
    return np.where(plain | (mask.mean((1, 2)) < _OVERLAP), 0, alike)


def _start(boxes: np.ndarray) -> np.ndarray:
    """Shift in pixels and scale along each axis from boxes that correspond: `[n, 4]`, vertical first."""
    (low, high), (there_low, there_high) = boxes[:, 0].transpose(2, 0, 1), boxes[:, 1].transpose(2, 0, 1)
    scale = (there_high - there_low) / (high - low)
    shift = (there_low + (0.5 - low) * scale - 0.5) * SIDE
    return np.stack([shift[:, 0], scale[:, 0], shift[:, 1], scale[:, 1]], axis=1)


def _align(first: np.ndarray, second: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """Gauss-Newton from `fit`, `[n, 4]`; the fit with the highest correlation that was met."""
    side = first.shape[1]
    centred = np.arange(side, dtype=np.float32) - (side - 1) / 2
    fit = fit.astype(np.float32)
    best, highest = fit.copy(), np.full(len(fit), -1, np.float32)
    for step in range(_STEPS + 1):
        rows, columns = _places(fit, side)
        mask = _mask(rows, columns, side)
        moved, fixed = _unit(_warp(second, rows, columns), mask), _unit(first, mask)
        correlation = (moved * fixed).sum((1, 2))
        better = (correlation > highest) & (mask.mean((1, 2)) >= _OVERLAP)
        best[better], highest[better] = fit[better], correlation[better]
        if step == _STEPS:
            break
        down, right = np.gradient(moved, axis=(1, 2))
        slopes = (down, down * centred[:, None], right, right * centred)
        jacobian = np.stack([_centred(slope, mask).reshape(len(fit), -1) for slope in slopes], axis=2)
        normal = jacobian.transpose(0, 2, 1) @ jacobian
        damping = 0.0025 * np.trace(normal, axis1=1, axis2=2) + 1e-6
        towards = jacobian.transpose(0, 2, 1) @ (fixed - moved).reshape(len(fit), -1, 1)
        change = np.linalg.solve(normal + damping[:, None, None] * np.eye(4, dtype=np.float32), towards)[..., 0]
        most = np.array([2, 0.05, 2, 0.05], np.float32)
        fit = fit + np.clip(change * fit[:, [1, 1, 3, 3]], -most, most)
        fit[:, 1::2] = np.clip(fit[:, 1::2], 0.75, 1.33)
    return best


def _places(fit: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the rows and the columns of the first picture lie in the second, in pixels: two of `[n, side]`."""
    centre = (side - 1) / 2
    centred = np.arange(side, dtype=np.float32) - centre
    return centre + fit[:, :1] + fit[:, 1:2] * centred, centre + fit[:, 2:3] + fit[:, 3:] * centred


def _mask(rows: np.ndarray, columns: np.ndarray, side: int) -> np.ndarray:
    """1 where the second picture covers the first, else 0."""
    inside = [(places > -0.51) & (places < side - 0.49) for places in (rows, columns)]
    return (inside[0][:, :, None] & inside[1][:, None, :]).astype(np.float32)


def _warp(pictures: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sample `[n, side, side]` at these rows and columns, bilinearly."""
    grid = np.arange(pictures.shape[1], dtype=np.float32)
    weights = [np.maximum(0, 1 - abs(np.clip(p, 0, grid[-1])[:, :, None] - grid)) for p in (rows, columns)]
    return weights[0] @ pictures @ weights[1].transpose(0, 2, 1)


def _halved(grey: np.ndarray) -> np.ndarray:
    return grey.reshape(len(grey), SIDE // 2, 2, SIDE // 2, 2).mean((2, 4))


def _centred(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Minus the mean of what is masked in, and 0 elsewhere."""
    mean = (values * mask).sum((1, 2), keepdims=True) / np.maximum(mask.sum((1, 2), keepdims=True), 1)
    return (values - mean) * mask


def _unit(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    values = _centred(values, mask)
    return values / np.maximum(np.sqrt((values**2).sum((1, 2), keepdims=True)), 1e-3)


def _deviation(centred: np.ndarray) -> np.ndarray:
    """Standard deviation of values with mean 0: `[n]`."""
    return np.sqrt((centred.reshape(len(centred), -1) ** 2).mean(1))


def _windows(one: np.ndarray, other: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The sum of the correlations of corresponding windows, over the geometric mean of their number and of the number of
    those with detail: 1 for equal pictures that are full of detail, less the more of both is flat."""

    def cut(values: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(values, (_WINDOW, _WINDOW), axis=(1, 2))
        return windows[:, ::_STRIDE, ::_STRIDE].reshape(len(values), -1, _WINDOW**2)

    left, right, inside = cut(one), cut(other), cut(mask).min(2)
    left, right = left - left.mean(2, keepdims=True), right - right.mean(2, keepdims=True)
    variance, other_variance = (left**2).mean(2), (right**2).mean(2)
    local = (left * right).mean(2) / (np.sqrt(variance * other_variance) + _NOISE)
    most = np.maximum(variance, other_variance)
    detailed = (most / (most + _NOISE) * inside).sum(1)
    return (local * inside).sum(1) / np.sqrt(np.maximum(detailed * inside.sum(1), 1))

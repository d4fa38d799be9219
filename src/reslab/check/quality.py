"""Picture quality: blurred and dark pictures, and those of an unusual size or shape beside the others of their set."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reslab.check.hashes import GREY
from reslab.pixels.preprocess import shrunk

SIDE = 128
"""Shorter side at which sharpness and brightness are measured, in pixels."""

_DARK, _DARK_TOP = 30, 80  # grey levels: the mean, and what all but 5 % of the pixels stay under
_BLURRED = 0.01  # variance of the Laplacian over the variance of the grey values
_BLUR_SIDE = 64  # pixels: smaller pictures have no detail to miss
_ODD_SIZE = 4  # times larger or smaller than the median
_ODD_ASPECT = 2.5  # times wider or narrower than the median
_CROPPED = 0.4  # share of a picture that a centre crop throws away


@dataclass(frozen=True, slots=True)
class Quality:
    """A few numbers of one picture."""

    width: int
    height: int
    mean: float
    """Of the grey values, 0 to 255."""
    top: float
    """Their 95th percentile."""
    sharpness: float
    """Variance of the Laplacian (Pech-Pacheco et al., 2000) over that of the grey values; 1 where it says nothing."""


def measure_quality(picture: np.ndarray) -> Quality:
    """Measure a decoded picture, uint8 `[height, width, 3]`."""
    height, width = picture.shape[:2]
    grey = shrunk(picture, SIDE) @ GREY
    spread = float(grey.var())
    sharpness = 1.0
    if min(height, width) >= _BLUR_SIDE and spread > 1:
        inner = grey[1:-1, 1:-1]
        laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
        sharpness = float(laplacian.var()) / spread
    return Quality(width, height, float(grey.mean()), float(np.percentile(grey, 95)), sharpness)


def unusual_pictures(measured: Iterable[tuple[str, Quality]]) -> Iterable[tuple[str, str, str]]:
    """(kind, key, detail) of the pictures that stand out."""
    measured = list(measured)
    if not measured:
        return
    side = float(np.median([max(one.width, one.height) for _, one in measured]))
    aspect = float(np.median([one.width / one.height for _, one in measured]))
    for key, seen in measured:
        size = f"{seen.width} x {seen.height} pixels"
        if seen.mean < _DARK and seen.top < _DARK_TOP:
            yield "dark", key, f"mean grey level {seen.mean:.0f} of 255"
        if seen.sharpness < _BLURRED:
            yield "blurred", key, f"its Laplacian has {100 * seen.sharpness:.2g} % of the variance of its grey values"
        if not 1 / _ODD_SIZE < max(seen.width, seen.height) / side < _ODD_SIZE:
            yield "odd size", key, f"{size}; the median of the longer sides is {side:g}"
        if not 1 / _ODD_ASPECT < seen.width / seen.height / aspect < _ODD_ASPECT:
            yield "odd shape", key, f"{size}; the median width over height is {aspect:.2f}"


def cropped_share(measured: Iterable[Quality]) -> tuple[float, int]:
    """The mean share of a picture outside its central square, and how many pictures lose more than 40 %."""
    shares = [1 - min(one.width, one.height) / max(one.width, one.height) for one in measured]
    return float(np.mean(shares)) if shares else 0.0, sum(share > _CROPPED for share in shares)

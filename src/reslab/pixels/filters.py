"""Filters and noise that the common corruptions are made of: numpy, on float pictures `[height, width, channels]`.

Random numbers come in as a function, `draw(purpose, count)`, that gives uniform numbers in [0, 1): the same for the same
purpose. So a corrupted picture is a pure function of the picture, the severity and that source.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int

Number = int | float

Draw = Callable[[str, int], np.ndarray]
"""(purpose, count) -> float64 `[count]` in [0, 1)."""

Values = Float64[np.ndarray, "height width channels"]
Map = Float64[np.ndarray, "height width"]

_REACH = 12  # standard deviations of a Poisson distribution that its table holds


def normals(draw: Draw, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers of that shape, by Box and Muller's transform (1958)."""
    count = math.prod(shape)
    first, second = draw(purpose, count + count % 2).reshape(2, -1)
    radius, angle = np.sqrt(-2 * np.log1p(-first)), 2 * np.pi * second
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].reshape(shape)


def poisson(uniforms: np.ndarray, values: np.ndarray, rate: Number) -> np.ndarray:
    """Poisson numbers with the means `rate * values / 255`, by inversion of the distribution function.

    Args:
        uniforms: numbers in [0, 1), of the shape of `values`.
        values: integers from 0 to 255.
    """
    table, width = _poisson_table(rate)
    return np.searchsorted(table, values + uniforms, side="right") - values * width


@lru_cache
def _poisson_table(rate: Number) -> tuple[np.ndarray, int]:
    """The distribution functions of the 256 means one after the other, each raised by its value; and their length."""
    counts = np.arange(math.ceil(rate + _REACH * math.sqrt(rate) + _REACH))
    means = rate * np.arange(256)[:, None] / 255
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = counts * np.log(means) - means - np.cumsum(np.log(np.maximum(counts, 1)))
    logs[0] = np.where(counts == 0, 0.0, -np.inf)
    below = np.minimum(np.exp(logs).cumsum(axis=1), 1.0)
    below[:, -1] = 1.0
    return (below + np.arange(256)[:, None]).ravel(), len(counts)


def blur(x: Values, sigma: Number, edge: Literal["edge", "symmetric"] = "edge", truncate: Number = 4) -> Values:
    """Gaussian blur, one axis after the other by Fourier transforms.

    Args:
        sigma: in pixels; 0 changes nothing.
        edge: how `numpy.pad` goes on beyond the picture.
        truncate: the kernel ends after so many standard deviations.
    """
    reach = int(truncate * sigma + 0.5)
    if not reach:
        return x
    kernel = _gaussian(reach, sigma)
    for axis in (0, 1):
        padded = np.pad(x, [(reach, reach) if each == axis else (0, 0) for each in range(3)], edge)
        length = padded.shape[axis]
        weights = np.fft.rfft(kernel, length).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        blurred = np.fft.irfft(np.fft.rfft(padded, axis=axis) * weights, length, axis=axis)
        x = blurred[2 * reach :] if axis == 0 else blurred[:, 2 * reach :]
    return x


def _gaussian(reach: int, sigma: Number) -> Float64[np.ndarray, " length"]:
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return weights / weights.sum()


def convolve(x: Values, kernel: Float64[np.ndarray, "rows columns"]) -> Values:
    """Convolution with a square kernel of odd side, by Fourier transforms; the picture is mirrored at its outermost pixels."""
    reach = len(kernel) // 2
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), "reflect")
    shape = padded.shape[:2]
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * np.fft.rfft2(kernel, shape)[..., None]
    return np.fft.irfft2(spectrum, shape, axes=(0, 1))[2 * reach :, 2 * reach :]


@lru_cache
def disk(radius: Number, sigma: Number) -> Map:
    """A disk of `radius` pixels whose sum is 1, its edge softened by a Gaussian of 3 x 3 pixels (5 x 5 beyond radius 8)."""
    soft = 1 if radius <= 8 else 2
    reach = math.floor(radius) + 2 * soft  # a rim of zeros, which may be mirrored
    side = np.arange(-reach, reach + 1)
    inside = (side[:, None] ** 2 + side**2 <= radius**2).astype(np.float64)
    weights = _gaussian(soft, sigma)
    return convolve(inside[..., None] / inside.sum(), np.outer(weights, weights))[..., 0]


def motion(x: Values, radius: int, sigma: Number, angle: Number) -> Values:
    """A streak: the mean of the picture and of copies shifted against `angle` (in degrees), weighted by half a Gaussian.

    Replaces ImageMagick's motion blur as `imagecorruptions` does, with whole pixels and repeated edges.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    weights /= weights.sum()
    down, right = (
        np.ceil(steps * turn - 0.5).astype(int)
        for turn in (math.sin(math.radians(angle)), math.cos(math.radians(angle)))
    )
    reach, (height, width) = 2 * radius, x.shape[:2]
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), "edge")
    blurred = np.zeros_like(x)
    for weight, top, left in zip(weights, reach + down, reach + right, strict=True):
        blurred += weight * padded[top : top + height, left : left + width]
    return blurred


def zoom(x: Values, factor: Number) -> Values:
    """The middle of a picture, enlarged to its size by linear interpolation.

    The grid is that of `scipy.ndimage.zoom`: the outermost places fall together, and what is too much is cut off evenly.
    """
    for axis in (0, 1):
        length = x.shape[axis]
        part = math.ceil(length / factor)
        whole = round(part * factor)
        first, trim = (length - part) // 2, (whole - length) // 2
        places = first + (np.arange(length) + trim) * (part - 1) / max(whole - 1, 1)
        before = np.clip(places.astype(int), 0, length - 2)
        share = (places - before).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        x = x.take(before, axis) * (1 - share) + x.take(before + 1, axis) * share
    return x


def sample(x: Values, rows: Map, columns: Map) -> Values:
    """The picture at places between its pixels, by bilinear interpolation; beyond its edges it is mirrored."""
    height, width = x.shape[:2]
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    above, below = _mirrored(top, height), _mirrored(top + 1, height)
    before, after = _mirrored(left, width), _mirrored(left + 1, width)
    upper = x[above, before] * (1 - right) + x[above, after] * right
    lower = x[below, before] * (1 - right) + x[below, after] * right
    return upper * (1 - down) + lower * down


def _mirrored(places: Int[np.ndarray, "..."], length: int) -> Int[np.ndarray, "..."]:
    """Places beyond the ends, mirrored: d c b a | a b c d | d c b a."""
    folded = places % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def plasma(draw: Draw, side: int, decay: Number) -> Map:
    """A fractal `[side, side]` in [0, 1] by the diamond-square algorithm (Fournier et al. 1982).

    It is made on a torus whose side is the next power of two; each level's noise is `decay` squared times weaker.
    """
    whole = 1 << (side - 1).bit_length()
    field, noise = np.zeros((whole, whole)), 2 * draw("plasma", whole**2) - 1
    step, strength, used = whole, 100.0, 0

    def settle(rows: slice, columns: slice, corners: np.ndarray) -> None:
        nonlocal used
        wobble = noise[used : used + corners.size].reshape(corners.shape)
        field[rows, columns] = corners / 4 + strength**2 * wobble
        used += corners.size

    while step >= 2:
        even, odd = slice(0, whole, step), slice(step // 2, whole, step)
        corners = field[even, even] + np.roll(field[even, even], -1, axis=0)
        settle(odd, odd, corners + np.roll(corners, -1, axis=1))
        middle, corner = field[odd, odd], field[even, even]
        settle(even, odd, middle + np.roll(middle, 1, axis=0) + corner + np.roll(corner, -1, axis=1))
        settle(odd, even, middle + np.roll(middle, 1, axis=1) + corner + np.roll(corner, -1, axis=0))
        step, strength = step // 2, strength / decay
    part = field[:side, :side]
    low, high = field.min(), field.max()
    return (part - low) / (high - low) if high > low else np.zeros_like(part)


def scatter(height: int, width: int, reach: int, uniforms: np.ndarray) -> Int[np.ndarray, "height width"]:
    """Which pixel each place shows after pixels were moved, as flat indices.

    From the last row and column to the first, a pixel takes the present value of one at most `reach` away: the loop of the
    published code, whose exchange of two rows of an array in fact copies one. A chain of such takings is followed to its
    end in steps that double.

    Args:
        uniforms: `[2 * height * width]`, the shifts.
    """
    own = np.arange(height * width)
    row, column = own // width, own % width
    moved = (row > reach) & (row <= height - reach) & (column > reach) & (column <= width - reach)
    down, right = np.floor(2 * reach * uniforms.reshape(2, -1)).astype(int) - reach
    target = np.where(moved, own + down * width + right, own)
    open_ended = moved & (target > own) & moved[target]  # the target had been moved itself, earlier
    while open_ended.any():
        target, open_ended = np.where(open_ended, target[target], target), open_ended & open_ended[target]
    return target.reshape(height, width)

"""PixMix: a picture mixed a few times with fractals and with altered copies of itself.

Hendrycks et al. 2022, arXiv:2112.05135, section 3 and its pseudo-code, with the settings of the authors' CIFAR training: up to
4 rounds, beta 3, operations of severity 3, and none of those that are also common corruptions (colour, contrast, brightness,
sharpness). The mixing pictures are drawn (`fractals`) instead of collected.
"""

from collections.abc import Callable
from threading import Lock

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageOps

from reslab.data.fractals import MOST_SIDE, mixing_pictures

_ROUNDS = 4
_BETA = 3
_SEVERITY = (0.1, 3.0)  # least and greatest level of an operation, of 10
_ROOM = 9 / 8  # a window of the input's size is cut from mixing pictures so much larger
_LEAST = 1e-37  # of a factor that is raised to a negative power

_ONCE, _EACH = 8, 7
DRAWS = _ONCE + _ROUNDS * _EACH
"""Random numbers per picture."""

_ONE_DRAWS = Lock()  # and the other threads wait for its pictures


def pixmixed(pixels: UInt8[np.ndarray, "batch size size 3"], draws: Float[np.ndarray, "batch draws"]) -> np.ndarray:
    """Mix each picture up to four times; the result is rounded once, at the end.

    Args:
        draws: uniform numbers, `DRAWS` for each picture.

    Returns:
        uint8 `[batch, size, size, 3]`.
    """
    once, each = draws[:, :_ONCE], draws[:, _ONCE:].reshape(-1, _ROUNDS, _EACH)
    fractals = _windows(pixels.shape[1], once[:, 4:])
    mixed = _floats(_altered(pixels, once[:, 0] < 0.5, once[:, 1:3], pixels))
    rounds = (once[:, 3] * (_ROUNDS + 1)).astype(int)
    for number in range(_ROUNDS):
        rows = np.flatnonzero(rounds > number)
        source, copied, kind, weights = np.split(each[rows, number], [1, 3, 4], axis=1)
        others = _floats(_altered(pixels[rows], source[:, 0] < 0.5, copied, fractals[rows]))
        adds = kind[:, 0] < 0.5
        a, b = drawn_weights(weights)
        for mix, chosen in ((added, adds), (multiplied, ~adds)):
            mixed[rows[chosen]] = mix(mixed[rows[chosen]], others[chosen], a[chosen], b[chosen]).clip(0, 1)
    return np.rint(mixed * 255).astype(np.uint8)


def _floats(pixels: np.ndarray) -> Float32[np.ndarray, "batch size size 3"]:
    return pixels.astype(np.float32) / 255


def drawn_weights(draws: Float[np.ndarray, "batch 3"]) -> tuple[Float32[np.ndarray, "batch 1 1 1"], ...]:
    """The two weights of a mixture: both positive, a large and a small one; or one above 1 and one below 0.

    They follow Beta(3, 1) and Beta(1, 3), whose inverse distribution functions are roots of a uniform draw.
    """
    coin, first, second = draws.T
    large, small = first ** (1 / _BETA), 1 - (1 - first) ** (1 / _BETA)
    other = 1 - (1 - second) ** (1 / _BETA)
    a, b = np.where(coin < 0.5, large, 1 + small), np.where(coin < 0.5, other, -other)
    return a.astype(np.float32)[:, None, None, None], b.astype(np.float32)[:, None, None, None]


def added(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The weighted sum of two pictures in [0, 1], both centred first."""
    return (a * (2 * x - 1) + b * (2 * y - 1) + 1) / 2


def multiplied(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The weighted geometric mean, with mid-grey as the neutral factor."""
    return (2 * x) ** a * np.maximum(2 * y, np.float32(_LEAST)) ** b / 2


def _windows(size: int, draws: Float[np.ndarray, "batch 4"]) -> UInt8[np.ndarray, "batch size size 3"]:
    """A mixing picture for each: a window of one, in one of its eight orientations."""
    side = min(round(size * _ROOM), MOST_SIDE)
    with _ONE_DRAWS:
        bank = mixing_pictures(side)
    part = min(size, side)
    chosen = (draws * [len(bank), side - part + 1, side - part + 1, 8]).astype(int)
    windows = np.empty((len(draws), size, size, 3), np.uint8)
    for window, (number, upper, left, turn) in zip(windows, chosen, strict=True):
        picture = bank[number, upper : upper + part, left : left + part]
        picture = picture.swapaxes(0, 1) if turn & 4 else picture
        picture = picture[:: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]
        window[:] = picture if part == size else np.asarray(Image.fromarray(picture).resize((size, size)))
    return windows


# ------------------------------------------------------------------ altered copies: AugMix's operations

OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda p, m: ImageOps.autocontrast(p),
    lambda p, m: ImageOps.equalize(p),
    lambda p, m: ImageOps.posterize(p, 4 - int(abs(m) * 4 / 10)),
    lambda p, m: p.rotate(int(m * 30 / 10), Image.Resampling.BILINEAR),
    lambda p, m: ImageOps.solarize(p, 256 - int(abs(m) * 256 / 10)),
    lambda p, m: _mapped(p, (1, m * 0.3 / 10, 0, 0, 1, 0)),
    lambda p, m: _mapped(p, (1, 0, 0, m * 0.3 / 10, 1, 0)),
    lambda p, m: _mapped(p, (1, 0, int(m * p.width / 3 / 10), 0, 1, 0)),
    lambda p, m: _mapped(p, (1, 0, 0, 0, 1, int(m * p.height / 3 / 10))),
)
"""How a level acts, of 10 at most; its sign is a direction (Hendrycks et al. 2020, arXiv:1912.02781, and its code)."""


def _mapped(picture: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _altered(pixels: np.ndarray, chosen: np.ndarray, draws: np.ndarray, others: np.ndarray) -> np.ndarray:
    """One operation on each picture that is `chosen`; the picture in `others` in place of each that is not."""
    altered = others.copy()
    least, greatest = _SEVERITY
    for row in np.flatnonzero(chosen):
        operation, magnitude = draws[row]
        level = least + (greatest - least) * abs(2 * magnitude - 1)
        level = level if magnitude < 0.5 else -level
        altered[row] = OPERATIONS[int(operation * len(OPERATIONS))](Image.fromarray(pixels[row]), level)
    return altered

"""Convert Pillow's colour modes to 8-bit RGB, one box of the picture at a time, so that no second copy of it exists."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from reslab.pixels.stored import Stored, Unreadable

_BOX_WIDTH, _BOX_PIXELS = 2**16, 2**20
_WHITE = (255, 255, 255, 255)
_RANGES = (1.0, 255.0, 65535.0)

_EIGHT_BITS = np.rint(np.arange(65536) * (255.0 / 65535)).astype(np.uint8)
"""16-bit sample -> 8 bits."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey value (ITU-R BT.601), as in Pillow's mode L."""

Box = tuple[int, int, int, int]


def deep(mode: str) -> bool:
    """Whether a mode is grey with more than 8 bits per sample."""
    return mode == "F" or mode.startswith("I")


def write_rgb(image: Image.Image, out: np.ndarray, stored: Stored, lower: Image.Image | None = None) -> None:
    """Fill `out`, uint8 `[height, width, 3]`, from a loaded picture; `lower` holds the lower halves of 16-bit colours."""
    scale = _scale(image, stored.inverted) if deep(image.mode) else None
    for box in _boxes(*image.size):
        part = _part(image, box)
        pixels = scale(np.asarray(part))[..., None] if scale else _rgb(part)
        if stored.clear is not None:
            clear = _samples(part)
            if lower is not None:
                clear = clear.astype(np.uint16) << 8 | _samples(_part(lower, box))
            pixels = np.where((clear == stored.clear).all(-1, keepdims=True), np.uint8(255), pixels)
        left, upper, right, bottom = box
        out[upper:bottom, left:right] = pixels


def _boxes(width: int, height: int) -> Iterator[Box]:
    """Left, upper, right, lower of parts of a million pixels at most."""
    columns = max(min(width, _BOX_WIDTH), 1)
    rows = max(_BOX_PIXELS // columns, 1)
    for upper in range(0, height, rows):
        for left in range(0, width, columns):
            yield left, upper, min(left + columns, width), min(upper + rows, height)


def _part(image: Image.Image, box: Box) -> Image.Image:
    return image if box == (0, 0, *image.size) else image.crop(box)


def _rgb(part: Image.Image) -> np.ndarray:
    """`[height, width, 3]` of a mode with 8 bits a sample, transparency over white."""
    if part.has_transparency_data:
        part = Image.alpha_composite(Image.new("RGBA", part.size, _WHITE), part.convert("RGBA"))
    return np.asarray(part if part.mode == "RGB" else part.convert("RGB"))


def _samples(part: Image.Image) -> np.ndarray:
    """`[height, width, bands]`; one bit as 0 and 255."""
    samples = np.asarray(part.convert("L") if part.mode == "1" else part)
    return samples if samples.ndim == 3 else samples[..., None]


def _scale(image: Image.Image, inverted: bool) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the samples of a deep picture to 8 bits, by the documented rule; it needs the range of all samples."""
    table = _EIGHT_BITS[::-1] if inverted else _EIGHT_BITS
    if image.mode.startswith("I;16"):
        return lambda samples: table[samples]
    low, high = _extrema(image)
    if low < 0 or high > _RANGES[-1]:
        raise Unreadable(f"its samples run from {low:g} to {high:g}; known ranges end at 1, 255 or 65535")
    if image.mode == "I":
        return lambda samples: table[samples]
    top = next(top for top in _RANGES if high <= top)

    def scaled(samples: np.ndarray) -> np.ndarray:
        values = samples.astype(np.float64)
        return np.rint((top - values if inverted else values) * (255.0 / top)).astype(np.uint8)

    return scaled


def _extrema(image: Image.Image) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for box in _boxes(*image.size):
        samples = np.asarray(_part(image, box))
        if not np.isfinite(samples).all():
            raise Unreadable("it holds values that are not finite numbers")
        low, high = min(low, float(samples.min())), max(high, float(samples.max()))
    return low, high

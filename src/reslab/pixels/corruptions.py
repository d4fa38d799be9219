"""The 15 common corruptions of Hendrycks and Dietterich (2019, "Benchmarking neural network robustness to common corruptions
and perturbations", section 3 and appendix B), five severities each, uint8 to uint8.

Constants are the published ones: those of CIFAR-10-C for small pictures, those of ImageNet-C for larger ones, both counted in
pixels. Different from the published pictures: results are rounded, not cut off; motion blur is that of `imagecorruptions`,
without ImageMagick; frost is drawn, since the photographs that it was made with are not ours to pass on.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from reslab.pixels.filters import (
    Draw,
    Number,
    Values,
    blur,
    convolve,
    disk,
    motion,
    normals,
    plasma,
    poisson,
    sample,
    scatter,
    zoom,
)
from reslab.pixels.rgb import LUMA
from reslab.shapes import PICTURE

SEVERITIES = (1, 2, 3, 4, 5)

SMALL = 85
"""Up to this longer side, in pixels, the constants of CIFAR-10-C hold: the geometric mean of 32 and 224."""

_DARK_ICE, _LIGHT_ICE = np.array([0.33, 0.50, 0.56]), np.array([0.78, 0.80, 0.83])


@dataclass(frozen=True, slots=True)
class Corruption:
    """One kind: a change of a picture with values in [0, 1], and its constant at each severity."""

    group: str
    """`noise`, `blur`, `weather` or `digital`."""
    change: Callable[[Values, Any, Draw], Values]
    small: tuple[Any, ...]
    """Constants of CIFAR-10-C."""
    large: tuple[Any, ...]
    """Constants of ImageNet-C."""


def corrupt(pixels: UInt8[np.ndarray, PICTURE], kind: str, severity: int, draw: Draw) -> UInt8[np.ndarray, PICTURE]:
    """A corrupted picture.

    Args:
        pixels: uint8 RGB.
        kind: a key of `CORRUPTIONS`.
        severity: from 1 to 5.
        draw: the source of its randomness, see `pixels.filters.Draw`.
    """
    found = CORRUPTIONS[kind]
    constants = found.small if max(pixels.shape[:2]) <= SMALL else found.large
    return _rounded(found.change(pixels / 255, constants[severity - 1], draw))


def _rounded(x: Values) -> UInt8[np.ndarray, PICTURE]:
    return np.rint(255 * np.clip(x, 0, 1)).astype(np.uint8)


# ---------------------------------------------------------------- noise


def gaussian_noise(x: Values, std: Number, draw: Draw) -> Values:
    """Normal noise on each value."""
    return x + std * normals(draw, "noise", x.shape)


def shot_noise(x: Values, photons: Number, draw: Draw) -> Values:
    """Poisson noise: white is so many photons."""
    uniforms = draw("noise", x.size).reshape(x.shape)
    return poisson(uniforms, np.rint(255 * x).astype(int), photons) / photons


def impulse_noise(x: Values, share: Number, draw: Draw) -> Values:
    """That share of the values becomes 0 or 1 (salt and pepper)."""
    uniforms = draw("noise", x.size).reshape(x.shape)
    return np.where(uniforms < share, uniforms < share / 2, x)


# ---------------------------------------------------------------- blur


def defocus_blur(x: Values, lens: tuple[Number, Number], draw: Draw) -> Values:
    """Convolution with a disk: its radius, and the width of its soft edge."""
    return convolve(x, disk(*lens))


def glass_blur(x: Values, glass: tuple[Number, int, int], draw: Draw) -> Values:
    """A blur, pixels moved to near places, a blur again: its width, how far, how often."""
    sigma, reach, times = glass
    height, width = x.shape[:2]
    flat = _rounded(blur(x, sigma)).reshape(height * width, 3) / 255
    for turn in range(times):
        flat = flat[scatter(height, width, reach, draw(f"glass {turn}", 2 * height * width)).ravel()]
    return blur(flat.reshape(x.shape), sigma)


def motion_blur(x: Values, streak: tuple[int, Number], draw: Draw) -> Values:
    """A streak of a radius and a width, at an angle within 45 degrees of the horizontal."""
    return motion(x, *streak, 90 * draw("angle", 1)[0] - 45)


def zoom_blur(x: Values, zooms: tuple[Number, Number], draw: Draw) -> Values:
    """The mean of the picture and of its enlargements, from 1 up to below a limit: the limit, and the step."""
    factors = np.arange(1, *zooms)
    return (x + sum(zoom(x, float(factor)) for factor in factors)) / (len(factors) + 1)


# ---------------------------------------------------------------- weather


def snow(x: Values, fall: tuple[Number, Number, Number, Number, int, Number, Number], draw: Draw) -> Values:
    """Streaks of bright flakes, also turned upside down, over a whitened picture.

    The constants: mean and standard deviation of the noise, its enlargement, the least value that is a flake, radius and
    width of the streaks, and the picture's share beside its whitened form.
    """
    mean, std, enlargement, least, radius, sigma, share = fall
    flakes = zoom(mean + std * normals(draw, "flakes", (*x.shape[:2], 1)), enlargement)
    flakes = np.where(flakes < least, 0, np.clip(flakes, 0, 1))
    flakes = motion(flakes, radius, sigma, -135 + 90 * draw("angle", 1)[0])
    white = np.maximum(x, 1.5 * (x @ LUMA)[..., None] + 0.5)
    return share * x + (1 - share) * white + flakes + flakes[::-1, ::-1]


def frost(x: Values, ice: tuple[Number, Number], draw: Draw) -> Values:
    """A weighted sum of the picture and of drawn ice: both weights."""
    return ice[0] * x + ice[1] * _ice(x.shape[0], x.shape[1], draw)


def _ice(height: int, width: int, draw: Draw) -> Values:
    """Bluish grey of a drawn lightness with bright veins: the ridges of a fractal.

    Its lightness and contrast are those of the photographs of ImageNet-C.
    """
    side = max(height, width)
    light = draw("ice", 1)[0]
    veins = 1 - np.abs(2 * plasma(draw, side, 1.1)[:height, :width] - 1)
    veins = (veins - veins.mean()) / max(float(veins.std()), 1e-6)
    tint = (1 - light) * _DARK_ICE + light * _LIGHT_ICE
    return np.clip(tint + 0.08 * veins[..., None], 0, 1)


def fog(x: Values, haze: tuple[Number, Number], draw: Draw) -> Values:
    """A fractal is added, and the sum kept as bright as the picture: its amount, and how smooth it is."""
    amount, decay = haze
    height, width = x.shape[:2]
    hazy = x + amount * plasma(draw, max(height, width), decay)[:height, :width, None]
    return hazy * x.max() / (x.max() + amount)


# ---------------------------------------------------------------- digital


def brightness(x: Values, more: Number, draw: Draw) -> Values:
    """More value at the same hue and saturation (HSV), which scales the three channels alike."""
    value = x.max(axis=2, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.where(value > 0, x * (brighter / np.maximum(value, 1 / 255)), brighter)


def contrast(x: Values, share: Number, draw: Draw) -> Values:
    """That share of the distance from each channel's mean."""
    mean = x.mean(axis=(0, 1), keepdims=True)
    return mean + share * (x - mean)


def elastic_transform(x: Values, stretch: tuple[Number, Number, Number], draw: Draw) -> Values:
    """A random affine map, then smoothly varying shifts.

    The constants, as shares of the shorter side: size of the shifts, the width that they vary over, and how far each of
    three points that fix the affine map may move (Simard et al. 2003).
    """
    height, width = x.shape[:2]
    side = min(height, width)
    size, sigma, far = (share * side for share in stretch)
    x = _affine(x, far, draw)
    shifts = 2 * draw("shifts", 2 * height * width).reshape(height, width, 2) - 1
    shifts = size * blur(shifts, sigma, "symmetric", truncate=3)
    rows, columns = np.mgrid[:height, :width]
    return sample(x, rows + shifts[..., 0], columns + shifts[..., 1])


def _affine(x: Values, far: Number, draw: Draw) -> Values:
    """The picture under an affine map that moves three corners of its inner square by at most `far` pixels each way."""
    height, width = x.shape[:2]
    centre, arm = np.array([width // 2, height // 2]), min(height, width) // 3
    before = centre + arm * np.array([[1, 1], [1, -1], [-1, -1]])
    after = before + far * (2 * draw("corners", 6).reshape(3, 2) - 1)
    back = np.linalg.solve(np.column_stack([after, np.ones(3)]), before)
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ back
    return sample(x, places[..., 1], places[..., 0])


def pixelate(x: Values, share: Number, draw: Draw) -> Values:
    """Averaged to that share of its sides, and enlarged again without smoothing."""
    height, width = x.shape[:2]
    few = max(1, int(width * share)), max(1, int(height * share))
    picture = Image.fromarray(_rounded(x)).resize(few, Image.Resampling.BOX)
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX)) / 255


def jpeg_compression(x: Values, quality: int, draw: Draw) -> Values:
    """Stored as JPEG of that quality, with Pillow's other defaults."""
    file = io.BytesIO()
    Image.fromarray(_rounded(x)).save(file, "JPEG", quality=quality)
    with Image.open(file) as stored:
        return np.asarray(stored.convert("RGB")) / 255


_OF_244 = 244 / 224  # ImageNet-C's elastic constants are shares of 244, for pictures of 224 pixels

CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption(
        "noise", gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38)
    ),
    "shot_noise": Corruption("noise", shot_noise, (500, 250, 100, 75, 50), (60, 25, 12, 5, 3)),
    "impulse_noise": Corruption("noise", impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27)),
    "defocus_blur": Corruption(
        "blur", defocus_blur,
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    "glass_blur": Corruption(
        "blur", glass_blur,
        ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ),
    "motion_blur": Corruption(
        "blur", motion_blur,
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    ),
    "zoom_blur": Corruption(
        "blur", zoom_blur,
        ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    ),
    "snow": Corruption(
        "weather", snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "frost": Corruption(
        "weather", frost,
        ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    ),
    "fog": Corruption(
        "weather", fog,
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    ),
    "brightness": Corruption("weather", brightness, (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption("digital", contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": Corruption(
        "digital", elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        tuple(
            tuple(_OF_244 * share for share in shares)
            for shares in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
        ),
    ),
    "pixelate": Corruption("digital", pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": Corruption("digital", jpeg_compression, (80, 65, 58, 50, 40), (25, 18, 15, 10, 7)),
}  # fmt: skip
"""Name -> the corruption, in the order of the paper's table 1."""

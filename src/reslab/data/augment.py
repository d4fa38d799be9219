"""Augmentation: changes of pictures that keep the label.

Every number is drawn from (seed, epoch, index) beforehand (`draws`), then applied by Pillow, with the same bytes as
torchvision's functions. Their module takes seconds to import (torch._dynamo), its classes draw from a global generator,
which cannot be restored after a restart, and on tensors they compete with the training for torch's threads.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from reslab.data.draws import uniforms
from reslab.data.pixmix import DRAWS, pixmixed
from reslab.errors import ResLabError, nearest
from reslab.pixels.preprocess import Preprocess, resized

if TYPE_CHECKING:
    from torch import Tensor

SETS: dict[str, tuple[str, ...]] = {
    "none": (),
    "light": ("crop", "hflip"),
    "standard": ("crop", "hflip", "rotate", "color"),
    "strong": ("crop", "hflip", "trivialaugment", "erase", "cutmix"),
    "quick": ("shift", "altflip"),
    "any-way-up": ("crop", "hflip", "vflip", "rot90"),
}
"""Named sets, from nothing to what long trainings need; `quick` is for trainings of a few epochs, `any-way-up` for
pictures without an upright position, as from microscopes and satellites."""

MIRRORS = ("hflip", "altflip")
RISKY = ("vflip", "rot90", "blur", "grey")
"""They change the label of many pictures (6 and 9, ripe and unripe), so no default includes them."""

BATCH_CHANGES = ("mixup", "cutmix")

ROOM = 1.25
"""Training keeps pictures at this many times the input size, so that random crops have room to move."""

_SMALL = 64  # pictures up to here are shifted, not zoomed: every pixel counts (He et al. 2015, section 4.2)
_PAD_SHARE = 8  # a crop of small pictures moves by up to an eighth of the side: 4 pixels of 32
_SHIFT_SHARE = 16  # `shift` by half as much, and what comes in is mirrored, not black
_ZOOM = (0.35, 1.0)  # area of the part that a zooming crop keeps
_ZOOM_FITTED = (0.64, 1.0)  # the same where the whole picture is to be kept (pad, stretch)
_ASPECT = 4 / 3
_DEGREES = 15.0
_COLOR = 0.3
_ERASE = (0.5, 0.02, 0.25)  # probability, least and greatest area (Zhong et al. 2017)
_BLUR = (0.5, 0.1, 2.0)  # probability, least and greatest sigma in pixels (Chen et al. 2020, appendix A)
_SHARP = 32  # and never more than this part of the side, so that small pictures stay recognisable
_GREY = 0.2  # probability (the same)
_MIXUP_ALPHA, _CUTMIX_ALPHA = 0.2, 1.0
_RANDAUGMENT = (2, 0.3)  # operations per picture, share of the widest magnitude


def parse(text: str, mirrored: bool = True) -> tuple[str, ...]:
    """The changes that `--augment` names: one of `SETS`, changes such as `crop,hflip,rotate`, or both: `light,cutmix`.

    A named set loses its mirrors and turns if a mirror image would change the label; those given by name are kept.
    """
    changes: list[str] = []
    for name in (word.strip() for word in text.split(",")):
        if name in SETS:
            changes += [change for change in SETS[name] if mirrored or change not in MIRRORS + RISKY]
        elif name in PICTURE_CHANGES or name in BATCH_CHANGES:
            changes.append(name)
        else:
            known = (*SETS, *PICTURE_CHANGES, *BATCH_CHANGES)
            raise ResLabError(f"--augment does not know {name!r}", nearest(name, known))
    return tuple(dict.fromkeys(changes))


@dataclass(frozen=True, slots=True)
class Augment:
    """The changes of one training, determined by `seed`."""

    changes: tuple[str, ...]
    preprocess: Preprocess
    seed: int

    def pictures(self, canvases: Sequence[np.ndarray], epoch: int, indices: np.ndarray) -> np.ndarray:
        """Augment one batch.

        Args:
            canvases: uint8 `[height, width, 3]` each, larger than the input where the file is.
            epoch, indices: which draws to use; `indices[i]` is the number of `canvases[i]` in the training split.

        Returns:
            uint8 `[batch, size, size, 3]`.
        """
        if "crop" in self.changes:
            draws = uniforms(self.seed, "crop", epoch, indices, PICTURE_CHANGES["crop"].draws)
            pixels = np.stack([self._cropped(canvas, row) for canvas, row in zip(canvases, draws, strict=True)])
        else:
            pixels = np.stack([self.preprocess(canvas) for canvas in canvases])
        for name in self.changes:
            change = PICTURE_CHANGES.get(name)
            if change and change.apply:
                # A drifting change draws once per picture and moves that number on, so that altflip alternates.
                draws = uniforms(self.seed, name, 0 if change.drift else epoch, indices, change.draws)
                pixels = change.apply(pixels, (draws + change.drift * epoch) % 1)
        return pixels

    def _cropped(self, canvas: np.ndarray, draws: np.ndarray) -> np.ndarray:
        size, interpolation = self.preprocess.size, self.preprocess.interpolation
        if size <= _SMALL and canvas.shape[:2] == (size, size):
            return _shifted(canvas, draws)
        if self.preprocess.resize == "crop":
            return resized(canvas, (size, size), interpolation, _part(canvas, draws, _ZOOM))
        roomy = Preprocess(round(size * ROOM), self.preprocess.resize, interpolation)(canvas)
        return resized(roomy, (size, size), interpolation, _part(roomy, draws, _ZOOM_FITTED))


@dataclass(frozen=True, slots=True)
class Mix:
    """One batch blended with itself in another order (Zhang et al. 2017; Yun et al. 2019)."""

    partner: np.ndarray
    """int64 `[batch]`: the picture that each is blended with."""
    share: float
    """Weight of a picture's own label."""
    box: tuple[int, int, int, int] | None
    """CutMix: upper, lower, left, right of the part that the partner fills; None for Mixup."""

    def images(self, images: "Tensor", partners: "Tensor") -> "Tensor":
        """Blend images with those of their partners."""
        if self.box is None:
            return images.lerp(partners, 1 - self.share)
        upper, lower, left, right = self.box
        images = images.clone()
        images[:, :, upper:lower, left:right] = partners[:, :, upper:lower, left:right]
        return images

    def targets(self, targets: "Tensor") -> "Tensor":
        """Blend the targets of a whole batch."""
        return targets.lerp(targets[self.partner], 1 - self.share)


def draw_mix(augment: Augment, epoch: int, step: int, batch: int) -> Mix | None:
    """The blend of one step; with both Mixup and CutMix, one of them at random. None if neither is used."""
    kinds = [name for name in BATCH_CHANGES if name in augment.changes]
    if not kinds or batch < 2:
        return None
    from scipy.special import betaincinv  # half a second to import, only where pictures are blended

    coin, level, row, column = uniforms(augment.seed, "mix", epoch, np.array([step]), 4)[0]
    order = np.argsort(uniforms(augment.seed, f"mix {step}", epoch, np.arange(batch), 1)[:, 0], kind="stable")
    # The inverse distribution function turns a uniform draw into one from Beta(alpha, alpha).
    if kinds[int(coin * len(kinds))] == "mixup":
        return Mix(order, float(betaincinv(_MIXUP_ALPHA, _MIXUP_ALPHA, level)), None)
    size = augment.preprocess.size
    side = size * np.sqrt(1 - betaincinv(_CUTMIX_ALPHA, _CUTMIX_ALPHA, level))
    upper, lower = np.clip(np.rint([row * size - side / 2, row * size + side / 2]), 0, size).astype(int)
    left, right = np.clip(np.rint([column * size - side / 2, column * size + side / 2]), 0, size).astype(int)
    share = 1 - (lower - upper) * (right - left) / size**2
    return Mix(order, float(share), (int(upper), int(lower), int(left), int(right)))


# ------------------------------------------------------------------ the crop: one canvas, 4 draws


def _shifted(canvas: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Zero padding, then a window of the old size: the crop of the CIFAR papers."""
    size = len(canvas)
    pad = max(1, size // _PAD_SHARE)
    padded = np.zeros((size + 2 * pad, size + 2 * pad, 3), np.uint8)
    padded[pad:-pad, pad:-pad] = canvas
    y, x = (draws[:2] * (2 * pad + 1)).astype(int)
    return padded[y : y + size, x : x + size]


def _part(canvas: np.ndarray, draws: np.ndarray, area: tuple[float, float]) -> tuple[float, float, float, float]:
    """Left, upper, right, lower of a part of random area, aspect and place (Szegedy et al. 2014, section 6)."""
    height, width = canvas.shape[:2]
    wanted = (area[0] + (area[1] - area[0]) * draws[0]) * height * width
    aspect = _ASPECT ** (2 * draws[1] - 1)
    w = min(width, (wanted * aspect) ** 0.5)
    h = min(height, (wanted / aspect) ** 0.5)
    left, upper = draws[2] * (width - w), draws[3] * (height - h)
    return left, upper, min(left + w, float(width)), min(upper + h, float(height))


def _nudged(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Every picture moved by a few pixels; the border is its mirror image."""
    size = pixels.shape[1]
    pad = max(1, size // _SHIFT_SHARE)
    padded = np.pad(pixels, ((0, 0), (pad, pad), (pad, pad), (0, 0)), "reflect")
    moves = (draws * (2 * pad + 1)).astype(int)
    return np.stack([row[y : y + size, x : x + size] for row, (y, x) in zip(padded, moves, strict=True)])


# ------------------------------------------------------------------ one change each: pixels [b, s, s, 3], draws [b, k]


def _flipped(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.where(draws[:, :1, None, None] < 0.5, pixels[:, :, ::-1], pixels)


def _upended(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.where(draws[:, :1, None, None] < 0.5, pixels[:, ::-1], pixels)


def _quarter_turned(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.stack([np.rot90(row, int(4 * quarter)) for row, (quarter,) in zip(pixels, draws, strict=True)])


def _each(
    change: Callable[[Image.Image, np.ndarray], Image.Image],
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A change of one picture as a change of a batch."""

    def batch(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
        pairs = zip(pixels, draws, strict=True)
        return np.stack([np.asarray(change(Image.fromarray(row), numbers)) for row, numbers in pairs])

    return batch


def _rotated(picture: Image.Image, draws: np.ndarray) -> Image.Image:
    return _turned(picture, _DEGREES * float(2 * draws[0] - 1))


def _turned(picture: Image.Image, degrees: float) -> Image.Image:
    return picture.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(0, 0, 0))


def _recolored(picture: Image.Image, draws: np.ndarray) -> Image.Image:
    brightness, contrast, saturation = (1 + _COLOR * float(2 * d - 1) for d in draws)
    picture = ImageEnhance.Brightness(picture).enhance(brightness)
    return ImageEnhance.Color(ImageEnhance.Contrast(picture).enhance(contrast)).enhance(saturation)


def _blurred(picture: Image.Image, draws: np.ndarray) -> Image.Image:
    probability, least, most = _BLUR
    if draws[0] >= probability:
        return picture
    most = min(most, picture.width / _SHARP)
    return picture.filter(ImageFilter.GaussianBlur(least + max(0.0, most - least) * float(draws[1])))


def _greyed(picture: Image.Image, draws: np.ndarray) -> Image.Image:
    return picture.convert("L").convert("RGB") if draws[0] < _GREY else picture


def _erased(pixels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """A random rectangle becomes mid-grey, in place."""
    probability, least, greatest = _ERASE
    size = pixels.shape[1]
    for row, (coin, area, shape, y, x) in zip(pixels, draws, strict=True):
        if coin < probability:
            side = size * (least + (greatest - least) * area) ** 0.5
            stretch = _ASPECT ** (2 * shape - 1)
            h, w = min(size, round(side * stretch)), min(size, round(side / stretch))
            upper, left = int(y * (size - h + 1)), int(x * (size - w + 1))
            row[upper : upper + h, left : left + w] = 128
    return pixels


def _sheared(picture: Image.Image, x: float, y: float) -> Image.Image:
    """Shear about the upper left corner, by slopes."""
    x, y = (math.radians(math.degrees(math.atan(slope))) for slope in (x, y))  # torchvision's way: the same last bit
    return _mapped(picture, (1.0, math.tan(x), 0.0, math.sin(y) / math.cos(y), 1.0, 0.0))


def _moved(picture: Image.Image, x: float, y: float) -> Image.Image:
    return _mapped(picture, (1.0, 0.0, -int(x), 0.0, 1.0, -int(y)))


def _mapped(picture: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """Each pixel taken from where the affine `matrix` sends it, zero outside."""
    return picture.transform(
        picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=(0, 0, 0)
    )


def _reach(side: int) -> int:
    """The widest translation: 32 pixels, at most the side of a smaller picture."""
    return min(32, side)


# The wide space of TrivialAugment (Mueller and Hutter 2021, table 6): how a signed magnitude in [-1, 1] acts.
_WIDE: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda p, m: p,
    lambda p, m: _sheared(p, 0.99 * m, 0),
    lambda p, m: _sheared(p, 0, 0.99 * m),
    lambda p, m: _moved(p, m * _reach(p.width), 0),
    lambda p, m: _moved(p, 0, m * _reach(p.height)),
    lambda p, m: _turned(p, 135 * m),
    lambda p, m: ImageEnhance.Brightness(p).enhance(1 + 0.99 * m),
    lambda p, m: ImageEnhance.Color(p).enhance(1 + 0.99 * m),
    lambda p, m: ImageEnhance.Contrast(p).enhance(1 + 0.99 * m),
    lambda p, m: ImageEnhance.Sharpness(p).enhance(1 + 0.99 * m),
    lambda p, m: ImageOps.posterize(p, 8 - round(6 * abs(m))),
    lambda p, m: ImageOps.solarize(p, math.ceil(255 * (1 - abs(m)))),
    lambda p, m: ImageOps.autocontrast(p),
    lambda p, m: ImageOps.equalize(p),
)


def _wide(picture: Image.Image, operation: float, magnitude: float) -> Image.Image:
    return _WIDE[int(operation * len(_WIDE))](picture, 2 * float(magnitude) - 1)


def _trivial(picture: Image.Image, draws: np.ndarray) -> Image.Image:
    """One operation, any magnitude."""
    return _wide(picture, draws[0], draws[1])


def _randaugmented(picture: Image.Image, draws: np.ndarray) -> Image.Image:
    """Two operations of the same modest magnitude, either sign (Cubuk et al. 2019)."""
    count, level = _RANDAUGMENT
    for step in range(count):
        sign = 1 if draws[2 * step + 1] < 0.5 else -1
        picture = _wide(picture, draws[2 * step], (sign * level + 1) / 2)
    return picture


@dataclass(frozen=True, slots=True)
class Change:
    """One change of pictures."""

    draws: int
    """Random numbers per picture."""
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    """uint8 `[batch, size, size, 3]` and its draws; None for the crop, which brings a canvas to this size."""
    drift: float = 0.0
    """Not 0: a picture keeps its draws, and they move by this much from epoch to epoch."""


PICTURE_CHANGES: dict[str, Change] = {
    "crop": Change(4),
    "shift": Change(2, _nudged),
    "hflip": Change(1, _flipped),
    "altflip": Change(1, _flipped, drift=0.5),
    "vflip": Change(1, _upended),
    "rot90": Change(1, _quarter_turned),
    "rotate": Change(1, _each(_rotated)),
    "color": Change(3, _each(_recolored)),
    "grey": Change(1, _each(_greyed)),
    "blur": Change(2, _each(_blurred)),
    "trivialaugment": Change(2, _each(_trivial)),
    "randaugment": Change(4, _each(_randaugmented)),
    "erase": Change(5, _erased),
    "pixmix": Change(DRAWS, pixmixed),
}
"""Every change of single pictures, by its name in `--augment`."""

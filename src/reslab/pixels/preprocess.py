"""Resize a picture to the network's input size, uint8 to uint8. Every command and the server resize with it.

Values are not normalised here: that is the network's own first operation, so that training, evaluation, prediction,
export and server cannot disagree about it (`reslab.nn.layers.Normalize`).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from reslab.errors import ResLabError, nearest
from reslab.shapes import PICTURE, RESIZED

Picture = UInt8[np.ndarray, PICTURE]
Resized = UInt8[np.ndarray, RESIZED]
Decoded = Picture | Image.Image
"""A picture as an array, or as an image of Pillow's in mode RGB (`decode_image`): both give the same bytes."""

Resize = Literal["crop", "pad", "stretch"]
Interpolation = Literal["bilinear", "bicubic"]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Channel mean and standard deviation of ImageNet in [0, 1], as most published networks use them."""

STATISTICS = {
    "0-1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "-1-1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
}
"""Option value -> mean and standard deviation of each channel."""

_PAD_GREY = (128, 128, 128)
_RESAMPLE = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

SIDES = 8, 8192
"""Least and greatest side of a network's input, in pixels."""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How any picture becomes `size x size` pixels. Stored in the model file."""

    size: int
    """Side of the network's square input, in pixels."""

    resize: Resize = "crop"
    """`crop` keeps the central square, `pad` keeps everything on grey, `stretch` ignores the aspect ratio."""

    interpolation: Interpolation = "bilinear"
    """Pillow's filter; when it shrinks, its support grows with the scale (anti-aliased)."""

    def __post_init__(self) -> None:
        if not SIDES[0] <= self.size <= SIDES[1]:
            fault = "small" if self.size < SIDES[0] else "large"
            raise ResLabError(
                f"--size {self.size} is too {fault}", "the smallest input is {} pixels, the largest {:,}".format(*SIDES)
            )
        for value, known, flag in (
            (self.resize, get_args(Resize), "--resize"),
            (self.interpolation, get_args(Interpolation), "--interpolation"),
        ):
            if value not in known:
                raise ResLabError(f"{flag} {value} is unknown", nearest(value, known))

    def __call__(self, picture: Decoded) -> Resized:
        """Resize one picture.

        Args:
            picture: uint8 `[height, width, 3]`, or the same as an image of Pillow's in mode RGB.

        Returns:
            uint8 `[size, size, 3]`; the picture itself when it already has that size.
        """
        width, height = size_of(picture)
        if (height, width) == (self.size, self.size):
            return picture if isinstance(picture, np.ndarray) else np.array(picture)
        if self.resize == "pad":
            return self._padded(picture)
        box = central_square(width, height) if self.resize == "crop" else (0.0, 0.0, float(width), float(height))
        return resized(picture, (self.size, self.size), self.interpolation, box)

    def _padded(self, picture: Decoded) -> Resized:
        width, height = size_of(picture)
        scale = self.size / max(height, width)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = Image.new("RGB", (self.size, self.size), _PAD_GREY)
        corner = ((self.size - inner[0]) // 2, (self.size - inner[1]) // 2)
        canvas.paste(Image.fromarray(resized(picture, inner, self.interpolation)), corner)
        return np.array(canvas)


def size_of(picture: Decoded) -> tuple[int, int]:
    """Width and height."""
    return picture.size if isinstance(picture, Image.Image) else (picture.shape[1], picture.shape[0])


def central_square(width: int, height: int) -> tuple[float, float, float, float]:
    """Left, upper, right, lower of the largest centred square, in (possibly half) pixels."""
    side = min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side


def resized(
    picture: Decoded,
    size: tuple[int, int],
    interpolation: Interpolation = "bilinear",
    box: tuple[float, float, float, float] | None = None,
) -> Resized:
    """The part `box` of an RGB picture at `size` (width, height), by Pillow's anti-aliased filter.

    Horizontally first, then vertically: by themselves, Pillow 12 and 13 differ in the order, and so in the last bit.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    kind = _RESAMPLE[interpolation]
    left, upper, right, lower = box or (0, 0, image.width, image.height)
    rows = image.resize((size[0], image.height), kind, box=(left, 0, right, image.height))
    return np.array(rows.resize(size, kind, box=(0, upper, size[0], lower)))


def shrunk(picture: Decoded, short_side: int) -> Resized:
    """The picture with its short side at most `short_side`, aspect kept: what training keeps in memory."""
    width, height = size_of(picture)
    scale = short_side / min(height, width)
    if scale >= 1:
        return picture if isinstance(picture, np.ndarray) else np.array(picture)
    return resized(picture, (max(1, round(width * scale)), max(1, round(height * scale))))

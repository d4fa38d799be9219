"""A hash of a picture's pixels, whatever the file format."""

import hashlib

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from reslab.shapes import PICTURE

FINGERPRINT_BYTES = 5
"""40 bits: 50,000 training and 10,000 test pictures share one by chance in about one of 2,000 such data sets."""


_ROWS = 64


def fingerprint(picture: UInt8[np.ndarray, PICTURE] | Image.Image, length: int = FINGERPRINT_BYTES) -> bytes:
    """A hash of a decoded picture, uint8 `[height, width, 3]`: its size and every pixel, in `length` bytes.

    The same for an image of Pillow's in mode RGB, some rows at a time.
    """
    shape = picture.size[::-1] if isinstance(picture, Image.Image) else picture.shape[:2]
    digest = hashlib.blake2b(np.asarray(shape, "<u4").tobytes(), digest_size=length)
    if isinstance(picture, Image.Image) and picture.height > _ROWS:
        for upper in range(0, picture.height, _ROWS):
            digest.update(picture.crop((0, upper, picture.width, min(upper + _ROWS, picture.height))).tobytes())
    elif isinstance(picture, Image.Image):
        digest.update(picture.tobytes())
    else:
        digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()

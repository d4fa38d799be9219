"""A hash of a picture's pixels, whatever the file format."""

import hashlib

import numpy as np
from jaxtyping import UInt8

from reslab.shapes import PICTURE

FINGERPRINT_BYTES = 5
"""40 bits: 50,000 training and 10,000 test pictures share one by chance in about one of 2,000 such data sets."""


def fingerprint(picture: UInt8[np.ndarray, PICTURE], length: int = FINGERPRINT_BYTES) -> bytes:
    """A hash of a decoded picture, uint8 `[height, width, 3]`: its size and every pixel, in `length` bytes."""
    digest = hashlib.blake2b(np.asarray(picture.shape[:2], "<u4").tobytes(), digest_size=length)
    digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()

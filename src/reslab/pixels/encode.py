"""Encode a picture in memory."""

import io
from typing import Any

import numpy as np
from PIL import Image


def encode_picture(picture: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The content of an image file.

    Args:
        picture: uint8 `[height, width, 3]`, or a picture of Pillow's.
        kind: Pillow's name of the format.
        options: Pillow's for this format.
    """
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, kind, **options)
    return file.getvalue()

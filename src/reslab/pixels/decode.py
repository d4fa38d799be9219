"""From a file to the picture that a person sees: RGB, uint8, upright. The one decoder for every door.

The rule, which `docs/pixels.md` publishes with golden vectors:

- the EXIF orientation is applied; of an animation, the first frame is taken;
- transparency is laid over white; grey, palette, 1-bit, CMYK and other colour spaces become RGB;
- 16-bit samples are scaled over their full range, v -> round(v * 255 / 65535);
- float samples are read as [0, 1], as [0, 255] or as [0, 65535]: the first range that holds all of them;
- a file that is cut short, empty, not a picture, or larger than `MAX_PIXELS` is an error that names it.

`Image.verify()` alone is not enough: it accepts a JPEG cut in half, so the whole picture is always decoded.
"""

import functools
import importlib
import importlib.util
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from reslab.errors import BadPicture
from reslab.shapes import PICTURE

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "HEIF")
"""The only formats that are tried, JPEG's multi-picture kind (MPO) included: fewer parsers, a smaller door for hostile
files."""

EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif",
    ".pbm", ".pgm", ".ppm", ".pnm", ".heic", ".heif",
})  # fmt: skip
"""Files with these endings (in any case) count as pictures when a folder is read."""

MAX_PIXELS = 89_478_485
"""Larger headers are refused before a byte is decoded (Pillow's own threshold: 256 MiB of RGB)."""

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation -> what brings the stored picture upright; 1, and anything unknown, leaves it as it is
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc")
_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF",
    b"RIFF": "WebP",
}  # fmt: skip
_WHITE = (255, 255, 255, 255)


def decode(
    source: str | os.PathLike | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, PICTURE]:
    """Decode one picture.

    Args:
        source: a path, or the bytes of a file.
        name: what to call it in an error; the path by default, `printable`.
        max_pixels: larger headers are refused; never more than `MAX_PIXELS`.

    Returns:
        uint8 array `[height, width, 3]`, RGB.

    Raises:
        BadPicture: the file cannot be opened or decoded in full; the message names it.
    """
    name = name or ("<bytes>" if isinstance(source, bytes) else printable(source))
    try:
        with _open(source, name, max_pixels) as image:
            pixels = _rgb(image, name)
        if image.format == "PNG":  # the checksums of its pixel chunks are compared only here
            with _open(source, name) as image:
                image.verify()
        return pixels
    except BadPicture:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(name, f"its header claims more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise BadPicture(name, _not_a_picture(_head(source))) from None
    except FileNotFoundError:
        raise BadPicture(name, _missing(source)) from None
    except IsADirectoryError:
        raise BadPicture(name, "it is a folder") from None
    except PermissionError:
        raise BadPicture(name, "no permission to read it") from None
    except MemoryError:
        raise BadPicture(name, "not enough memory to decode it") from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, …
        raise BadPicture(name, _reason(error)) from None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file's header says about the picture, for the data gate."""

    format: str
    mode: str
    width: int
    height: int
    rotated: bool
    """The EXIF orientation asks for a turn or a mirror image."""
    frames: int

    @property
    def deep(self) -> bool:
        """More than 8 bits a sample in the file, so the scaling rule decides how bright it comes out."""
        return self.mode == "F" or self.mode.startswith("I")


def facts(source: str | os.PathLike | bytes) -> Facts:
    """Read the header only. Call it for files that `decode` accepts; others raise Pillow's errors."""
    with _open(source, "") as image:
        rotated = _orientation(image) in _UPRIGHT
        return Facts(image.format or "?", image.mode, image.width, image.height, rotated, _frames(image))


def printable(path: str | os.PathLike) -> str:
    """A path as text that any terminal, JSON or CSV can take: undecodable bytes of a file name are spelt out."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _open(source: str | os.PathLike | bytes, name: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture, lazily opened, its size already judged."""
    file = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
    image = Image.open(file, formats=_formats())
    if image.width * image.height > max_pixels:
        raise BadPicture(name, f"its header claims {image.width} x {image.height} pixels, more than {max_pixels:,}")
    return image


@functools.cache
def _formats() -> list[str]:
    """Those of `FORMATS` that this Pillow was built with, and HEIF where pillow-heif (extra `heic`) is installed."""
    Image.init()
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    return [name for name in FORMATS if name in Image.OPEN]


def _rgb(image: Image.Image, name: str) -> UInt8[np.ndarray, PICTURE]:
    """Every colour mode becomes uint8 RGB, upright."""
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    if turn is not None:
        image = image.transpose(turn)
    if image.mode == "F" or image.mode.startswith("I"):
        samples = np.asarray(image)
        grey = _eight_bits(samples, name)
        if "transparency" in image.info:  # one value of a 16-bit PNG that stands for clear
            grey[samples == image.info["transparency"]] = 255
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, _WHITE)
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _eight_bits(samples: np.ndarray, name: str) -> np.ndarray:
    """Deep samples scaled to 0..255 by the documented rule."""
    values = samples.astype(np.float64)
    if not np.isfinite(values).all():
        raise BadPicture(name, "it holds values that are not finite numbers")
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise BadPicture(name, f"its samples run from {low:g} to {high:g}; known ranges end at 1, 255 or 65535")
    top = 65535.0
    if samples.dtype.kind == "f":
        top = next(t for t in (1.0, 255.0, 65535.0) if high <= t)
    return np.rint(values * (255.0 / top)).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 when absent or when the EXIF block itself is damaged (viewers show it unturned).

    Asked of the base class: PNG's own `getexif` would decode the whole picture first.
    """
    try:
        return Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1)
    except Exception:
        return 1


def _frames(image: Image.Image) -> int:
    """How many pictures the file holds, 1 where what follows the first one is damaged."""
    try:
        return getattr(image, "n_frames", 1)
    except Exception:
        return 1


def _missing(source: str | os.PathLike | bytes) -> str:
    link = not isinstance(source, bytes) and Path(source).is_symlink()
    return "it is a link to a file that is not there" if link else "no such file"


def _head(source: str | os.PathLike | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:32]
    with Path(source).open("rb") as file:
        return file.read(32)


def _not_a_picture(head: bytes) -> str:
    """Why Pillow did not recognise the file, in the words of somebody who looks at its first bytes."""
    if not head:
        return "the file is empty"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return "it is a HEIC photo; `pip install reslab[heic]` reads those"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "it is a web page or an SVG drawing, not a picture of pixels"
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return f"it begins like a {kind} file but is damaged or cut short"
    return "it is not a picture in a known format"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:  # from the system, not from Pillow
        return f"the system says: {error.strerror}"
    text = str(error) or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "the file is cut short"
    return f"it is damaged ({text.splitlines()[0].strip()})"

"""Decode a picture file to what a person sees: RGB, uint8, upright. Every command and the server decode with it.

The rule, which `docs/en/reference/pixels.md` publishes with golden vectors:

- the EXIF orientation is applied; of an animation, the first frame is taken;
- transparency is laid over white; grey, palette, 1-bit, CMYK and other colour spaces become RGB;
- 16-bit samples are scaled over their full range, v -> round(v * 255 / 65535);
- float samples are read as [0, 1], as [0, 255] or as [0, 65535]: the first range that holds all of them;
- a file that is cut short, empty, not a picture, or beyond the budget of pixels, memory or time is an error that names it.

Pillow decodes, but is given only the parts of the file that hold pixels (`stored`, `jpeg`, `png`, `tiff`), as a file object
that raises after the deadline. The result is filled in boxes of a million pixels, so that no second copy of it exists.
"""

import functools
import importlib
import importlib.util
import logging
import os
import re
import stat
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile

from reslab.errors import BadPicture
from reslab.pixels.deadline import DeadlineFile, DeadlinePassed
from reslab.pixels.gif import stored_gif
from reslab.pixels.jpeg import stored_jpeg
from reslab.pixels.kinds import kind_of, not_a_picture
from reslab.pixels.png import DEFLATE, png_is_whole, stored_png
from reslab.pixels.rgb import deep, write_rgb
from reslab.pixels.stored import CUT_SHORT, MAX_PIXELS, Stored, Unreadable, check_size
from reslab.pixels.tiff import exif_orientation, stored_tiff
from reslab.shapes import PICTURE

EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif",
    ".pbm", ".pgm", ".ppm", ".pnm", ".heic", ".heif",
})  # fmt: skip
"""Files with these endings (in any case) count as pictures when a folder is read."""

MAX_BYTES = 560_000_000
"""Memory for a picture: its file, the decoder's working memory and the result. Checked before anything is decoded."""

SECONDS = 60.0
"""Time for a picture."""

_COUNTING_SECONDS = 5.0
"""Time for counting the frames of an animation, which are only reported."""

_RESULT_BYTES, _IMAGE_BYTES = 3, 4  # of a pixel: in an array, in a colour image of Pillow's
_PILLOW_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}  # of a pixel; 4 in other modes
_ROW_BYTES = 16
_BLOCKS = 4  # of 16 MiB, as Pillow allocates them
_LIBRARY_BYTES = {"WEBP": 10, "AVIF": 9, "HEIF": 9}  # of a pixel, in libraries that hand over the whole picture

_BYTEWISE = ("bmp_rle", "ppm", "ppm_plain")
"""Pillow's decoders that are written in Python: about two million pixels a second."""
_MOST_BYTEWISE = 2**22

_LYING: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
"""EXIF orientation -> a view of the upright picture, oriented as in the file; 1 and unknown values need none."""

_SIDEWAYS = (5, 6, 7, 8)

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""

Form = TypeVar("Form")
"""A decoded picture: an array, or an image of Pillow's."""

_PPM_HEADER = 4096
_ROWS_COMPARED = 256
_LOWER_BYTES = "RGB;16L"  # Pillow takes the second byte of each sample for the upper one

# Pillow's complaints about a file are part of our error; without this they would also be printed.
logging.getLogger("PIL").addHandler(logging.NullHandler())
warnings.filterwarnings("ignore", module=r"PIL\.\w+ImagePlugin")


def decode(
    source: str | os.PathLike | bytes,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    seconds: float = SECONDS,
) -> UInt8[np.ndarray, PICTURE]:
    """Decode one picture.

    Args:
        source: a path, or the bytes of a file.
        name: what to call it in an error; the path by default, `printable`.
        max_pixels: larger headers are refused; never more than `MAX_PIXELS`.
        seconds: after which decoding is abandoned. Checked whenever the decoder reads more of the file; WebP, AVIF and
            compressed TIFF read it only once, so they always run to their end, which takes some seconds at most.

    Returns:
        uint8 array `[height, width, 3]`, RGB.

    Raises:
        BadPicture: the file cannot be opened or decoded in full, within the budget of pixels, memory and time; the
            message names it.
    """
    return _decoded(_whole, source, name, max_pixels, seconds)


def decode_image(
    source: str | os.PathLike | bytes,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    seconds: float = SECONDS,
) -> Image.Image:
    """The same picture, bit for bit, as an image of Pillow's in mode RGB: quicker and smaller where it is only resized.

    An array of a large photograph, and the image that resizing makes of it again, cost as much time as decoding it.
    """
    return _decoded(_whole_image, source, name, max_pixels, seconds)


def _decoded(
    whole: Callable[[str, Stored, int, float], Form],
    source: str | os.PathLike | bytes,
    name: str | None,
    max_pixels: int,
    seconds: float,
) -> Form:
    deadline = time.monotonic() + seconds
    with _as_bad_picture(source, name, seconds):
        kind, stored = _stored(_read(source))
        return whole(kind, stored, max_pixels, deadline)


def read_file(source: str | os.PathLike | bytes, name: str | None = None) -> bytes:
    """A picture's file as it is, undecoded.

    Raises:
        BadPicture: it cannot be opened, or is larger than `MAX_BYTES`.
    """
    with _as_bad_picture(source, name, SECONDS):
        return _read(source)


@contextmanager
def _as_bad_picture(source: str | os.PathLike | bytes, name: str | None, seconds: float) -> Iterator[None]:
    """Whatever fails inside becomes a `BadPicture` that names the file."""
    name = name or ("<bytes>" if isinstance(source, bytes) else printable(source))
    try:
        yield
    except Unreadable as error:
        raise BadPicture(name, str(error)) from None
    except DeadlinePassed:
        raise BadPicture(name, f"it takes more than {seconds:g} seconds to decode") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture(name, f"its header claims more than {MAX_PIXELS:,} pixels") from None
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
    """What a file's header says about the picture, for the data check."""

    format: str
    mode: str
    width: int
    height: int
    rotated: bool
    """The EXIF orientation rotates or mirrors the picture."""
    frames: int

    @property
    def deep(self) -> bool:
        """More than 8 bits per sample in the file, so the scaling rule decides how bright the result is."""
        return deep(self.mode)


def facts(source: str | os.PathLike | bytes) -> Facts:
    """Read the header only. Call it for files that `decode` accepts; others raise Pillow's errors."""
    kind, stored = _stored(_read(source))
    with _open(kind, stored, stored.data, time.monotonic() + _COUNTING_SECONDS) as image:
        rotated = _orientation(image, stored) in _LYING
        frames = stored.frames or _frames(image)
        return Facts(image.format or "?", image.mode, image.width, image.height, rotated, frames)


@contextmanager
def kept_memory(pictures: int) -> Iterator[None]:
    """Within it, the memory of so many 12-megapixel images is kept for the next ones: new pages cost a third of decoding."""
    Image.core.set_blocks_max(_BLOCKS * pictures)
    try:
        yield
    finally:
        Image.core.set_blocks_max(0)


def printable(path: str | os.PathLike) -> str:
    """A path as text for any terminal, JSON or CSV: undecodable bytes of a file name are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


# ------------------------------------------------------------------ the file


def _read(source: str | os.PathLike | bytes) -> bytes:
    """The file's content. Only regular files are opened: reading a pipe could block forever."""
    if isinstance(source, bytes):
        return source
    state = os.stat(source)  # noqa: PTH116  twice as fast as Path, for every picture
    if not stat.S_ISREG(state.st_mode) and not stat.S_ISDIR(state.st_mode):
        raise Unreadable("it is not a regular file")
    if state.st_size > MAX_BYTES:
        raise Unreadable(f"its {state.st_size:,} bytes are more than {MAX_BYTES:,}")
    with open(source, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read()


def _stored(data: bytes) -> tuple[str, Stored]:
    """The kind of file, and the part of it that is decoded."""
    kind = kind_of(data)
    if kind not in _readable():
        raise Unreadable(not_a_picture(data))
    return kind, _REDUCED.get(kind, Stored)(data)


def _stored_ppm(data: bytes) -> Stored:
    """The file as it is, if its header is short: Pillow reads headers byte by byte."""
    words = re.sub(rb"#[^\r\n]*", b"", data[:_PPM_HEADER]).split(None, 3)
    if len(data) > _PPM_HEADER and len(words) < (3 if data[:2] in (b"P1", b"P4") else 4):
        raise Unreadable(f"its header is longer than {_PPM_HEADER:,} bytes")
    return Stored(data)


_REDUCED: dict[str, Callable[[bytes], Stored]] = {
    "JPEG": stored_jpeg, "PNG": stored_png, "TIFF": stored_tiff, "GIF": stored_gif, "PPM": _stored_ppm,
}  # fmt: skip


def _open(kind: str, stored: Stored, data: bytes, deadline: float) -> ImageFile.ImageFile:
    """Open the picture, which reads its header only."""
    factory, _ = Image.OPEN[kind]  # as Image.open does, without its warning on stderr of many pixels
    try:
        image = factory(DeadlineFile(data, deadline), "")
    except (SyntaxError, IndexError, TypeError, struct.error):
        layout = f"it is a TIFF of {stored.layout}, which is not read" if stored.layout else not_a_picture(data)
        raise Unreadable(layout) from None
    assert isinstance(image, ImageFile.ImageFile)
    return image


@functools.cache
def _readable() -> frozenset[str]:
    """The formats of `kinds` that this Pillow was built with, and HEIF where pillow-heif (extra `heic`) is installed."""
    Image.init()
    if importlib.util.find_spec("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    return frozenset(Image.OPEN)


# ------------------------------------------------------------------ whole or not at all


def _whole(kind: str, stored: Stored, max_pixels: int, deadline: float) -> UInt8[np.ndarray, PICTURE]:
    """The pixels; raises `Unreadable` if the file does not hold all of them."""
    pixels_of = functools.partial(_pixels, kind, stored, max_pixels=max_pixels, deadline=deadline)
    if stored.padded is None:
        return pixels_of(stored.data)
    pixels = pixels_of(stored.data)
    # Bytes put behind a complete scan change nothing; behind one that ends early, they are decoded as pixels.
    again, rows = pixels_of(stored.padded), range(0, len(pixels), _ROWS_COMPARED)
    if not all(np.array_equal(pixels[at : at + _ROWS_COMPARED], again[at : at + _ROWS_COMPARED]) for at in rows):
        raise Unreadable(f"{CUT_SHORT}: a scan ends early")
    return pixels


def _whole_image(kind: str, stored: Stored, max_pixels: int, deadline: float) -> Image.Image:
    """The same as an image: a colour JPEG of one scan as its decoder leaves it, others by way of the array."""
    if kind == "JPEG" and stored.padded is None:
        with _open(kind, stored, stored.data, deadline) as image:
            _check_budget(image, stored, max_pixels)
            turn = _TURNS.get(_orientation(image, stored))
            needed = len(stored.data) + (1 if turn is None else 2) * _IMAGE_BYTES * image.width * image.height
            if image.mode == "RGB" and needed <= MAX_BYTES:
                _load(image, stored)
                return image if turn is None else image.transpose(turn)
    return Image.fromarray(_whole(kind, stored, max_pixels, deadline))


def _pixels(kind: str, stored: Stored, data: bytes, max_pixels: int, deadline: float) -> UInt8[np.ndarray, PICTURE]:
    with _open(kind, stored, data, deadline) as image:
        _check_budget(image, stored, max_pixels)
        _load(image, stored)
        orientation = _orientation(image, stored)
        width, height = image.size if orientation not in _SIDEWAYS else image.size[::-1]
        pixels = np.empty((height, width, 3), np.uint8)
        lower = None
        if stored.clear is not None and stored.sixteen_bits:
            # Pillow keeps the upper byte of each sample; transparency is compared with both, so decode the lower ones too.
            lower = _open(kind, stored, data, deadline)
            lower.tile = [tile._replace(args=_LOWER_BYTES) for tile in lower.tile]
            lower.load()
        lying = _LYING[orientation](pixels) if orientation in _LYING else pixels
        write_rgb(image, lying, stored, lower)
        return pixels


def _check_budget(image: ImageFile.ImageFile, stored: Stored, max_pixels: int) -> None:
    """Refuse a picture that would exceed the budget, before anything is decoded."""
    width, height = image.size
    pixels = width * height
    check_size(width, height, max_pixels)
    if stored.unpacked > DEFLATE * len(stored.data):
        raise Unreadable(CUT_SHORT)
    if image.tile and image.tile[0][0] in _BYTEWISE and max(pixels, len(stored.data)) > _MOST_BYTEWISE:
        raise Unreadable(f"more than {_MOST_BYTEWISE:,} bytes or pixels in a run-length BMP or a plain or scaled PNM")
    decoder = _PILLOW_BYTES.get(image.mode, 4) + _LIBRARY_BYTES.get(image.format or "", 0)
    needed = len(stored.data) + decoder * pixels + _ROW_BYTES * height + max(_RESULT_BYTES * pixels, stored.scratch)
    if needed > MAX_BYTES:
        megabytes = f"{needed / 1e6:,.0f} MB of memory, more than {MAX_BYTES / 1e6:.0f}"
        raise Unreadable(f"its {width} x {height} pixels would take {megabytes}")


def _load(image: ImageFile.ImageFile, stored: Stored) -> None:
    """Decode, and refuse files that end early but whose missing part the library fills in (JPEG, PNG).

    The picture's memory is zero until it is decoded, so a last row of zeros was either not written or is black.
    """
    bottom = (0, image.height - 1, *image.size)
    absent: list[bool] = []

    def note() -> None:
        absent.append(image.im.crop(bottom).getbbox() is None)

    if stored.scan_end is not None and isinstance(image.fp, DeadlineFile):
        image.fp.pause, image.fp.on_pause = stored.scan_end, note
    image.load()
    if absent == [True] and image.im.crop(bottom).getbbox() is not None:
        raise Unreadable(f"{CUT_SHORT}: its scan ends early")
    if stored.unpacked and (stored.interlaced or image.im.crop(bottom).getbbox() is None) and not png_is_whole(stored):
        raise Unreadable(f"{CUT_SHORT}: its pixels end early")


def _orientation(image: Image.Image, stored: Stored) -> int:
    """From the EXIF block. That of JPEG, PNG and TIFF was removed and read before; AVIF's is made by Pillow from its boxes."""
    return exif_orientation(image.info["exif"]) if "exif" in image.info else stored.orientation


def _frames(image: Image.Image) -> int:
    """The number of pictures in the file; 1 if those behind the first are damaged or take too long to count."""
    try:
        return getattr(image, "n_frames", 1)
    except Exception:
        return 1


def _missing(source: str | os.PathLike | bytes) -> str:
    link = not isinstance(source, bytes) and Path(source).is_symlink()
    return "it is a link to a file that is not there" if link else "no such file"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:  # from the system, not from Pillow
        return f"the system says: {error.strerror}"
    text = str(error) or type(error).__name__
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return CUT_SHORT
    return f"it is damaged ({text.splitlines()[0].strip()[:80]})"

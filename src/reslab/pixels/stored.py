"""A file as the decoder gets it: only what holds pixels, with the facts that decide how it is read."""

from dataclasses import dataclass

MAX_PIXELS = 89_478_485
"""Larger headers are refused before a byte is decoded (Pillow's own threshold: 256 MiB of RGB)."""

CUT_SHORT = "the file is cut short"


class Unreadable(Exception):
    """Why a file is not decoded, short enough for a table cell."""


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raises `Unreadable` for a header that claims too many pixels."""
    if width * height > max_pixels:
        raise Unreadable(f"its header claims {width} x {height} pixels, more than {max_pixels:,}")


@dataclass(frozen=True, slots=True)
class Stored:
    """One picture file, reduced."""

    data: bytes
    """The file without texts, profiles, previews and further pictures, so that no library parses them."""
    orientation: int = 1
    """EXIF 0x0112."""
    scratch: int = 0
    """Bytes that decoding needs besides the picture itself."""
    frames: int = 0
    """TIFF: pictures in the file; 0 where Pillow counts them."""
    layout: str = ""
    """TIFF: bands, bits and kind of the samples, in words."""
    inverted: bool = False
    """TIFF: samples of more than 8 bits where 0 is white."""
    clear: tuple[int, ...] | None = None
    """PNG: the grey value or colour that means transparent, scaled like the samples."""
    sixteen_bits: bool = False
    """PNG: colour with 16 bits a sample, of which Pillow keeps the upper eight."""
    unpacked: int = 0
    """PNG: bytes that its pixels unpack to."""
    interlaced: bool = False
    """PNG: the last row is not the last to be written."""
    scan_end: int | None = None
    """JPEG of one scan: where its data end."""
    padded: bytes | None = None
    """JPEG of several scans: the same file with some bytes behind each scan, which change nothing if the scan is whole."""

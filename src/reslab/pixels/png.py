"""The chunks of a PNG that hold its pixels, and whether they are complete (RFC 2083, PNG third edition)."""

import struct
import zlib
from collections.abc import Iterator

from reslab.pixels.stored import CUT_SHORT, Stored, Unreadable, check_size
from reslab.pixels.tiff import exif_orientation

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"acTL", b"fcTL")  # acTL and fcTL: an animation's first frame and how many there are
_MOST_CHUNKS = 200_000
"""Many programs write chunks of 8 kB, so this is 1.6 GB of pixels."""

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEFLATE = 1032
"""Bytes that one byte of a zlib stream unpacks to, at most."""

_STEP = 2**20
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # x, y, dx, dy


def stored_png(data: bytes) -> Stored:
    """The file with its pixel chunks joined and all checksums verified; texts, profiles and later frames are left out."""
    kept, pixels, clear, orientation = [_SIGNATURE], [], b"", 1
    for kind, body in _chunks(data):
        if kind == b"IDAT":
            pixels.append(body)
        elif kind == b"tRNS":
            clear = bytes(body)
        elif kind == b"eXIf":
            orientation = exif_orientation(bytes(body))
        elif kind in _KEPT and not pixels:
            kept.append(_chunk(kind, body))
            if kind == b"IHDR" and len(body) == 13:
                check_size(*struct.unpack_from(">II", body))
    if len(kept) < 2 or len(kept[1]) != 25:
        raise Unreadable("it is damaged (its first chunk is not a header)")
    width, height, depth, color, _, _, interlace = struct.unpack_from(">IIBBBBB", kept[1], 8)
    unpacked = _unpacked_bytes(width, height, depth * _CHANNELS.get(color, 1), interlace)
    if clear and color == 3:
        kept.append(_chunk(b"tRNS", clear))
    head = struct.pack(">I4s", sum(map(len, pixels)), b"IDAT")
    unchecked = bytes(4)  # not read: the checksums of the parts have been compared
    return Stored(
        b"".join([*kept, head, *pixels, unchecked, _chunk(b"IEND", b"")]),
        orientation=orientation,
        clear=_clear(clear, depth, color),
        sixteen_bits=color == 2 and depth == 16,
        unpacked=unpacked,
        interlaced=bool(interlace),
    )


def png_is_whole(stored: Stored) -> bool:
    """Whether the pixel chunks unpack to as many bytes as the header requires."""
    at = stored.data.index(b"IDAT")
    (length,) = struct.unpack_from(">I", stored.data, at - 4)
    stream, rest, total = zlib.decompressobj(), memoryview(stored.data)[at + 4 : at + 4 + length], 0
    try:
        while total < stored.unpacked and not stream.eof and len(rest):
            total += len(stream.decompress(rest, _STEP))
            rest = stream.unconsumed_tail
    except zlib.error:
        return False
    return total >= stored.unpacked


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each chunk up to IEND."""
    at, count, view = len(_SIGNATURE), 0, memoryview(data)
    while True:
        if at + 12 > len(data):
            raise Unreadable(CUT_SHORT)
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise Unreadable(CUT_SHORT)
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise Unreadable(f"it is damaged (the checksum of a chunk {kind!r} is wrong)")
        if kind == b"IEND":
            return
        yield kind, view[at + 8 : end - 4]
        at, count = end, count + 1
        if count > _MOST_CHUNKS:
            raise Unreadable(f"it has more than {_MOST_CHUNKS:,} chunks")


def _chunk(kind: bytes, body: bytes | memoryview) -> bytes:
    return struct.pack(">I", len(body)) + kind + bytes(body) + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _clear(chunk: bytes, depth: int, color: int) -> tuple[int, ...] | None:
    """The transparent grey (color 0) or RGB value (2) of tRNS, scaled as Pillow scales samples; only `depth` bits count."""
    if color not in (0, 2) or len(chunk) < 2 * _CHANNELS[color]:
        return None
    scale = 255 // (2**depth - 1) if depth < 8 else 1
    return tuple((value & 2**depth - 1) * scale for value in struct.unpack_from(f">{_CHANNELS[color]}H", chunk))


def _unpacked_bytes(width: int, height: int, bits: int, interlace: int) -> int:
    """Bytes of every row of every pass, each with the byte of its filter."""
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes)
    return sum((-(-columns * bits // 8) + 1) * rows for columns, rows in sizes if columns > 0 and rows > 0)

"""The segments of a JPEG that hold its pixels, and whether its scans are all there (ITU-T T.81).

libjpeg fills what is missing with grey and only warns, which Pillow does not pass on. But a scan is whole exactly when
its pixels do not depend on what follows it, up to the next marker:

- a picture in one scan is written row by row, so its last row must be there before the end marker has been read;
- a picture in several scans is written at the end, so it is decoded once more with bytes added behind each scan.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from reslab.pixels.stored import CUT_SHORT, Stored, Unreadable
from reslab.pixels.tiff import exif_orientation

_MARKER = re.compile(rb"\xff[^\x00\xff]")
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # restart markers belong to the scan
_SOI, _EOI, _SOS, _ADOBE, _EXIF, _MPF = b"\xff\xd8", b"\xff\xd9", 0xDA, 0xEE, 0xE1, 0xE2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_KEPT = frozenset({*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDD, 0xE0}) - {0xC8}  # frames, tables, scans, restarts, JFIF
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
_MOST_SEGMENTS = 20_000
_MOST_SCANS = 100
_MOST_WORK = 2_000_000_000
"""Scans times pixels: every scan passes over the whole picture, even one of a few bytes."""

_ONES = b"\xff\x00" * 8
"""Bytes for libjpeg to read ahead behind a scan, 64 bits at most. No Huffman code is all ones, so nothing is decoded."""
_PAD = b"".join(bytes(range(0x15, 0xF5, 7)) + bytes([255, restart]) for restart in range(0xD0, 0xD8))
"""Bytes that an incomplete scan decodes as pixels, even where it waits for a restart marker."""


@dataclass(slots=True)
class _Frame:
    """What the header declares, and what the scans have supplied so far."""

    width: int = 0
    height: int = 0
    progressive: bool = False
    components: dict[int, int] = field(default_factory=dict)
    """Component -> sampling factors, horizontal times vertical."""
    missing: dict[tuple[int, int], int] = field(default_factory=dict)
    """(Component, coefficient) -> bits that no scan has supplied yet; 0: complete."""

    def begin(self, marker: int, body: bytes) -> None:
        if marker > 0xC8:
            raise Unreadable("it is a JPEG with arithmetic coding, which is not read")
        self.height, self.width, count = struct.unpack_from(">HHB", body, 1)
        self.progressive = marker == _PROGRESSIVE
        for number, factors in struct.iter_unpack(">BBx", body[6 : 6 + 3 * count]):
            self.components[number] = (factors >> 4) * (factors & 15)

    def scan(self, body: bytes) -> None:
        count = body[0]
        first, last, bits = body[1 + 2 * count : 4 + 2 * count]
        for component in body[1 : 1 + 2 * count : 2]:
            for coefficient in range(first, min(last, 63) + 1) if self.progressive else (0,):
                self.missing[component, coefficient] = bits & 15 if self.progressive else 0

    @property
    def complete(self) -> bool:
        wanted = ((c, k) for c in self.components for k in range(64 if self.progressive else 1))
        return all(self.missing.get(place, 1) == 0 for place in wanted)

    @property
    def scratch(self) -> int:
        """For several scans: two bytes per sample until the last one, then a result, beside that of the other decoding."""
        largest = max(self.components.values(), default=1) or 1
        return self.width * self.height * (3 + max(3, -(-2 * sum(self.components.values()) // largest)))


def stored_jpeg(data: bytes) -> Stored:
    """The first picture, without previews, profiles and texts."""
    frame, orientation = _Frame(), None
    parts: list[bytes | memoryview] = [_SOI]
    ends: list[int] = []  # how many parts there are up to the end of each scan
    multi_picture = False
    try:
        for marker, body, scan in _segments(data):
            if marker in _FRAMES:
                frame.begin(marker, body)
            elif marker == _SOS:
                frame.scan(body)
            elif marker == _EXIF and orientation is None and body.startswith(b"Exif\0\0"):
                orientation = exif_orientation(body)
            first_index = marker == _MPF and body.startswith(b"MPF\0") and len(body) < 1000 and not multi_picture
            multi_picture = multi_picture or first_index
            if marker in _KEPT or first_index or (marker == _ADOBE and body.startswith(b"Adobe")):
                parts += [struct.pack(">BBH", 255, marker, len(body) + 2) + body, scan]
            if marker == _SOS:
                ends.append(len(parts))
                _check_work(len(ends), frame)
    except (struct.error, IndexError, ValueError):
        raise Unreadable("it is damaged (one of its segments is too short)") from None
    if not ends or not frame.complete:
        raise Unreadable(f"{CUT_SHORT}: some of its scans are missing")
    parts.append(_EOI)
    padding = _ONES if len(ends) == 1 else _PAD
    padded = b"".join(_padded(parts, ends, padding))
    if len(ends) == 1:
        return Stored(padded, orientation or 1, scan_end=len(padded) - len(_EOI))
    return Stored(b"".join(parts), orientation or 1, scratch=frame.scratch, padded=padded)


def _padded(parts: list[bytes | memoryview], ends: list[int], padding: bytes) -> Iterator[bytes | memoryview]:
    """The parts with `padding` behind each scan."""
    for count, part in enumerate(parts, 1):
        yield part
        if count in ends:
            yield padding


def _check_work(scans: int, frame: _Frame) -> None:
    if scans > _MOST_SCANS or scans * frame.width * frame.height > _MOST_WORK:
        raise Unreadable(f"it passes over its {frame.width:,} x {frame.height:,} pixels more than {scans - 1} times")


def _segments(data: bytes) -> Iterator[tuple[int, bytes, memoryview]]:
    """Marker, content and, for a scan, its data; up to the end of the first picture."""
    at, count, view = len(_SOI), 0, memoryview(data)
    while found := _MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == _EOI[1]:
            return
        if marker in _BARE:
            continue
        length = int.from_bytes(data[at : at + 2])
        if length < 2 or at + length > len(data):
            break
        body, at, scan = data[at + 2 : at + length], at + length, view[:0]
        if marker == _SOS:
            end = _AFTER_SCAN.search(data, at)
            if end is None:
                break
            scan, at = view[at : end.start()], end.start()
        yield marker, body, scan
        count += 1
        if count > _MOST_SEGMENTS:
            raise Unreadable(f"it has more than {_MOST_SEGMENTS:,} segments")
    raise Unreadable(CUT_SHORT)

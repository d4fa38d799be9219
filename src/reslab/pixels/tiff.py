"""The first directory of a TIFF: its layout in words, its orientation, and a copy with only the tags of its pixels."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from reslab.pixels.stored import CUT_SHORT, Stored, Unreadable

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8}  # bytes of a value, by its type
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}  # types of unsigned whole numbers

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, BANDS, ROWS_PER_STRIP, STRIP_BYTES, PLANAR = 273, 274, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT = 322, 323, 324, 325, 339

_KEPT = frozenset({
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, BANDS, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, TILE_WIDTH,
    TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT,
    266, 292, 293, 317, 320, 332, 338, 347,  # fill order, fax options, predictor, palette, inks, extra bands, JPEG tables
    512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532,  # JPEG of TIFF 6.0, YCbCr
})  # fmt: skip
_MOST_VALUES = 2**18
"""Of one tag: as many strips as a picture of 262,144 rows has at most."""

_MOST_BANDS = 1024

_FAX = (2, 3, 4, 32771)
_FAX_ROWS = 30_000
"""libtiff prints a line for every damaged row of a fax; a page of 100 cm at 600 dpi has 23,600."""

_SAMPLES = {1: "unsigned", 2: "signed", 3: "floating point", 5: "complex", 6: "complex"}


@dataclass(frozen=True, slots=True)
class Directory:
    """The first directory (IFD) of a TIFF file, or of the EXIF block of another file; only its whole numbers are read."""

    data: bytes
    order: str
    """`<` or `>`, as `struct` writes it."""
    big: bool
    """BigTIFF: 64-bit offsets."""
    entries: dict[int, bytes]
    """Tag -> its entry of 12 (BigTIFF: 20) bytes; where a tag comes twice, the first one."""

    @classmethod
    def read(cls, data: bytes) -> "Directory":
        """Raises struct.error where it does not fit into the file."""
        order = "<" if data[:2] == b"II" else ">"
        big = struct.unpack_from(order + "H", data, 2)[0] == 43
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
        first, size = start + (8 if big else 2), 20 if big else 12
        if first + count * size > len(data):
            raise struct.error("the directory is cut short")
        entries: dict[int, bytes] = {}
        for at in range(first, first + count * size, size):
            entries.setdefault(struct.unpack_from(order + "H", data, at)[0], data[at : at + size])
        return cls(data, order, big, entries)

    def values(self, tag: int) -> tuple[int, ...]:
        """The whole numbers of a tag, empty where there are none."""
        if tag not in self.entries:
            return ()
        entry = self.entries[tag]
        kind, count = struct.unpack_from(self.order + ("HQ" if self.big else "HI"), entry, 2)
        if count > _MOST_VALUES:
            raise Unreadable(f"tag {tag} of its directory claims {count:,} values, more than {_MOST_VALUES:,}")
        if kind not in _WHOLE:
            return ()
        value = entry[-8:] if self.big else entry[-4:]
        source, at = value, 0
        if count * _SIZES[kind] > len(value):
            source, at = self.data, struct.unpack(self.order + ("Q" if self.big else "I"), value)[0]
        return struct.unpack_from(f"{self.order}{count}{_WHOLE[kind]}", source, at)

    def value(self, tag: int, default: int) -> int:
        """The first number of a tag."""
        return next(iter(self.values(tag)), default)


def exif_orientation(exif: bytes) -> int:
    """The tag 0x0112 of an EXIF block; 1 if it is absent or the block is damaged (viewers do not rotate those)."""
    try:
        return Directory.read(exif.removeprefix(b"Exif\0\0")).value(ORIENTATION, 1)
    except (struct.error, OverflowError, Unreadable):
        return 1


def stored_tiff(data: bytes) -> Stored:
    """The first picture with only the tags that affect its pixels, so that no library reads or warns about the others."""
    try:
        directory = Directory.read(data)
        layout = _Layout.of(directory)
        layout.check(directory)
    except (struct.error, OverflowError):
        raise Unreadable(CUT_SHORT) from None
    inverted = layout.photometric == 0 and max(layout.bits) > 8  # Pillow inverts up to 8 bits only
    entries = {tag: entry for tag, entry in directory.entries.items() if tag in _KEPT}
    if inverted:
        entries[PHOTOMETRIC] = _short(directory, PHOTOMETRIC, 1)
    return Stored(
        _rewritten(directory, entries),
        orientation=directory.value(ORIENTATION, 1),
        inverted=inverted,
        scratch=layout.block_bytes,
        frames=_frames(data, directory),
        layout=str(layout),
    )


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the samples are arranged in the file."""

    width: int
    height: int
    bits: tuple[int, ...]
    compression: int
    photometric: int
    sample: int
    planes: int
    """Bands that are stored one after the other; 1 if the bands of a pixel are stored together."""
    block: tuple[int, int]
    """Width and height of a strip or tile."""
    tiled: bool

    @classmethod
    def of(cls, directory: Directory) -> "_Layout":
        value = directory.value
        width, height, bands = value(WIDTH, 0), value(HEIGHT, 0), max(value(BANDS, 1), 1)
        if bands > _MOST_BANDS:
            raise Unreadable(f"it is a TIFF of {bands:,} bands, which is not read")
        bits = directory.values(BITS)[:bands] or (1,)
        tiled = TILE_OFFSETS in directory.entries and STRIP_OFFSETS not in directory.entries
        rows = min(value(ROWS_PER_STRIP, height), height)
        block = (value(TILE_WIDTH, 0), value(TILE_HEIGHT, 0)) if tiled else (width, rows)
        planes = bands if value(PLANAR, 1) == 2 else 1
        sample, photometric = value(SAMPLE_FORMAT, 1), value(PHOTOMETRIC, 0)
        all_bits = bits * bands if len(bits) == 1 else bits
        return cls(width, height, all_bits, value(COMPRESSION, 1), photometric, sample, planes, block, tiled)

    def __str__(self) -> str:
        kind = _SAMPLES.get(self.sample, f"sample format {self.sample}")
        depth = "/".join(str(bits) for bits in sorted(set(self.bits)))
        return f"{len(self.bits)} band{'s' * (len(self.bits) > 1)} of {depth} bits, {kind}"

    @property
    def row_bytes(self) -> int:
        """Of one row of a strip or tile, unpacked."""
        return -(-self.block[0] * sum(self.bits) // self.planes // 8)

    @property
    def block_bytes(self) -> int:
        """Of one strip or tile while it is decoded, four bytes a pixel at least."""
        return max(self.row_bytes, 4 * self.block[0]) * self.block[1]

    def check(self, directory: Directory) -> None:
        """Check that every strip or tile is there, of a sensible size and, if uncompressed, long enough."""
        across, down = (
            -(-side // max(part, 1)) for side, part in zip((self.width, self.height), self.block, strict=True)
        )
        covered = across * self.block[0] * down * self.block[1]
        if self.tiled and covered > 4 * self.width * self.height + 2**22:
            raise Unreadable(f"its tiles of {self.block[0]} x {self.block[1]} pixels do not fit its size")
        if self.compression in _FAX and self.height > _FAX_ROWS:
            raise Unreadable(f"it is a fax of {self.height:,} rows, more than {_FAX_ROWS:,}")
        offsets = directory.values(TILE_OFFSETS if self.tiled else STRIP_OFFSETS)
        sizes = directory.values(TILE_BYTES if self.tiled else STRIP_BYTES)
        needed = across * down * self.planes
        if len(offsets) < needed or (sizes and len(sizes) < needed):
            raise Unreadable(f"{CUT_SHORT}: {len(offsets):,} of {needed:,} blocks of pixels are there")
        if any(at + size > len(directory.data) for at, size in zip(offsets, sizes, strict=False)):
            raise Unreadable(CUT_SHORT)
        plain = self.compression == 1 and self.photometric != 6  # YCbCr may hold fewer samples than pixels
        if plain and sizes and any(size < need for size, need in zip(sizes, self._needs(down, across), strict=False)):
            raise Unreadable(CUT_SHORT)

    def _needs(self, down: int, across: int) -> Iterator[int]:
        """Bytes of each uncompressed strip or tile, in the order of the file."""
        for _ in range(self.planes):
            for row in range(down):
                rows = self.block[1] if self.tiled else min(self.block[1], self.height - row * self.block[1])
                for _ in range(across):
                    yield rows * self.row_bytes


def _frames(data: bytes, directory: Directory) -> int:
    """The number of directories, each of which points to the next; at most a thousand are counted."""
    order, big = directory.order, directory.big
    word, count, size = ("Q", "Q", 20) if big else ("I", "H", 12)
    seen, at = set(), struct.unpack_from(order + word, data, 8 if big else 4)[0]
    while at and at not in seen and len(seen) < 1000:
        seen.add(at)
        try:
            (entries,) = struct.unpack_from(order + count, data, at)
            (at,) = struct.unpack_from(order + word, data, at + struct.calcsize(order + count) + entries * size)
        except struct.error:
            break
    return len(seen)


def _short(directory: Directory, tag: int, value: int) -> bytes:
    """An entry that holds one 16-bit number."""
    if directory.big:
        return struct.pack(directory.order + "HHQH6x", tag, 3, 1, value)
    return struct.pack(directory.order + "HHIH2x", tag, 3, 1, value)


def _rewritten(directory: Directory, entries: dict[int, bytes]) -> bytes:
    """The file with these entries as its only directory, at the end; what they point to stays where it is."""
    data, order, big = directory.data, directory.order, directory.big
    start = len(data) + len(data) % 2
    head = struct.pack(order + ("Q" if big else "I"), start)
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    rows = b"".join(entries[tag] for tag in sorted(entries))
    before = 8 if big else 4
    parts = (
        data[:before],
        head,
        memoryview(data)[before + len(head) :],
        bytes(start - len(data)),
        count,
        rows,
        bytes(len(head)),
    )
    return b"".join(parts)

"""Pictures whose data end early although their file ends as it should (docs/en/reference/pixels.md, 1.11): each is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reslab.errors import BadPicture
from reslab.pixels.decode import decode

RNG = np.random.default_rng(1)
HEIGHT, WIDTH = 75, 101  # no multiple of 8 or 16
PIXELS = np.clip(
    np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., None] + RNG.integers(0, 80, (HEIGHT, WIDTH, 3)), 0, 255
)
PICTURE = Image.fromarray(PIXELS.astype(np.uint8))
WAYS = {
    "4:4:4": {"subsampling": 0}, "4:2:0": {"subsampling": 2}, "4:2:2": {"subsampling": 1}, "coarse": {"quality": 5},
    "restarts": {"restart_marker_rows": 1}, "optimised": {"optimize": True},
}  # fmt: skip


def encoded(kind, image=PICTURE, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def cut_short(data):
    with pytest.raises(BadPicture) as caught:
        decode(data)
    assert "cut short" in caught.value.reason, caught.value.reason


def scans(jpeg):
    """Where the data of each scan begin and end."""
    found, at = [], 2
    while jpeg[at + 1] != 0xD9:
        start = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] == 0xDA:
            end = start
            while jpeg[end] != 255 or jpeg[end + 1] == 0 or 0xD0 <= jpeg[end + 1] <= 0xD7:
                end += 1
            found.append((start, end))
            start = end
        at = start
    return found


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("way", WAYS)
def test_a_jpeg_whose_scan_ends_early(way, mode):
    whole = encoded("JPEG", PICTURE.convert(mode), **WAYS[way])
    ((start, end),) = scans(whole)
    assert np.array_equal(decode(whole), by_pillow(whole))
    for left in (0, 1, (end - start) // 2, end - start - 60):  # bytes of the scan that are there
        cut_short(whole[: start + left] + whole[end:])


@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (0, 0, 255)])
def test_pictures_of_one_colour_are_whole_and_notice_too(colour):
    """Black is what memory holds before anything is decoded, grey is what libjpeg fills in."""
    for options in ({}, {"progressive": True}, {"subsampling": 0}):
        whole = encoded("JPEG", Image.new("RGB", (200, 120), colour), **options)
        assert len(np.unique(decode(whole))) <= 3
    for kind in ("PNG", "WEBP", "TIFF"):
        assert (
            decode(encoded(kind, Image.new("RGB", (20, 12), colour), **({"lossless": True} if kind == "WEBP" else {})))
            == colour
        ).all()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("way", WAYS)
def test_a_progressive_jpeg_of_which_scans_are_missing(way, mode):
    whole = encoded("JPEG", PICTURE.convert(mode), progressive=True, **WAYS[way])
    places = scans(whole)
    assert len(places) >= 6
    assert np.array_equal(decode(whole), by_pillow(whole))
    for _, end in places[:-1]:
        cut_short(whole[:end] + b"\xff\xd9")


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("way", WAYS)
def test_a_progressive_jpeg_one_of_whose_scans_ends_early(way, mode):
    whole = encoded("JPEG", PICTURE.convert(mode), progressive=True, **WAYS[way])
    noticed = 0
    for start, end in scans(whole):
        for left in (0, (end - start) // 2):
            cut = whole[: start + left] + whole[end:]
            if not np.array_equal(by_pillow(cut), by_pillow(whole)):  # else all that was cut off stood for zeros
                cut_short(cut)
                noticed += 1
    assert noticed >= 6


def test_a_jpeg_in_a_scan_for_each_component():
    """As SOF0 allows and Pillow does not write: the three scans of a 4:4:4 picture, each a grey picture's."""
    greys = [encoded("JPEG", band, quality=75) for band in PICTURE.split()]
    (start, end), head = scans(greys[0])[0], greys[0].index(b"\xff\xc0")
    tables, rest = greys[0][:head], greys[0][head + 2 : start]
    frame = rest[2:8] + b"\x03" + b"".join(bytes([n, 0x11, 0]) for n in (1, 2, 3))
    huffman = rest[int.from_bytes(rest[:2]) : -10]
    whole = tables + b"\xff\xc0" + struct.pack(">H", len(frame) + 1) + frame[:-9] + frame[-9:] + huffman
    whole = (
        tables
        + b"\xff\xc0"
        + struct.pack(">H", 17)
        + rest[2:7]
        + b"\x03"
        + b"".join(bytes([n, 0x11, 0]) for n in (1, 2, 3))
        + huffman
    )
    places = []
    for number, grey in enumerate(greys, 1):
        (start, end) = scans(grey)[0]
        whole += b"\xff\xda\0\x08\1" + bytes([number, 0]) + b"\0\x3f\0"
        places.append((len(whole), len(whole) + end - start))
        whole += grey[start:end]
    assert decode(whole + b"\xff\xd9").shape == (HEIGHT, WIDTH, 3)
    for number, (start, end) in enumerate(places):
        cut_short(whole[: (start + end) // 2] + whole[end:] + b"\xff\xd9")
        if number < 2:
            cut_short(whole[:end] + b"\xff\xd9")  # the others are missing


# ------------------------------------------------------------------ PNG


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_a_png_whose_pixels_unpack_to_too_few_bytes(mode, interlaced):
    image = Image.new(mode, (40, 33)) if mode in ("1", "I;16") else PICTURE.crop((0, 0, 40, 33)).convert(mode)
    whole = interlace(40, 33) if interlaced else encoded("PNG", image)
    at = whole.index(b"IDAT")
    (length,) = struct.unpack(">I", whole[at - 4 : at])
    rows = zlib.decompress(whole[at + 4 : at + 4 + length])
    row = len(rows) // 33
    for left in (0, 1, len(rows) // 2, len(rows) - 1, row, 17 * row, 32 * row):  # Pillow notices only within a row
        cut_short(whole[: at - 4] + chunk(b"IDAT", zlib.compress(rows[:left])) + chunk(b"IEND", b""))
    more = whole[: at - 4] + chunk(b"IDAT", zlib.compress(rows + b"more")) + chunk(b"IEND", b"")
    assert np.array_equal(decode(more), decode(whole))


def interlace(width, height):
    """A grey PNG in seven passes (Adam7), every filter zero."""
    plane = np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in plane[y::dy, x::dx])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1))
    whole = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert np.array_equal(decode(whole)[..., 0], plane)
    return whole


def test_a_png_with_a_black_last_row_is_whole():
    black = PIXELS.astype(np.uint8).copy()
    black[-1] = 0
    for mode in ("RGB", "L", "RGBA"):
        assert decode(encoded("PNG", Image.fromarray(black).convert(mode))).shape == black.shape


# ------------------------------------------------------------------ WebP, TIFF


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_whose_chunk_ends_early(lossless):
    whole = encoded("WEBP", lossless=lossless, quality=80)
    assert whole[12:16] in (b"VP8 ", b"VP8L")
    for left in (30, (len(whole) - 20) // 2, len(whole) - 20 - 40):
        body = whole[20 : 20 + left + left % 2]
        data = b"WEBP" + whole[12:16] + struct.pack("<I", len(body)) + body
        with pytest.raises(BadPicture):
            decode(b"RIFF" + struct.pack("<I", len(data)) + data)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"])
def test_a_tiff_whose_strip_ends_early(compression):
    whole = encoded("TIFF", compression=compression)
    start = struct.unpack("<I", whole[4:8])[0]
    entries = {struct.unpack_from("<H", whole, start + 2 + 12 * n)[0]: start + 2 + 12 * n for n in range(whole[start])}
    at = entries[279]  # StripByteCounts
    kind, count, value = struct.unpack_from("<HII", whole, at + 2)
    places = [at + 8] if count == 1 else [value + (4 if kind == 4 else 2) * n for n in range(count)]
    assert np.array_equal(decode(whole), PIXELS)
    for place in (places[0], places[-1]):
        (size,) = struct.unpack_from("<I" if kind == 4 else "<H", whole, place)
        for left in (size // 2, size - 40):  # behind the pixels, LZMA has an index
            bad = bytearray(whole)
            struct.pack_into("<I" if kind == 4 else "<H", bad, place, left)
            with pytest.raises(BadPicture):
                decode(bytes(bad))


def test_a_tiff_that_lacks_a_strip():
    whole = bytearray(encoded("TIFF", compression="raw"))
    start = struct.unpack("<I", whole[4:8])[0]
    for n in range(whole[start]):
        at = start + 2 + 12 * n
        if struct.unpack_from("<H", whole, at)[0] == 278:  # RowsPerStrip
            struct.pack_into("<HHII", whole, at, 278, 4, 1, 10)
    cut_short(bytes(whole))

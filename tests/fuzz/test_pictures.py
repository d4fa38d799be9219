"""Mutated pictures of every format: one answer, or one BadPicture, within the budget. `reproduce/fuzz.py` runs many more."""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from reslab.errors import BadPicture
from reslab.pixels.decode import decode

SECONDS = 10.0
MAX_PIXELS = 4_000_000  # an edited header may claim many; what they cost is in tests/pixels/bombs.py
HEIGHT, WIDTH = 21, 30


def check_one(data):
    """Decode twice: equal pixels or the same complaint, no other exception."""
    first, second = (answer(data) for _ in range(2))
    assert np.array_equal(first, second) if isinstance(first, np.ndarray) else first == second


def answer(data):
    try:
        pixels = decode(data, max_pixels=MAX_PIXELS, seconds=SECONDS)
    except BadPicture as error:
        assert error.__cause__ is None and "\n" not in error.message
        assert "seconds" not in error.reason, "beyond its budget of time"
        return error.reason
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size
    return pixels


def cases(seed):
    """Mutated files without end."""
    rng = np.random.default_rng(seed)
    while True:
        yield mutated(FILES[int(rng.integers(len(FILES)))], rng)


def mutated(data, rng):
    """Some changes of bytes, numbers, length or order; half of the PNGs get fitting checksums again."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        change = CHANGES[int(rng.integers(len(CHANGES)))]
        data = change(data, int(rng.integers(len(data))) if data else 0, rng)
    return checksums_made_right(bytes(data)) if rng.random() < 0.5 else bytes(data)


def _byte(data, at, rng):
    data[at : at + 1] = bytes([int(rng.integers(256))])
    return data


def _bit(data, at, rng):
    data[at : at + 1] = bytes([data[at] ^ 1 << int(rng.integers(8))]) if data else b""
    return data


def _number(data, at, rng):
    number = (0, 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**32 - 1)[int(rng.integers(7))]
    at = min(at, 256) if rng.random() < 0.5 else at
    data[at : at + 4] = struct.pack(("<I", ">I")[int(rng.integers(2))], number)
    return data


def _cut(data, at, rng):
    return data[:at]


def _removed(data, at, rng):
    return data[:at] + data[at + int(rng.integers(1, 40)) :]


def _twice(data, at, rng):
    return data[:at] + data[at : at + int(rng.integers(1, 400))] * int(rng.integers(2, 5)) + data[at:]


def _zeros(data, at, rng):
    size = int(rng.integers(1, 200))
    data[at : at + size] = bytes(size)
    return data


def _crossed(data, at, rng):
    other = FILES[int(rng.integers(len(FILES)))]
    return data[:at] + other[int(rng.integers(len(other))) :]


CHANGES = (_byte, _byte, _bit, _bit, _number, _number, _cut, _removed, _twice, _zeros, _crossed)


def checksums_made_right(data):
    """Of a PNG: else nothing behind the first changed chunk would be read."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        parts.append(data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts)


def small_pictures():
    """One file of each kind that the decoder tells apart."""
    rng = np.random.default_rng(0)
    rgba = Image.fromarray(
        (
            np.add.outer(np.arange(HEIGHT), np.arange(WIDTH))[..., None] * 3 + rng.integers(0, 60, (HEIGHT, WIDTH, 4))
        ).astype(np.uint8)
    )
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(rng.integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16))
    floats = Image.fromarray(rng.random((HEIGHT, WIDTH), np.float32))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [
        *(encoded(rgb, "JPEG", exif=exif, **o) for o in ({}, {"progressive": True}, {"subsampling": 0})),
        encoded(rgb, "JPEG", restart_marker_blocks=3),
        encoded(rgba.convert("CMYK"), "JPEG"), encoded(grey, "JPEG"),
        encoded(rgb, "MPO", save_all=True, append_images=[rgb]),
        *(encoded(image, "PNG", exif=exif) for image in (rgb, rgba, grey, rgba.convert("LA"), rgb.quantize(16), deep)),
        encoded(grey.convert("1"), "PNG"),
        encoded(rgb, "PNG", transparency=(1, 2, 3)), encoded(rgb, "PNG", save_all=True, append_images=[grey.convert("RGB")]),
        encoded(rgb.quantize(16), "GIF", save_all=True, append_images=[rgb.quantize(4)]), encoded(grey, "GIF"),
        *(encoded(image, "BMP") for image in (rgb, rgba, grey, grey.convert("1"))),
        *(encoded(image, "PPM") for image in (rgb, grey, grey.convert("1"), floats)),
        b"P3 3 2 255 # plain\n" + b"1 22 255 " * 6, b"P5 4 4 1000\n" + bytes(range(32)),
        *(encoded(image, "TIFF", exif=exif) for image in (rgb, rgba, grey, deep, floats, grey.convert("1"), rgb.quantize(16))),
        *(encoded(rgb, "TIFF", compression=c) for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
        *(encoded(grey.convert("1"), "TIFF", compression=c) for c in ("group3", "group4")),
        encoded(deep, "TIFF", tiffinfo={262: 0}), encoded(rgb, "TIFF", big_tiff=True),
        encoded(rgb, "WEBP", exif=exif), encoded(rgba, "WEBP", lossless=True),
        encoded(rgb, "WEBP", save_all=True, append_images=[grey.convert("RGB")]),
    ]  # fmt: skip
    golden = Path(__file__).parents[1] / "pixels" / "golden"
    files += [path.read_bytes() for path in sorted(golden.iterdir()) if path.suffix != ".json"]
    return files + ([encoded(rgb, "AVIF", speed=10)] if features.check("avif") else [])


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


FILES = small_pictures()


def test_the_files_are_pictures():
    assert len(FILES) > 50
    assert all(isinstance(answer(data), np.ndarray) for data in FILES)


@settings(max_examples=700, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_mutated_pictures(seed):
    check_one(next(cases(seed)))


if __name__ == "__main__":  # the first N cases of a seed: python tests/fuzz/test_pictures.py SEED N
    seed, count = (int(word) for word in sys.argv[1:])
    for _, case in zip(range(count), cases(seed), strict=False):
        try:
            check_one(case)
        except BaseException:
            Path(f"fuzz-{zlib.crc32(case):08x}.bin").write_bytes(case)
            raise

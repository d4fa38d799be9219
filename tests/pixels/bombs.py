"""Picture files that are made to cost time or memory: `BOMBS`, name -> a function that gives its bytes.

Each is refused, or decoded, within `SECONDS` of a processor and `MEGABYTES` above what the process had before; `measured`
finds out in a process of its own. Most are kilobytes; those whose size is the point have 32 MB, as a server takes by default.
"""

import io
import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SECONDS, MEGABYTES = 12, 600
FULL = 32_000_000  # bytes of a request
SIDE50, SIDE89 = 7071, 9459  # squares of 50 and 89 million pixels


def measured(data):
    """(reason or "", CPU seconds, MB above the start) of one decode of these bytes, in a new process."""
    code = (
        "import json, pathlib, re, sys, time; from reslab.errors import BadPicture\n"
        "from reslab.pixels.decode import decode, facts\n"
        "status = pathlib.Path('/proc/self/status')\n"  # ru_maxrss would count what the parent had
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1]) / 1024\n"
        "try: decode(b'GIF89a')\n"
        "except BadPicture: pass\n"
        "before, start, reason = peak(), time.process_time(), ''\n"
        "try: decode(sys.argv[1], seconds=10.0); facts(sys.argv[1])\n"
        "except BadPicture as error: reason = error.reason\n"
        "print(json.dumps([reason, time.process_time() - start, peak() - before]))\n"
    )
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        done = subprocess.run([sys.executable, "-c", code, file.name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout)


# ------------------------------------------------------------------ PNG


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, color, data=None, extra=b"", interlace=0, idats=None):
    """`data` unpacked; zeros for the whole picture where it is not given."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
    body = (
        zeros((width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] + 7) // 8 * height + height)
        if data is None
        else zlib.compress(data)
    )
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if color == 3 else b""
    idats = chunk(b"IDAT", body) if idats is None else idats
    return b"\x89PNG\r\n\x1a\n" + head + palette + extra + idats + chunk(b"IEND", b"")


def zeros(count):
    """That many zero bytes, packed without having them."""
    packer, block = zlib.compressobj(), bytes(2**20)
    parts = [packer.compress(block[: min(len(block), count - at)]) for at in range(0, count, len(block))]
    return b"".join(parts) + packer.flush()


def one_row(width, height, depth, color, extra=b""):
    row = width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] // 8 + 1
    return png(width, height, depth, color, bytes(row), extra)


def exif(count, size):
    """A block whose every tag points to the same bytes."""
    tags = b"".join(struct.pack("<HHII", tag, 1, size, 8) for tag in range(300, 300 + count))
    return (b"II*\0" + struct.pack("<IH", 8, count) + tags + bytes(4)).ljust(size + 8, b"\0")


# ------------------------------------------------------------------ JPEG


def segment(marker, body):
    return bytes([255, marker]) + struct.pack(">H", len(body) + 2) + body


def progressive(side, scans, components=1, prefix=b"", sof=0xC2):
    """A grey square and `scans` scans of a few bytes, each of which passes over all its blocks."""
    blocks = (-(-side // 8)) ** 2
    runs = "".join("0" + "1" * 14 for _ in range(-(-blocks // 32767)))
    runs += "1" * (-len(runs) % 8)
    run = int(runs, 2).to_bytes(len(runs) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = b"".join(bytes([number, 0x11, 0]) for number in range(1, components + 1))
    return (
        b"\xff\xd8" + prefix + segment(0xDB, b"\0" + b"\1" * 64)
        + segment(sof, struct.pack(">BHHB", 8, side, side, components) + frame)
        + segment(0xC4, b"\0\1" + bytes(16)) + segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
        + b"".join(segment(0xDA, bytes([1, c, 0, 0, 0, 0])) + bytes(blocks // 8 + 1) for c in range(1, components + 1))
        + b"".join((segment(0xDA, bytes([1, c, 0, 1, 0x3F, 0])) + run) for c in range(1, components + 1) for _ in range(scans))
        + b"\xff\xd9"
    )  # fmt: skip


def baseline(width, height, components=1, data=None, factors=0x11):
    """One code of one bit each for DC and AC: a block is two bits long."""
    frame = b"".join(bytes([number, factors if number == 1 else 0x11, 0]) for number in range(1, components + 1))
    blocks = (-(-width // 8)) * (-(-height // 8)) * components
    scan = bytes([components]) + b"".join(bytes([number, 0]) for number in range(1, components + 1)) + b"\0\x3f\0"
    return (
        b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
        + segment(0xC0, struct.pack(">BHHB", 8, height, width, components) + frame)
        + segment(0xC4, b"\0\1" + bytes(16)) + segment(0xC4, b"\x10\1" + bytes(16))
        + segment(0xDA, scan) + (bytes(blocks // 4 + 1) if data is None else data) + b"\xff\xd9"
    )  # fmt: skip


def small_jpeg(**options):
    return encoded(Image.new("RGB", (32, 32), "red"), "JPEG", **options)


# ------------------------------------------------------------------ TIFF and the others


def tiff(width, height, tags, data=b"\0" * 8, big=False):
    """Little-endian; `tags` are (tag, type, count, value); the data lie at byte 8 (BigTIFF: 16)."""
    base = [(256, 4, 1, width), (257, 4, 1, height)]
    rows = sorted({row[0]: row for row in [*base, *tags]}.values())
    start = 16 if big else 8
    at = start + len(data) + len(data) % 2
    if big:
        head = b"II+\0\x08\0\0\0" + struct.pack("<Q", at)
        table = struct.pack("<Q", len(rows)) + b"".join(struct.pack("<HHQQ", *row) for row in rows) + bytes(8)
    else:
        head = b"II*\0" + struct.pack("<I", at)
        table = struct.pack("<H", len(rows)) + b"".join(struct.pack("<HHII", *row) for row in rows) + bytes(4)
    return head + data.ljust(at - start, b"\0") + table


def grey(bits=8, compression=1, photometric=1, at=8, size=8, sample=1):
    return [
        (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, photometric), (273, 4, 1, at), (277, 3, 1, 1),
        (279, 4, 1, size), (339, 3, 1, sample),
    ]  # fmt: skip


def strip(width, height, data, bits=8, compression=8, photometric=1, sample=1):
    """A grey TIFF in one strip."""
    return tiff(width, height, [*grey(bits, compression, photometric, 8, len(data), sample), (278, 4, 1, height)], data)


def tiled(width, height, tile, compression=1, data=b"\0" * 8, count=1):
    tags = [row for row in grey(compression=compression) if row[0] not in (273, 279)]
    return tiff(
        width, height, [*tags, (322, 4, 1, tile[0]), (323, 4, 1, tile[1]), (324, 4, count, 8), (325, 4, count, 8)], data
    )


def overlapping_tags(big):
    """Every tag of the directory points to the same 10 MB."""
    size, count = 10_000_000, 30_000
    tags = [(tag, 1, size, 16) for tag in range(20_000, 20_000 + count)]
    return tiff(8, 8, [*grey(at=16 if big else 8, size=64), *tags], bytes(size + 16), big)


def fax(rows, compression):
    return strip(8, rows, b"\0\x10\x01" * 333_333, 1, compression, photometric=0)


def directories(count):
    """Pictures of one pixel, one directory behind the other."""
    one = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", t, 4, 1, 1) for t in (256, 257, 278))
    return b"II*\0\x08\0\0\0" + b"".join(one + struct.pack("<I", 8 + 42 * (n + 1)) for n in range(count))


def rle_bmp(width, height, data):
    head = b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 1078)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0) + bytes(1024) + data


def bmp(width, height, bits, data=bytes(64)):
    head = b"BM" + struct.pack("<IHHI", 54 + len(data), 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(data), 0, 0, 0, 0) + data


def gif(width, height, blocks=b"", data=b"\x02\x02\x4c\x01\0", frames=1, frame=None):
    size = struct.pack("<HH", *(frame or (width, height)))
    image = b",\0\0\0\0" + size + b"\0" + data
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\xf0\0\0" + bytes(6) + blocks + image * frames + b";"


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def blank(kind, width, height, mode="L", **options):
    return encoded(Image.new(mode, (width, height)), kind, **options)


def webp_header(width, height):
    body = b"VP8L" + struct.pack("<IBI", 14, 0x2F, (width - 1) | (height - 1) << 14 | 1 << 28) + bytes(9)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def noise(count):
    return np.random.default_rng(0).integers(0, 256, count, np.uint8).tobytes()


def filled(head, unit, tail=b""):
    """`unit` as often as a request has room for it."""
    return head + unit * ((FULL - len(head) - len(tail)) // len(unit)) + tail


PNG_HEAD = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0))
PNG_TAIL = chunk(b"IDAT", zlib.compress(bytes(72))) + chunk(b"IEND", b"")

BOMBS = {
    # those of the report
    "bmp, runs, one row of 50 M": lambda: rle_bmp(50_000_000, 1, b"\1\1\0\0" * 3),
    "bmp, runs, 89 M": lambda: rle_bmp(SIDE89, SIDE89, b"\1\1\0\0" * 3),
    "bmp, runs of one pixel": lambda: filled(rle_bmp(5000, 5000, b""), b"\1\1"),
    "jpeg, padding": lambda: filled(b"\xff\xd8", b"\xff", small_jpeg()[2:]),
    "jpeg, empty comments": lambda: filled(b"\xff\xd8", b"\xff\xfe\0\2", small_jpeg()[2:]),
    "png, empty chunks": lambda: filled(PNG_HEAD, chunk(b"teSt", b""), PNG_TAIL),
    "png, empty pixel chunks": lambda: filled(PNG_HEAD, chunk(b"IDAT", b""), PNG_TAIL),
    "pnm, white space": lambda: filled(b"P6", b" ", b"1 1 255\n000"),
    "pnm, a comment": lambda: filled(b"P4 #", b"x", b"\n8 8\n00000000"),
    "pnm, plain, comments": lambda: filled(b"P3 1000 1000 255\n", b"#\n", b"1"),
    "pnm, plain": lambda: filled(b"P3 3000 1800 255\n", b"1 "),
    "gif, extensions": lambda: gif(8, 8, filled(b"", b"!\xfe\1x\0")),
    "jpeg, 1,000 empty scans": lambda: progressive(SIDE50, 1000),
    "jpeg, 20,000 empty scans": lambda: progressive(SIDE50, 20_000),
    "png, one row of 50 M, 16 bits": lambda: one_row(SIDE50, SIDE50, 16, 0),
    "png, one row of 89 M, grey": lambda: one_row(SIDE89, SIDE89, 8, 0),
    "png, one row of 89 M, RGB": lambda: one_row(SIDE89, SIDE89, 8, 2),
    "png, one row of 89 M, LA": lambda: one_row(SIDE89, SIDE89, 8, 4),
    "png, one row of 89 M, RGBA": lambda: one_row(SIDE89, SIDE89, 8, 6),
    "png, one row of 89 M, palette": lambda: one_row(SIDE89, SIDE89, 8, 3, chunk(b"tRNS", bytes(256))),
    "webp, a header of 89 M": lambda: webp_header(16383, 5461),
    "avif, 89 M": lambda: blank("AVIF", SIDE89, SIDE89, "RGB", speed=10),
    "tiff, one pixel in a tile of 1 G": lambda: tiled(1, 1, (32752, 32752)),
    "tiff, fax of a million rows": lambda: fax(1_000_000, 3),
    # whole pictures of many pixels
    "png, 50 M, grey": lambda: png(SIDE50, SIDE50, 8, 0),
    "png, 89 M, grey": lambda: png(SIDE89, SIDE89, 8, 0),
    "png, 89 M, one bit": lambda: png(SIDE89, SIDE89, 1, 0),
    "png, 50 M, RGB": lambda: png(SIDE50, SIDE50, 8, 2),
    "png, 75 M, RGB": lambda: png(8700, 8700, 8, 2),
    "png, 75 M, RGBA": lambda: png(8700, 8700, 8, 6),
    "png, 50 M, LA": lambda: png(SIDE50, SIDE50, 8, 4),
    "png, 50 M, 16-bit grey": lambda: png(SIDE50, SIDE50, 16, 0),
    "png, 50 M, 16-bit RGB": lambda: png(SIDE50, SIDE50, 16, 2),
    "png, 50 M, 16-bit RGB, one clear": lambda: png(SIDE50, SIDE50, 16, 2, extra=chunk(b"tRNS", bytes(6))),
    "png, 89 M, palette": lambda: png(SIDE89, SIDE89, 8, 3, extra=chunk(b"tRNS", bytes(256))),
    "png, one row of 75 M, RGBA": lambda: png(75_000_000, 1, 8, 6),
    "png, one column of 60 M, 16 bits": lambda: png(1, 60_000_000, 16, 0),
    "png, turned, 75 M": lambda: png(
        8700, 8700, 8, 2, extra=chunk(b"eXIf", b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x06\0\0\0\0\0\0\0")
    ),
    "jpeg, 89 M, grey": lambda: baseline(SIDE89, SIDE89),
    "jpeg, 75 M, RGB": lambda: baseline(8700, 8700, 3),
    "jpeg, 75 M, CMYK": lambda: baseline(8700, 8700, 4),
    "jpeg, 89 M without data": lambda: baseline(SIDE89, SIDE89, 3, b"\0"),
    "jpeg, 65,500 x 1,365": lambda: baseline(65_500, 1365),
    "jpeg, sampled 4 x 4": lambda: baseline(SIDE50, SIDE50, 3, None, 0x42),
    "jpeg, progressive, 50 M, three components": lambda: progressive(SIDE50, 1, 3),
    "jpeg, progressive, 89 M": lambda: progressive(SIDE89, 20),
    "jpeg, 98 scans of 4 M": lambda: progressive(2000, 98),
    "tiff, 50 M, 16 bits, white is zero": lambda: strip(SIDE50, SIDE50, zeros(2 * SIDE50**2), 16, photometric=0),
    "tiff, 50 M, float": lambda: strip(SIDE50, SIDE50, zeros(4 * SIDE50**2), 32, sample=3),
    "tiff, 89 M, deflate": lambda: blank("TIFF", SIDE89, SIDE89, compression="tiff_adobe_deflate"),
    "tiff, 89 M, lzw": lambda: blank("TIFF", SIDE89, SIDE89, compression="tiff_lzw"),
    "tiff, 50 M, lzma, RGB": lambda: blank("TIFF", SIDE50, SIDE50, "RGB", compression="lzma"),
    "tiff, 50 M, zstd, CMYK": lambda: blank("TIFF", SIDE50, SIDE50, "CMYK", compression="zstd"),
    "tiff, 50 M, jpeg": lambda: blank("TIFF", SIDE50, SIDE50, "RGB", compression="jpeg"),
    "gif, 65,535 x 65,535": lambda: gif(65_535, 65_535),
    "gif, 65,535 x 1,365 without data": lambda: gif(65_535, 1365),
    "gif, 89 M": lambda: blank("GIF", SIDE89, SIDE89),
    "gif, a frame beyond its screen": lambda: gif(8, 8, frame=(65_535, 65_535)),
    "bmp, 75 M, header": lambda: bmp(8700, 8700, 24),
    "bmp, 89 M, one bit": lambda: bmp(SIDE89, SIDE89, 1, bytes(8 + 1184 * SIDE89)),
    "webp, 31 M": lambda: blank("WEBP", 16383, 1900, "RGBA", lossless=True, method=0, exact=True),
    "webp, 89 M": lambda: blank("WEBP", 16383, 5461, "RGB", quality=1, method=0),
    "avif, 33 M": lambda: blank("AVIF", 5800, 5700, "RGBA", speed=10),
    # parsers
    "png, text of a gigabyte": lambda: PNG_HEAD + chunk(b"zTXt", b"a\0\0" + zeros(10**9)) + PNG_TAIL,
    "png, profile of a gigabyte": lambda: PNG_HEAD + chunk(b"iCCP", b"a\0\0" + zeros(10**9)) + PNG_TAIL,
    "png, 65,000 EXIF tags in one place": lambda: PNG_HEAD + chunk(b"eXIf", exif(65_000, 20_000_000)) + PNG_TAIL,
    "png, pixels unpack to a gigabyte": lambda: png(8, 8, 8, 0, idats=chunk(b"IDAT", zeros(10**9))),
    "png, interlaced, black, 75 M": lambda: png(
        8700, 8700, 8, 2, interlace=1, idats=chunk(b"IDAT", zeros(230_000_000))
    ),
    "png, 100,000 frames": lambda: (
        PNG_HEAD
        + chunk(b"acTL", struct.pack(">II", 100_000, 0))
        + chunk(b"fcTL", bytes(3) + b"\0\0\0\0\x08\0\0\0\x08" + bytes(14))
        + PNG_TAIL[:-12]
        + chunk(b"fdAT", bytes(20)) * 100_000
        + PNG_TAIL[-12:]
    ),
    "jpeg, EXIF of 500 segments": lambda: (
        b"\xff\xd8" + (segment(0xE1, b"Exif\0\0" + exif(4000, 60_000))) * 500 + small_jpeg()[2:]
    ),
    "jpeg, EXIF tags in one place": lambda: small_jpeg(exif=b"Exif\0\0" + exif(4000, 60_000)),
    "jpeg, multi-picture tags in one place": lambda: (
        b"\xff\xd8" + segment(0xE2, b"MPF\0" + exif(4000, 60_000)) + small_jpeg()[2:]
    ),
    "jpeg, tables without end": lambda: filled(b"\xff\xd8", segment(0xDB, b"\0" + b"\1" * 64), small_jpeg()[2:]),
    "jpeg, restart markers": lambda: filled(baseline(8, 8)[:-3], b"\xff\xd0", b"\xff\xd9"),
    "jpeg, 32 MB of scan": lambda: filled(baseline(64, 64)[:-2], b"\x55", b"\xff\xd9"),
    "jpeg, padding inside the scan": lambda: filled(baseline(64, 64)[:-2], b"\xff", b"\xd9"),
    "tiff, overlapping tags": lambda: overlapping_tags(False),
    "bigtiff, overlapping tags": lambda: overlapping_tags(True),
    "bigtiff, 1.5 M tags": lambda: (
        b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1_500_000) + struct.pack("<HHQQ", 300, 1, 4, 0) * 1_500_000
    ),
    "tiff, 700,000 directories": lambda: directories(700_000),
    "tiff, eight million strips": lambda: tiff(
        8, 8_000_000, [*grey(), (273, 4, 7_999_999, 8), (279, 4, 7_999_999, 8), (278, 4, 1, 1)], bytes(FULL)
    ),
    "tiff, 250,000 strips": lambda: tiff(
        8,
        250_000,
        [*grey(), (273, 4, 250_000, 8), (279, 4, 250_000, 8), (278, 4, 1, 1)],
        struct.pack("<250000I", *[8] * 250_000),
    ),
    "tiff, a row in tiles of a million rows": lambda: tiled(65_535, 1, (16, 2**20)),
    "tiff, tiles, LZW": lambda: tiled(1, 1, (32752, 32752), 5),
    "tiff, 369 million bands": lambda: tiff(
        8, 8, [*grey(size=64), (277, 4, 1, 369_098_752), (278, 4, 1, 8)], bytes(64)
    ),
    "tiff, one strip of 4 G rows": lambda: tiff(8, 8, [*grey(size=64), (278, 4, 1, 2**32 - 1)], bytes(64)),
    "tiff, a strip that unpacks to a gigabyte": lambda: strip(64, 64, zeros(10**9)),
    "tiff, jpeg of 1,000 scans": lambda: strip(SIDE50, SIDE50, progressive(SIDE50, 1000), compression=7),
    "tiff, fax of 30,000 rows": lambda: fax(30_000, 4),
    "tiff, run-length fax": lambda: fax(1_000_000, 2),
    "gif, a comment": lambda: gif(8, 8, b"!\xfe" + b"\xff" + filled(b"", b"x" * 255 + b"\xff", b"x" * 255) + b"\0"),
    "gif, a million frames": lambda: gif(1, 1, frames=1_500_000),
    "pnm, samples out of 254": lambda: filled(b"P6 3000 3500 254\n", b"\1"),
    "pnm, plain bits": lambda: filled(b"P1 8000 2000\n", b"1 "),
    "pnm, 16 bits, 89 M": lambda: b"P5 9459 9459 65535\n" + bytes(1000),
    "pfm, 89 M": lambda: b"Pf 9459 9459 -1.0\n" + bytes(1000),
    "webp, 20,000 frames": lambda: blank(
        "WEBP",
        16,
        16,
        "RGB",
        save_all=True,
        append_images=[Image.new("RGB", (16, 16), (n % 255, n // 255, 0)) for n in range(20_000)],
        method=0,
    ),
    "junk": lambda: noise(FULL),
    "jpeg, junk": lambda: filled(b"\xff\xd8\xff\xe0\0\4ab", noise(2**20)),
    "tiff, junk": lambda: b"II*\0\x08\0\0\0" + noise(FULL),
}

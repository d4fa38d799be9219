"""Writes the golden vectors of docs/en/reference/pixels.md: tiny pictures, and what decoding and preparing must make of them.

    python tests/pixels/make_golden.py

The pictures are part of the repository; run this again only to add one, and read the difference before committing it.
Everything is computed from formulas, so a second run writes the same bytes.
"""

import hashlib
import json
import struct
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from reslab.pixels.decode import decode
from reslab.pixels.preprocess import Preprocess

FOLDER = Path(__file__).parent / "golden"
PREPARATIONS = (
    Preprocess(16, "crop", "bilinear"),
    Preprocess(16, "pad", "bilinear"),
    Preprocess(12, "stretch", "bicubic"),
    Preprocess(40, "crop", "bicubic"),
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HEIGHT, WIDTH = 13, 21


def main():
    """Write pictures and vectors."""
    FOLDER.mkdir(exist_ok=True)
    write_pictures(FOLDER)
    (FOLDER / "vectors.json").write_text(document(FOLDER), encoding="utf-8")


def document(folder):
    """The vectors of every picture in a folder as JSON, one picture a line."""
    head = {"schema": 1, "mean": MEAN, "std": STD, "preparations": [asdict(how) for how in PREPARATIONS]}
    pictures = [vector(path) for path in sorted(folder.iterdir()) if path.suffix != ".json"]
    lines = ",\n".join(json.dumps(row) for row in pictures)
    return json.dumps(head, indent=1)[:-2] + ',\n "pictures": [\n' + lines + "\n]}\n"


def vector(path):
    """What is expected of one file."""
    picture = decode(path)
    height, width = picture.shape[:2]
    return {
        "file": path.name,
        "height": height,
        "width": width,
        "corner": picture[0, 0].tolist(),
        "decoded": sha256(picture),
        "prepared": [sha256(how(picture)) for how in PREPARATIONS],
        "tensor": sha256(normalized(PREPARATIONS[0](picture))),
    }


def normalized(pixels):
    """float32 `[3, size, size]`, little-endian: the first preparation after the network's first operation."""
    mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (MEAN, STD))
    scaled = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    return ((scaled - mean) / std).astype("<f4")


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def write_pictures(folder):
    """One file for every rule of decoding that has a closed form."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    color = np.stack([x * 8 % 256, y * 13 % 256, (x * 5 + y * 7) % 256], -1).astype(np.uint8)
    alpha = ((x * x + y * 11) % 256).astype(np.uint8)
    deep = ((x * 2221 + y * 3571) % 65536).astype(np.uint16)
    palette = Image.fromarray(((x + 2 * y) % 16).astype(np.uint8), "P")
    palette.putpalette([level * step % 256 for level in range(16) for step in (16, 37, 91)])
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(color).save(folder / "color.png")
    Image.fromarray(color).save(folder / "color.bmp")
    Image.fromarray(color[..., 0]).save(folder / "grey.png")
    Image.fromarray(np.stack([color[..., 0], alpha], -1), "LA").save(folder / "grey_alpha.png")
    Image.fromarray(np.dstack([color, alpha]), "RGBA").save(folder / "alpha.png")
    palette.save(folder / "palette.png", transparency=5)
    Image.fromarray((x // 3 + y // 2) % 2 == 0).save(folder / "one_bit.png")
    Image.fromarray(np.dstack([color, alpha]), "CMYK").save(folder / "cmyk.tif")
    Image.fromarray(deep).save(folder / "deep.png")
    Image.fromarray((deep / 65535).astype(np.float32)).save(folder / "float_1.tif")
    Image.fromarray((deep / 257).astype(np.float32)).save(folder / "float_255.tif")
    Image.fromarray(color).save(folder / "turned.png", exif=turned.tobytes())
    palette.save(folder / "animation.gif", save_all=True, append_images=[Image.new("P", palette.size, 1)])
    Image.fromarray(color[:4]).save(folder / "wide.png")
    Image.fromarray(color[:12, :12]).save(folder / "square.png")
    write_rare_pictures(folder, x, y, deep)


def write_rare_pictures(folder, x, y, deep):
    """What Pillow reads otherwise, or not at all, if it is left alone."""
    grey = ((x + y) % 4).astype(np.uint8)
    rows = [np.packbits((row[:, None] >> np.array([1, 0])) & 1).tobytes() for row in grey]
    (folder / "grey_2_clear.png").write_bytes(png(2, 0, rows, struct.pack(">H", 2)))
    colors = np.stack([deep, deep[::-1], deep // 3 + x.astype(np.uint16)], -1)
    clear = struct.pack(">3H", *(int(v) for v in colors[3, 4]))
    (folder / "deep_color_clear.png").write_bytes(png(16, 2, [row.astype(">u2").tobytes() for row in colors], clear))
    (folder / "white_is_zero_16.tif").write_bytes(tiff(deep.astype("<u2"), 1))
    (folder / "white_is_zero_16_big.tif").write_bytes(tiff(deep.astype(">u2"), 1))
    (folder / "white_is_zero_float.tif").write_bytes(tiff((deep / 65535).astype("<f4"), 3))
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("workflow", "x" * 1_500_000, zip=True)
    texts.add_itxt(
        "XML:com.adobe.xmp", '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    )
    Image.fromarray(grey * 80).save(folder / "long_text_and_xmp.png", pnginfo=texts)


def png(depth, color, rows, clear):
    """A PNG by hand, HEIGHT x WIDTH."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color, 0, 0, 0)) + chunk(b"tRNS", clear)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


def tiff(samples, sample_format):
    """An uncompressed grey TIFF by hand in the byte order of its samples, where 0 is white."""
    order, bits = ">" if samples.dtype.byteorder == ">" else "<", samples.dtype.itemsize * 8
    size = samples.nbytes
    tags = (
        (256, WIDTH),
        (257, HEIGHT),
        (258, bits),
        (259, 1),
        (262, 0),
        (273, 8),
        (277, 1),
        (278, HEIGHT),
        (279, size),
        (339, sample_format),
    )
    table = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8 + size)
    return head + samples.tobytes() + struct.pack(order + "H", len(tags)) + table + bytes(4)


if __name__ == "__main__":
    main()

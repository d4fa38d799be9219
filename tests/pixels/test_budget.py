"""A picture has a budget of pixels, memory and time, judged before or while it is decoded; nothing else is written."""

import io
import os
import subprocess
import sys

import bombs
import numpy as np
import pytest
from PIL import Image, features

from reslab.errors import BadPicture
from reslab.pixels.decode import MAX_BYTES, decode


def reason(source, **options):
    with pytest.raises(BadPicture) as caught:
        decode(source, **options)
    assert len(caught.value.reason) < 120
    return caught.value.reason


REFUSED = {  # bomb -> a word of the reason: all of them before a pixel is decoded
    "bmp, runs, one row of 50 M": "run-length BMP", "bmp, runs, 89 M": "run-length BMP",
    "jpeg, empty comments": "segments", "png, empty chunks": "chunks", "png, empty pixel chunks": "chunks",
    "pnm, white space": "header is longer", "pnm, a comment": "header is longer", "pnm, plain": "plain",
    "jpeg, 1,000 empty scans": "passes over", "png, one row of 50 M, 16 bits": "cut short",
    "png, one row of 89 M, palette": "cut short", "webp, a header of 89 M": "memory",
    "tiff, one pixel in a tile of 1 G": "tiles", "tiff, fax of a million rows": "fax", "gif, 65,535 x 65,535": "pixels",
    "gif, a frame beyond its screen": "pixels", "png, turned, 75 M": "", "tiff, eight million strips": "values",
    "tiff, a row in tiles of a million rows": "tiles", "tiff, tiles, LZW": "tiles", "pfm, 89 M": "memory",
    "tiff, 369 million bands": "bands",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in REFUSED if REFUSED[name]])
def test_refused_before_decoding(name, monkeypatch):
    data = bombs.BOMBS[name]()
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("memory for pixels"))
    assert REFUSED[name] in reason(data)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "name", ["png, 75 M, RGBA", "png, 50 M, 16-bit grey", "tiff, overlapping tags", "jpeg, 98 scans of 4 M"]
)
def test_time_and_memory(name):
    """All of them: reproduce/bombs.py."""
    _, seconds, megabytes = bombs.measured(bombs.BOMBS[name]())
    assert seconds <= bombs.SECONDS and megabytes <= bombs.MEGABYTES


def test_the_deadline_ends_a_long_decode():
    slow = bombs.gif(8, 8, b"!\xfe\1x\0" * 40_000)
    assert reason(slow, seconds=0.001) == "it takes more than 0.001 seconds to decode"
    plain = b"P3 600 600 255\n" + b"1 " * 1_080_000
    assert "seconds" in reason(plain, seconds=0.01)
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, kind)
        assert "seconds" in reason(file.getvalue(), seconds=-1.0)
        decode(file.getvalue())


def test_a_gif_may_have_some_blocks_before_its_picture_but_not_any_number():
    file = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(file, "GIF")
    data = file.getvalue()
    at = 13 + (3 << ((data[10] & 7) + 1))

    def having(blocks):
        return data[:at] + blocks + data[at:]

    xmp = b"!\xff\x0bXMP DataXMP" + b"\xfe" + bytes(254) + b"\0"
    for some in (b"!\xfe\1x\0" * 40_000, b"!\xfe" + b"\1x" * 90_000 + b"\0", xmp, b"\0" * 9):
        assert np.array_equal(decode(having(some)), decode(data))
    for many in (b"!\xfe\1x\0" * 60_000, b"!\xfe" + b"\1x" * 110_000 + b"\0", b"\0" * 110_000):
        assert "precede its first picture" in reason(having(many))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / "x.jpg"
    os.mkfifo(pipe)
    assert reason(pipe) == "it is not a regular file"
    assert reason("/dev/zero") == "it is not a regular file"


def test_a_file_larger_than_the_budget_is_not_read(tmp_path):
    path = tmp_path / "large.tif"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert f"{MAX_BYTES:,}" in reason(path)


def test_boxes_join_without_a_seam(monkeypatch):
    """Large pictures are filled in boxes: the same pixels as in one."""
    from reslab.pixels import rgb

    rng = np.random.default_rng(0)
    pictures = [
        Image.fromarray(rng.integers(0, 256, (50, 70, 4)).astype(np.uint8)).convert(m)
        for m in ("RGBA", "LA", "CMYK", "P")
    ]
    pictures += [
        Image.fromarray(rng.integers(0, 65536, (50, 70)).astype(np.uint16)),
        Image.fromarray(rng.random((50, 70), np.float32)),
    ]
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for image in pictures:
        file = io.BytesIO()
        image.save(file, "TIFF" if image.mode in ("CMYK", "F") else "PNG", exif=exif)
        files.append(file.getvalue())
    whole = [decode(file) for file in files]
    assert all(pixels.shape == (70, 50, 3) for pixels in whole)
    monkeypatch.setattr(rgb, "_BOX_PIXELS", 100)
    monkeypatch.setattr(rgb, "_BOX_WIDTH", 33)
    assert all(np.array_equal(decode(file), pixels) for file, pixels in zip(files, whole, strict=True))


def test_nothing_is_written_to_stderr(tmp_path):
    """Neither by Pillow (unknown layouts, many pixels) nor by libtiff (unknown tags), which writes to the descriptor."""
    tags = [(tag, 2, 4, 0x41424300) for tag in range(50_000, 50_020)]
    files = {
        "tags.tif": bombs.tiff(8, 8, [*bombs.grey(8, 8, 1, 8, 20), (278, 4, 1, 8), *tags], bombs.zeros(64)),
        "bands.tif": bombs.tiff(8, 8, [*bombs.grey(size=320), (277, 3, 1, 5), (278, 4, 1, 8)], bytes(320)),
        "many.png": bombs.png(9500, 9500, 8, 0, b""),
        "pages.tif": bombs.directories(50),
    }
    if features.check("webp"):
        files["many.webp"] = bombs.webp_header(16383, 16383)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    code = (
        "import sys; from pathlib import Path; from reslab.errors import BadPicture\n"
        "from reslab.pixels.decode import decode, facts\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: decode(path); print(path.name, facts(path).frames)\n"
        "    except BadPicture as error: print(error.reason)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "tags.tif 1" in done.stdout and "5 bands of 8 bits" in done.stdout

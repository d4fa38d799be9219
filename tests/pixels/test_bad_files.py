"""A file that is no whole picture is a BadPicture that names it and says why: never a traceback, never wrong pixels."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from reslab.errors import BadPicture, ResLabError
from reslab.pixels.decode import MAX_PIXELS, decode, printable

RNG = np.random.default_rng(0)
PIXELS = np.clip(np.add.outer(np.arange(64) * 2, np.arange(80))[..., None] + RNG.integers(0, 60, (64, 80, 3)), 0, 255)
PICTURE = Image.fromarray(PIXELS.astype(np.uint8))


def encoded(kind, image=PICTURE, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


KINDS = {
    "jpeg": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "png": encoded("PNG"),
    "gif": encoded("GIF", PICTURE.convert("P")),
    "bmp": encoded("BMP"),
    "tiff": encoded("TIFF"),
    "lzw": encoded("TIFF", compression="tiff_lzw"),
    "webp": encoded("WEBP", lossless=True),
    "ppm": encoded("PPM"),
}
if features.check("avif"):
    KINDS["avif"] = encoded("AVIF")


def complaint(source, name=None):
    with pytest.raises(BadPicture) as caught:
        decode(source, name)
    error = caught.value
    assert isinstance(error, ResLabError)
    assert error.__cause__ is None  # one sentence, no chain of tracebacks
    assert error.__context__ is None or error.__suppress_context__
    assert error.name in error.message and error.reason in error.message
    assert "\n" not in error.message and error.hint
    assert len(error.reason) < 120  # short enough for a table cell
    return error


# ------------------------------------------------------------------ cut short, damaged


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file(kind, share):
    file = KINDS[kind]
    reason = complaint(file[: int(len(file) * share)]).reason
    assert "cut short" in reason or "damaged" in reason or (kind == "avif" and share <= 0.5)


def test_a_jpeg_cut_in_half_says_so_although_verify_passes():
    half = KINDS["jpeg"][: len(KINDS["jpeg"]) // 2]
    Image.open(io.BytesIO(half)).verify()  # why verify() is not enough
    assert complaint(half).reason == "the file is cut short"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.floats(0, 1, exclude_max=True))
def test_wherever_a_file_is_cut_it_is_refused_or_whole(kind, share):
    file = KINDS[kind]
    try:
        ours = decode(file[: int(len(file) * share)])
    except BadPicture:
        return
    assert np.array_equal(ours, decode(file))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_changed_bytes_never_give_anything_but_a_picture_or_a_bad_picture(kind, data):
    file = bytearray(KINDS[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        ours = decode(bytes(file))
    except BadPicture:
        return
    assert ours.dtype == np.uint8 and ours.ndim == 3 and ours.shape[2] == 3


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_no_picture(junk):
    with pytest.raises(BadPicture):
        decode(junk)


@pytest.mark.parametrize("level", [0, 6])
def test_one_changed_bit_in_the_pixels_of_a_png_is_noticed(level):
    good = encoded("PNG", compress_level=level)
    start, end = good.index(b"IDAT") + 4, good.index(b"IEND") - 8
    for place in RNG.integers(start, end, 40):
        bad = bytearray(good)
        bad[place] ^= 1 << int(place) % 8
        assert "damaged" in complaint(bytes(bad)).reason


def test_a_wrong_checksum_in_a_png_is_noticed():
    good = KINDS["png"]
    for name in (b"IHDR", b"IDAT"):
        at = good.index(name)
        (length,) = struct.unpack(">I", good[at - 4 : at])
        bad = bytearray(good)
        bad[at + 4 + length] ^= 1  # the first byte of the chunk's CRC
        assert "damaged" in complaint(bytes(bad)).reason


# ------------------------------------------------------------------ something else


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("empty.jpg", b"", "the file is empty"),
        ("note.jpg", b"remember the milk\n", "not a picture in a known format"),
        ("page.png", b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        ("page2.png", b"\n  <html>404</html>", "web page"),
        ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, "reslab[heic]"),
        ("photo.heif", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 40, "reslab[heic]"),
        ("paper.pdf", b"%PDF-1.7\n", "a PDF document"),
        ("icon.ico", encoded("ICO"), "an icon"),  # Pillow reads it; it is on no allowlist
        ("begun.jpg", b"\xff\xd8\xff", "cut short"),
        ("begun.tif", b"II*\0", "cut short"),
        ("begun.png", b"\x89PNG\r\n", "begins like a PNG"),
        ("begun.gif", b"GIF89a\1\0", "begins like a GIF"),
        ("pointer.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("photo.jxl", b"\xff\x0a\xfa\x1f\x01", "JPEG XL"),
        ("photo2.jxl", b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        ("photo.jp2", encoded("JPEG2000") if features.check("jpg_2000") else b"\xff\x4f\xff\x51", "JPEG 2000"),
        ("layers.psd", b"8BPS\0\1", "Photoshop"),
        ("pictures.zip", b"PK\3\4\x14\0", "zip archive"),
        ("pictures.tar", b"a.png".ljust(257, b"\0") + b"ustar\0", "tar archive"),
        ("scan.dcm", bytes(128) + b"DICM", "DICOM"),
        ("film.mp4", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "a video"),
        ("sound.wav", b"RIFF\x24\0\0\0WAVEfmt ", "sound"),
        ("array.npy", b"\x93NUMPY\1\0", "NumPy"),
        ("._a.jpg", b"\0\5\x16\7\0\2\0\0Mac OS X", "macOS"),
    ],
)
def test_files_that_are_no_pictures(tmp_path, name, content, reason):
    if name.startswith("photo") and "HEIF" in Image.OPEN:
        pytest.skip("pillow-heif is installed, so HEIC photos are read")
    path = tmp_path / name
    path.write_bytes(content)
    error = complaint(path)
    assert error.name == str(path)
    assert reason in error.reason
    assert complaint(content, "upload 7").name == "upload 7"
    assert complaint(content).name == "<bytes>"
    assert reason in complaint(content).reason


def test_things_that_are_no_files(tmp_path):
    folder = tmp_path / "folder.jpg"
    folder.mkdir()
    assert complaint(folder).reason == "it is a folder"
    assert complaint(tmp_path / "missing.jpg").reason == "no such file"
    assert complaint(str(tmp_path / "missing.jpg")).name == str(tmp_path / "missing.jpg")
    link = tmp_path / "link.jpg"
    link.symlink_to(tmp_path / "gone.jpg")
    assert "a link to a file that is not there" in complaint(link).reason
    (tmp_path / "a.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    assert "symbolic links" in complaint(tmp_path / "a.jpg").reason
    assert "damaged" not in complaint(tmp_path / ("x" * 300 + ".jpg")).reason  # longer than a name may be


def test_a_file_that_may_not_be_read(tmp_path, without_rights):
    path = tmp_path / "secret.png"
    path.write_bytes(KINDS["png"])
    path.chmod(0)
    with without_rights():
        assert complaint(path).reason == "no permission to read it"


def test_a_file_name_that_is_no_unicode(tmp_path):
    raw = os.fsencode(tmp_path) + "/数据.jpg".encode("gbk")  # as zip files from Windows leave them behind
    try:
        with open(raw, "wb") as file:  # noqa: PTH123  the name is bytes
            file.write(b"no picture")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    error = complaint(os.fsdecode(raw))
    error.message.encode()  # can be printed
    with pytest.raises(UnicodeEncodeError):
        os.fsdecode(raw).encode()  # which its path cannot
    assert error.name.endswith(".jpg") and error.name == printable(os.fsdecode(raw))


def test_printable_leaves_every_proper_name_alone():
    assert printable("数据 集/ñ é/a.jpg") == "数据 集/ñ é/a.jpg"


# ------------------------------------------------------------------ bombs, numbers that are none


def header_only(width, height):
    """A PNG that claims a size and holds nothing."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_500, 20_000, 100_000])  # above MAX_PIXELS, above twice that, absurd
def test_a_decompression_bomb_is_refused_by_its_header(side):
    assert side * side > MAX_PIXELS
    assert "pixels" in complaint(header_only(side, side)).reason
    assert f"{MAX_PIXELS:,}" in complaint(header_only(side, side)).reason


def test_the_largest_allowed_header_is_not_called_a_bomb():
    side = int(MAX_PIXELS**0.5)
    assert "more than" not in complaint(header_only(side, 1)).reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers(value):
    values = np.full((5, 6), 0.5, np.float32)
    values[2, 3] = value
    assert "not finite" in complaint(encoded("TIFF", Image.fromarray(values))).reason


@pytest.mark.parametrize("value", [-1, 70_000])
def test_samples_outside_every_known_range(value):
    values = np.full((5, 6), 7, np.int32)
    values[2, 3] = value
    assert str(value) in complaint(encoded("TIFF", Image.fromarray(values))).reason


# ------------------------------------------------------------------ as people run it, warnings and all


def test_without_warnings_as_errors_the_same_files_are_refused(tmp_path):
    files = {f"{kind}.bin": file[: len(file) // 2] for kind, file in KINDS.items()}
    files |= {"bomb.png": header_only(9_500, 9_500), "bomb2.png": header_only(20_000, 20_000)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import json, sys; from pathlib import Path; from reslab.errors import BadPicture\n"
        "from reslab.pixels.decode import decode\n"
        "reasons = {}\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: reasons[path.name] = decode(path).shape\n"
        "    except BadPicture as error: reasons[path.name] = error.reason\n"
        "print(json.dumps(reasons))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    reasons = json.loads(done.stdout)
    assert reasons.keys() == files.keys()
    assert all(isinstance(reason, str) for reason in reasons.values())
    assert "pixels" in reasons["bomb.png"] and "pixels" in reasons["bomb2.png"]
    assert "Traceback" not in done.stderr

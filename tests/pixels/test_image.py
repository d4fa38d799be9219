"""A picture as an image of Pillow's is the picture of `decode`, bit for bit: pixels, prepared pixels, hash and refusals."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from reslab.data.catalog import Picture
from reslab.data.reader import load, load_image
from reslab.errors import BadPicture
from reslab.pixels import decode as module
from reslab.pixels.decode import decode, decode_image, kept_memory
from reslab.pixels.fingerprint import fingerprint
from reslab.pixels.preprocess import Preprocess, shrunk

rng = np.random.default_rng(19)
PICTURE = Image.fromarray(rng.integers(0, 256, (14, 19, 3), np.uint8)).resize((151, 93), Image.Resampling.BICUBIC)
WAYS = {
    "4:2:0": ("JPEG", "RGB", {}), "4:4:4": ("JPEG", "RGB", {"subsampling": 0}), "grey": ("JPEG", "L", {}),
    "CMYK": ("JPEG", "CMYK", {}), "progressive": ("JPEG", "RGB", {"progressive": True}),
    "restarts": ("JPEG", "RGB", {"restart_marker_rows": 1}), "png": ("PNG", "RGBA", {}), "webp": ("WEBP", "RGB", {}),
    "gif": ("GIF", "P", {}),
}  # fmt: skip
PREPARATIONS = [Preprocess(32, *how) for how in itertools.product(("crop", "pad", "stretch"), ("bilinear", "bicubic"))]


def encoded(way, orientation=1, image=PICTURE):
    kind, mode, options = WAYS[way]
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image.convert(mode).save(file, kind, **options, **({} if kind == "GIF" else {"exif": exif}))
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("way", WAYS)
def test_every_file_is_the_same_picture_in_both_forms(way, orientation):
    data = encoded(way, orientation)
    pixels, image = decode(data), decode_image(data)
    assert image.mode == "RGB" and np.array_equal(np.asarray(image), pixels)
    assert fingerprint(image) == fingerprint(pixels)
    for prepare in (*PREPARATIONS, lambda picture: shrunk(picture, 40), lambda picture: shrunk(picture, 500)):
        assert np.array_equal(prepare(image), prepare(pixels))


def test_what_has_the_size_already_is_left_as_it_is():
    data = encoded("4:2:0", image=PICTURE.crop((0, 0, 32, 32)))
    assert np.array_equal(Preprocess(32)(decode_image(data)), decode(data))


def test_a_colour_jpeg_is_not_copied_into_an_array(monkeypatch):
    files = [encoded("4:2:0", orientation) for orientation in range(1, 9)]
    monkeypatch.setattr(module, "write_rgb", lambda *_: pytest.fail("an array"))
    assert {decode_image(data).size for data in files} == {(151, 93), (93, 151)}


def test_a_turned_one_is_where_two_images_exceed_the_budget(monkeypatch):
    lying, upright = encoded("4:2:0", 6), encoded("4:2:0")
    monkeypatch.setattr(module, "MAX_BYTES", 8 * 151 * 93)  # seven bytes a pixel fit, and eight with the file do not
    monkeypatch.setattr(Image.Image, "transpose", lambda *_: pytest.fail("a second image"))
    assert decode_image(lying).size == (93, 151) and decode_image(upright).size == (151, 93)


@pytest.mark.parametrize("way", ["4:2:0", "4:4:4", "restarts", "progressive"])
def test_damage_is_refused_with_the_same_words(way):
    whole = encoded(way)
    files = [whole[:at] for at in range(0, len(whole), 211)]
    files += [whole[:at] + b"\xff\xd9" for at in (*range(400, len(whole), 211), *range(len(whole) - 12, len(whole)))]
    for _ in range(40):
        at = int(rng.integers(len(whole)))
        files.append(whole[:at] + bytes([int(rng.integers(256))]) + whole[at + 1 :])
    accepted = [answer(decode, data) for data in files], [answer(decode_image, data) for data in files]
    assert accepted[0] == accepted[1]
    assert len(set(accepted[0])) > 3


def answer(how, data):
    """The pixels as bytes, or the reason of the refusal."""
    try:
        return np.asarray(how(data)).tobytes()
    except BadPicture as error:
        return error.reason


def test_budget_deadline_and_missing_files(tmp_path):
    data = encoded("4:2:0")
    for options in ({"max_pixels": 151 * 93 - 1}, {"seconds": -1.0}):
        reasons = []
        for how in (decode, decode_image):
            with pytest.raises(BadPicture) as caught:
                how(data, "x.jpg", **options)
            reasons.append((caught.value.name, caught.value.reason))
        assert reasons[0] == reasons[1]
    with pytest.raises(BadPicture, match="no such file"):
        decode_image(tmp_path / "x.jpg")


def test_pictures_of_a_catalog(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(encoded("4:2:0", 6))
    sources = path, path.read_bytes(), decode(path)
    for source, box in itertools.product(sources, (None, (5, -3, 40, 50))):
        picture = Picture("x", source, "a", box=box)
        assert np.array_equal(np.asarray(load_image(picture)), load(picture))
    bad = Picture("x", BadPicture("x", "it is gone"), "a")
    with pytest.raises(BadPicture, match="it is gone"):
        load_image(bad)


def test_memory_is_kept_only_while_pictures_are_read():
    before = Image.core.get_blocks_max()
    with kept_memory(2):
        assert Image.core.get_blocks_max() > before == 0
        data = encoded("4:2:0")
        first, second = decode_image(data).tobytes(), decode_image(data).tobytes()
        Image.new("RGB", (151, 93), "white")
        truncated = (
            data[: len(data) // 2] + b"\xff\xd9"
        )  # what was there before does not pass for a row that was decoded
        with pytest.raises(BadPicture, match="cut short"):
            decode_image(truncated)
    assert first == second and Image.core.get_blocks_max() == 0

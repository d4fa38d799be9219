"""From any picture to the network's square, judged by Pillow, torchvision, and marks whose fate is known."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torchvision.transforms.v2.functional as V
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode

import reslab.pixels
from reslab.errors import ResLabError
from reslab.pixels.preprocess import Preprocess, central_square, resized, shrunk

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
ORDER = 4  # levels of 255 on noise: Pillow 13 does tall pictures by columns first, rounding and clipping in between
EDGE = 0.5  # a square of odd leftover lies half a pixel beside the one that whole-pixel cropping takes


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def marked(height=40, width=160):
    """A black 4:1 picture whose class is a white mark at one end."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[10:30, 2:12] = 255
    return picture


# ------------------------------------------------------------------ geometry


def test_crop_loses_what_lies_at_the_end_and_the_others_keep_it():
    seen = {how: Preprocess(32, how)(marked()).max() for how in ("crop", "pad", "stretch")}
    assert seen["crop"] == 0
    assert seen["pad"] > 200 and seen["stretch"] > 200


def test_pad_keeps_the_aspect_and_fills_with_grey():
    out = Preprocess(32, "pad")(np.full((40, 160, 3), 200, np.uint8))
    assert (out[:12] == 128).all() and (out[20:] == 128).all() and (out[12:20] == 200).all()
    out = Preprocess(32, "pad")(np.full((160, 40, 3), 200, np.uint8))
    assert (out[:, :12] == 128).all() and (out[:, 20:] == 128).all() and (out[:, 12:20] == 200).all()


def test_pad_of_a_hair_keeps_at_least_one_pixel():
    assert (Preprocess(8, "pad")(np.zeros((1, 500, 3), np.uint8)) == 0).any()


def test_stretch_takes_every_column_and_row():
    picture = np.zeros((10, 60, 3), np.uint8)
    picture[:, :30] = 240
    out = Preprocess(16, "stretch")(picture)
    assert (out[:, :7] == 240).all() and (out[:, 9:] == 0).all()


def test_crop_takes_the_middle():
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 250
    assert (Preprocess(10, "crop")(picture)[:, 1:-1] == 250).all()
    assert central_square(60, 20) == (20, 0, 40, 20)
    assert central_square(20, 61) == (0, 20.5, 20, 40.5)


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
def test_a_picture_of_the_right_size_is_left_alone(how):
    picture = noise(24, 24)
    assert Preprocess(24, how)(picture) is picture


@settings(max_examples=120, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(8, 40), st.sampled_from(["crop", "pad", "stretch"]),
    st.sampled_from(sorted(FILTERS)), st.integers(0, 255),
)  # fmt: skip
def test_any_size_becomes_the_square_and_one_colour_stays_it(height, width, size, how, interpolation, level):
    out = Preprocess(size, how, interpolation)(np.full((height, width, 3), level, np.uint8))
    assert out.shape == (size, size, 3) and out.dtype == np.uint8
    assert set(np.unique(out)) <= ({level, 128} if how == "pad" else {level})


# ------------------------------------------------------------------ against Pillow and torchvision


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("height, width", [(50, 33), (33, 50), (9, 70), (20, 20), (200, 150)])
def test_stretch_is_pillows_resize(height, width, interpolation):
    picture = noise(height, width)
    pillow = np.asarray(Image.fromarray(picture).resize((24, 24), FILTERS[interpolation]))
    ours = Preprocess(24, "stretch", interpolation)(picture)
    assert np.abs(ours.astype(int) - pillow).max() <= (ORDER if height > width else 0)


def test_rows_come_first_whatever_pillow_prefers():
    tall = noise(200, 30)
    rows = Image.fromarray(tall).resize((12, 200), FILTERS["bilinear"])
    columns = rows.resize((12, 12), FILTERS["bilinear"])
    assert np.array_equal(Preprocess(12, "stretch")(tall), np.asarray(columns))


@pytest.mark.parametrize("height, width", [(48, 96), (96, 48), (50, 33)])
def test_crop_is_pillows_resize_of_the_central_box(height, width):
    picture, side = noise(height, width), min(height, width)
    left, upper = (width - side) / 2, (height - side) / 2
    box = (left, upper, left + side, upper + side)
    pillow = np.asarray(Image.fromarray(picture).resize((24, 24), FILTERS["bilinear"], box=box))
    assert np.abs(Preprocess(24)(picture).astype(int) - pillow).max() <= (ORDER if height > width else 0)


@pytest.mark.parametrize("height, width", [(48, 96), (97, 48)])
def test_crop_shows_what_torchvision_shows(height, width):
    """Resize the short side, then crop the centre: the same part, but theirs starts at whole pixels of the small one."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x, y, x + y], -1).astype(np.uint8)  # slopes of one level a pixel
    theirs = V.center_crop(V.resize(Image.fromarray(picture), [24], InterpolationMode.BILINEAR), [24, 24])
    scale = min(height, width) / 24
    limit = 2 * EDGE * scale + 1  # the third channel climbs in both directions; one level of rounding
    assert np.abs(Preprocess(24)(picture).astype(float) - np.asarray(theirs)).max() <= limit


@pytest.mark.parametrize("height, width", [(48, 96), (96, 48), (30, 60)])
def test_pad_is_pillows_pad(height, width):
    picture = noise(height, width)
    pillow = ImageOps.pad(Image.fromarray(picture), (24, 24), FILTERS["bilinear"], color=(128, 128, 128))
    assert np.array_equal(Preprocess(24, "pad")(picture), np.asarray(pillow))


def test_the_filter_is_the_one_asked_for():
    picture = noise(50, 50)
    assert not np.array_equal(Preprocess(24, "crop", "bicubic")(picture), Preprocess(24)(picture))
    assert np.array_equal(resized(picture, (24, 24)), Preprocess(24)(picture))


def test_shrinking_is_anti_aliased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = Preprocess(8, "stretch")(stripes)[:, 1:-1].astype(int)  # at the rim the filter sees one side only
    assert np.abs(inner - 128).max() <= 1


# ------------------------------------------------------------------ roomy pictures for training


@pytest.mark.parametrize("height, width", [(100, 50), (50, 100), (300, 41), (40, 40)])
def test_shrunk_has_its_short_side_and_its_aspect(height, width):
    out = shrunk(noise(height, width), 40)
    assert min(out.shape[:2]) == 40
    assert abs(max(out.shape[:2]) - max(height, width) * 40 / min(height, width)) <= 0.5


def test_shrunk_never_enlarges():
    small = noise(20, 90)
    assert shrunk(small, 40) is small


# ------------------------------------------------------------------ bad values


@pytest.mark.plain  # the typed session refuses such words by itself
@pytest.mark.parametrize(
    "arguments, words",
    [
        ((7,), ["--size 7", "8"]),
        ((0,), ["--size 0"]),
        ((-32,), ["--size -32"]),
        ((32, "cropp"), ["--resize cropp", "'crop'"]),
        ((32, "letterbox"), ["--resize letterbox", "crop, pad, stretch"]),
        ((32, "crop", "bilinaer"), ["--interpolation bilinaer", "'bilinear'"]),
    ],
)
def test_a_bad_value_is_named_with_what_to_write_instead(arguments, words):
    with pytest.raises(ResLabError) as caught:
        Preprocess(*arguments)
    said = f"{caught.value.message} {caught.value.hint}"
    assert all(word in said for word in words)


# ------------------------------------------------------------------ the torch wall


def test_no_file_of_the_room_imports_torch():
    files = sorted(Path(reslab.pixels.__path__[0]).glob("*.py"))
    names = [f"reslab.pixels.{file.stem}" for file in files if file.stem != "__init__"]
    assert {"reslab.pixels.decode", "reslab.pixels.preprocess", "reslab.pixels.fingerprint"} <= set(names)
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "reslab.pixels.decode" in loaded
    assert not {"torch", "torchvision", "scipy", "sklearn"} & set(loaded)


def test_a_picture_goes_through_the_door_by_any_name():
    """Decoding and preparing from a file equals preparing the array that was put into it."""
    from reslab.pixels.decode import decode

    picture = noise(30, 50)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    assert np.array_equal(Preprocess(16)(decode(file.getvalue())), Preprocess(16)(picture))

"""The published rule (docs/en/reference/pixels.md), its golden vectors, and its program: they agree with ours byte for byte."""

import hashlib
import json
import re
from pathlib import Path

import make_golden
import numpy as np
import pytest
import torch

from reslab.nn.layers import Normalize, to_images
from reslab.pixels.decode import MAX_PIXELS, decode
from reslab.pixels.preprocess import Preprocess, central_square

FOLDER = Path(__file__).parent / "golden"
PAGE = Path(__file__).parents[2] / "docs" / "en" / "reference" / "pixels.md"
VECTORS = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
ROUNDING = {"alpha.png", "grey_alpha.png", "cmyk.tif"}  # where two right decoders may differ by two levels


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_there_is_a_vector_for_every_picture():
    pictures = {path.name for path in FOLDER.iterdir()} - {"vectors.json", "corruptions.json"}
    assert len(pictures) >= 12
    assert {row["file"] for row in VECTORS["pictures"]} == pictures
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 40_000


@pytest.mark.parametrize("row", VECTORS["pictures"], ids=lambda row: row["file"])
def test_golden_vector(row):
    picture = decode(FOLDER / row["file"])
    assert picture.shape == (row["height"], row["width"], 3)
    assert picture[0, 0].tolist() == row["corner"]
    assert sha256(picture) == row["decoded"]
    prepared = [Preprocess(**how)(picture) for how in VECTORS["preparations"]]
    assert [sha256(pixels) for pixels in prepared] == row["prepared"]
    network_sees = Normalize(VECTORS["mean"], VECTORS["std"])(to_images(torch.from_numpy(prepared[0][None])))
    assert sha256(network_sees[0].numpy().astype("<f4")) == row["tensor"]


def test_the_vectors_differ_where_they_should():
    """Vectors that were all of one picture, or all of one preparation, could not fail."""
    distinct = {row["decoded"]: row["prepared"] for row in VECTORS["pictures"]}
    assert len(distinct) >= 12  # the 16-bit and the float files hold one picture, as do PNG and BMP
    prepared = [sha for row in distinct.values() for sha in row]
    assert len(set(prepared)) == len(prepared) - 1  # crop and pad do the same to the square one


def test_making_them_again_changes_nothing(tmp_path):
    make_golden.write_pictures(tmp_path)
    again = {path.name: sha256(decode(path)) for path in tmp_path.iterdir()}
    assert again == {row["file"]: row["decoded"] for row in VECTORS["pictures"]}
    assert json.loads(make_golden.document(FOLDER)) == VECTORS


# ------------------------------------------------------------------ the program on the page


@pytest.fixture(scope="module")
def published():
    """The names that the page's program defines."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(program, str(PAGE), "exec"), names)
    return names


def by_the_page(published, picture, how):
    """Section 2 in the words of the page."""
    height, width = picture.shape[:2]
    if (height, width) == (how.size, how.size):
        return picture
    if how.resize == "pad":
        scale = how.size / max(width, height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        square = np.full((how.size, how.size, 3), 128, np.uint8)
        left, upper = (how.size - inner[0]) // 2, (how.size - inner[1]) // 2
        part = published["resize"](picture, *inner, (0, 0, width, height), how.interpolation)
        square[upper : upper + inner[1], left : left + inner[0]] = part
        return square
    box = central_square(width, height) if how.resize == "crop" else (0, 0, width, height)
    return published["resize"](picture, how.size, how.size, box, how.interpolation)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("height, width", [(5, 9), (61, 40), (40, 61), (16, 50), (130, 33)])
def test_the_program_on_the_page_gives_our_bytes(published, height, width, resize, interpolation):
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    for size in (8, 19, 32):
        how = Preprocess(size, resize, interpolation)
        assert np.array_equal(by_the_page(published, picture, how), how(picture))


def test_the_page_states_our_numbers():
    page = PAGE.read_text(encoding="utf-8")
    assert f"{MAX_PIXELS:,} pixels" in page
    assert {row["file"] for row in VECTORS["pictures"]} >= ROUNDING
    assert all(name in page for name in ROUNDING)
    assert "(128, 128, 128)" in page and (Preprocess(8, "pad")(np.zeros((1, 9, 3), np.uint8))[0, 0] == 128).all()

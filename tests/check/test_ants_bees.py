"""The gate on real photographs: 398 files of ants and bees, with what is odd in them."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from reslab.check.data import examine
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.pixels.decode import decode

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "ants_bees.zip"

pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"{ARCHIVE} is not there")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The unpacked archive: the folder that holds train and val."""
    base = tmp_path_factory.mktemp("ants_bees")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(base)
    (train,) = [path for path in base.rglob("train") if path.is_dir() and "__MACOSX" not in path.parts]
    return train.parent


@pytest.fixture(scope="module")
def verdict(folder):
    before = [(p, p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).digest()) for p in sorted(folder.rglob("*.*"))]
    result = examine(assign_splits(read_data(folder)))
    assert len(before) >= 398
    assert [(p, p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).digest()) for p, *_ in before] == before
    return result


def test_all_files_are_seen(verdict):
    assert verdict.images == 398
    assert set(verdict.classes) == {"ants", "bees"} and sum(verdict.classes.values()) == 398
    assert verdict.unreadable() == []


def test_what_is_odd_is_named(folder, verdict):
    """What Pillow says of every file: one GIF (somebody's "image not found"), two with EXIF, none of them turned."""
    gifs, exif, turned = set(), set(), set()
    for path in folder.rglob("*.*"):
        with Image.open(path) as image:
            key, tags = path.relative_to(folder).as_posix(), image.getexif()
            gifs |= {key} if image.format == "GIF" else set()
            exif |= {key} if len(tags) else set()
            turned |= {key} if tags.get(0x0112, 1) != 1 else set()
    assert (len(gifs), len(exif), len(turned)) == (1, 2, 0)
    assert {p.path for p in verdict.problems if p.kind in ("gif", "animation")} == gifs
    assert {p.path for p in verdict.problems if p.kind == "exif rotation"} == turned
    assert verdict.ok


def test_the_gif_and_the_exif_photos_are_decoded_as_pillow_shows_them(folder):
    odd = [p for p in folder.rglob("*.*") if p.suffix == ".gif"]
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as image:
            odd += [path] if len(image.getexif()) else []
    assert len(odd) == 3
    for path in odd:
        with Image.open(path) as image:
            theirs = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        assert np.array_equal(decode(path), theirs)

"""Near-duplicates: planted copies are named with both keys, unrelated pictures are not, and nothing grows without bound."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.fft import dctn

from reslab.check.align import similarities
from reslab.check.hashes import BITS, GREY, SIDE, VIEWS, propose, spectra
from reslab.check.near import NEAR, near_pairs, small
from reslab.run.examine import examine_data

WHOLE = np.float32([[[0, 1], [0, 1]]] * 2)


def scene(seed, width=96, height=72):
    """A smooth picture with detail at every scale: no two seeds look alike."""
    draws, total = np.random.default_rng(seed), np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24):
        field = Image.fromarray(draws.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
        total += np.asarray(field.resize((width, height), Image.Resampling.BICUBIC), float) / 4
    return Image.fromarray(np.clip((total - 127) * 1.6 + 127, 0, 255).astype(np.uint8))


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


COPIES = {
    "resized.png": lambda image: image.resize((60, 45)),
    "enlarged.png": lambda image: image.resize((192, 144)),
    "encoded.jpg": lambda image: jpeg(image, 60),
    "bright.png": lambda image: Image.fromarray(np.clip(np.asarray(image) * 1.2 + 10, 0, 255).astype(np.uint8)),
    "mirrored.png": ImageOps.mirror,
    "left.png": lambda image: image.crop((0, 0, 87, 65)),
    "right.png": lambda image: image.crop((9, 7, 96, 72)),
    "bordered.png": lambda image: ImageOps.expand(image, 7, (255, 255, 255)),
    "mirrored_and_cropped.jpg": lambda image: jpeg(ImageOps.mirror(image).crop((4, 3, 92, 70)), 80),
}


def named(verdict, kind):
    return {frozenset((p.path, p.other)) for p in verdict.problems if p.kind == kind}


def test_every_kind_of_copy_is_named_and_nothing_else(plant, untouched):
    tree = {f"{label}/{i:02d}.png": scene(100 * k + i) for k, label in enumerate("ab") for i in range(25)}
    originals = dict(zip(COPIES, sorted(tree), strict=False))
    tree |= {f"b/copy_{name}": COPIES[name](tree[original]) for name, original in originals.items()}
    folder = plant(tree)
    with untouched(folder):
        verdict = examine_data(folder, near=True)
    expected = {frozenset((original, f"b/copy_{name}")) for name, original in originals.items()}
    assert named(verdict, "near duplicate") | named(verdict, "near duplicate across splits") == expected
    assert verdict.ok and not named(examine_data(folder), "near duplicate")
    (mirrored,) = (p for p in verdict.problems if "copy_mirrored.png" in p.path + p.other)
    assert "in the mirror" in mirrored.detail and "labelled a and b" in mirrored.detail


def test_copies_in_different_splits_are_told_apart_from_others(plant):
    names = [f"{split}/{label}/{i}.png" for split in ("train", "test") for label in "ab" for i in range(4)]
    tree = {name: scene(seed) for seed, name in enumerate(names)}
    tree |= {"test/a/leak.jpg": jpeg(tree["train/a/0.png"], 70), "train/b/again.jpg": jpeg(tree["train/b/1.png"], 70)}
    verdict = examine_data(plant(tree), near=True)
    assert named(verdict, "near duplicate across splits") == {frozenset(("train/a/0.png", "test/a/leak.jpg"))}
    assert named(verdict, "near duplicate") == {frozenset(("train/b/1.png", "train/b/again.jpg"))}
    (leak,) = (p for p in verdict.problems if p.kind == "near duplicate across splits")
    assert "in test and in train" in leak.detail and leak.severity == "warning"


def test_equal_pictures_are_duplicates_and_no_near_duplicates(plant):
    tree = {f"{label}/{i}.png": scene(10 * k + i) for k, label in enumerate("ab") for i in range(4)}
    verdict = examine_data(plant(tree | {"a/twin.png": tree["a/0.png"]}), near=True)
    assert [p.kind.removesuffix(" across splits") for p in verdict.problems if p.other] == ["duplicate"]


def test_many_copies_of_one_picture_make_one_problem_each(plant):
    original, draws = np.asarray(scene(1), np.int16), np.random.default_rng(0)
    noisy = [np.clip(original + draws.integers(-6, 7, original.shape), 0, 255).astype(np.uint8) for _ in range(60)]
    verdict = examine_data(plant({f"{'ab'[i % 2]}/{i:03d}.png": one for i, one in enumerate(noisy)}), near=True)
    pairs = [p for p in verdict.problems if p.other]
    assert 30 <= len(pairs) <= 2 * 60
    assert {key for p in pairs for key in (p.path, p.other)} == {f"{'ab'[i % 2]}/{i:03d}.png" for i in range(60)}


def test_blank_and_tiny_pictures_are_no_near_duplicates(plant):
    draws = np.random.default_rng(0)
    tree = {f"a/{i}.png": (200 + draws.integers(0, 3, (24, 24, 3))).astype(np.uint8) for i in range(6)}
    tree |= {f"b/{i}.png": draws.integers(0, 256, (1 + i, 1 + 2 * i, 3)).astype(np.uint8) for i in range(6)}
    assert [p for p in examine_data(plant(tree), near=True).problems if p.other] == []


# ------------------------------------------------------------------ the parts


def test_the_hash_is_the_cosine_transform_of_scipy():
    grey = np.stack([np.asarray(scene(seed, SIDE, SIDE)) @ GREY for seed in range(4)])
    places = sorted((i + j, abs(i - j), i, j) for i in range(9) for j in range(9))[1 : BITS + 1]
    for mirrored, number in ((False, 0), (True, len(VIEWS) // 2)):
        assert VIEWS[number] == (mirrored, ((0, 1), (0, 1)))
        theirs = dctn(grey[..., ::-1] if mirrored else grey, axes=(1, 2))
        theirs = np.stack([theirs[:, i, j] for _, _, i, j in places], axis=1)
        ours = np.sort(spectra(grey)[:, number].astype(float), axis=1)
        assert np.allclose(ours, np.sort(theirs / np.linalg.norm(theirs, axis=1, keepdims=True), axis=1), atol=2e-3)


def test_sorting_finds_what_comparing_all_with_all_finds():
    draws = np.random.default_rng(0)
    vectors = draws.normal(size=(3000, BITS))
    vectors[2000:] = vectors[:1000] + 0.35 * draws.normal(size=(1000, BITS))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    cosines = np.triu(vectors.astype(np.float32) @ vectors.T.astype(np.float32), 1)
    distances = ((vectors > 0)[:, None] != (vectors > 0)[None, :1000]).sum(2)
    close = {(j, i) for i, j in zip(*np.nonzero((cosines.T[:, :1000] >= 0.9) & (distances <= 10)), strict=True)}
    found = {tuple(pair) for pair in propose(vectors, np.arange(3000), np.zeros(3000, bool)).tolist()}
    assert len(close) > 500 and len(close & found) >= 0.99 * len(close)
    assert all(cosines[pair] >= 0.8 for pair in found)


def test_each_picture_proposes_a_few_however_many_look_like_it():
    draws = np.random.default_rng(0)
    vectors = draws.normal(size=BITS) + 0.1 * draws.normal(size=(500, BITS))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    assert len(propose(vectors, np.arange(500), np.zeros(500, bool))) <= 8 * 500


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-2, 2)])
def test_aligned_pixels_see_through_shift_and_brightness(shift):
    wide = scene(3, 64, 64)
    first = np.asarray(wide.crop((16, 16, 48, 48)))
    moved = wide.crop((16 + shift[0], 16 + shift[1], 48 + shift[0], 48 + shift[1]))
    second = np.clip(np.asarray(moved) * 0.8 + 20, 0, 255).astype(np.uint8)
    (alike,) = similarities(first[None], second[None], WHOLE[None])
    (unlike,) = similarities(first[None], np.asarray(scene(4, SIDE, SIDE))[None], WHOLE[None])
    assert alike > 0.85 and unlike < 0.35 < NEAR


def test_a_border_is_cut_off_and_a_flat_picture_is_left_whole():
    bordered = np.asarray(ImageOps.expand(scene(5, SIDE, SIDE), 4, (0, 0, 0)))
    whole, inner = small(bordered)
    assert whole.shape == inner.shape == (SIDE, SIDE, 3)
    assert np.array_equal(inner, np.asarray(scene(5, SIDE, SIDE)))
    assert len(small(np.asarray(scene(6)))) == 1


def test_no_picture_and_one_picture_have_no_pair():
    none = np.empty(0, np.int64)
    assert near_pairs(np.empty((0, SIDE, SIDE, 3), np.uint8), none, none) == []
    assert near_pairs(np.asarray(scene(0, SIDE, SIDE))[None], np.zeros(1, np.int64), np.zeros(1, np.int64)) == []

"""Augmentation: each change really changes, decided by (seed, epoch, index) alone, and the operations are torchvision's."""

import re

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as V
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage, stats
from torchvision.transforms import InterpolationMode, v2

from reslab.cli.app import run as run_reslab
from reslab.data import augment as room
from reslab.data.augment import (
    BATCH_CHANGES,
    PICTURE_CHANGES,
    ROOM,
    SETS,
    Augment,
    draw_mix,
    parse,
)
from reslab.data.draws import uniforms
from reslab.errors import ResLabError
from reslab.pixels.preprocess import Preprocess, shrunk

SIZE = 32
P_LEAST = 1e-3  # the draws are fixed: this holds always or never
LINEAR = InterpolationMode.BILINEAR
ROUNDING = 1  # level of 255
SUM = 1e-6  # float32 weights of two labels


def noise(n, height=SIZE, width=SIZE):
    return [np.random.default_rng(i).integers(0, 256, (height, width, 3)).astype(np.uint8) for i in range(n)]


def smooth(height, width):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) % 256], -1).astype(np.uint8)


def augment(changes, size=SIZE, resize="crop", seed=0, interpolation="bilinear"):
    return Augment(
        parse(changes) if isinstance(changes, str) else changes, Preprocess(size, resize, interpolation), seed
    )


def run(made, canvases, epoch=0, indices=None):
    return made.pictures(canvases, epoch, np.arange(len(canvases)) if indices is None else np.asarray(indices))


# ------------------------------------------------------------------ names


def test_every_named_set_is_made_of_known_changes():
    assert set(SETS) == {"none", "light", "standard", "strong", "quick", "any-way-up"}
    assert all(set(changes) <= {*PICTURE_CHANGES, *BATCH_CHANGES} for changes in SETS.values())
    assert {name: parse(name) for name in SETS} == SETS


def test_lists_sets_and_both():
    assert parse("crop, hflip ,rotate") == ("crop", "hflip", "rotate")
    assert parse("light,cutmix") == ("crop", "hflip", "cutmix")
    assert parse("crop,crop,light") == ("crop", "hflip")
    assert parse("none") == ()


def test_a_set_does_not_flip_what_a_mirror_would_change_but_a_person_may():
    for name in SETS:
        turns = {"hflip", "altflip", "vflip", "rot90"}
        assert not turns & set(parse(name, mirrored=False))
        assert set(parse(name)) - set(parse(name, mirrored=False)) <= turns
    assert parse("crop,hflip", mirrored=False) == ("crop", "hflip")
    assert parse("light,cutmix", mirrored=False) == ("crop", "cutmix")


@pytest.mark.parametrize(
    "text, words", [("cropp", ["'cropp'", "'crop'"]), ("light,hflipp", ["'hflipp'", "'hflip'"]), ("", ["''"])]
)
def test_unknown_words_are_named(text, words):
    with pytest.raises(ResLabError) as caught:
        parse(text)
    assert all(word in f"{caught.value.message} {caught.value.hint}" for word in words)


def test_the_help_names_every_change(capsys):
    assert run_reslab(["train", "--help"]) == 0
    said = capsys.readouterr()
    words = set(re.findall(r"[\w-]+", said.out + said.err))
    assert {*SETS, *PICTURE_CHANGES, *BATCH_CHANGES} <= words


# ------------------------------------------------------------------ decided by (seed, epoch, index)

EVERYTHING = tuple(PICTURE_CHANGES)
CANVASES = {
    "all of the size": noise(12),
    "all larger": noise(12, 45, 60),
    "mixed": [picture for pair in zip(noise(6), noise(6, 50, 41), strict=True) for picture in pair],
}


@pytest.mark.parametrize("resize", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("kind", CANVASES)
def test_a_picture_does_not_depend_on_who_else_is_in_the_batch(kind, resize):
    canvases, made = CANVASES[kind], augment(EVERYTHING, resize=resize)
    together = run(made, canvases, epoch=3)
    assert together.shape == (12, SIZE, SIZE, 3) and together.dtype == np.uint8
    for order in ([5], [11, 0], [7, 3, 3, 1], list(range(11, -1, -1))):
        assert np.array_equal(run(made, [canvases[i] for i in order], 3, order), together[order])


@pytest.mark.parametrize("change", PICTURE_CHANGES)
def test_every_change_changes_pictures_and_differs_by_epoch_seed_and_index(change):
    canvases = [smooth(SIZE, SIZE)] * 40
    plain = run(augment(()), canvases)
    assert np.array_equal(plain, np.stack(canvases))
    first = run(augment((change,)), canvases)
    assert (first != plain).any(axis=(1, 2, 3)).mean() > 0.1
    assert np.array_equal(first, run(augment((change,)), canvases))
    assert not np.array_equal(first, run(augment((change,)), canvases, epoch=1))
    assert not np.array_equal(first, run(augment((change,), seed=1), canvases))
    assert len({picture.tobytes() for picture in first}) > 1
    assert first.max() <= 255 and first.dtype == np.uint8


def test_two_changes_draw_apart():
    """With one stream for both, every flipped picture would be rotated the same way."""
    flips = uniforms(0, "hflip", 0, np.arange(2000), 1)[:, 0] < 0.5
    angles = uniforms(0, "rotate", 0, np.arange(2000), 1)[:, 0]
    assert abs(angles[flips].mean() - angles[~flips].mean()) < 0.05


def test_the_pictures_that_go_in_are_left_alone():
    canvases = noise(8) + noise(4, 60, 50)
    before = [canvas.copy() for canvas in canvases]
    for changes in (EVERYTHING, *[(change,) for change in EVERYTHING]):
        run(augment(changes), canvases)
    assert all(np.array_equal(a, b) for a, b in zip(canvases, before, strict=True))


# ------------------------------------------------------------------ one change at a time


def test_small_pictures_are_shifted_over_zeros_to_every_place():
    """He et al. 2015, section 4.2: 4 pixels of padding at 32."""
    picture = noise(1)[0].clip(1)
    shifted = run(augment("crop"), [picture] * 3000)
    padded = np.pad(picture, ((4, 4), (4, 4), (0, 0)))
    windows = {padded[y : y + 32, x : x + 32].tobytes(): (y, x) for y in range(9) for x in range(9)}
    places = [windows[row.tobytes()] for row in shifted]  # every result is one of the 81 windows
    assert stats.chisquare(np.bincount([9 * y + x for y, x in places], minlength=81)).pvalue > P_LEAST


@pytest.mark.parametrize("resize, least", [("crop", 0.35), ("pad", 0.6), ("stretch", 0.6)])
def test_larger_pictures_are_zoomed_by_area_and_aspect_within_bounds(resize, least):
    canvas = np.zeros((100, 100, 3), np.uint8)
    canvas[..., 0] = np.arange(100)  # red tells the column, green the row
    canvas[..., 1] = np.arange(100)[:, None]
    zoomed = run(augment("crop", resize=resize), [canvas] * 300).astype(float)
    width = zoomed[:, 16, -2, 0] - zoomed[:, 16, 1, 0]
    height = zoomed[:, -2, 16, 1] - zoomed[:, 1, 16, 1]
    area, aspect = width * height / (100 * 29 / 32) ** 2, width / height
    assert area.min() > 0.9 * least and area.max() <= 1.05
    assert np.ptp(area) > 0.2 and aspect.min() < 0.9 and aspect.max() > 1.1
    assert aspect.min() > 0.7 and aspect.max() < 1.45
    assert zoomed[:, 16, 1, 0].min() < 5 and zoomed[:, 16, -2, 0].max() > 94  # reaches both edges


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**31), st.sampled_from(["crop", "pad", "stretch"]))
def test_any_shape_can_be_cropped(height, width, seed, resize):
    level = seed % 256
    out = run(augment("crop", 16, resize, seed), [np.full((height, width, 3), level, np.uint8)])
    assert out.shape == (1, 16, 16, 3)
    border = 0 if (height, width) == (16, 16) else level  # a picture of the input's own size is padded with zeros
    assert set(np.unique(out)) <= {level, border} or resize == "pad"  # pad mixes its grey in at the rim
    assert resize == "pad" or (height, width) == (16, 16) or (out == level).all()


def test_the_crop_uses_the_interpolation_of_the_model():
    canvases = noise(4, 60, 60)
    assert not np.array_equal(run(augment("crop"), canvases), run(augment("crop", interpolation="bicubic"), canvases))


def test_room_for_the_crop_is_what_training_keeps():
    canvas = shrunk(smooth(400, 300), round(64 * ROOM))
    assert min(canvas.shape[:2]) == 80
    assert run(augment("crop", 64), [canvas]).shape == (1, 64, 64, 3)


def test_hflip_is_a_mirror_image_of_half_of_them():
    canvases = noise(2000)
    flipped = run(augment("hflip"), canvases)
    mirrored = [np.array_equal(row, canvas[:, ::-1]) for row, canvas in zip(flipped, canvases, strict=True)]
    same = [np.array_equal(row, canvas) for row, canvas in zip(flipped, canvases, strict=True)]
    assert all(m or s for m, s in zip(mirrored, same, strict=True))
    assert stats.binomtest(sum(mirrored), 2000).pvalue > P_LEAST


def test_rotation_is_torchvisions_by_up_to_fifteen_degrees():
    canvas, made = smooth(SIZE, SIZE), augment("rotate")
    rotated = run(made, [canvas] * 50)
    angles = 15 * (2 * uniforms(0, "rotate", 0, np.arange(50), 1)[:, 0] - 1)
    assert angles.min() < -12 and angles.max() > 12
    for row, angle in zip(rotated, angles, strict=True):
        theirs = V.rotate(Image.fromarray(canvas), float(angle), InterpolationMode.BILINEAR)
        assert np.array_equal(row, np.asarray(theirs))


def test_colour_moves_brightness_contrast_and_saturation():
    canvas = np.full((SIZE, SIZE, 3), 100, np.uint8)
    levels = run(augment("color"), [canvas] * 200)[:, 0, 0, 0]
    assert levels.min() < 75 and levels.max() > 125
    assert levels.min() >= 70 - 3 * ROUNDING and levels.max() <= 130 + 3 * ROUNDING  # three operations round
    colored = run(augment("color"), [smooth(SIZE, SIZE)] * 200).astype(float)
    assert np.ptp(colored.std(axis=(1, 2, 3))) > 20  # contrast
    assert np.ptp(np.ptp(colored, axis=3).mean(axis=(1, 2))) > 20  # saturation


def test_erasing_greys_a_rectangle_in_half_of_them():
    canvases = [np.full((SIZE, SIZE, 3), 7, np.uint8)] * 1000
    erased = (run(augment("erase"), canvases) == 128).all(-1)
    touched = erased.any(axis=(1, 2))
    assert stats.binomtest(int(touched.sum()), 1000).pvalue > P_LEAST
    for mask in erased[touched]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert mask.sum() == len(rows) * len(columns)
        assert 0.01 < mask.mean() < 0.27
    assert erased[touched].any(0).all()  # every place is erased now and then


# ------------------------------------------------------------------ the wide space, against torchvision

WIDE_NAMES = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness",
    "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip


def theirs(name, picture, m):
    """torchvision's own dispatcher of TrivialAugmentWide on the magnitude that its table gives for |m| of the way."""
    trivial = v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR)
    table, signed = trivial._AUGMENTATION_SPACE[name]
    steps = 31
    values = table(steps, picture.height, picture.width)
    size = 0.0 if values is None else float(values[round(abs(m) * (steps - 1))])
    magnitude = size * (np.sign(m) if signed else 1)
    return trivial._apply_image_or_video_transform(
        picture, name, magnitude, interpolation=InterpolationMode.BILINEAR, fill={}
    )


@pytest.mark.parametrize("m", [-1.0, -0.7, -0.3, 0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("number", range(len(WIDE_NAMES)))
def test_each_operation_is_torchvisions_at_the_same_magnitude(number, m):
    picture = Image.fromarray(smooth(64, 64))
    ours, other = room._WIDE[number](picture, m), theirs(WIDE_NAMES[number], picture, m)
    difference = np.asarray(ours).astype(int) - np.asarray(other)
    assert np.abs(difference).max() <= ROUNDING  # their magnitudes are float32


THEIR_WIDE = (
    lambda p, m: p,
    lambda p, m: V.affine(p, 0.0, [0, 0], 1.0, [float(np.degrees(np.arctan(0.99 * m))), 0.0], LINEAR, center=[0, 0]),
    lambda p, m: V.affine(p, 0.0, [0, 0], 1.0, [0.0, float(np.degrees(np.arctan(0.99 * m)))], LINEAR, center=[0, 0]),
    lambda p, m: V.affine(p, 0.0, [int(m * min(32, p.width)), 0], 1.0, [0.0, 0.0], LINEAR),
    lambda p, m: V.affine(p, 0.0, [0, int(m * min(32, p.width))], 1.0, [0.0, 0.0], LINEAR),
    lambda p, m: V.rotate(p, 135 * m, LINEAR),
    lambda p, m: V.adjust_brightness(p, 1 + 0.99 * m),
    lambda p, m: V.adjust_saturation(p, 1 + 0.99 * m),
    lambda p, m: V.adjust_contrast(p, 1 + 0.99 * m),
    lambda p, m: V.adjust_sharpness(p, 1 + 0.99 * m),
    lambda p, m: V.posterize(p, 8 - round(6 * abs(m))),
    lambda p, m: V.solarize(p, 255 * (1 - abs(m))),
    lambda p, m: V.autocontrast(p),
    lambda p, m: V.equalize(p),
)


@pytest.mark.parametrize("number", range(len(WIDE_NAMES)))
def test_each_operation_gives_torchvisions_bytes(number):
    """Ours are Pillow's, without the seconds that their import takes; a run of an earlier version can be repeated."""
    rng = np.random.default_rng(number)
    for side in (8, 33, 64):
        for picture in (Image.fromarray(noise(1, side, side)[0]), Image.fromarray(smooth(side, side))):
            for m in (*np.linspace(-1, 1, 9).tolist(), *rng.uniform(-1, 1, 30).tolist()):
                ours, other = room._WIDE[number](picture, m), THEIR_WIDE[number](picture, m)
                assert np.array_equal(np.asarray(ours), np.asarray(other)), (side, m)


def test_colours_are_torchvisions_to_the_byte():
    canvases = noise(40)
    draws = uniforms(0, "color", 0, np.arange(40), 3)
    for row, canvas, (b, c, s) in zip(
        run(augment("color"), canvases), canvases, 1 + 0.3 * (2 * draws - 1), strict=True
    ):
        contrasted = V.adjust_contrast(V.adjust_brightness(Image.fromarray(canvas), float(b)), float(c))
        assert np.array_equal(row, np.asarray(V.adjust_saturation(contrasted, float(s))))


def test_all_operations_are_there_and_all_are_drawn_at_all_magnitudes():
    assert set(WIDE_NAMES) == set(v2.TrivialAugmentWide._AUGMENTATION_SPACE)
    assert len(room._WIDE) == len(WIDE_NAMES)
    draws = uniforms(0, "trivialaugment", 0, np.arange(7000), 2)
    assert stats.chisquare(np.bincount((draws[:, 0] * 14).astype(int))).pvalue > P_LEAST


@pytest.mark.parametrize("side", [8, 20, 32, 224])
def test_translation_stays_within_the_picture(side):
    picture = np.broadcast_to(np.arange(1, side + 1, dtype=np.uint8)[:, None], (side, side, 3))
    moved = np.asarray(room._WIDE[3](Image.fromarray(picture), 1.0))
    shift = min(32, side)
    assert (moved[:, :shift] == 0).all()
    assert np.array_equal(moved[:, shift:], picture[:, : side - shift])


def test_randaugment_is_two_modest_operations():
    canvas = smooth(SIZE, SIZE)
    out = run(augment("randaugment"), [canvas] * 30)
    draws = uniforms(0, "randaugment", 0, np.arange(30), 4)
    for row, (first, sign, second, other) in zip(out, draws, strict=True):
        picture = Image.fromarray(canvas)
        for operation, coin in ((first, sign), (second, other)):
            picture = room._WIDE[int(operation * 14)](picture, 0.3 if coin < 0.5 else -0.3)
        assert np.array_equal(row, np.asarray(picture))


# ------------------------------------------------------------------ Mixup and CutMix


def one_hot(n, classes=10):
    return torch.eye(classes)[torch.arange(n) % classes]


def test_no_mix_where_none_is_asked_for_or_possible():
    assert draw_mix(augment("strong"), 0, 0, 1) is None
    assert draw_mix(augment("standard"), 0, 0, 8) is None
    assert draw_mix(augment("strong"), 0, 0, 2) is not None


@pytest.mark.parametrize("kind", BATCH_CHANGES)
def test_targets_sum_to_one_and_say_what_the_pixels_say(kind):
    """Pictures that are their label: channel k of picture k is 1. Then the mean of each channel is its target."""
    n, targets = 10, one_hot(10)
    images = targets[:, :, None, None].expand(n, 10, SIZE, SIZE).clone()
    mixed = 0
    for step in range(60):
        mix = draw_mix(augment((kind,)), 0, step, n)
        assert sorted(mix.partner) == list(range(n)) and 0 <= mix.share <= 1
        blended, said = mix.images(images, images[mix.partner]), mix.targets(targets)
        assert (said.sum(1) - 1).abs().max() < SUM and said.min() >= 0
        assert (blended.mean(dim=(2, 3)) - said).abs().max() < 1e-5  # float32 sums over 1,024 pixels
        assert torch.equal(images, targets[:, :, None, None].expand(n, 10, SIZE, SIZE))  # not in place
        mixed += 0.01 < mix.share < 0.99
    assert mixed > 10


def test_cutmix_fills_one_rectangle_from_the_partner():
    images = torch.arange(8.0)[:, None, None, None].expand(8, 3, SIZE, SIZE)
    for step in range(40):
        mix = draw_mix(augment(("cutmix",)), 1, step, 8)
        upper, lower, left, right = mix.box
        assert 0 <= upper <= lower <= SIZE and 0 <= left <= right <= SIZE
        assert mix.share == pytest.approx(1 - (lower - upper) * (right - left) / SIZE**2)
        blended = mix.images(images, images[mix.partner])
        for row, partner in enumerate(mix.partner):
            assert (blended[row, :, upper:lower, left:right] == partner).all()
            outside = blended[row].clone()
            outside[:, upper:lower, left:right] = row
            assert (outside == row).all()


def test_shares_follow_their_beta_laws():
    mixup = [draw_mix(augment(("mixup",)), 0, step, 2).share for step in range(2000)]
    assert stats.kstest(mixup, stats.beta(0.2, 0.2).cdf).pvalue > P_LEAST
    boxes = [draw_mix(augment(("cutmix",), size=224), 0, step, 2) for step in range(4000)]
    inside = [b.share for b in boxes if min(b.box[0], b.box[2]) > 0 and max(b.box[1], b.box[3]) < 224]
    assert len(inside) > 400 and min(inside) < 0.9 and max(inside) > 0.99


def test_both_kinds_take_turns_by_a_coin():
    kinds = [draw_mix(augment("mixup,cutmix"), 0, step, 8).box is None for step in range(1000)]
    assert stats.binomtest(sum(kinds), 1000).pvalue > P_LEAST


def test_a_mix_is_decided_by_seed_epoch_and_step():
    made = augment("strong")
    again = draw_mix(made, 2, 5, 16)
    assert np.array_equal(again.partner, draw_mix(made, 2, 5, 16).partner)
    for other in (draw_mix(made, 2, 6, 16), draw_mix(made, 3, 5, 16), draw_mix(augment("strong", seed=1), 2, 5, 16)):
        assert not np.array_equal(other.partner, again.partner) and other.box != again.box


# ------------------------------------------------------------------ shift and altflip


def test_a_shift_shows_a_window_of_the_mirrored_frame():
    pictures = np.random.default_rng(3).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    augment = Augment(("shift",), Preprocess(32), seed=1)
    got = augment.pictures(list(pictures), 0, np.arange(40))
    moves = set()
    for before, after in zip(pictures, got, strict=True):
        frame = np.pad(before, ((2, 2), (2, 2), (0, 0)), "reflect")
        fits = [(y, x) for y in range(5) for x in range(5) if np.array_equal(frame[y : y + 32, x : x + 32], after)]
        assert len(fits) == 1
        moves |= set(fits)
    assert len(moves) > 12


def test_an_alternating_flip_shows_both_sides_in_any_two_epochs():
    """Jordan 2024, section 3.6: no side is seen twice running, and half of the pictures begin with either."""
    pictures = np.random.default_rng(3).integers(0, 256, (200, 8, 8, 3)).astype(np.uint8)
    augment = Augment(("altflip",), Preprocess(8), seed=1)
    turned = []
    for epoch in range(5):
        got = augment.pictures(list(pictures), epoch, np.arange(200))
        flipped = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(got, pictures, strict=True)])
        same = np.array([np.array_equal(a, b) for a, b in zip(got, pictures, strict=True)])
        assert np.array_equal(flipped, ~same)
        turned.append(flipped)
    assert all(np.array_equal(turned[e], ~turned[e + 1]) for e in range(4))
    assert 70 < turned[0].sum() < 130


# ------------------------------------------------------------------ pictures without an up


def test_the_default_sets_leave_out_what_can_change_a_label():
    named = {name for name, changes in SETS.items() if set(changes) & {"vflip", "rot90", "blur", "grey"}}
    assert named == {"any-way-up"} and SETS["any-way-up"] == ("crop", "hflip", "vflip", "rot90")


def test_vflip_is_pillows_for_half_of_them():
    canvases = noise(1000)
    flipped = run(augment("vflip"), canvases)
    turned = [np.asarray(Image.fromarray(c).transpose(Image.Transpose.FLIP_TOP_BOTTOM)) for c in canvases]
    upended = [np.array_equal(row, other) for row, other in zip(flipped, turned, strict=True)]
    same = [np.array_equal(row, canvas) for row, canvas in zip(flipped, canvases, strict=True)]
    assert all(u != s for u, s in zip(upended, same, strict=True))
    assert stats.binomtest(sum(upended), 1000).pvalue > P_LEAST


def test_rot90_is_each_quarter_turn_of_pillow_equally_often():
    canvases = noise(1000)
    turned = run(augment("rot90"), canvases)
    quarters = [None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270]
    found = []
    for row, canvas in zip(turned, canvases, strict=True):
        picture = Image.fromarray(canvas)
        views = [np.asarray(picture if q is None else picture.transpose(q)) for q in quarters]
        fits = [k for k, view in enumerate(views) if np.array_equal(row, view)]
        assert len(fits) == 1
        found += fits
    assert stats.chisquare(np.bincount(found, minlength=4)).pvalue > P_LEAST


def test_grey_is_torchvisions_for_a_fifth_of_them():
    canvases = noise(1000)
    greyed = run(augment("grey"), canvases)
    changed = (greyed != np.stack(canvases)).any(axis=(1, 2, 3))
    assert stats.binomtest(int(changed.sum()), 1000, 0.2).pvalue > P_LEAST
    for number in np.flatnonzero(changed):
        assert np.array_equal(greyed[number], np.asarray(V.rgb_to_grayscale(Image.fromarray(canvases[number]), 3)))


@pytest.mark.parametrize(("side", "most"), [(32, 1.0), (96, 2.0), (16, 0.5)])
def test_blur_is_a_gaussian_for_half_of_them(side, most):
    """Pillow passes a box three times: within three levels of scipy's exact kernel."""
    canvases = [smooth(side, side)[:, ::-1].copy() for _ in range(200)]
    blurred = run(augment("blur", side), canvases)
    draws = uniforms(0, "blur", 0, np.arange(200), 2)
    assert stats.binomtest(int((draws[:, 0] < 0.5).sum()), 200).pvalue > P_LEAST
    for row, canvas, (coin, level) in zip(blurred, canvases, draws, strict=True):
        sigma = 0.1 + (most - 0.1) * level if coin < 0.5 else 0
        exact = ndimage.gaussian_filter(canvas.astype(float), (sigma, sigma, 0), mode="nearest") if sigma else canvas
        assert np.abs(row - exact).max() <= 6
        assert np.abs(row - exact).mean() <= 0.6

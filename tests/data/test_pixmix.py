"""PixMix and its fractals: the paper's pseudo-code picture by picture, torchvision's operations, closed forms of attractors."""

import numpy as np
import pytest
import torchvision.transforms.v2.functional as V
from PIL import Image
from scipy import stats
from torchvision.transforms import InterpolationMode

from reslab.data import fractals, pixmix
from reslab.data.draws import uniforms
from reslab.data.fractals import Systems, densities, draw_jumps, draw_systems, mixing_pictures, noise
from reslab.data.pixmix import DRAWS, OPERATIONS, added, drawn_weights, multiplied, pixmixed

P_LEAST = 1e-3  # the draws are fixed: this holds always or never
ROUNDING = 1  # level of 255
LINEAR = InterpolationMode.BILINEAR


def photographs(n, size=32):
    """Smooth, with all levels and something of its own in each."""
    y, x = np.mgrid[0:size, 0:size] / (size - 1)
    waves = [np.stack([np.sin((3 + i % 5) * x + k * y + i) for k in range(3)], -1) for i in range(n)]
    return np.rint(127.5 + 127.5 * np.stack(waves)).astype(np.uint8)


def draws(n, seed=0):
    return uniforms(seed, "pixmix", 0, np.arange(n), DRAWS)


# ------------------------------------------------------------------ PixMix


def by_the_paper(picture, numbers, fractal):
    """Section 3's pseudo-code with the random choices written out; float64, one picture, mixings as in the authors' code."""
    once, rounds = numbers[:8], numbers[8:].reshape(4, 7)

    def augment(operation, magnitude):
        level = (0.1 + 2.9 * abs(2 * magnitude - 1)) * (1 if magnitude < 0.5 else -1)
        return np.asarray(OPERATIONS[int(operation * 9)](Image.fromarray(picture), level)) / 255

    def weights(coin, first, second):
        if coin < 0.5:
            return stats.beta.ppf(first, 3, 1), stats.beta.ppf(second, 1, 3)
        return 1 + stats.beta.ppf(first, 1, 3), -stats.beta.ppf(second, 1, 3)

    mixed = augment(*once[1:3]) if once[0] < 0.5 else picture / 255
    for source, operation, magnitude, kind, *rest in rounds[: int(once[3] * 5)]:
        other = augment(operation, magnitude) if source < 0.5 else fractal / 255
        a, b = weights(*rest)
        if kind < 0.5:
            mixed = (a * (mixed * 2 - 1) + b * (other * 2 - 1) + 1) / 2
        else:
            mixed = (mixed * 2) ** a * (other * 2).clip(1e-37) ** b / 2
        mixed = mixed.clip(0, 1)
    return mixed * 255


def test_it_is_the_papers_pseudo_code():
    pixels, numbers = photographs(150), draws(150)
    before = pixels.copy()
    mixed = pixmixed(pixels, numbers)
    windows = pixmix._windows(32, numbers[:, 4:8])
    assert mixed.dtype == np.uint8 and mixed.shape == pixels.shape and np.array_equal(pixels, before)
    for row in range(150):
        expected = by_the_paper(pixels[row], numbers[row], windows[row])
        assert np.abs(mixed[row] - expected).max() < ROUNDING, row


def test_the_weights_follow_their_beta_laws():
    numbers = uniforms(0, "weights", 0, np.arange(4000), 3)
    a, b = (weight.ravel() for weight in drawn_weights(numbers))
    positive = b >= 0
    assert stats.binomtest(int(positive.sum()), 4000).pvalue > P_LEAST
    for sample, law in (
        (a[positive], stats.beta(3, 1)),
        (b[positive], stats.beta(1, 3)),
        (a[~positive] - 1, stats.beta(1, 3)),
        (-b[~positive], stats.beta(1, 3)),
    ):
        assert stats.kstest(sample, law.cdf).pvalue > P_LEAST


def test_no_round_leaves_the_picture_or_one_copy_of_it():
    """A tenth of all pictures stays as it is: no round (a fifth), and half of those are not altered."""
    pixels, numbers = photographs(2000, 8), draws(2000)
    same = (pixmixed(pixels, numbers) == pixels).all(axis=(1, 2, 3))
    unmixed = (numbers[:, 3] < 0.2) & (numbers[:, 0] >= 0.5)
    assert same[unmixed].all() and stats.binomtest(int(unmixed.sum()), 2000, 0.1).pvalue > P_LEAST
    assert same.mean() < 0.25  # besides: operations that change nothing


def test_mid_grey_is_neutral():
    x, grey, weight = np.linspace(0, 1, 11), np.full(11, 0.5), np.ones(1)
    assert np.allclose(added(x, grey, weight, 0.7), x) and np.allclose(multiplied(x, grey, weight, 0.7), x)
    assert np.allclose(multiplied(x, np.zeros(11), weight, 0.7), 0, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_black_and_white_do_not_overflow():
    for level in (0, 255):
        mixed = pixmixed(np.full((200, 8, 8, 3), level, np.uint8), draws(200, seed=3))
        assert len(np.unique(mixed)) > 10
    assert 1 < multiplied(np.float32(1), np.float32(0), np.float32(2), np.float32(-1)) < np.inf  # clipped to white


@pytest.mark.parametrize("level", [0.1, 1.3, 2.999, -0.1, -1.7, -2.999])
def test_operations_are_torchvisions_at_augmixs_magnitudes(level):
    picture, size = Image.fromarray(photographs(1, 48)[0]), abs(level)
    theirs = (
        V.autocontrast(picture), V.equalize(picture), V.posterize(picture, 4 - int(size * 0.4)),
        V.rotate(picture, int(level * 3), LINEAR), V.solarize(picture, 256 - int(size * 25.6)),
        V.affine(picture, 0, [0, 0], 1, [np.degrees(np.arctan(level * 0.03)), 0], LINEAR, center=[0, 0]),
        V.affine(picture, 0, [0, 0], 1, [0, np.degrees(np.arctan(level * 0.03))], LINEAR, center=[0, 0]),
        V.affine(picture, 0, [-int(level * 1.6), 0], 1, [0, 0], LINEAR),
        V.affine(picture, 0, [0, -int(level * 1.6)], 1, [0, 0], LINEAR),
    )  # fmt: skip
    assert len(theirs) == len(OPERATIONS)
    for number, (operation, other) in enumerate(zip(OPERATIONS, theirs, strict=True)):
        difference = np.asarray(operation(picture, level)).astype(int) - np.asarray(other)
        assert np.abs(difference).max() <= ROUNDING, number


def test_windows_show_every_picture_in_every_orientation(monkeypatch):
    bank = np.arange(3 * 9 * 9).reshape(3, 9, 9, 1).repeat(3, 3).astype(np.uint8)
    monkeypatch.setattr(pixmix, "mixing_pictures", lambda side: bank)
    found = {window[..., 0].tobytes() for window in pixmix._windows(8, uniforms(0, "w", 0, np.arange(2000), 4))}
    known = set()
    for picture in bank[..., 0]:
        for y in range(2):
            for x in range(2):
                window = picture[y : y + 8, x : x + 8]
                known |= {np.rot90(w, k).tobytes() for w in (window, window.T) for k in range(4)}
    assert found == known and len(known) == 3 * 4 * 8


def test_larger_inputs_are_mixed_with_enlarged_pictures(monkeypatch):
    monkeypatch.setattr(pixmix, "MOST_SIDE", 16)
    assert pixmix._windows(40, uniforms(0, "w", 0, np.arange(3), 4)).shape == (3, 40, 40, 3)


# ------------------------------------------------------------------ fractals


def test_all_maps_shrink_the_plane_as_much_as_the_rule_says():
    systems, seen = draw_systems(5, 100), set()
    for a, b, weights in zip(systems.a, systems.b, systems.weights, strict=True):
        there = weights > 0
        matrices = np.array([
            [[(p + q).real, (q - p).imag], [(p + q).imag, (p - q).real]]  # what a z + b conj(z) does to 1 and i
            for p, q in zip(a[there], b[there], strict=True)
        ])  # fmt: skip
        values, n = np.linalg.svd(matrices, compute_uv=False), there.sum()
        assert values.min() >= 0 and values.max() < 1
        assert (5 + n) / 2 - 1e-5 <= (values @ [1, 2]).sum() <= (6 + n) / 2 + 1e-5
        areas = np.abs(np.linalg.det(matrices))
        assert np.allclose(weights[there], areas / areas.sum(), atol=1e-5)
        seen.add(int(n))
    assert seen == {2, 3, 4} and (np.abs(systems.c.real) <= 1).all()


SQUARE = Systems(
    np.full((1, 4), 0.5, np.complex64), np.zeros((1, 4), np.complex64),
    np.array([[0, 0.5, 0.5j, 0.5 + 0.5j]], np.complex64), np.full((1, 4), 0.25),
)  # fmt: skip
"""Four halvings, one into each quarter: the attractor is the unit square, evenly dense."""


def test_a_square_of_four_quarters_is_filled_evenly_and_coloured_by_quarter():
    side, half_width = 128, 3**0.5  # the standard deviation is 1 / sqrt(12)
    hits, colour = densities(
        SQUARE, np.array([[0.0, 0.0, half_width]]), draw_jumps(0, side), side
    )  # the standard deviation is 1 / sqrt(12)
    assert hits.sum() > 0.97 * fractals._HITS * side * side
    assert np.abs(hits.reshape(4, 32, 4, 32).sum((1, 3)) / hits.sum() * 16 - 1).max() < 0.1
    quarters = colour.reshape(2, 64, 2, 64).mean((1, 3)).ravel()
    assert np.abs(quarters - (0.5 + np.arange(4) / 3) / 2).max() < 0.05


def test_a_sierpinski_triangle_has_its_hole():
    maps = np.array([[0, 0.5, 0.25 + 0.5j, 0]], np.complex64)
    hits, _ = densities(
        Systems(SQUARE.a, SQUARE.b, maps, np.array([[1, 1, 1, 0]]) / 3),
        np.array([[0.0, 0.0, 2.0]]),
        draw_jumps(0, 64),
        64,
    )
    assert hits[0].any(0)[8:56].all() and (hits[0] > 0).mean() < 0.35
    deviation, middle = np.sqrt(1 / 18), 0.5 + 1j / 3  # of the even distribution over its corners' midpoints
    centre = (0.5 + 0.25j - middle) / (4 * deviation) * 64 + 32 * (1 + 1j)
    assert not hits[0, int(centre.imag) - 3 : int(centre.imag) + 4, int(centre.real) - 3 : int(centre.real) + 4].any()


def test_noise_is_smoother_for_steeper_slopes():
    fields = noise(0, np.zeros(3, int), np.array([0.5, 1.5, 2.5]), 48)
    roughness = np.abs(np.diff(fields, axis=1)).mean((1, 2))
    assert (np.diff(roughness) < 0).all() and fields.min() >= 0 and fields.max() <= 1
    assert np.abs(fields.mean((1, 2)) - 0.5).max() < 0.1


def test_mixing_pictures_are_many_different_and_always_the_same():
    pictures = mixing_pictures(36)
    assert pictures.shape == (512, 36, 36, 3) and pictures.dtype == np.uint8
    assert len({picture.tobytes() for picture in pictures}) == 512
    assert (pictures.std(axis=(1, 2, 3)) > 10).mean() > 0.9  # hardly any is blank
    mixing_pictures.cache_clear()
    assert np.array_equal(mixing_pictures(36), pictures)


def test_there_are_fewer_large_ones():
    for side, count in ((9, 512), (98, 512), (252, 78), (576, 16)):
        assert int(np.clip(fractals._PIXELS // side**2, *fractals._COUNT)) == count

"""The common corruptions against closed forms, the published loops, SciPy, and statistics of `imagecorruptions`.

`golden/corruptions.json` holds, for crops of scikit-learn's two sample photographs (3 of 224 pixels, 12 shrunk to 32 pixels),
per kind and severity: mean, mean of each picture's standard deviation, mean absolute change, mean absolute difference of
neighbours in a row. Large ones were corrupted by `imagecorruptions-imaug` 1.1.5 (its elastic transform replaced by that of
Hendrycks' `make_imagenet_c.py`), small ones by Hendrycks' `make_cifar_c.py` with that package's motion blur and fractal
(commits e0377d4 and ca36008), under numpy 2.4, scikit-image 0.26, OpenCV 5.0 and seed 0. Frost is drawn here and photographed
there; its own test is wider.
"""

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.data.draws import uniforms
from reslab.pixels.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from reslab.pixels.filters import blur, convolve, disk, motion, plasma, sample, scatter, zoom
from reslab.pixels.preprocess import resized
from reslab.pixels.rgb import LUMA

GOLDEN = json.loads((Path(__file__).parent / "golden" / "corruptions.json").read_text())


def draw(index=0):
    return lambda purpose, count: uniforms(0, purpose, 0, np.array([index]), count)[0]


@cache
def photographs(size):
    from sklearn.datasets import load_sample_images

    crops = [p[y : y + 224, x : x + 224] for p in load_sample_images().images for y in (0, 200) for x in (0, 200, 400)]
    return np.stack(crops if size == "large" else [resized(crop, (32, 32)) for crop in crops])


def noise_picture(side=24, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def statistics(corrupted, clean):
    exact = corrupted.astype(float)
    change, step = np.abs(exact - clean), np.abs(np.diff(exact, axis=2))
    return np.array([exact.mean(), exact.std(axis=(1, 2)).mean(), change.mean(), step.mean()])


@pytest.mark.parametrize("severity", (1, 3, 5))
@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("size", ("small", "large"))
def test_statistics_are_those_of_other_peoples_code(size, kind, severity):
    pictures = photographs(size)[:: 1 if size == "small" else 4]
    ours = statistics(np.stack([corrupt(p, kind, severity, draw(i)) for i, p in enumerate(pictures)]), pictures)
    theirs = np.array(GOLDEN[size][kind][severity - 1])
    exact = kind in ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
    random_place = kind in ("frost", "fog", "elastic_transform", "snow", "motion_blur")
    least, share = (1.5, 0.0) if exact else (2.0, 0.35) if random_place else (1.5, 0.05)
    assert (np.abs(ours - theirs) <= np.maximum(least, share * theirs)).all(), (ours, theirs)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_is_a_function_of_picture_severity_and_draws(kind):
    picture = noise_picture(16)
    kept = picture.copy()
    first, again = (corrupt(picture, kind, 4, draw()) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == picture.shape
    assert np.array_equal(first, again) and np.array_equal(picture, kept)
    drawn = kind not in ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")
    assert drawn == (not np.array_equal(first, corrupt(picture, kind, 4, draw(1))))


def test_there_are_15_kinds_with_5_constants_each():
    assert len(CORRUPTIONS) == 15
    assert {len(row) for one in CORRUPTIONS.values() for row in (one.small, one.large)} == {len(SEVERITIES)}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_any_shape_is_corrupted(kind):
    for shape in ((8, 8, 3), (9, 31, 3), (120, 90, 3)):
        picture = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        assert corrupt(picture, kind, 5, draw()).shape == shape
    assert corrupt(np.zeros((8, 8, 3), np.uint8), kind, 1, draw()).shape == (8, 8, 3)


def test_noise_has_the_moments_that_its_constant_says():
    grey = np.full((64, 64, 3), 102, np.uint8)  # 0.4
    gaussian = corrupt(grey, "gaussian_noise", 3, draw()) / 255
    assert gaussian.mean() == pytest.approx(0.4, abs=0.002) and gaussian.std() == pytest.approx(0.08, rel=0.03)
    shot = corrupt(grey, "shot_noise", 4, draw()) / 255
    assert shot.mean() == pytest.approx(0.4, abs=0.003) and shot.var() == pytest.approx(0.4 / 75, rel=0.05)
    impulse = corrupt(grey, "impulse_noise", 5, draw())
    assert ((impulse == 0).mean(), (impulse == 255).mean()) == pytest.approx((0.035, 0.035), abs=0.006)
    assert set(np.unique(impulse)) == {0, 102, 255}


def test_poisson_numbers_are_those_of_scipys_quantiles():
    from scipy.stats import poisson as law

    from reslab.pixels.filters import poisson

    values, chances = np.arange(256), uniforms(0, "chance", 0, np.array([0]), 256)[0]
    for rate in (3, 60, 500):
        assert np.array_equal(poisson(chances, values, rate), law.ppf(chances, rate * values / 255).clip(0))


def test_brightness_keeps_hue_and_saturation():
    from colorsys import hsv_to_rgb, rgb_to_hsv

    picture = noise_picture(8)
    picture[0, 0] = 0
    expected = [
        255 * np.array(hsv_to_rgb(h, s, min(v + 0.15, 1)))
        for h, s, v in (rgb_to_hsv(*pixel) for pixel in picture.reshape(-1, 3) / 255)
    ]
    assert np.abs(corrupt(picture, "brightness", 3, draw()).reshape(-1, 3) - expected).max() <= 0.5 + 1e-6


def test_contrast_is_an_affine_map_and_jpeg_is_pillows():
    picture = noise_picture()
    mean = picture.mean(axis=(0, 1))
    assert np.array_equal(corrupt(picture, "contrast", 2, draw()), np.rint(mean + 0.5 * (picture - mean)))
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=58)
    assert np.array_equal(corrupt(picture, "jpeg_compression", 3, draw()), np.asarray(Image.open(file)))


def test_filters_are_those_of_scipy():
    from scipy import ndimage

    x = noise_picture(20) / 255
    assert np.allclose(blur(x, 1.3), ndimage.gaussian_filter(x, (1.3, 1.3, 0), mode="nearest"))
    soft = ndimage.gaussian_filter(x, (7, 7, 0), mode="reflect", truncate=3)
    assert np.allclose(blur(x, 7, "symmetric", 3), soft)
    assert blur(x, 0.0) is x
    kernel = disk(3, 0.5)
    assert kernel.sum() == pytest.approx(1) and disk(0.3, 0.4).sum() == pytest.approx(1)
    assert np.allclose(convolve(x, kernel), ndimage.convolve(x, kernel[..., None], mode="mirror"))
    large = ndimage.zoom(x[2:17, 2:17], (1.4, 1.4, 1), order=1)  # 15 of 20 places, 21 after it
    assert np.allclose(zoom(x, 1.4), large[:20, :20])
    rows, columns = np.random.default_rng(0).uniform(-30, 50, (2, 20, 20))
    theirs = [ndimage.map_coordinates(x[..., k], (rows, columns), order=1, mode="reflect") for k in range(3)]
    assert np.allclose(sample(x, rows, columns)[1:-1], np.stack(theirs, axis=-1)[1:-1])


def test_pixels_are_scattered_as_by_the_published_loop():
    height, width, reach = 13, 17, 2
    chances = uniforms(0, "glass", 0, np.array([0]), 2 * height * width)[0]
    down, right = np.floor(2 * reach * chances.reshape(2, height, width)).astype(int) - reach
    grid = np.arange(height * width).reshape(height, width)
    for row in range(height - reach, reach, -1):
        for column in range(width - reach, reach, -1):
            grid[row, column] = grid[row + down[row, column], column + right[row, column]]
    assert np.array_equal(scatter(height, width, reach, chances), grid)
    assert (grid != np.arange(height * width).reshape(height, width)).any()


def test_motion_is_half_a_gaussian_of_whole_pixels():
    point = np.zeros((31, 31, 1))
    point[15, 15] = 1
    streak = motion(point, 3, 2.0, 0.0)[15, :, 0]
    weights = np.exp(-0.5 * (np.arange(7) / 2) ** 2)
    assert np.allclose(streak[9:16], (weights / weights.sum())[::-1])
    assert np.allclose(motion(point, 3, 2.0, -90.0)[:, 15, 0].sum(), 1)
    assert np.allclose(motion(np.full((8, 8, 3), 0.3), 9, 2.5, 33.0), 0.3)


def test_a_fractal_fills_its_range_and_grows_smoother_with_its_decay():
    rough, smooth = (plasma(draw(), 64, decay) for decay in (1.2, 3))
    assert (rough.min(), rough.max()) == (0, 1)
    assert np.abs(np.diff(rough)).mean() > 2 * np.abs(np.diff(smooth)).mean()
    assert plasma(draw(), 50, 2).shape == (50, 50)


def test_grey_values_are_those_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert np.abs(pixels @ LUMA - np.asarray(Image.fromarray(pixels).convert("L"))).max() <= 0.51

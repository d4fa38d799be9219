"""Pictures to mix with: coloured fractals over noise, drawn here, so that nothing is downloaded.

A fractal is the attractor of an iterated function system, some affine maps that all shrink the plane. It is drawn by the
chaos game (Barnsley 1988): walkers jump by one map or another, and the density of where they land is the picture.
PixMix mixes with collected fractals (Hendrycks et al. 2022, arXiv:2112.05135, section 3); random ones teach much the same
(Kataoka et al. 2020, "Pre-training without natural images"; Anderson and Farrell 2022, arXiv:2110.03091).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Complex64, Float, UInt8

from reslab.data.draws import uniforms

MOST_SIDE = 576
"""Larger pictures are mixed with enlarged ones."""
BURN_IN, JUMPS = 12, 36
"""Jumps that bring a walker to the attractor, and all jumps."""

_SEED = 2022
_COUNT, _PIXELS = (16, 512), 5_000_000  # least and most pictures, and what they may have together
_MAPS = (2, 4)  # least and most
_CANDIDATES = 64  # systems drawn for one that is needed; about one in thirteen is accepted
_SLOTS = 256  # a walker's map is read from a table with so many places, divided by the maps' weights
_HITS = 6  # per pixel, on average
_BATCH_PIXELS = 2**17  # of pictures that are drawn at a time: arrays that fit the cache


@dataclass(frozen=True, slots=True)
class Systems:
    """Iterated function systems. A map is `z -> a z + b conj(z) + c`: every affine map of the plane has this form."""

    a: Complex64[np.ndarray, "systems maps"]
    b: Complex64[np.ndarray, "systems maps"]
    c: Complex64[np.ndarray, "systems maps"]
    weights: Float[np.ndarray, "systems maps"]
    """How often a walker jumps by each map; 0 for one that the system lacks."""


def draw_systems(seed: int, count: int) -> Systems:
    """Random systems that shrink neither too little (a blur) nor too much (dust).

    The rule is Anderson and Farrell's (section 3.2): every map has singular values s1 >= s2 below 1, and the sum of
    s1 + 2 s2 over the N maps lies between (5 + N) / 2 and (6 + N) / 2. A map weighs as its determinant s1 s2 (Barnsley).
    """
    most = _MAPS[1]
    draws = uniforms(seed, "systems", 0, np.arange(count * _CANDIDATES), 1 + 6 * most)
    maps = _MAPS[0] + (draws[:, 0] * (1 + most - _MAPS[0])).astype(int)
    there = np.arange(most) < maps[:, None]
    s1, ratio, turn, turned, x, y = np.moveaxis(draws[:, 1:].reshape(-1, most, 6), 2, 0)
    s2 = s1 * ratio
    total = ((s1 + 2 * s2) * there).sum(1)
    fit = np.flatnonzero((total >= (5 + maps) / 2) & (total <= (6 + maps) / 2))[:count]
    assert len(fit) == count
    # |a| + |b| and |a| - |b| are the singular values; a mirroring map has |a| < |b|.
    flips = np.where(uniforms(seed, "mirrors", 0, np.arange(len(maps)), most) < 0.5, -1, 1)
    a = (s1 + flips * s2) / 2 * np.exp(2j * np.pi * turn)
    b = (s1 - flips * s2) / 2 * np.exp(2j * np.pi * turned)
    c = 2 * x - 1 + 1j * (2 * y - 1)
    weights = s1 * s2 * there
    a, b, c = (values[fit].astype(np.complex64) for values in (a, b, c))
    return Systems(a, b, c, weights[fit] / weights[fit].sum(1, keepdims=True))


def draw_jumps(seed: int, side: int) -> UInt8[np.ndarray, "walkers jumps"]:
    """The jumps of as many walkers as hit each of `side * side` pixels a few times."""
    walkers = side * side * _HITS // (JUMPS - BURN_IN)
    return (uniforms(seed, "jumps", 0, np.arange(walkers), JUMPS) * _SLOTS).astype(np.uint8)


def densities(
    systems: Systems, views: Float[np.ndarray, "systems 3"], jumps: UInt8[np.ndarray, "walkers jumps"], side: int
) -> tuple[Float[np.ndarray, "systems side side"], Float[np.ndarray, "systems side side"]]:
    """Play the chaos game.

    Args:
        views: what is seen of each attractor: where its centre lies (across, down) and half a width, in standard deviations.
        jumps: which place of the table of maps a walker takes, jump by jump; the first `BURN_IN` are not drawn.

    Returns:
        How often each pixel was hit, and the mean colour of the walkers there, from 0 to 1: at each jump a walker's colour
        moves half the way to that of its map (Draves and Reckase 2003, the flame algorithm).
    """
    count, most = systems.a.shape
    places = (np.arange(_SLOTS) + 0.5) / _SLOTS
    slot = (places[:, None] > np.cumsum(systems.weights, axis=1)[:, None, :-1]).sum(2)  # the map of each place
    a, b, c = (np.take_along_axis(values, slot, 1) for values in (systems.a, systems.b, systems.c))
    hue = (slot / (most - 1)).astype(np.float32)
    z, colour = np.zeros((count, len(jumps)), np.complex64), np.full((count, len(jumps)), 0.5, np.float32)
    hits, sums = np.zeros(count * side * side), np.zeros(count * side * side)
    scale, corner = np.ones((count, 1)), np.zeros((count, 1), np.complex64)
    first = np.arange(count)[:, None] * side * side
    for number, jump in enumerate(jumps.T):
        z = a[:, jump] * z + b[:, jump] * z.conj() + c[:, jump]
        colour = (colour + hue[:, jump]) / 2
        if number == BURN_IN:
            deviation = np.maximum(z.real.std(1), z.imag.std(1)) + 1e-6
            middle = z.mean(1) + deviation * (views[:, 0] + 1j * views[:, 1])
            corner = (middle - deviation * views[:, 2] * (1 + 1j)).astype(np.complex64)[:, None]
            scale = (side / (2 * deviation * views[:, 2])).astype(np.float32)[:, None]
        if number >= BURN_IN:
            at = (z - corner) * scale
            seen = (at.real >= 0) & (at.real < side) & (at.imag >= 0) & (at.imag < side)
            pixel = (first + at.imag.astype(int) * side + at.real.astype(int))[seen]
            hits += np.bincount(pixel, minlength=len(hits))
            sums += np.bincount(pixel, colour[seen], minlength=len(hits))
    shape = (count, side, side)
    return hits.reshape(shape), (sums / np.maximum(hits, 1)).reshape(shape)


def noise(seed: int, indices: np.ndarray, slopes: np.ndarray, side: int) -> Float[np.ndarray, "pictures side side"]:
    """Noise whose amplitudes fall as a power of the frequency (Baradad et al. 2021, arXiv:2106.05963), squeezed into 0 to 1.

    Args:
        indices: which draws to use, `[pictures]`.
        slopes: the power of each picture, `[pictures]`.
    """
    down, across = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf  # no mean
    phases = uniforms(seed, "noise", 0, indices, frequency.size).reshape(-1, *frequency.shape)
    waves = np.fft.irfft2(frequency ** -slopes[:, None, None] * np.exp(2j * np.pi * phases), s=(side, side))
    spread = waves.std((1, 2), keepdims=True)
    return 0.5 + 0.5 * np.tanh(waves / spread / 2)


def painted(field: np.ndarray, draws: Float[np.ndarray, "pictures 4"]) -> Float[np.ndarray, "pictures side side 3"]:
    """A field from 0 to 1 in colours: each channel is a cosine of it, of the same frequency and its own phase."""
    frequency, phases = 0.3 + draws[:, 0], draws[:, None, None, 1:]
    return 0.5 + 0.5 * np.cos(2 * np.pi * (frequency[:, None, None, None] * field[..., None] + phases))


@lru_cache(maxsize=2)
def mixing_pictures(side: int) -> UInt8[np.ndarray, "pictures side side 3"]:
    """As many fractals as are useful and quickly drawn: 512 of up to 98 px, fewer of larger ones; always the same."""
    count = int(np.clip(_PIXELS // side**2, *_COUNT))
    systems = draw_systems(_SEED, count)
    looks = uniforms(_SEED, "looks", 0, np.arange(count), 13)
    jumps = draw_jumps(_SEED, side)
    pictures = np.empty((count, side, side, 3), np.uint8)
    at_once = max(1, _BATCH_PIXELS // side**2)
    for begin in range(0, count, at_once):
        rows = slice(begin, begin + at_once)
        pictures[rows] = _drawn(
            Systems(systems.a[rows], systems.b[rows], systems.c[rows], systems.weights[rows]),
            looks[rows], jumps, np.arange(count)[rows], side,
        )  # fmt: skip
    return pictures


def _drawn(
    systems: Systems, looks: np.ndarray, jumps: np.ndarray, indices: np.ndarray, side: int
) -> UInt8[np.ndarray, "_ side side 3"]:
    """Fractals in the foreground, opaque where they are dense, over noise that may be dark."""
    views = np.column_stack([looks[:, :2] - 0.5, 0.6 + 1.4 * looks[:, 2]])
    hits, colour = densities(systems, views, jumps, side)
    cover = np.log1p(hits)
    cover /= np.quantile(cover, 0.98, axis=(1, 2), keepdims=True) + 1e-6
    cover = np.minimum(cover, 1)[..., None]
    ground = painted(noise(_SEED, indices, 1 + looks[:, 3], side), looks[:, 4:8]) * looks[:, 8, None, None, None]
    return np.rint(255 * (cover * painted(colour, looks[:, 9:13]) + (1 - cover) * ground)).astype(np.uint8)

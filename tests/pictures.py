"""Small real pictures for the tests: classes that a network can tell apart after an epoch or two."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {
    "blue": (40, 60, 200),
    "green": (40, 180, 60),
    "red": (200, 50, 40),
    "violet": (150, 40, 170),
    "white": (225, 225, 225),
}


def colour_picture(name: str, number: int, size: tuple[int, int] = (24, 18)) -> Image.Image:
    """A noisy patch of one colour; every number gives another picture."""
    noise = np.random.default_rng([number, len(name), ord(name[0])]).normal(0, 25, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8))


def colour_folder(root: Path, classes: int = 3, each: int = 12, prefix: str = "", start: int = 0) -> Path:
    """`root/<prefix>/<class>/<n>.png` for some classes; another `start` gives other pictures."""
    for name in sorted(COLOURS)[:classes]:
        folder = root / prefix / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(start, start + each):
            colour_picture(name, number).save(folder / f"{number:03d}.png")
    return root


def tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder with its time of change and content."""
    return {
        str(p.relative_to(root)): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(root.rglob("*")) if p.is_file()
    }


PATCHES = ("blue", "green", "red")


def patches_picture(labels: Sequence[str], number: int, side: int = 16) -> Image.Image:
    """Grey noise with a patch of each of these colours, each in a corner of its own."""
    pixels = 110 + np.random.default_rng([number, 7]).normal(0, 12, (side, side, 3))
    half = side // 2
    for corner, name in enumerate(PATCHES):
        if name in labels:
            upper, left = half * (corner // 2), half * (corner % 2)
            pixels[upper : upper + half, left : left + half] += 0.8 * (np.array(COLOURS[name]) - 110)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def patches_table(root: Path, count: int = 80) -> Path:
    """`root/patches.csv` over pictures with any number of coloured patches; about a tenth has none."""
    root.mkdir(parents=True, exist_ok=True)
    lines = ["path,label"]
    for number in range(count):
        labels = [name for k, name in enumerate(PATCHES) if (number * (k + 2)) % 7 < 3]
        patches_picture(labels, number).save(root / f"{number:03d}.png")
        lines.append(f"{number:03d}.png,{';'.join(labels)}")
    (root / "patches.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root / "patches.csv"

"""Small real pictures for the tests: classes that a network can tell apart after an epoch or two."""

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

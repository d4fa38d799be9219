"""The sets of pictures that the comparisons of equal minutes use, made from `ants_bees.zip` and `cifar10.zip`.

    python benchmarks/sets.py SOURCE TARGET [NAME ...]

SOURCE holds both zips (CLASS folders below `train` and `val` or `test`). Each set is a folder TARGET/NAME with `data` (`train`,
`val` and `test` hold class folders) and `dev`, whose `test` are pictures of its own: by them
a rule may be chosen, by `data/test` it is judged.

- `cifar10`: 45,000 to train on, 5,000 to validate (they are `dev` too), 10,000 to test, 32 px.
- `ants`: 220 photographs of ants and bees to train on, 25 to validate (no `dev`), 153 to test; `ants-0` to `ants-3` have every
  fourth of those to train on as `dev`.
- `clutter-SIDE-CLASSES-PICTURES`: each picture of CIFAR-10 enlarged to 0.4 to 0.8 of the side and pasted at a random place on a
  background that is noise, stripes, or another picture in a mosaic. With 50 classes, what is pasted and one of five backgrounds
  make the class. A tenth of the pictures validates; 1,000 for `dev` and 2,000 to test. Drawn from fixed seeds.
"""

import argparse
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("cifar10", "ants", "clutter-128-3-300", "clutter-128-10-2000", "clutter-256-10-2000", "clutter-128-50-10000")
ANTS = re.compile(r"ants-([0-3])")
FOLDS = 4
CLUTTER = re.compile(r"clutter-(\d+)-(\d+)-(\d+)")
BACKGROUNDS = 5
VALIDATES = 10
"""One picture in so many validates."""


def make(name: str, source: Path, target: Path) -> Path:
    """The folder of a set; made if it is not there."""
    place, unfinished = target / name, target / f"{name}.unfinished"
    if not place.is_dir():
        clutter = CLUTTER.fullmatch(name)
        fold = ANTS.fullmatch(name)
        if clutter:
            pictures = drawn(source, *map(int, clutter.groups()))
        else:
            pictures = held_out(int(fold[1]), copied("ants", source)) if fold else copied(name, source)
        for file, content in pictures:
            (unfinished / file).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / file).write_bytes(content)
        if name == "cifar10":
            (unfinished / "dev").mkdir()
            (unfinished / "dev" / "test").symlink_to(Path("..", "data", "val"))
        unfinished.rename(place)
    return place


def members(source: Path, name: str) -> Iterator[tuple[str, str, str, bytes]]:
    """Split, class, file name and content of each picture of a zip, by name."""
    with zipfile.ZipFile(source / f"{name}.zip") as archive:
        for member in sorted(archive.namelist()):
            parts = Path(member).parts
            if len(parts) >= 3 and not member.endswith("/") and parts[-3] in ("train", "val", "test"):
                yield parts[-3], parts[-2], parts[-1], archive.read(member)


def copied(name: str, source: Path) -> Iterator[tuple[str, bytes]]:
    """A zip's pictures; its `val` becomes `test` where it has none, and of its `train` one in ten validates."""
    for number, (split, label, file, content) in enumerate(members(source, {"ants": "ants_bees"}.get(name, name))):
        validates = split == "train" and number % VALIDATES == 0
        yield f"data/{'val' if validates else 'train' if split == 'train' else 'test'}/{label}/{file}", content


def held_out(fold: int, pictures: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """A set without test pictures; every fourth of those to train on becomes `dev`."""
    number = 0
    for file, content in pictures:
        if file.startswith("data/train/"):
            number += 1
            file = file.replace("data/train/", "dev/test/") if (number - 1) % FOLDS == fold else file
        if not file.startswith("data/test/"):
            yield file, content


def drawn(source: Path, side: int, classes: int, pictures: int) -> Iterator[tuple[str, bytes]]:
    """Small objects on busy backgrounds. Where the background makes no class, it is drawn at random and tells nothing."""
    found: dict[str, list[bytes]] = {}
    for split, label, _, content in members(source, "cifar10"):
        found.setdefault(f"{split}/{label}", []).append(content)
    objects = sorted({key.split("/")[1] for key in found})[: classes if classes <= 10 else 10]
    per_object = classes // len(objects)
    for number, (part, split, count) in enumerate(
        [("data/train", "train", pictures * (VALIDATES - 1) // VALIDATES), ("data/val", "train", pictures // VALIDATES),
         ("dev/test", "train", 1000), ("data/test", "test", 2000)]
    ):  # fmt: skip
        dice = np.random.default_rng([19, side, classes, pictures, number])
        for index in range(count):
            label, kind = objects[index % len(objects)], int(dice.integers(BACKGROUNDS))
            pool, offset = found[f"{split}/{label}"], {"data/val": 3000, "dev/test": 4000}.get(part, 0)
            thing = pool[(offset + index // len(objects)) % len(pool)]
            if per_object > 1:
                kind = (index // len(objects)) % per_object
            others = found[f"{split}/{objects[int(dice.integers(len(objects)))]}"]
            ground = background(kind, opened(others[int(dice.integers(len(others)))]), side, dice)
            picture = pasted(opened(thing), ground, dice)
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=90)
            yield f"{part}/{label}{f'-{kind}' if per_object > 1 else ''}/{index:05}.jpg", file.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def background(kind: int, other: Image.Image, side: int, dice: np.random.Generator) -> Image.Image:
    """Fine noise, coarse noise, stripes, or another picture, once or as a mosaic."""
    if kind < 2:
        coarse = int(dice.choice([6, 10]) if kind else dice.choice([40, 80]))
        return Image.fromarray(dice.integers(0, 256, (coarse, coarse, 3), dtype=np.uint8)).resize((side, side))
    if kind == 2:
        x, y = np.meshgrid(np.arange(side), np.arange(side))
        angle, period = dice.uniform(0, np.pi), dice.uniform(0.04, 0.25) * side
        wave = 0.5 + 0.5 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
        low, high = dice.integers(0, 256, (2, 3))
        return Image.fromarray((low + wave[..., None] * (high - low)).astype(np.uint8))
    pixels = np.asarray(other)
    tiles = 1 if kind == 3 else 3
    return Image.fromarray(np.tile(pixels, (tiles, tiles, 1))).resize((side, side), Image.Resampling.BICUBIC)


def pasted(picture: Image.Image, ground: Image.Image, dice: np.random.Generator) -> Image.Image:
    side = round(ground.width * dice.uniform(0.4, 0.8))
    left, upper = dice.integers(0, ground.width - side + 1, 2)
    ground.paste(picture.resize((side, side), Image.Resampling.BICUBIC), (int(left), int(upper)))
    return ground


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    for name in options.names:
        print(make(name, options.source, options.target), flush=True)


if __name__ == "__main__":
    main()

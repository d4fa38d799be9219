"""The examples as modules, and tiny zip files to run them on."""

import importlib.util
import io
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
SIZE = (32, 48)


def script(name: str) -> ModuleType:
    """A file of the repository under a name of its own: two are called train.py, and two detection.py."""
    sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "examples/detection")]
    known = "script_" + name.replace("/", "_").removesuffix(".py")
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, ROOT / name)
        assert spec and spec.loader
        sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[known])
    return sys.modules[known]


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def archive(file: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(file, "w") as content:
        for name, data in members.items():
            content.writestr(name, data)
    return file


def voc(label: str, box: tuple[int, int, int, int]) -> str:
    edges = "".join(
        f"<{name}>{edge}</{name}>" for name, edge in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    size = f"<size><width>{SIZE[1]}</width><height>{SIZE[0]}</height></size>"
    return f"<annotation>{size}<object><name>{label}</name><bndbox>{edges}</bndbox></object></annotation>"


def squares(splits: dict[str, int]) -> dict[str, bytes | str]:
    """Bright and dark squares on grey, one per picture, as Pascal VOC."""
    dice, members = np.random.default_rng(0), {}
    for split, count in splits.items():
        keys = [f"{split}{number}" for number in range(count)]
        members[f"X/ImageSets/Main/{split}.txt"] = "\n".join(keys)
        for number, key in enumerate(keys):
            left, top, side = dice.integers(0, 20), dice.integers(0, 12), dice.integers(12, 20)
            pixels = np.full((*SIZE, 3), 128, np.uint8)
            pixels[top : top + side, left : left + side] = 250 if number % 2 else 5
            members[f"X/JPEGImages/{key}.jpg"] = encoded(pixels, "JPEG")
            members[f"X/Annotations/{key}.xml"] = voc(
                ("dark", "bright")[number % 2], (left, top, left + side, top + side)
            )
    return members


def halves(splits: dict[str, int]) -> dict[str, bytes | str]:
    """Sky over ground, with a void line between them, as pictures and masks."""
    dice, members = np.random.default_rng(0), {"Y/classes.txt": "sky\nground\nnowhere\n"}
    for split, count in splits.items():
        for number in range(count):
            edge = int(dice.integers(8, 24))
            mask = np.zeros(SIZE, np.uint8)
            mask[edge], mask[edge + 1 :] = 11, 1
            pixels = np.where(mask[..., None] == 0, (90, 140, 230), (90, 80, 60)).astype(np.uint8)
            members[f"Y/{split}/images/{number}.jpg"] = encoded(pixels, "JPEG")
            members[f"Y/{split}/masks/{number}.png"] = encoded(mask, "PNG")
    return members

"""Data sets known by name: scikit-learn's handwritten digits, built in, and torchvision's, downloaded once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from torchvision import datasets

from reslab.data.catalog import Catalog, Picture, Split
from reslab.errors import ResLabError


@dataclass(frozen=True, slots=True)
class _Named:
    """How torchvision gives one set, and what a person without network must fetch by hand."""

    opener: Callable[..., Any]
    splits: dict[Split, dict[str, Any]]
    file: str
    checksum: str
    size: str
    mirrored: bool = True


_TRAIN_TEST: dict[Split, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
_SPLIT_WORD: dict[Split, dict[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}

NAMED: dict[str, _Named] = {
    "cifar10": _Named(
        datasets.CIFAR10, _TRAIN_TEST, datasets.CIFAR10.url, "md5 " + datasets.CIFAR10.tgz_md5, "163 MiB"
    ),
    "cifar100": _Named(
        datasets.CIFAR100, _TRAIN_TEST, datasets.CIFAR100.url, "md5 " + datasets.CIFAR100.tgz_md5, "161 MiB"
    ),
    "mnist": _Named(
        datasets.MNIST, _TRAIN_TEST, datasets.MNIST.mirrors[0] + "train-images-idx3-ubyte.gz and its three neighbours",
        "md5 f68b3c2dcbeaaa9fbdd348bbdeb94873", "11 MiB", mirrored=False,
    ),
    "fashion_mnist": _Named(
        datasets.FashionMNIST, _TRAIN_TEST,
        datasets.FashionMNIST.mirrors[0] + "train-images-idx3-ubyte.gz and its three neighbours",
        "md5 8d4fb7e6c68d591d4c3dfef9ec88bf0d", "30 MiB",
    ),
    "svhn": _Named(
        datasets.SVHN, _SPLIT_WORD, datasets.SVHN.split_list["train"][0] + " and test_32x32.mat",
        "md5 " + datasets.SVHN.split_list["train"][2], "235 MiB", mirrored=False,
    ),
    "stl10": _Named(datasets.STL10, _SPLIT_WORD, datasets.STL10.url, "md5 " + datasets.STL10.tgz_md5, "2.5 GiB"),
}  # fmt: skip

_DIGIT_LEVELS = 16
_TEST_EVERY = 5


def read_digits() -> Catalog:
    """1,797 real handwritten digits, 8 x 8 pixels, from scikit-learn (UCI, Alpaydin and Kaynak 1998); no network.

    Every fifth picture is for testing: a fixed set of 359, large enough for a useful interval.
    """
    digits: Any = load_digits()
    grey = np.rint(digits.images * (255 / _DIGIT_LEVELS)).astype(np.uint8)
    pictures = tuple(
        Picture(
            f"digits/{index:04d}",
            np.repeat(grey[index][..., None], 3, axis=2),
            str(digits.target[index]),
            "test" if index % _TEST_EVERY == _TEST_EVERY - 1 else "train",
        )
        for index in range(len(grey))
    )
    return Catalog("digits", "digits", pictures, mirrored=False)


def read_named(name: str, data_dir: Path | None) -> Catalog:
    """One of torchvision's sets, from `data_dir` or downloaded there.

    Raises:
        ResLabError: it is neither there nor to be downloaded; the message names file, size, checksum and folder.
    """
    known = NAMED[name]
    folder = data_dir or Path.home() / ".cache" / "reslab" / "data"
    parts: dict[Split, Any] = {}
    for split, arguments in known.splits.items():
        parts[split] = _open(name, known, folder, arguments)
    classes = _class_names(parts["train"])
    pictures = tuple(
        Picture(f"{name}/{split}/{index:05d}", pixels, classes[int(label)], split)
        for split, part in parts.items()
        for index, (pixels, label) in enumerate(zip(_arrays(part), _labels(part), strict=True))
    )
    return Catalog(name, name, pictures, mirrored=known.mirrored)


def _open(name: str, known: _Named, folder: Path, arguments: dict[str, Any]) -> Any:  # noqa: ANN401
    try:
        return known.opener(root=str(folder), download=False, **arguments)
    except (RuntimeError, OSError):
        pass
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return known.opener(root=str(folder), download=True, **arguments)
    except (RuntimeError, OSError) as error:
        raise ResLabError(
            f"{name} is not in {folder} and could not be downloaded ({str(error).splitlines()[0]})",
            f"fetch {known.file} ({known.size}, {known.checksum}) and put it into {folder}, or give --data-dir",
        ) from None


def _class_names(part: Any) -> list[str]:  # noqa: ANN401
    names = getattr(part, "classes", None)
    if names is None:
        return [str(label) for label in range(int(max(_labels(part))) + 1)]
    return [str(name).split(" - ")[0] if str(name)[:1].isdigit() else str(name) for name in names]


def _labels(part: Any) -> Any:  # noqa: ANN401
    return part.targets if hasattr(part, "targets") else part.labels


def _arrays(part: Any) -> np.ndarray:  # noqa: ANN401
    """uint8 `[n, height, width, 3]`, from each set's own layout."""
    pixels = np.asarray(part.data)
    if pixels.ndim == 3:
        return np.repeat(pixels[..., None], 3, axis=3)
    return pixels.transpose(0, 2, 3, 1) if pixels.shape[1] == 3 and pixels.shape[3] != 3 else pixels

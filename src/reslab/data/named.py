"""torchvision's data sets by name, downloaded once."""

import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets

from reslab.data.catalog import Catalog, Picture, Split
from reslab.errors import ResLabError
from reslab.system.fetch import cache_folder


@dataclass(frozen=True, slots=True)
class _Named:
    """How torchvision provides one data set, and what to download by hand without it."""

    opener: Callable[..., Any]
    splits: dict[Split, dict[str, Any]]
    files: tuple[tuple[str, str], ...]
    """URL and MD5 of each download."""
    size: str
    folder: str = "."
    """Where torchvision looks for the files, below the data folder."""
    mirrored: bool = True


_TRAIN_TEST: dict[Split, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
_SPLIT_WORD: dict[Split, dict[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}


def _archive(kind: Any) -> tuple[tuple[str, str], ...]:
    return ((kind.url, kind.tgz_md5),)


def _idx_files(kind: Any) -> tuple[tuple[str, str], ...]:
    return tuple((kind.mirrors[0] + file, md5) for file, md5 in kind.resources)


_SVHN_FILES = tuple((datasets.SVHN.split_list[split][0], datasets.SVHN.split_list[split][2]) for split in _SPLIT_WORD)

NAMED: dict[str, _Named] = {
    "cifar10": _Named(datasets.CIFAR10, _TRAIN_TEST, _archive(datasets.CIFAR10), "163 MiB"),
    "cifar100": _Named(datasets.CIFAR100, _TRAIN_TEST, _archive(datasets.CIFAR100), "161 MiB"),
    "mnist": _Named(
        datasets.MNIST, _TRAIN_TEST, _idx_files(datasets.MNIST), "11 MiB", folder="MNIST/raw", mirrored=False
    ),
    "fashion_mnist": _Named(
        datasets.FashionMNIST, _TRAIN_TEST, _idx_files(datasets.FashionMNIST), "30 MiB", folder="FashionMNIST/raw"
    ),
    "svhn": _Named(datasets.SVHN, _SPLIT_WORD, _SVHN_FILES, "235 MiB", mirrored=False),
    "stl10": _Named(datasets.STL10, _SPLIT_WORD, _archive(datasets.STL10), "2.5 GiB"),
}

PATIENCE = 3.0
"""Seconds after which a server that does not answer counts as no network."""


def read_named(name: str, data_dir: Path | None) -> Catalog:
    """One of torchvision's sets, from `data_dir` or downloaded there.

    Raises:
        ResLabError: it is not there and cannot be downloaded; the message names file, size, checksum and folder.
    """
    known = NAMED[name]
    folder = data_dir or cache_folder("data")
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


def _open(name: str, known: _Named, folder: Path, arguments: dict[str, Any]) -> Any:
    """One split: as it is there, else unpacked from files that are there, else downloaded."""

    def attempt(download: bool) -> Any:
        return known.opener(root=str(folder), download=download, **arguments)

    place = folder / known.folder
    fetched = all((place / url.rsplit("/", 1)[1]).is_file() for url, _ in known.files)
    try:
        return attempt(download=False)
    except Exception as error:  # RuntimeError where files are missing; anything where they are damaged
        why = str(error)
    try:
        why = "" if fetched else _unreachable(known.files[0][0])
        if not why:
            place.mkdir(parents=True, exist_ok=True)
            return attempt(download=True)
    except Exception as error:
        why = str(error)
    files = ", ".join(f"{url} (md5 {md5})" for url, md5 in known.files)
    raise ResLabError(
        f"{name} is not in {folder} and could not be downloaded: {why.splitlines()[0] if why else 'no reason given'}",
        f"download {files}, {known.size} in all, and put it into {place}; or pass the folder of the set with --data-dir",
    )


def _unreachable(url: str) -> str:
    """Why the server of `url` cannot be reached, empty if it can; torchvision itself would wait for minutes."""
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def knock() -> None:
        try:
            urllib.request.build_opener().open(urllib.request.Request(url, method="HEAD"), timeout=PATIENCE).close()
            answers.put("")
        except urllib.error.HTTPError:  # it answers; torchvision asks in its own way
            answers.put("")
        except Exception as error:
            answers.put(str(error) or type(error).__name__)

    threading.Thread(target=knock, daemon=True).start()  # a resolver may hang longer than any timeout
    try:
        return answers.get(timeout=PATIENCE)
    except queue.Empty:
        return f"no answer within {PATIENCE:g} s"


def _class_names(part: Any) -> list[str]:
    names = getattr(part, "classes", None)
    if names is None:
        return [str(label) for label in range(int(max(_labels(part))) + 1)]
    return [str(name).split(" - ")[0] if str(name)[:1].isdigit() else str(name) for name in names]


def _labels(part: Any) -> Any:
    return part.targets if hasattr(part, "targets") else part.labels


def _arrays(part: Any) -> np.ndarray:
    """uint8 `[n, height, width, 3]`, from each set's own layout."""
    pixels = np.asarray(part.data)
    if pixels.ndim == 3:
        return np.repeat(pixels[..., None], 3, axis=3)
    return pixels.transpose(0, 2, 3, 1) if pixels.shape[1] == 3 and pixels.shape[3] != 3 else pixels

"""A folder of class folders, with or without `train/`, `val/`, `test/` around them."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from reslab.data.catalog import Catalog, Picture, Split
from reslab.errors import ResLabError
from reslab.pixels.decode import EXTENSIONS, printable

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
OUTSIDE = "files outside a class folder"
_HIDDEN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


def read_folder(root: Path) -> Catalog:
    """List a folder. Hidden folders and files that are no pictures are skipped and counted; nothing is opened."""
    skipped: Counter[str] = Counter()
    splits = _split_folders(root)
    pictures: list[Picture] = []
    empty: list[tuple[str, Split | None]] = []
    for base, split in splits or [(root, None)]:
        for class_folder in _visible_folders(base, skipped):
            found = [
                Picture(printable(path.relative_to(root).as_posix()), path, label_of(class_folder.name), split)
                for path in _picture_files(class_folder, skipped)
            ]
            pictures += found
            if not found:
                empty.append((printable(class_folder.relative_to(root).as_posix()), split))
        skipped[OUTSIDE] += _loose_files(base)
    if splits:
        taken = {base for base, _ in splits}
        skipped["folders beside the splits"] += sum(f not in taken for f in _visible_folders(root, Counter()))
        skipped[OUTSIDE] += _loose_files(root)
    return Catalog(
        name=printable(root.resolve().name) or "data",
        root=printable(root),
        pictures=tuple(sorted(pictures, key=lambda p: p.key)),
        skipped={reason: n for reason, n in skipped.items() if n},
        empty_classes=tuple(empty),
    )


def label_of(name: str) -> str:
    """A class's name as it is compared: in composed Unicode; some systems store an accent as a letter of its own."""
    return unicodedata.normalize("NFC", printable(name))


def picture_files(folder: Path) -> Iterator[Path]:
    """Every picture below a folder, in sorted order; hidden folders are passed over."""
    yield from _picture_files(folder, Counter())


def _split_folders(root: Path) -> list[tuple[Path, Split]]:
    """The split folders, or none: a folder `train` that directly holds pictures is a class of trains.

    One of them must be for training, unless there is nothing but splits (somebody's test set, to be scored).
    """
    folders = _visible_folders(root, Counter())
    splits = [(folder, _SPLIT_NAMES.get(folder.name.lower())) for folder in folders]
    found = [(folder, split) for folder, split in splits if split and _visible_folders(folder, Counter())]
    return found if any(split == "train" for _, split in found) or len(found) == len(folders) else []


def _picture_files(folder: Path, skipped: Counter[str], seen: set[str] | None = None) -> Iterator[Path]:
    """In sorted order, following links, each real folder once and never one that contains the first."""
    real = os.path.realpath(folder)
    seen = {str(parent) for parent in Path(real).parents} if seen is None else seen
    if real in seen:
        return
    seen.add(real)
    for entry in _entries(folder):
        pictorial = Path(entry.name).suffix.lower() in EXTENSIONS
        if _is_hidden(entry.name):
            skipped["hidden folders" if _is_folder(entry) else "hidden files"] += 1
        elif _is_folder(entry) and not pictorial:
            yield from _picture_files(Path(entry.path), skipped, seen)
        elif pictorial:
            yield Path(entry.path)
        else:
            skipped["files that are no pictures"] += 1


def _visible_folders(base: Path, skipped: Counter[str]) -> list[Path]:
    folders = [entry for entry in _entries(base) if _is_folder(entry)]
    skipped["hidden folders"] += sum(_is_hidden(entry.name) for entry in folders)
    return [Path(entry.path) for entry in folders if not _is_hidden(entry.name)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        hint = "make it readable, or move it out of the data folder"
        raise ResLabError(f"cannot list {printable(folder)}: {error.strerror}", hint) from None


def _loose_files(folder: Path) -> int:
    return sum(not _is_folder(entry) for entry in _entries(folder))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _HIDDEN

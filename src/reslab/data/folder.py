"""A folder of class folders, with or without `train/`, `val/`, `test/` around them."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from reslab.data.catalog import Catalog, Picture, Split
from reslab.pixels.decode import EXTENSIONS

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_HIDDEN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


def read_folder(root: Path) -> Catalog:
    """List a folder. Hidden folders and files that are no pictures are skipped and counted; nothing is opened."""
    skipped: Counter[str] = Counter()
    splits = _split_folders(root)
    pictures: list[Picture] = []
    empty: list[str] = []
    for base, split in splits or [(root, None)]:
        for class_folder in _visible_folders(base, skipped):
            found = [
                Picture(path.relative_to(root).as_posix(), path, class_folder.name, split)
                for path in _picture_files(class_folder, skipped)
            ]
            pictures += found
            if not found:
                empty.append(class_folder.relative_to(root).as_posix())
        skipped["files outside a class folder"] += sum(1 for e in _entries(base) if e.is_file())
    if splits:
        taken = {base for base, _ in splits}
        skipped["folders beside the splits"] += sum(f not in taken for f in _visible_folders(root, Counter()))
        skipped["files outside a class folder"] += sum(1 for e in _entries(root) if e.is_file())
    return Catalog(
        name=root.resolve().name or "data",
        root=str(root),
        pictures=tuple(sorted(pictures, key=lambda p: p.key)),
        skipped={reason: n for reason, n in skipped.items() if n},
        empty_classes=tuple(empty),
    )


def picture_files(folder: Path) -> Iterator[Path]:
    """Every picture below a folder, in sorted order; hidden folders are passed over."""
    yield from _picture_files(folder, Counter())


def _split_folders(root: Path) -> list[tuple[Path, Split]]:
    """The split folders, or none: a folder `train` that directly holds pictures is a class of trains."""
    found = []
    for entry in _entries(root):
        split = _SPLIT_NAMES.get(entry.name.lower())
        if split and entry.is_dir() and any(e.is_dir() and not _is_hidden(e.name) for e in _entries(Path(entry.path))):
            found.append((Path(entry.path), split))
    return found if any(split == "train" for _, split in found) or len(found) > 1 else []


def _picture_files(folder: Path, skipped: Counter[str]) -> Iterator[Path]:
    """Depth first, following links, each real folder once."""
    seen: set[str] = set()
    stack = [folder]
    while stack:
        here = stack.pop()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        for entry in _entries(here):
            if _is_hidden(entry.name):
                skipped["hidden folders" if entry.is_dir() else "hidden files"] += 1
            elif entry.is_dir() and Path(entry.name).suffix.lower() not in EXTENSIONS:
                stack.append(Path(entry.path))
            elif Path(entry.name).suffix.lower() in EXTENSIONS:
                yield Path(entry.path)
            else:
                skipped["files that are no pictures"] += 1


def _visible_folders(base: Path, skipped: Counter[str]) -> list[Path]:
    folders = [e for e in _entries(base) if e.is_dir()]
    skipped["hidden folders"] += sum(_is_hidden(e.name) for e in folders)
    return [Path(e.path) for e in folders if not _is_hidden(e.name)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda e: e.name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _HIDDEN

"""A folder of class folders, with or without `train/`, `val/`, `test/` around them; or such a folder inside an archive."""

import os
import re
import unicodedata
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, TypeVar

from reslab.data.catalog import SPLIT_WORDS, Catalog, Member, Picture, Split
from reslab.errors import BadPicture, ResLabError
from reslab.pixels.decode import EXTENSIONS, printable

OUTSIDE = "files outside a class folder"
_BESIDE = "folders beside the splits"
_LOCKED = "make it readable, or move it out of the data folder"
_HIDDEN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


class Node(Member):
    """A file or folder inside an archive that is listed like one on the disk."""

    __slots__ = ()
    name: str
    parent: "Node"

    @abstractmethod
    def is_dir(self) -> bool: ...

    @abstractmethod
    def is_file(self) -> bool:
        """Whether it is a regular file, not a link."""

    def stat(self) -> object:
        """Something true: what an archive lists is there."""
        return True

    @abstractmethod
    def entries(self) -> "list[Node]":
        """What lies in it, in sorted order."""

    @abstractmethod
    def relative_to(self, root: "Node") -> PurePath:
        """Its path below `root`."""


Folder = TypeVar("Folder", Path, Node)


def read_folder(root: Path) -> Catalog:
    """List a folder. Hidden folders and files other than pictures are skipped and counted; nothing is opened."""
    return read_tree(root, printable(root.resolve().name) or "data", printable(root))


def read_tree(root: Folder, name: str, written: str) -> Catalog:
    """The same for a folder on the disk or in an archive.

    Args:
        name, written: the catalog's `name` and `root`.
    """
    skipped: Counter[str] = Counter()
    top, splits = _layout(root)
    found: list[Picture] = []
    empty: list[tuple[str, Split | None]] = []
    for base, split in splits or [(top, None)]:
        for class_folder in _visible_folders(base, skipped):
            within = _pictures_of(class_folder, _below(class_folder, root), split, skipped)
            found += within
            if not within:
                empty.append((_below(class_folder, root), split))
        skipped[OUTSIDE] += _loose_files(base)
    if splits:
        skipped[OUTSIDE] += _loose_files(top)
    unused = _unused(top, splits)
    skipped[_BESIDE] += len(unused)
    holding = [label_of(f.name) for f in unused if f.name.lower() not in SPLIT_WORDS and _holds_pictures(f)]
    doubt = f"{', '.join(sorted(holding))}: beside {', '.join(sorted(base.name for base, _ in splits))}; not used"
    return Catalog(
        name=name,
        root=written,
        pictures=_with_composed_keys(found),
        skipped={reason: n for reason, n in skipped.items() if n},
        empty_classes=tuple(empty),
        doubts=((_BESIDE, doubt),) if holding else (),
    )


def _pictures_of(folder: Path | Node, place: str, split: Split | None, skipped: Counter[str]) -> list[Picture]:
    """The pictures of a class folder; their keys are paths as they are written.

    Args:
        place: the path of `folder` below the root.
    """
    label, files = label_of(folder.name), _picture_files(folder, skipped)
    if isinstance(folder, Path):
        start = len(str(folder)) + 1
        return [Picture(f"{place}/{printable(f[start:].replace(os.sep, '/'))}", f, label, split) for f in files]
    return [Picture(f"{place}/{_below(node, folder)}", node, label, split) for node in files]


def _with_composed_keys(found: list[Picture]) -> tuple[Picture, ...]:
    """Pictures in the order of their keys: paths in composed Unicode, unless two files would then have the same."""
    pictures = [p for p in found if unicodedata.is_normalized("NFC", p.key)]
    if len(pictures) < len(found):
        taken = {p.key for p in pictures}
        apart = (p for p in found if not unicodedata.is_normalized("NFC", p.key))
        for picture in sorted(apart, key=lambda p: p.key.split("/")):
            composed = unicodedata.normalize("NFC", picture.key)
            key = picture.key if composed in taken else composed
            taken.add(key)
            pictures.append(replace(picture, key=key))
    return tuple(sorted(pictures, key=lambda p: p.key))


def _below(place: Any, root: Any) -> str:
    """The path of a file or folder below `root`."""
    return printable(place.relative_to(root).as_posix())


def label_of(name: str) -> str:
    """A class's name in composed Unicode, so that names compare equal: some systems store an accent as a separate letter."""
    return unicodedata.normalize("NFC", printable(name))


def picture_files(folder: Path) -> Iterator[Path | BadPicture]:
    """Every picture below a folder, in sorted order, then the folders that cannot be listed; hidden ones are skipped."""
    locked: list[BadPicture] = []
    for found in _picture_files(folder, Counter(), locked):
        yield Path(found)
    yield from locked


def pictures_below(root: Node) -> Iterator[Node]:
    """Every picture in a folder of an archive, in sorted order; hidden ones are skipped."""
    return _picture_files(root, Counter())


def _layout(root: Folder) -> tuple[Folder, list[tuple[Folder, Split]]]:
    """The parent of the class folders, and the split folders if there are any: the folder itself, or the only one in it."""
    splits, folders = _split_folders(root), _visible_folders(root, Counter())
    if not splits and len(folders) == 1:
        inner, within = folders[0], _split_folders(folders[0])
        return (inner, within) if within else (root, [])
    return root, splits


def _split_folders(root: Folder) -> list[tuple[Folder, Split]]:
    """The split folders, or none: a folder `train` that directly holds pictures is a class of trains.

    One of them must be for training, unless there are only split folders (such as a test set to be scored). Names may
    share a part: `seg_train` and `seg_test`. A folder in a folder of the same name counts as one.
    """
    folders = _visible_folders(root, Counter())
    # Group the folders by what their names have besides the split's: `seg` for seg_train, nothing for train.
    common: dict[str, list[tuple[Folder, Split]]] = {}
    for folder in folders:
        split, rest = _split_word(folder.name)
        if split and _visible_folders(folder, Counter()):
            common.setdefault(rest, []).append((_unwrapped(folder), split))
    plain = common.pop("", [])
    if plain:
        # `train` with one class folder, beside folders of pictures: more likely a class of trains among other classes.
        trains = any(split == "train" for _, split in plain)
        lone = len(plain) == 1 and len(_visible_folders(plain[0][0], Counter())) == 1
        others = [f for f in folders if f.name.lower() not in SPLIT_WORDS and _holds_pictures(f)]
        return plain if len(plain) == len(folders) or (trains and not (lone and others)) else []
    return next((found for found in common.values() if {"train"} < {split for _, split in found}), [])


def _split_word(name: str) -> tuple[Split | None, str]:
    """The split that a folder's name contains, and the rest of the name."""
    parts = re.split(r"[ ._-]+", name.lower())
    for word, rest in ((parts[0], parts[1:]), (parts[-1], parts[:-1])):
        if word in SPLIT_WORDS:
            return SPLIT_WORDS[word], "_".join(rest)
    return None, name


def _unwrapped(folder: Folder) -> Folder:
    """The folder, or the only one in it if that has the same name and folders of its own, as in train/train/cats."""
    inner = _visible_folders(folder, Counter())
    wraps = len(inner) == 1 and inner[0].name == folder.name and _visible_folders(inner[0], Counter())
    return inner[0] if wraps else folder


def _unused(top: Folder, splits: list[tuple[Folder, Split]]) -> list[Folder]:
    """Folders beside the split folders."""
    taken = {base for base, _ in splits} | {base.parent for base, _ in splits}
    return [f for f in _visible_folders(top, Counter()) if f not in taken] if splits else []


def _holds_pictures(folder: Folder) -> bool:
    return any(_is_pictorial(e.name) and not _is_folder(e) and not _is_hidden(e.name) for e in _entries(folder))


def _picture_files(
    folder: Path | Node, skipped: Counter[str], locked: list[BadPicture] | None = None, seen: set[str] | None = None
) -> Iterator[Any]:
    """In sorted order, following links, each real folder once and never one that contains the first.

    A file on the disk is its path as text, which takes a quarter of the memory of a `Path`.

    Args:
        locked: collects the folders that cannot be listed, which without it are an error.
    """
    real = os.path.realpath(folder) if isinstance(folder, Path) else str(id(folder))
    seen = {str(parent) for parent in Path(real).parents} if seen is None else seen
    if real in seen:
        return
    seen.add(real)
    try:
        entries = _entries(folder)
    except ResLabError as error:
        if locked is None:
            raise
        locked.append(
            BadPicture(printable(str(folder)), f"the folder cannot be listed: {error.message.rsplit(': ')[-1]}")
        )
        return
    for entry in entries:
        pictorial = _is_pictorial(entry.name)
        if _is_hidden(entry.name):
            skipped["hidden folders" if _is_folder(entry) else "hidden files"] += 1
        elif _is_folder(entry) and not pictorial:
            yield from _picture_files(_place(entry), skipped, locked, seen)
        elif pictorial and _is_special(entry):
            skipped["pipes, sockets and devices"] += 1
        elif pictorial:
            yield entry.path if isinstance(entry, os.DirEntry) else entry
        else:
            skipped["files that are no pictures"] += 1


def _visible_folders(base: Folder, skipped: Counter[str]) -> list[Folder]:
    folders = [entry for entry in _entries(base) if _is_folder(entry)]
    skipped["hidden folders"] += sum(_is_hidden(entry.name) for entry in folders)
    return [_place(entry) for entry in folders if not _is_hidden(entry.name)]


def _entries(folder: Path | Node) -> list[Any]:
    """What lies in a folder, in sorted order: `os.DirEntry` on the disk, else `Node`."""
    if not isinstance(folder, Path):
        return folder.entries()
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise ResLabError(f"cannot list {printable(folder)}: {error.strerror}", _LOCKED) from None


def _place(entry: Any) -> Any:
    """The folder of an entry."""
    return Path(entry.path) if isinstance(entry, os.DirEntry) else entry


def _loose_files(folder: Path | Node) -> int:
    return sum(not _is_folder(entry) for entry in _entries(folder))


def _is_folder(entry: os.DirEntry[str] | Node) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False


def _is_special(entry: os.DirEntry[str] | Node) -> bool:
    """Neither a file nor a folder, so that reading it may block forever; a broken link does not count."""
    try:
        return not (entry.is_file() or entry.is_dir()) and bool(entry.stat())
    except OSError:
        return False


def _is_pictorial(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122  for every file


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _HIDDEN

"""Read DATA, as the user names it, into a catalog. Nothing is ever written to DATA."""

import dataclasses
import os
import re
from pathlib import Path

from reslab.data.archives.open import is_archive, is_sharded, read_archive
from reslab.data.archives.places import is_url
from reslab.data.archives.shards import INDEX_NAME
from reslab.data.catalog import Catalog
from reslab.data.folder import OUTSIDE, read_folder
from reslab.data.table import read_table
from reslab.errors import ResLabError, nearest
from reslab.pixels.decode import printable
from reslab.system.fetch import cache_folder

NAMES = ("digits", "cifar10", "cifar100", "mnist", "fashion_mnist", "svhn", "stl10")
"""Data sets with a name. `digits` is built in."""

BUILT_IN = "digits"

TABLES = (".csv", ".tsv", ".txt")

KINDS = "DATA is a folder, a .csv/.tsv table, a folder or URL of shards, a .zip, .parquet, or a name"
_LETTER_OR_DIGIT = re.compile(r"\w")
_SIDES = {"left", "right", "clockwise", "counterclockwise", "左", "右"}


def read_data(data: str | Path, data_dir: str | Path | None = None) -> Catalog:
    """The catalog of a folder, a CSV/TSV file, an archive (`data.archives`) or a named set.

    Args:
        data: a path, a URL, or one of `NAMES`. A path that exists wins over a name.
        data_dir: the folder of a named set, or where to download it.

    Raises:
        ResLabError: there is no such path, or no picture in it.
    """
    if is_archive(data):
        return read_archive(data) if is_sharded(data) else _with_mirror_rule(read_archive(data))
    path = path_of(data, "DATA")
    if path.is_dir():
        catalog = read_folder(path)
    elif path.is_file():
        if path.suffix.lower() not in TABLES:
            raise ResLabError(f"{path} is a file, not a data set", KINDS)
        catalog = read_table(path)
    elif str(data).lower() in NAMES:
        return _named(str(data).lower(), None if data_dir is None else Path(data_dir))
    else:
        raise ResLabError(f"there is no {data}", f"{KINDS}; {nearest(str(data), NAMES)}")
    if not catalog.pictures:
        loose = catalog.skipped.get(OUTSIDE, 0)
        what = f"has no class folders, only {loose} file(s) beside each other" if loose else "holds no pictures"
        if path.is_dir() and any(path.glob("*.tar")):
            hint = "reslab shard was stopped: begin again; or another tool wrote them"
            raise ResLabError(f"{data} holds tar files, but neither {INDEX_NAME} nor class folders", hint)
        raise ResLabError(f"{data} {what}", "put pictures into one folder per class, e.g. data/cats/1.jpg")
    return _with_mirror_rule(catalog)


def absolute(data: str) -> str | None:
    """The absolute path of DATA; None for a named set."""
    return str(Path(data).resolve()) if Path(data).exists() else None


def path_of(written: str | Path, what: str) -> Path:
    """A path as the user writes it; `~` is expanded.

    Raises:
        ResLabError: it is empty, as an unset shell variable is, or not a path.
    """
    if not isinstance(written, str | os.PathLike):
        raise ResLabError(f"{what} is a path or a name, not {type(written).__name__}: {written!r:.80}")
    text = os.fspath(written)
    if not text or "\0" in text:
        raise ResLabError(f"{what} is not a path: {text!r:.80}", "is a shell variable unset?")
    try:
        path = Path(os.path.expanduser(text))  # noqa: PTH111  which raises where there is no home
        path.exists()
        return path
    except OSError as error:
        raise ResLabError(f"{what} {printable(text[:80])}: {error.strerror}") from None


def at_hand(data: str | Path, data_dir: str | Path | None = None) -> bool:
    """Whether the data can be read where they are: an existing path, a URL, built in, or downloaded before."""
    if is_url(data) or Path(data).exists() or str(data).lower() == BUILT_IN:
        return True
    if str(data).lower() not in NAMES:
        return False
    folder = Path(data_dir) if data_dir else cache_folder("data")
    return folder.is_dir() and any(folder.iterdir())


def _named(name: str, data_dir: Path | None) -> Catalog:
    unpacked = data_dir / name if data_dir else None
    if unpacked and (unpacked / "train").is_dir():
        return _with_mirror_rule(read_folder(unpacked))
    try:  # scikit-learn and torchvision are needed here only; a finished model works without them
        if name == BUILT_IN:
            from reslab.data.digits import read_digits

            return read_digits()
        from reslab.data.named import read_named

        return read_named(name, data_dir)
    except ImportError as error:
        raise ResLabError(f"the data set {name} needs {error.name}", "pip install 'reslab[train]'") from None


def _with_mirror_rule(catalog: Catalog) -> Catalog:
    """Mark whether a mirror image keeps its label: not if the classes are letters, numbers or sides, else yes."""
    names = [name.lower() for name in catalog.classes]
    signs = all(len(name) == 1 and _LETTER_OR_DIGIT.match(name) or name.isdigit() for name in names)
    sides = any(part in _SIDES for name in names for part in re.split(r"[\W_]+", name))
    return dataclasses.replace(catalog, mirrored=not (signs or sides))

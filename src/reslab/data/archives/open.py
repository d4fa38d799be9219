"""DATA that is an archive: shards, Parquet, zip, on the disk or at a URL."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from reslab.data.archives.parquet import SUFFIX, read_parquet
from reslab.data.archives.places import is_url, place_of, url_file, url_path, urls_below
from reslab.data.archives.shards import INDEX_NAME, is_shards, read_shards, stream_shards
from reslab.data.archives.zipped import read_zip
from reslab.data.catalog import SPLIT_WORDS, Catalog, Picture
from reslab.data.folder import read_folder
from reslab.errors import ResLabError
from reslab.pixels.decode import printable

ZIP = ".zip"
_FILES = (ZIP, SUFFIX)


def is_archive(data: object) -> bool:
    """Whether DATA, as a person names it, is a URL, a zip or Parquet file, a folder of shards or of Parquet files."""
    if is_url(data):
        return True
    if not isinstance(data, str | os.PathLike) or not os.fspath(data):
        return False
    path = _path(data)
    try:
        if path.suffix.lower() in _FILES and path.is_file():
            return True
        return path.is_dir() and (is_shards(path) or bool(_parquet_files(path)))
    except (OSError, ValueError, ResLabError):  # a name that is too long; a NUL in it; no right to list the folder
        return False


def read_archive(data: str | Path, labelled: bool = True) -> Catalog:
    """The catalog of an archive.

    Args:
        labelled: otherwise pictures without labels are read too; their label is `""`.

    Raises:
        ResLabError: it is damaged or holds no pictures; a package is missing; a URL does not answer.
    """
    if is_sharded(data):
        return read_shards(data)
    place, shown = _local(data), printable(data)
    name = Path(urlsplit(str(data)).path if is_url(data) else data).stem or "data"
    if isinstance(place, Path):
        files = {SUFFIX: _parquet_files(place)} if place.is_dir() else {place.suffix.lower(): [place]}
        located = [(_below(file, place), lambda file=file: file) for file in files.get(SUFFIX, [])]
        zipped = place if ZIP in files else None
    else:
        ending = Path(urlsplit(place).path).suffix.lower()
        urls = [place] if ending == SUFFIX else [] if ending == ZIP else urls_below(place, SUFFIX)
        located = [(url.removeprefix(place).strip("/"), url_file(url)) for url in urls]
        zipped = url_file(place)() if ending == ZIP else None
    catalog = read_zip(zipped, shown, labelled) if zipped else read_parquet(located, name, shown, labelled)
    if not catalog.pictures:
        hint = f"a URL names a folder with {INDEX_NAME}, or .parquet or .zip files" if is_url(data) else None
        raise ResLabError(f"{shown} holds no pictures", hint)
    return catalog


def stream_archive(data: str | Path) -> Iterator[Picture]:
    """The pictures of an archive, with or without labels: of shards one after the other, in constant memory.

    Raises:
        ResLabError: as `read_archive`.
    """
    yield from stream_shards(data) if is_sharded(data) else read_archive(data, labelled=False).pictures


def is_sharded(data: str | Path) -> bool:
    """Whether an archive consists of shards."""
    place = _local(data)
    if isinstance(place, Path):
        return is_shards(place)
    return not place.lower().endswith(_FILES) and INDEX_NAME in place_of(place).sizes()


def _local(data: str | Path) -> Path | str:
    """DATA as a path, or the URL that it is."""
    return url_path(data) if isinstance(data, str) and is_url(data) else _path(data)


def _path(data: str | os.PathLike) -> Path:
    return Path(os.path.expanduser(os.fsdecode(data)))  # noqa: PTH111  which raises where there is no home


def _below(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file != root else ""


def _parquet_files(path: Path) -> list[Path]:
    """The Parquet files of a folder without class folders: beside each other, in `data/`, or in folders of splits."""
    names = [path, path / "data"] + [path / name for name in SPLIT_WORDS]
    found = [file for folder in names for file in sorted(folder.glob(f"*{SUFFIX}")) if file.is_file()]
    return [] if found and read_folder(path).pictures else found

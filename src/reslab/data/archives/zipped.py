"""A zip file of class folders as a catalog, by the rules of a folder; pictures are inflated when they are read.

Nothing is unpacked, so no name in the file can reach anything outside it. What a file claims is checked before it is read.
"""

import contextlib
import stat
import threading
import zipfile
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

from reslab.data.catalog import SPLIT_WORDS, Catalog, Picture
from reslab.data.folder import Node, pictures_below, read_tree
from reslab.errors import ResLabError
from reslab.pixels.decode import MAX_BYTES, printable
from reslab.pixels.stored import Unreadable

_DEEPEST = 32  # folders within each other
_ENCRYPTED, _UTF8 = 0x1, 0x800  # flags of a member
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHINESE, _PYTHONS = "gb18030", "cp437"  # what is tried, and what `zipfile` takes names for
_LEAVING = "paths that lead out of the archive"
_LOCK = threading.Lock()
"""For opening and closing members, which `zipfile` counts without a lock; they are inflated outside it."""

_REPEATED = "names that occur twice"


class _Inside(Node):
    """A file or folder in a zip file."""

    __slots__ = ("_children", "_info", "_zip", "name", "parent", "path")

    def __init__(self, archive: zipfile.ZipFile, path: PurePosixPath, parent: "_Inside | None") -> None:
        self.path, self.name, self._zip = path, path.name, archive
        self.parent: Node = parent or self
        self._children: dict[str, _Inside] | None = None
        """None of a file."""
        self._info: zipfile.ZipInfo | None = None

    def is_dir(self) -> bool:
        return self._info is None

    def is_file(self) -> bool:
        mode = self._info.external_attr >> 16 if self._info else 0
        return self._info is not None and (not stat.S_IFMT(mode) or stat.S_ISREG(mode))

    def entries(self) -> list[Node]:
        return [node for _, node in sorted((self._children or {}).items())]

    def relative_to(self, root: Node) -> PurePosixPath:
        assert isinstance(root, _Inside)
        return self.path.relative_to(root.path)

    def child(self, name: str) -> "_Inside":
        """What lies in it under a name; made where there is nothing."""
        if self._children is None:
            self._children = {}
        if name not in self._children:
            self._children[name] = _Inside(self._zip, self.path / name, self)
        return self._children[name]

    def hold(self, info: zipfile.ZipInfo) -> bool:
        """Make it a file; False where it is one already, or a folder."""
        if self._info is not None or self._children is not None:
            return False
        self._info = info
        return True

    def read(self) -> bytes:
        info = self._info
        assert info is not None
        if info.file_size > MAX_BYTES:
            raise Unreadable(f"its {info.file_size:,} bytes are more than {MAX_BYTES:,}")
        if info.flag_bits & _ENCRYPTED:
            raise Unreadable("it is encrypted")
        if info.compress_type not in _METHODS:
            raise Unreadable("it is compressed by a method that is not read; zip it with Deflate")
        try:
            with _LOCK:
                file = self._zip.open(info)
            try:
                return file.read()
            finally:
                with _LOCK:
                    file.close()
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            raise Unreadable(f"it is damaged in the archive: {str(error) or 'it is cut short'}") from None
        except OSError as error:
            raise Unreadable(f"the system says: {error.strerror or error}") from None


def read_zip(path: Path, written: str | None = None, labelled: bool = True) -> Catalog:
    """The catalog of a zip file of class folders, with or without a folder around them all.

    Args:
        written: its location as the user wrote it.
        labelled: otherwise every picture in it is listed, with the label `""`.

    Raises:
        ResLabError: it is not a zip file, or is cut short.
    """
    shown = printable(written or path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ResLabError(f"{shown} is no zip file, or is cut short: {error}") from None
    except OSError as error:
        raise ResLabError(f"cannot read {shown}: {error.strerror or error}") from None
    top, skipped, chinese = _tree(archive)
    name = printable(Path(shown).stem) or "data"
    top = _unwrapped(top)
    if not labelled:
        found = ((printable(node.relative_to(top)), node) for node in pictures_below(top))
        return Catalog(name, shown, tuple(Picture(key, node, "") for key, node in found))
    catalog = read_tree(top, name, shown)
    doubt = ("encoding", "its names are not UTF-8 and were read as Chinese (GBK)")
    return replace(
        catalog, skipped={**catalog.skipped, **skipped}, doubts=(*catalog.doubts, doubt) if chinese else catalog.doubts
    )


def _tree(archive: zipfile.ZipFile) -> tuple[_Inside, dict[str, int], bool]:
    """The files of an archive as a tree, what was left out, and whether names were read as Chinese."""
    top = _Inside(archive, PurePosixPath(), None)
    skipped: Counter[str] = Counter()
    infos = archive.infolist()
    encoding = _encoding(infos)
    for info in infos:
        name = _name(info, encoding).replace("\\", "/")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or not parts or ":" in parts[0] or len(parts) > _DEEPEST:
            skipped[_LEAVING] += 1
            continue
        node = top
        for part in parts:
            node = node.child(part)
        if not name.endswith("/") and not node.hold(info):
            skipped[_REPEATED] += 1
    return top, dict(skipped), encoding == _CHINESE


def _encoding(infos: list[zipfile.ZipInfo]) -> str:
    """The encoding of names that do not say it: macOS writes UTF-8, Windows that of its language; one for all of them."""
    for encoding in ("utf-8", _CHINESE):
        with contextlib.suppress(UnicodeError):
            for info in infos:
                _name(info, encoding)
            return encoding
    return _PYTHONS


def _name(info: zipfile.ZipInfo, encoding: str) -> str:
    said = info.flag_bits & _UTF8 or info.filename.isascii() or encoding == _PYTHONS
    return info.filename if said else info.filename.encode(_PYTHONS).decode(encoding)


def _unwrapped(top: _Inside) -> _Inside:
    """The folder of the class folders: zip programs put the zipped folder itself around them."""
    inner = [entry for entry in top.entries() if not entry.name.startswith((".", "__MACOSX"))]
    only = inner[0] if len(inner) == 1 else None
    if not isinstance(only, _Inside) or not only.is_dir() or only.name.lower() in SPLIT_WORDS:
        return top
    return only if any(entry.is_dir() for entry in only.entries()) else top

"""Mutated tables and folder trees: a catalog or a ResLabError, and never fewer pictures than rows without a word.

`reproduce/fuzz.py` runs many more of them.
"""

import functools
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.data.catalog import Catalog
from reslab.data.sources import read_data
from reslab.errors import ResLabError

_NAMES = [*(f"p/{n}.png" for n in range(6)), "p/é ü.jpg", "p/猫.png", "p/[x] {y}.png", "p/a;b,c.png"]
_LABELS = ["cat", "dog", "Hühnchen", "猫", "cat;dog", "1", "", 'a 5" plate', "[/x]"]
_HEADERS = ["path,label", "file,class,split", "path;label", "path\tlabels", "path,cat,dog", "path,label,x,y,w,h",
            "image_id,label", "path,label,Usage", "path,label,is_valid", "sep=;\npath;label", "path,label,notes"]  # fmt: skip
_BYTES = [b'"', b"'", b",", b";", b"\t", b"\r", b"\n", b"\0", b"\xe9", b"\xff", b"\xef\xbb\xbf", b"./", b"\\", b"../",
          b"train", b"test", b"1", b"0", b"nan", b"-1", "é".encode(), "猫".encode("gbk"), b"\x1b[31m", b"//", b"#"]  # fmt: skip

Change = tuple[int, int, int]


def _table(draws: np.random.Generator) -> bytes:
    """A table as people write it, before it is spoilt."""
    header = str(draws.choice(_HEADERS))
    last = header.split("\n")[-1]
    delimiter = max(",;\t", key=last.count)
    lines = [header]
    for _ in range(int(draws.integers(0, 8))):
        cells = [str(draws.choice(_NAMES)), str(draws.choice(_LABELS))]
        extra = ["1", "0", "train", "val", "test", "True", "well"]
        cells += [str(draws.choice(extra)) for _ in range(last.count(delimiter) - 1)]
        quoted = draws.random() < 0.5
        lines.append(delimiter.join(f'"{cell}"' if quoted or delimiter in cell else cell for cell in cells))
    text = str(draws.choice(["\n", "\r\n", "\r"])).join(lines) + "\n" * int(draws.integers(0, 2))
    text = unicodedata.normalize(str(draws.choice(["NFC", "NFD"])), text)
    return text.encode(str(draws.choice(["utf-8", "utf-8-sig", "gb18030", "utf-16"])))


def spoil(data: bytes, changes: list[Change]) -> bytes:
    """Insert, delete or repeat at each place."""
    for kind, place, what in changes:
        at = place % (len(data) + 1)
        if kind % 3 == 0:
            data = data[:at] + _BYTES[what % len(_BYTES)] + data[at:]
        elif kind % 3 == 1:
            data = data[:at] + data[at + 1 + what % 9 :]
        else:
            data = data[:at] + data[at : at + what % 40] * 2 + data[at + what % 40 :]
    return data


def cases(seed: int) -> Iterator[bytes]:
    """Spoilt tables without end."""
    draws = np.random.default_rng(seed)
    while True:
        changes = [(int(a), int(b), int(c)) for a, b, c in draws.integers(0, 2**20, (int(draws.integers(0, 6)), 3))]
        yield spoil(_table(draws), changes)


_ROOT = Path(tempfile.mkdtemp(prefix="reslab-fuzz-"))


@functools.cache
def _planted() -> Path:
    """The files that the tables are about; nothing is decoded, so empty ones do."""
    for name in _NAMES:
        (_ROOT / name).parent.mkdir(exist_ok=True)
        (_ROOT / name).touch()
    return _ROOT


def check_one(data: bytes) -> None:
    """Read one table. A picture for each row, or a remark about what became of it."""
    table = _planted() / "table.csv"
    table.write_bytes(data)
    try:
        catalog = read_data(table)
    except ResLabError as error:
        assert error.message and "\n" not in error.message
        return
    assert isinstance(catalog, Catalog) and len({p.key for p in catalog.pictures}) == len(catalog.pictures)
    lines = [line for line in data.replace(b"\r", b"\n").split(b"\n") if line.strip(b' ,;\t"\xef\xbb\xbf|')]
    lines = lines[2:] if lines[0].lower().lstrip(b'\xef\xbb\xbf"').startswith(b"sep=") else lines[1:]
    explained = sum(catalog.skipped.values()) or "line breaks" in dict(catalog.doubts)
    assert len(catalog.pictures) >= len(lines) or explained, (len(catalog.pictures), lines)
    for picture in catalog.pictures:
        assert isinstance(picture.source, Path) and picture.source.is_file()
        assert "\n" not in picture.key and not picture.key.startswith("./") and "//" not in picture.key


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(*[st.integers(0, 2**20)] * 3), max_size=5))
def test_spoilt_tables(seed, changes):
    check_one(spoil(_table(np.random.default_rng(seed)), changes))


_PARTS = st.sampled_from(["train", "val", "test", "seg_train", "seg_test", "cat", "dog", "Train", ".hidden", "é", "e\u0301",
                          "x.jpg", "y.PNG", "notes.txt", "\udce9", "[/x]", "a\nb", "-1", "=1"])  # fmt: skip


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.lists(_PARTS, min_size=1, max_size=4), max_size=12))
def test_trees_of_any_shape(paths):
    with tempfile.TemporaryDirectory(prefix="reslab-fuzz-") as root:
        base = Path(root) / "data"
        base.mkdir()
        for parts in paths:
            place = base.joinpath(*parts)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.touch()
            except OSError:  # a part of it is a file already, or it is a folder
                continue
        try:
            catalog = read_data(base)
        except ResLabError as error:
            assert error.message and "\n" not in error.message
            return
        assert len({p.key for p in catalog.pictures}) == len(catalog.pictures)
        listed = {os.fsdecode(p.source) for p in catalog.pictures}
        for path in (p for p in base.rglob("*") if p.suffix.lower() in (".jpg", ".png") and p.is_file()):
            hidden = any(part.startswith(".") for part in path.relative_to(base).parts)
            assert str(path) in listed or hidden or catalog.skipped, path

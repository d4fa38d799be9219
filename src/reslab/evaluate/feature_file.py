"""Features as a file: `.npz`, which needs nothing but NumPy, or `.parquet`, of which a folder of files is one table."""

import json
import zipfile
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from reslab.data.archives.parquet import need_pyarrow
from reslab.errors import ResLabError
from reslab.evaluate.features import FeatureTable, Source
from reslab.pixels.fingerprint import FINGERPRINT_BYTES
from reslab.system.files import SCHEMA, open_atomically
from reslab.system.values import build, parse, shown

_SUFFIXES = (".npz", ".parquet")
_TEXTS = ("keys", "labels", "splits")
_NUMBERS = ("features", "fingerprints")
_ARRAYS = (*_NUMBERS, *_TEXTS, "source")


def check_feature_file(path: Path) -> None:
    """Refuse a name that `write_features` cannot write to, before anything is computed.

    Raises:
        ResLabError: its suffix is unknown, or pyarrow is missing.
    """
    if path.suffix not in _SUFFIXES:
        raise ResLabError(f"features are written as .npz or .parquet, not as {shown(path.name)}", "--out features.npz")
    if path.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ResLabError(
            f"{path} needs pyarrow", "pip install 'reslab[parquet]', or --out features.npz, which needs nothing"
        )


def write_features(path: Path, table: FeatureTable) -> None:
    """Write a table atomically; equal content gives equal bytes."""
    check_feature_file(path)
    with open_atomically(path) as file:
        write_parquet(file, table) if path.suffix == ".parquet" else _write_npz(file, table)


def _document(table: FeatureTable) -> str:
    return json.dumps({"schema": SCHEMA, **asdict(table.source)}, sort_keys=True)


def _write_npz(file: BinaryIO, table: FeatureTable) -> None:
    arrays = {name: np.array(getattr(table, name), np.str_) for name in _TEXTS}
    arrays |= {"features": table.features, "fingerprints": table.fingerprints, "source": np.array(_document(table))}
    np.savez(file, **arrays)  # pyrefly: ignore[bad-argument-type]


def write_parquet(file: BinaryIO, table: FeatureTable, about: dict[str, Any] | None = None) -> None:
    """One row per picture: key, label, split, fingerprint (hexadecimal), features (a list of d floats).

    Args:
        about: what else is kept in the schema's metadata, as JSON under `bulk`.
    """
    import pyarrow
    from pyarrow import parquet

    values = pyarrow.array(np.ascontiguousarray(table.features).reshape(-1))
    columns: dict[str, Any] = {
        "key": pyarrow.array([key.encode(errors="backslashreplace").decode() for key in table.keys]),
        "label": pyarrow.array(table.labels),
        "split": pyarrow.array(table.splits),
        "fingerprint": pyarrow.array([row.tobytes().hex() for row in table.fingerprints]),
        "features": pyarrow.FixedSizeListArray.from_arrays(values, table.features.shape[1]),
    }
    metadata = {"reslab": _document(table)} | ({"bulk": json.dumps(about)} if about else {})
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(metadata), file)


def read_features(path: Path) -> FeatureTable:
    """Read what `write_features` wrote: an `.npz`, a `.parquet`, or a folder of the latter as one table.

    Raises:
        ResLabError: there is no such file, it is damaged, or something else.
    """
    if path.is_dir():
        return _joined([_read_parquet(file) for file in sorted(path.glob("*.parquet"))], path)
    if path.suffix == ".parquet":
        return _joined([_read_parquet(path)], path)
    arrays = _read_arrays(path)
    features, fingerprints, texts = arrays["features"], arrays["fingerprints"], [arrays[name] for name in _TEXTS]
    n = len(features) if features.ndim == 2 else 0
    whole = features.dtype == np.float32 and n > 0 and fingerprints.dtype == np.uint8
    whole = whole and fingerprints.shape == (n, FINGERPRINT_BYTES) and arrays["source"].dtype.kind == "U"
    if not whole or any(text.dtype.kind != "U" or text.shape != (n,) for text in texts):
        raise ResLabError(f"{path} is damaged: its arrays do not fit together")
    keys, labels, splits = (tuple(text.tolist()) for text in texts)
    return _checked(
        FeatureTable(_source(str(arrays["source"]), path), features, fingerprints, keys, labels, splits), path
    )


def _source(written: str, path: Path) -> Source:
    document = build(dict[str, Any], parse(written, path), path)
    if (schema := document.pop("schema", None)) != SCHEMA:
        raise ResLabError(f"{path} is of schema {shown(schema)}; this version reads {SCHEMA}", "pip install -U reslab")
    return build(Source, document, path)


def _checked(table: FeatureTable, path: Path) -> FeatureTable:
    if not np.isfinite(table.features).all():
        raise ResLabError(f"{path} is damaged: it holds numbers that are not finite")
    return table


def _read_parquet(path: Path) -> FeatureTable:
    pyarrow = need_pyarrow()
    from pyarrow import parquet

    try:
        found = parquet.read_table(path, partitioning=None)
        cells = found.column("features").combine_chunks()
        features = cells.flatten().to_numpy().reshape(len(cells), cells.type.list_size)
        prints = bytes.fromhex("".join(found.column("fingerprint").to_pylist()))
        texts = (tuple(found.column(name).to_pylist()) for name in ("key", "label", "split"))
        source = (found.schema.metadata or {})[b"reslab"].decode()
        fingerprints = np.frombuffer(prints, np.uint8).reshape(len(features), FINGERPRINT_BYTES)
        if features.dtype != np.float32:
            raise TypeError(f"its features are {features.dtype}")
        return _checked(FeatureTable(_source(source, path), features, fingerprints, *texts), path)
    except FileNotFoundError:
        raise ResLabError(f"there is no {path}", "reslab embed MODEL DATA --out features.npz writes one") from None
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResLabError(f"{path} is damaged, or holds no features: {str(error).splitlines()[0][:120]}") from None


def _joined(tables: list[FeatureTable], path: Path) -> FeatureTable:
    """Partial tables of one model and data set as one."""
    if not sum(len(table.keys) for table in tables):
        raise ResLabError(
            f"{path} holds no features", "reslab embed MODEL SHARDS --parquet OUT writes a folder of them"
        )
    source, widths = tables[0].source, {table.features.shape[1] for table in tables}
    if len(widths) > 1 or any(table.source != source for table in tables):
        raise ResLabError(f"{path} holds the features of several models or data sets", "keep those of one")
    if len(tables) == 1:
        return tables[0]
    features, fingerprints = (np.concatenate([getattr(table, name) for table in tables]) for name in _NUMBERS)
    keys, labels, splits = (tuple(text for table in tables for text in getattr(table, name)) for name in _TEXTS)
    return FeatureTable(source, features, fingerprints, keys, labels, splits)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file; none is larger than the file, since nothing in it is compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ResLabError(f"{path} was compressed by another program, not written by reslab embed")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in _ARRAYS}
    except ResLabError:
        raise
    except FileNotFoundError:
        raise ResLabError(f"there is no {path}", "reslab embed MODEL DATA --out features.npz writes one") from None
    except OSError as error:
        raise ResLabError(f"cannot open {path}: {error.strerror or error}") from None
    except Exception as error:  # those of zipfile and NumPy's reader have no common class
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResLabError(f"{path} is damaged, or holds no features: {reason}") from None

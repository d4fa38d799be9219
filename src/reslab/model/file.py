"""The model file: tensors and one JSON header in plain safetensors, with a checksum. No pickle, no torch.

The header is canonical JSON under a single metadata key (several keys would come out in random order), and holds
nothing that differs between two equal runs: no time, no path, no speed. `sha256` covers the whole file with its own 64
digits zeroed, so one flipped bit is noticed.
"""

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from reslab.errors import ResLabError
from reslab.metrics.conformal import COVERAGES, Conformal
from reslab.metrics.rejection import Rejection
from reslab.pixels.fingerprint import FINGERPRINT_BYTES
from reslab.pixels.preprocess import Preprocess
from reslab.system.files import write_atomically
from reslab.system.values import build, build_known, parse, shown
from reslab.tasks.table import TASKS, task_named
from reslab.tasks.task import Calibration as Calibration

KEY = "reslab"
"""The one metadata key that holds the header."""

SEEN_KEY, CERTIFICATE_KEY = "reslab.seen", "reslab.certificate"
"""Further keys of an exported model: the hashes of its training pictures in base64, and its certificate."""

_BLANK = "0" * 64
_FIELD = r"\"sha256\":\""
"""What precedes the checksum. Its quotes are escaped because the header is a string inside JSON."""
_LONGEST_HEADER = 100_000_000
_DAMAGED = (ValueError, AttributeError, KeyError, TypeError, RecursionError)
"""What reading a damaged JSON header raises."""
_PICKLES = (".pth", ".pt", ".th", ".bin", ".ckpt", ".tar")
_SEEN = "data.seen"


@dataclass(frozen=True, slots=True)
class Header:
    """Everything but the tensors."""

    network: dict[str, Any]
    """`ResNetConfig` as plain values, and the zoo's `name`."""
    classes: tuple[str, ...]
    preprocess: Preprocess
    calibration: Calibration = Calibration()
    scores: dict[str, Any] = field(default_factory=dict)
    """Split -> its score with interval, and whether that split also chose the model."""
    training: dict[str, Any] = field(default_factory=dict)
    """Recipe, seed, data name, licence of starting weights, versions."""
    task: str = "single"
    thresholds: tuple[float, ...] = ()
    """For several labels: the calibrated probability from which each one is answered."""
    feature_mean: tuple[float, ...] = ()
    """Mean of the pooled features of training pictures, `[d]`, which outlier scores need; empty in older files."""

    def __post_init__(self) -> None:
        task_named(self.task)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An opened model file."""

    header: Header
    tensors: dict[str, np.ndarray]
    seen: np.ndarray
    """uint8 `[n, 5]`: a short hash of every training picture, sorted (`pixels.fingerprint`)."""
    sha256: str


def write_model(path: Path, tensors: dict[str, np.ndarray], header: Header, seen: list[bytes] | None = None) -> str:
    """Write a model file atomically and return its sha256. Equal content gives equal bytes."""
    table = np.frombuffer(b"".join(sorted(seen or [])), np.uint8).reshape(-1, FINGERPRINT_BYTES)
    return write_tensors(path, {**tensors, _SEEN: table}, header_document(header))


def read_model(path: Path) -> ModelFile:
    """Open a model file.

    Raises:
        ResLabError: it is missing, damaged, no safetensors, not ours, or of a later format.
    """
    tensors, content = read_tensors(path)
    if "network" not in content:
        raise ResLabError(f"{path} is a safetensors file, but not a ResLab model")
    digest = content.pop("sha256")
    header = parse_header(content, path)
    seen = tensors.pop(_SEEN, None)
    if seen is None or seen.dtype != np.uint8 or seen.shape[1:] != (FINGERPRINT_BYTES,):
        raise ResLabError(f"{path} is damaged: it lacks the hashes of its training pictures")
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ResLabError(f"{path} is no trained network: its tensor {name} holds numbers that are not finite")
    return ModelFile(header, tensors, seen, digest)


_RESERVED = ("reject_threshold", "conformal_quantile")
"""Fields of a calibration in files of versions before 2026-11-26, which were always empty."""

_REQUIRED = ("network", "classes", "preprocess", "calibration", "scores", "training")


def parse_header(content: dict[str, Any], path: Path) -> Header:
    """Parse and check a header's JSON, from whatever kind of file.

    Raises:
        ResLabError: its format is unknown, or a field is missing or wrong.
    """
    number, formats = content.get("format"), [task.format for task in TASKS.values()]
    if number not in formats:
        known = " and ".join(map(str, formats))
        raise ResLabError(f"{path} has format {shown(number)}; this version reads {known}", "pip install -U reslab")
    if missing := [name for name in _REQUIRED if name not in content]:
        raise ResLabError(f"{path} is damaged: {missing[0]} is missing")
    fields = {name: value for name, value in content.items() if name != "format"}
    if isinstance(fields["calibration"], dict):
        fields["calibration"] = {k: v for k, v in fields["calibration"].items() if v is not None or k not in _RESERVED}
    header = build(Header, fields, path)
    build_known(_Training, header.training, path, "training")
    refuse_duplicate_classes(header.classes, f"{path} is damaged: ")
    task = task_named(header.task)
    faults = {
        "it names no classes": not header.classes,
        "a class has no name": not all(header.classes),
        "it holds text that is not Unicode": not _is_unicode(content),
        f"its temperature {header.calibration.temperature} is not positive": not header.calibration.temperature > 0,
        "its format does not match its task": number != task.format,
        "its stored validation answers are of different lengths": not _is_whole(header.calibration.rejection),
        "its prediction sets are not those of its classes": not _fits(
            header.calibration.conformal, len(header.classes)
        ),
        "it does not have one threshold per class": len(header.thresholds)
        != len(task.initial_thresholds(len(header.classes))),
    }
    for fault, found in faults.items():
        if found:
            raise ResLabError(f"{path} is damaged: {fault}")
    return header


def _is_whole(rejection: Rejection | None) -> bool:
    """Whether each stored validation picture has all that is stored of one."""
    return rejection is None or (
        len(rejection.confidence) == len(rejection.correct) and len(rejection.outlier) in (0, len(rejection.correct))
    )


def _fits(conformal: Conformal | None, classes: int) -> bool:
    """Whether there is a quantile for each coverage, and for each class."""
    if conformal is None:
        return True
    rows = (conformal.lac, conformal.raps, conformal.by_class)
    lengths = {len(row) for row in conformal.by_class} | {len(conformal.counts)}
    return all(len(row) == len(COVERAGES) for row in rows) and lengths == {classes}


def refuse_duplicate_classes(names: Sequence[str], before: str = "", lines: Sequence[int] | None = None) -> None:
    """Refuse two classes with the same name: answers and labels are matched by name.

    Args:
        before: the beginning of the message.
        lines: the line of each name in its file; by default its position in the list, from 1.
    """
    first: dict[str, int] = {}
    for number, name in zip(lines or range(1, len(names) + 1), names, strict=True):
        if name in first:
            where = f"lines {first[name]} and {number}" if lines else f"number {first[name]} and number {number}"
            raise ResLabError(
                f"{before}two classes are named {shown(name)}: {where}",
                "labels are matched by name: rename one of them",
            )
        first[name] = number


@dataclass(frozen=True, slots=True)
class _Training:
    """The fields of a header's `training` that are read; the others are only displayed."""

    val: float | None = None
    split_seed: int | None = None
    group_by: str | None = None
    data_dir: str | None = None
    licence: str | None = None
    weights_licence: str | None = None


def _is_unicode(content: dict[str, Any]) -> bool:
    try:
        return bool(json.dumps(content, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def header_document(header: Header) -> dict[str, Any]:
    """The header as plain values, with the number of its format."""
    return {"format": task_named(header.task).format, **dataclasses.asdict(header)}


def header_digest(header: Header) -> str:
    """A hash of all that decides an answer beside the file: a foreign checkpoint's header is partly what flags say."""
    return hashlib.sha256(json.dumps(header_document(header), sort_keys=True).encode()).hexdigest()


def encode_metadata(header: Header, seen: np.ndarray, certificate: dict[str, Any] | None = None) -> dict[str, str]:
    """The metadata of an exported model as texts, whatever its format.

    Args:
        seen: uint8 `[n, 5]`, hashes of training pictures.
    """
    texts = {KEY: _to_json(header_document(header)), SEEN_KEY: base64.b64encode(seen.tobytes()).decode()}
    return texts | ({CERTIFICATE_KEY: _to_json(certificate)} if certificate else {})


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What an exported model says about itself."""

    header: Header
    seen: np.ndarray
    certificate: dict[str, Any] | None


def read_metadata(texts: Mapping[str, str], path: Path) -> ModelMetadata:
    """The inverse of `encode_metadata`.

    Raises:
        ResLabError: ResLab did not write the texts, or they are damaged.
    """
    if not texts.get(KEY):
        raise ResLabError(
            f"{path} is a model, but ResLab did not write it",
            "its classes and preprocessing are unknown; reslab adopt finds them: reslab adopt --help",
        )
    try:
        seen = np.frombuffer(base64.b64decode(texts.get(SEEN_KEY, "")), np.uint8).reshape(-1, FINGERPRINT_BYTES)
    except ValueError:
        raise ResLabError(f"{path} is damaged: its metadata cannot be read") from None
    certificate = parse(texts.get(CERTIFICATE_KEY) or "null", path)
    certificate = build(dict[str, Any] | None, certificate, path, "certificate")
    build_known(_Certificate, certificate or {}, path)
    content = build(dict[str, Any], parse(texts[KEY], path), path)
    return ModelMetadata(parse_header(content, path), seen, certificate)


@dataclass(frozen=True, slots=True)
class _Certificate:
    """The fields of a certificate that are read; the others are only displayed."""

    int8: dict[str, Any] | None = None


def is_foreign(path: Path) -> bool:
    """Whether a file is a foreign checkpoint: a pickle, or safetensors without our header."""
    if path.suffix != ".safetensors":
        return path.suffix in _PICKLES
    try:
        return KEY not in _safetensors_metadata(_read_start(path))
    except _DAMAGED:
        return False  # reading it as a model file then reports the damage


def write_tensors(path: Path, tensors: dict[str, np.ndarray], content: dict[str, Any]) -> str:
    """Write tensors and a JSON header as one file with a checksum, and return its sha256."""
    text = _canonical({**content, "sha256": _BLANK})
    data = bytearray(save({name: np.asarray(t, order="C") for name, t in tensors.items()}, metadata={KEY: text}))
    digest = hashlib.sha256(data).hexdigest()
    at = data.index((_FIELD + _BLANK).encode()) + len(_FIELD)
    data[at : at + len(_BLANK)] = digest.encode()
    write_atomically(path, data)
    return digest


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The inverse of `write_tensors`; raises ResLabError when a single bit differs from what was written."""
    data = read_model_bytes(path)
    content = _header(data, path)
    digest = content.get("sha256")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ResLabError(f"{path} has no checksum: it is damaged, or was not written by ResLab")
    if _checksum(data, digest) != digest:
        raise ResLabError(f"{path} is damaged: its checksum does not match", "copy it again from where it came from")
    try:
        return load(data), content
    except Exception as error:  # SafetensorError, and numpy's for dtypes that it lacks
        raise ResLabError(f"{path} is damaged: {error}") from None


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header alone, without verifying the checksum: for listings."""
    return _header(_read_start(path), path)


def _to_json(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False)


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _checksum(data: bytes, digest: str) -> str:
    """sha256 of the file with the digits of `digest` in its header zeroed."""
    at = data.find((_FIELD + digest).encode()) + len(_FIELD)
    view = memoryview(data)
    whole = hashlib.sha256(view[:at])
    whole.update(_BLANK.encode())
    whole.update(view[at + len(_BLANK) :])
    return whole.hexdigest()


def read_model_bytes(path: Path, count: int = -1) -> bytes:
    """The first `count` bytes of a file, by default all of it.

    Raises:
        ResLabError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise ResLabError(f"cannot open the model {path}: {error.strerror or error}") from None


def _read_start(path: Path) -> bytes:
    """A safetensors file up to its tensors."""
    length = int.from_bytes(read_model_bytes(path, 8), "little")
    return read_model_bytes(path, 8 + min(length, _LONGEST_HEADER))


def _safetensors_metadata(data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file; a damaged one raises one of `_DAMAGED`, here or when it is used."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})


def _header(data: bytes, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_safetensors_metadata(data)[KEY])
    except _DAMAGED:
        content = None
    if not isinstance(content, dict):
        raise ResLabError(f"{path} is not a ResLab model, or its header is damaged")
    return content

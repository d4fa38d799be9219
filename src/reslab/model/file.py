"""The file that describes itself: tensors and one JSON header, in plain safetensors. No pickle, no torch, one checksum.

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
from reslab.pixels.fingerprint import FINGERPRINT_BYTES
from reslab.pixels.preprocess import Preprocess
from reslab.system.files import write_atomically
from reslab.system.values import build, parse, shown
from reslab.tasks.table import TASKS, task_named
from reslab.tasks.task import Calibration as Calibration

KEY = "reslab"
"""The one metadata key that holds the header."""

SEEN_KEY, CERTIFICATE_KEY = "reslab.seen", "reslab.certificate"
"""Further keys of an exported model: the hashes of training pictures in base64, and what it was measured to be."""

_BLANK = "0" * 64
_FIELD = r"\"sha256\":\""
"""What stands before the checksum: its name in the header, whose quotes are escaped because it is text inside JSON."""
_LONGEST_HEADER = 100_000_000
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
    """For several labels: the calibrated probability from which on each one is answered."""

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
    """Write a model file (atomically) and give back its sha256. Equal content gives equal bytes."""
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
    header = header_from(content, path)
    seen = tensors.pop(_SEEN, None)
    if seen is None or seen.dtype != np.uint8 or seen.shape[1:] != (FINGERPRINT_BYTES,):
        raise ResLabError(f"{path} is damaged: it lacks the hashes of its training pictures")
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ResLabError(f"{path} is no trained network: its tensor {name} holds numbers that are not finite")
    return ModelFile(header, tensors, seen, digest)


_REQUIRED = ("network", "classes", "preprocess", "calibration", "scores", "training")


def header_from(content: dict[str, Any], path: Path) -> Header:
    """The header from its JSON, in whatever file it stood."""
    number, formats = content.get("format"), [task.format for task in TASKS.values()]
    if number not in formats:
        known = " and ".join(map(str, formats))
        raise ResLabError(f"{path} has format {shown(number)}; this version reads {known}", "pip install -U reslab")
    if missing := [name for name in _REQUIRED if name not in content]:
        raise ResLabError(f"{path} is damaged: {missing[0]} is missing")
    header = build(Header, {name: value for name, value in content.items() if name != "format"}, path)
    build(_Training, {name: value for name, value in header.training.items() if name in _TRAINING}, path, "training")
    refuse_twins(header.classes, f"{path} is damaged: ")
    task = task_named(header.task)
    complaints = {
        "it names no classes": not header.classes,
        "a class has no name": not all(header.classes),
        "it holds text that is no Unicode": not _is_unicode(content),
        f"its temperature {header.calibration.temperature} is not positive": not header.calibration.temperature > 0,
        "its format is not that of its task": number != task.format,
        "it has not one threshold per class": len(header.thresholds)
        != len(task.initial_thresholds(len(header.classes))),
    }
    for complaint, holds in complaints.items():
        if holds:
            raise ResLabError(f"{path} is damaged: {complaint}")
    return header


def refuse_twins(names: Sequence[str], before: str = "", lines: Sequence[int] | None = None) -> None:
    """Refuse two classes of one name: answers and labels are matched by name.

    Args:
        before: how the sentence begins.
        lines: where each name stands in its file; by default its place in the list, from 1.
    """
    first: dict[str, int] = {}
    for number, name in zip(lines or range(1, len(names) + 1), names, strict=True):
        if name in first:
            where = f"lines {first[name]} and {number}" if lines else f"number {first[name]} and number {number}"
            raise ResLabError(
                f"{before}two classes are named {shown(name)}: {where}", "labels are matched by name: tell them apart"
            )
        first[name] = number


@dataclass(frozen=True, slots=True)
class _Training:
    """What is read of a header's `training`, beside what is only shown."""

    val: float | None = None
    split_seed: int | None = None
    group_by: str | None = None
    data_dir: str | None = None
    licence: str | None = None
    weights_licence: str | None = None


_TRAINING = {entry.name for entry in dataclasses.fields(_Training)}


def _is_unicode(content: dict[str, Any]) -> bool:
    try:
        return bool(json.dumps(content, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def header_document(header: Header) -> dict[str, Any]:
    """The header as plain values, with the number of its format."""
    return {"format": task_named(header.task).format, **dataclasses.asdict(header)}


def metadata_of(header: Header, seen: np.ndarray, certificate: dict[str, Any] | None = None) -> dict[str, str]:
    """What an exported model carries as text, whatever its format.

    Args:
        seen: uint8 `[n, 5]`, hashes of training pictures.
    """
    texts = {KEY: _text(header_document(header)), SEEN_KEY: base64.b64encode(seen.tobytes()).decode()}
    return texts | ({CERTIFICATE_KEY: _text(certificate)} if certificate else {})


@dataclass(frozen=True, slots=True)
class Carried:
    """The inverse of `metadata_of`."""

    header: Header
    seen: np.ndarray
    certificate: dict[str, Any] | None


def carried(metadata: Mapping[str, str], path: Path) -> Carried:
    """What the texts of an exported model say.

    Raises:
        ResLabError: they are not ours, or damaged.
    """
    if not metadata.get(KEY):
        raise ResLabError(
            f"{path} is a model, but ResLab did not write it",
            "it does not say its classes and pixels; reslab adopt finds them out: reslab adopt --help",
        )
    try:
        seen = np.frombuffer(base64.b64decode(metadata.get(SEEN_KEY, "")), np.uint8).reshape(-1, FINGERPRINT_BYTES)
    except ValueError:
        raise ResLabError(f"{path} is damaged: what it says about itself cannot be read") from None
    certificate = parse(metadata.get(CERTIFICATE_KEY) or "null", path)
    build(_Certificate, {"int8": (certificate or {}).get("int8")} if isinstance(certificate, dict) else {}, path)
    content = build(dict[str, Any], parse(metadata[KEY], path), path)
    return Carried(header_from(content, path), seen, build(dict[str, Any] | None, certificate, path, "certificate"))


@dataclass(frozen=True, slots=True)
class _Certificate:
    """What is read of a certificate, beside what is only shown."""

    int8: dict[str, Any] | None = None


def is_foreign(path: Path) -> bool:
    """Whether a file is somebody else's checkpoint: a pickle, or safetensors without our header."""
    if path.suffix != ".safetensors":
        return path.suffix in _PICKLES
    length = int.from_bytes(_bytes(path, 8), "little")
    try:
        outer = json.loads(_bytes(path, 8 + min(length, _LONGEST_HEADER))[8:])
        return KEY not in outer.get("__metadata__", {})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return False  # damaged: reading it as ours says so


def write_tensors(path: Path, tensors: dict[str, np.ndarray], content: dict[str, Any]) -> str:
    """Tensors and a JSON header as one checked file; gives back its sha256."""
    text = _canonical({**content, "sha256": _BLANK})
    data = bytearray(save({name: np.asarray(t, order="C") for name, t in tensors.items()}, metadata={KEY: text}))
    digest = hashlib.sha256(data).hexdigest()
    at = data.index((_FIELD + _BLANK).encode()) + len(_FIELD)
    data[at : at + len(_BLANK)] = digest.encode()
    write_atomically(path, data)
    return digest


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The inverse of `write_tensors`; raises ResLabError when a single bit differs from what was written."""
    data = _bytes(path)
    content = _header(data, path)
    digest = content.get("sha256")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ResLabError(f"{path} carries no checksum: it is damaged, or was not written by ResLab")
    if _checksum(data, digest) != digest:
        raise ResLabError(f"{path} is damaged: its checksum does not match", "copy it again from where it came from")
    try:
        return load(data), content
    except Exception as error:  # SafetensorError, and what numpy says to kinds of numbers that it lacks
        raise ResLabError(f"{path} is damaged: {error}") from None


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header alone, unchecked: for listings."""
    length = int.from_bytes(_bytes(path, 8), "little")
    return _header(_bytes(path, 8 + min(length, _LONGEST_HEADER)), path)


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False)


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _checksum(data: bytes, digest: str) -> str:
    """sha256 of the file with the digits of `digest` zeroed, where its header names it."""
    at = data.find((_FIELD + digest).encode()) + len(_FIELD)
    view = memoryview(data)
    whole = hashlib.sha256(view[:at])
    whole.update(_BLANK.encode())
    whole.update(view[at + len(_BLANK) :])
    return whole.hexdigest()


def _bytes(path: Path, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise ResLabError(f"cannot open the model {path}: {error.strerror or error}") from None


def _header(data: bytes, path: Path) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    try:
        outer = json.loads(data[8 : 8 + length])
        content = json.loads(outer["__metadata__"][KEY])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ResLabError(f"{path} is not a ResLab model, or its header is damaged") from None
    if not isinstance(content, dict):
        raise ResLabError(f"{path} is not a ResLab model, or its header is damaged")
    return content

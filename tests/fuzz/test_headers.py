"""Mutated headers, configs, tables and journals: opened or refused in one sentence, never a foreign exception.

A case is a door and the text behind it. Checksums are made right, so that what is read is what was mutated.
"""

import copy
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from reslab.engine.onnx import open_exported
from reslab.engine.torch import network_from_file
from reslab.errors import ResLabError
from reslab.evaluate.predict import Model, SetOptions
from reslab.model.file import KEY, header_document, read_header, read_model
from reslab.model.run import (
    CONFIG_NAME,
    JOURNAL_NAME,
    MODEL_NAME,
    SPLIT_NAME,
    packaged_file,
    read_config,
    read_journal,
    read_split,
)
from reslab.nn.config import config_from
from reslab.run.list import list_runs
from reslab.serve.documents import model_document, to_json
from reslab.serve.limits import Limits
from reslab.train.config import Plan, TrainConfig
from reslab.train.plan.document import decision_digest, plan_document, plan_from

SECONDS = 20.0
"""Of processor time that one case may take; a case takes some hundredths."""

DOORS = ("model", "graph", "config", "split", "journal")
ODD = (
    None, True, 0, -1, 1, 2**63, 2**64 + 1, 10**40, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "\x00", "\ud800",
    "\udc80", "=1+1", "x" * 9999, [], {}, [[]], [None], [1, 2, 3], ["a", "a"], {"a": 1}, {"": None}, "auto", "single", "multi",
)  # fmt: skip
JUNK = (
    b"",
    b"\xff",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"null",
    b"7",
    b"[]",
    b"1e999",
    b"9" * 5000,
    b"\xef\xbb\xbf{}",
)


@cache
def tensors() -> dict[str, np.ndarray]:
    return load_file(packaged_file("cifar10_resnet20", ".safetensors"))


@cache
def graph() -> onnx.ModelProto:
    return onnx.load(packaged_file("cifar10_resnet20", ".onnx"))


@cache
def plain(door: str) -> object:
    """What is mutated: a document, a list of events, or rows."""
    if door in ("model", "graph"):
        return header_document(read_model(packaged_file("cifar10_resnet20", ".safetensors")).header)
    if door == "config":
        network = {
            "name": "resnet20",
            **asdict(config_from(read_header(packaged_file("cifar10_resnet20", ".safetensors"))["network"])),
        }
        return json.loads(
            json.dumps(plan_document(Plan(TrainConfig(), {}, network, ("a", "b"), 3, ("crop",), counts=(2, 2))))
        )
    if door == "split":
        return [
            ["path", "label", "split", "group", "fold", "fingerprint"],
            ["a/1.png", "a", "train", "", "1", "00" * 5],
        ]
    epoch = {
        "event": "epoch",
        "epoch": 1,
        "epochs": 2,
        "step": 6,
        "train_loss": 0.5,
        "seconds": 0.1,
        "best": True,
        "lr": 0.1,
    }
    return [epoch, {"event": "replan", "knots": [[0, 0.0], [7, 1.0]]}, {"event": "early stop"}]


def cases(seed: int) -> Iterator[tuple[str, bytes]]:
    """Mutated cases without end."""
    dice = np.random.default_rng(seed)
    while True:
        door = DOORS[dice.integers(len(DOORS))]
        if dice.random() < 0.1:
            yield door, JUNK[dice.integers(len(JUNK))]
            continue
        content = copy.deepcopy(plain(door))
        for _ in range(dice.integers(1, 4)):
            content = _mutated(content, dice)
        yield door, _flipped(_written(door, content), dice)


def _mutated(content: object, dice: np.random.Generator) -> object:
    """One value, somewhere in the tree, replaced, removed, or put beside another."""
    here, way = content, []
    while isinstance(here, dict | list) and here and (not way or dice.random() < 0.7):
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        way.append((here, keys[dice.integers(len(keys))]))
        here = here[way[-1][1]]
    odd = copy.deepcopy(ODD[dice.integers(len(ODD))])
    if not way:
        return odd
    place, key = way[-1]
    if dice.random() < 0.25:
        del place[key]
    elif isinstance(place, dict) and dice.random() < 0.2:
        place[f"new{dice.integers(9)}"] = odd
    else:
        place[key] = odd
    return content


def _written(door: str, content: object) -> bytes:
    if door == "split":
        rows = content if isinstance(content, list) else [content]
        cells = [row if isinstance(row, list) else [row] for row in rows]
        return "\n".join(",".join(map(str, row)) for row in cells).encode(errors="surrogatepass")
    if door == "journal":
        lines = content if isinstance(content, list) else [content]
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return json.dumps(content).encode()


def _flipped(data: bytes, dice: np.random.Generator) -> bytes:
    if dice.random() > 0.1 or not data:
        return data
    spoilt = bytearray(data)
    spoilt[dice.integers(len(spoilt))] = dice.integers(256)
    return bytes(spoilt)


def check_one(case: tuple[str, bytes]) -> None:
    """Open what is behind the door as the verbs do; raises what is no ResLabError, or where it takes too long."""
    door, data = case
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        try:
            {"model": _model, "graph": _graph, "config": _config, "split": _split, "journal": _journal}[door](
                Path(folder), data
            )
        except ResLabError as error:
            assert error.message and "\n" not in error.message and len(error.message) < 1000
    assert time.process_time() - begun < SECONDS


def _model(folder: Path, data: bytes) -> None:
    text, blank = data.decode("utf-8", "replace"), "0" * 64
    if text.startswith("{") and text.endswith("}"):
        text = text[:-1] + (", " if len(text) > 2 else "") + f'"sha256":"{blank}"}}'
    whole = save(tensors(), metadata={KEY: text})
    digest = hashlib.sha256(whole).hexdigest().encode()
    path = folder / MODEL_NAME
    path.write_bytes(whole.replace(b'"sha256\\":\\"' + blank.encode(), b'"sha256\\":\\"' + digest))
    model = read_model(path)
    network_from_file(model, path)
    assert all(len(name) for name in model.header.classes)


def _graph(folder: Path, data: bytes) -> None:
    proto = onnx.ModelProto()
    proto.CopyFrom(graph())
    onnx.helper.set_model_props(proto, {KEY: data.decode("utf-8", "replace")})
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    engine = open_exported(folder / "model.onnx")
    size = engine.header.preprocess.size
    list(Model(engine).rows(["a"], engine.embed(np.zeros((1, size, size, 3), np.uint8))))
    to_json(model_document(engine, SetOptions(), Limits(), True, "0"))


def _config(folder: Path, data: bytes) -> None:
    (folder / "run").mkdir()
    (folder / "run" / CONFIG_NAME).write_bytes(data)
    (row,) = list_runs(folder)
    assert row["error"] is None or "\n" not in row["error"]
    plan = plan_from(read_config(folder / "run"), folder / "run")
    assert decision_digest(plan) and plan.total_steps >= 0


def _split(folder: Path, data: bytes) -> None:
    (folder / SPLIT_NAME).write_bytes(data)
    assert all(row.path is not None and row.fold >= 0 for row in read_split(folder) or [])


def _journal(folder: Path, data: bytes) -> None:
    (folder / JOURNAL_NAME).write_bytes(data)
    assert all(isinstance(event["event"], str) for event in read_journal(folder))


@settings(max_examples=500, derandomize=True, deadline=None, database=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_merely_wrong_is_one_sentence(seed):
    check_one(next(cases(seed)))


def test_what_is_right_is_opened(tmp_path):
    """Each door takes its unmutated case: the fuzzer looks behind them."""
    for door, look in (
        ("model", _model),
        ("graph", _graph),
        ("config", _config),
        ("split", _split),
        ("journal", _journal),
    ):
        (tmp_path / door).mkdir()
        look(tmp_path / door, _written(door, plain(door)))

"""A trained model becomes a file for elsewhere: exported, compared with the network on pictures, then written."""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from reslab.data.catalog import Picture, Split
from reslab.data.reader import blocks, load
from reslab.data.sources import read_data
from reslab.data.splits import SplitConfig
from reslab.engine.base import CheckpointAssumptions, Engine
from reslab.engine.onnx import OnnxEngine
from reslab.engine.open import find_model, open_engine
from reslab.engine.torch import TorchEngine
from reslab.errors import ResLabError
from reslab.export.certify import Certificate, certify
from reslab.export.forms import Draft, as_onnx, as_openvino, as_program, read_graph
from reslab.export.golden import refuse_nonempty, write_golden
from reslab.export.graph import OnnxGraph, export_onnx, export_program
from reslab.export.options import Form, Layout
from reslab.export.quantize import Acceptance, measure_acceptance, quantize
from reslab.model.file import ModelMetadata
from reslab.model.run import CONFIG_NAME, PACKAGED, packaged_file, read_config
from reslab.model.run_data import data_location, find_run_data
from reslab.pixels.preprocess import Preprocess
from reslab.system.sampling import evenly_spaced
from reslab.tasks.table import task_named
from reslab.tasks.task import require, supports

_MOST, _CALIBRATE = 2000, 256
_CROPS, _CROP = 45, 400
_GOLDEN = 8
_AS_TRAINED = SplitConfig()


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a model is exported."""

    form: Form = "onnx"
    layout: Layout = "nhwc-uint8"
    opset: int | None = None
    int8: bool = False
    max_drop_points: float = 0.5
    """Of accuracy, that int8 may cost."""
    golden: Path | None = None
    """A folder for golden vectors, new or empty."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written."""

    path: Path
    certificate: Certificate
    acceptance: Acceptance | None
    """int8 beside float32; where its `reasons` are not empty, the file holds float32."""


@dataclass(frozen=True, slots=True)
class ReferencePictures:
    """Pictures to compare on."""

    what: str
    pictures: tuple[Picture, ...]
    pixels: np.ndarray
    """uint8 `[n, size, size, 3]`: the same, prepared."""
    labels: np.ndarray | None = None
    training: tuple[Picture, ...] = ()
    """Where ranges of int8 may be taken from."""
    skip_bad: bool = False


def export_model(
    model: str | Path,
    out: Path,
    how: ExportOptions,
    data: str | Path | None = None,
    division: SplitConfig = _AS_TRAINED,
    assumed: CheckpointAssumptions | None = None,
) -> ExportResult:
    """Export a model, prove on pictures that it answers as before, and write it.

    Args:
        data: labelled pictures, of which the validation split is compared on; by default those that a run was trained on,
            if they are still there, else parts of scikit-learn's two photographs.

    Raises:
        GateNotMet: the exported model does not answer as the network does; nothing is written.
        ResLabError: the model does not exist, or the options cannot be combined.
    """
    _refuse(how)
    path = packaged_file(str(model), ".safetensors") if str(model) in PACKAGED else find_model(model)
    engine = open_engine(path, assumed)
    reference = _reference_pictures(engine, path, data, division)
    metadata = ModelMetadata(engine.header, engine.seen, None)
    draft, graph = _draft(engine, path, metadata, how)
    certificate = certify(engine, draft.engine, reference.pixels, reference.what, reference.labels)
    document, judged = certificate.document(), None
    if how.int8 and graph is not None:
        draft, judged = _smaller(draft, graph, metadata, reference, how)
        document |= {"int8": judged.document()}
    draft.write(out, document)
    if how.golden:
        written = draft.engine if how.form == "pt2" else open_engine(out)
        write_golden(how.golden, written, [load(picture) for picture in _evenly(reference.pictures, _GOLDEN)])
    return ExportResult(out, certificate, judged)


def _smaller(
    draft: Draft, graph: OnnxGraph, metadata: ModelMetadata, reference: ReferencePictures, how: ExportOptions
) -> tuple[Draft, Acceptance]:
    """The model in int8 where it is accepted, else in float32; and what was measured."""
    require(task_named(metadata.header.task), "int8", "--int8")
    if reference.labels is None or not reference.training:
        raise ResLabError(
            "int8 is calibrated on training pictures and judged on validation pictures with one label each",
            "name them with --data",
        )
    _, ranges = _readable(_evenly(reference.training, _CALIBRATE), metadata.header.preprocess, reference.skip_bad)
    small = _formed(quantize(graph, ranges), metadata, how.form)
    judged = measure_acceptance(
        draft.engine, small.engine, reference.pixels, reference.labels, reference.what, how.max_drop_points
    )
    return (draft if judged.reasons else small), judged


def _refuse(how: ExportOptions) -> None:
    if not 0 <= how.max_drop_points <= 100:
        raise ResLabError(
            f"--max-drop-points {how.max_drop_points:g} is not between 0 and 100", "0 allows no loss at all"
        )
    if how.int8 and how.form == "pt2":
        raise ResLabError("a torch.export program is written in float32 only", "--format onnx --int8, or openvino")
    if how.int8 and how.layout != "nhwc-uint8":
        raise ResLabError("int8 is calibrated on uint8 pixels", "leave --input-layout out")
    if how.golden and how.layout != "nhwc-uint8":
        raise ResLabError("golden vectors hand over uint8 pixels", "leave --input-layout out")
    if how.golden:
        refuse_nonempty(how.golden)


def _draft(engine: Engine, path: Path, metadata: ModelMetadata, how: ExportOptions) -> tuple[Draft, OnnxGraph | None]:
    """The float32 model in its form, and its graph."""
    if isinstance(engine, TorchEngine):
        network = copy.deepcopy(engine.network).to(device="cpu", memory_format=torch.contiguous_format)
        if how.form == "pt2":
            return as_program(export_program(network, engine.header, how.layout), metadata), None
        graph = export_onnx(network, engine.header, how.layout, how.opset)
    elif isinstance(engine, OnnxEngine) and how.form != "pt2" and how.layout == "nhwc-uint8" and how.opset is None:
        graph = read_graph(path)
    else:
        raise ResLabError(f"{path} is exported already", "export the model file that training wrote")
    return _formed(graph, metadata, how.form), graph


def _formed(graph: OnnxGraph, metadata: ModelMetadata, form: Form) -> Draft:
    return as_openvino(graph, metadata) if form == "openvino" else as_onnx(graph, metadata)


def _reference_pictures(
    engine: Engine, path: Path, data: str | Path | None, division: SplitConfig
) -> ReferencePictures:
    """Pictures of `data`, else of what the run was trained on where that is still here, else parts of photographs."""
    header, run = engine.header, path.parent
    catalog = None if data is None else read_data(data, division.data_dir)
    if catalog is None and (run / CONFIG_NAME).is_file() and (catalog := find_run_data(run)):
        document = read_config(run)
        data, division = data_location(document), division.or_else(SplitConfig.recorded(document["config"]))
    if catalog is None or data is None:
        parts = _photographs()
        what = f"{len(parts)} parts of scikit-learn's photographs"
        return ReferencePictures(what, *_readable(parts, header.preprocess, skip_bad=False))
    skip_bad = bool(division.skip_bad)
    catalog = division.or_else(SplitConfig.recorded(header.training)).apply(catalog)
    split: Split = "val" if catalog.split("val") else "test"
    pictures, pixels = _readable(_evenly(catalog.split(split), _MOST), header.preprocess, skip_bad)
    task = task_named(header.task)
    labels = task.targets(pictures, header.classes, split) if supports(task, "int8") else None  # else no accuracy
    what = f"{len(pictures):,} {'validation' if split == 'val' else 'test'} pictures of {Path(data).name}"
    return ReferencePictures(what, pictures, pixels, labels, tuple(catalog.split("train")), skip_bad)


def _evenly(pictures: tuple[Picture, ...], most: int) -> tuple[Picture, ...]:
    """At most so many, from the first to the last."""
    return tuple(pictures[i] for i in evenly_spaced(len(pictures), most))


def _readable(
    pictures: tuple[Picture, ...], preprocess: Preprocess, skip_bad: bool
) -> tuple[tuple[Picture, ...], np.ndarray]:
    """Those that can be read, and their pixels: uint8 `[n, size, size, 3]`. One that cannot stops, unless `skip_bad`."""
    good, rows = [], []
    for block in blocks(pictures, preprocess, preprocess.size):
        if block.errors and not skip_bad:
            raise next(iter(block.errors.values()))
        for index, row in zip(block.indices, block.pixels, strict=True):
            if int(index) not in block.errors:
                good.append(pictures[index])
                rows.append(row)
    if not rows:
        raise ResLabError("there is no picture to compare the exported model on", "name some with --data")
    return tuple(good), np.stack(rows)


def _photographs() -> tuple[Picture, ...]:
    """Parts of scikit-learn's two photographs, as many as the batches of a certificate take."""
    from sklearn.datasets import load_sample_images

    dice, photographs = np.random.default_rng(0), load_sample_images().images
    parts = []
    for number in range(_CROPS):
        photograph = photographs[number % len(photographs)]
        y, x = (int(dice.integers(0, side - _CROP + 1)) for side in photograph.shape[:2])
        parts.append(Picture(f"part {number}", photograph[y : y + _CROP, x : x + _CROP], ""))
    return tuple(parts)

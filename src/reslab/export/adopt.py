"""Adopt a foreign ONNX classifier as a model of ours: find its input rule, fit a temperature, certify the result."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reslab.data.catalog import Picture, Split
from reslab.data.sources import read_data
from reslab.data.splits import SplitConfig
from reslab.engine.onnx import from_bytes
from reslab.evaluate.evaluation import Evaluation, evaluate_engine
from reslab.export.certify import Certificate, certify
from reslab.export.foreign import ForeignGraph, InputRule, open_foreign_graph
from reslab.export.input_rule import RuleChoices, RuleSearch, find_rule
from reslab.export.wrap import wrap_graph
from reslab.model.file import Header
from reslab.system.events import ignore
from reslab.system.files import write_atomically
from reslab.tasks.table import TASKS, task_named
from reslab.tasks.task import require

_PICTURES = 64  # on which the two graphs are compared


@dataclass(frozen=True, slots=True)
class Source:
    """The labelled pictures that an adoption is based on."""

    data: str
    split: Split = "val"
    division: SplitConfig = SplitConfig()

    def pictures(self) -> tuple[Picture, ...]:
        """Those of the split."""
        catalog = read_data(self.data, self.division.data_dir)
        require(task_named(catalog.task), "adopt", "adopt", "give a table with one label per picture")
        return self.division.apply(catalog).split(self.split)

    @property
    def skip_bad(self) -> bool:
        return bool(self.division.skip_bad)


@dataclass(frozen=True, slots=True)
class Adoption:
    """The result of an adoption."""

    foreign: ForeignGraph
    search: RuleSearch
    header: Header
    evaluation: Evaluation
    certificate: Certificate
    explains: bool
    """Whether the file has the outputs that an explanation needs."""
    warnings: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """What `adopt --json` prints."""
        found = self.evaluation.document()
        return {
            "schema": 1,
            "foreign": self.header.training["adopted"],
            "sha256": self.evaluation.model,
            "classes": list(self.header.classes),
            "tried": [one.document() for one in self.search.tried],
            "rule": self.search.best.document(),
            "doubts": {
                question: {"second": other.document(), **dataclasses.asdict(comparison)}
                for question, (other, comparison) in self.search.doubts.items()
            },
            "warnings": list(self.warnings),
            "split": self.evaluation.split,
            **{
                key: found[key] for key in ("n", "top1", "majority_baseline", "nll", "ece", "calibration", "unreadable")
            },
            "certificate": self.certificate.document(),
            "explains": self.explains,
        }


def adopt(
    path: Path,
    out: Path,
    source: Source,
    choices: RuleChoices,
    classes: tuple[str, ...] | None = None,
    size: int | None = None,
    on_message: Callable[[str], None] = ignore,
    on_progress: Callable[[int], None] | None = None,
) -> Adoption:
    """Write `out`, a model file of ours that contains a foreign graph.

    Args:
        path: the graph: one picture in, a number per class out.
        source: labelled pictures, of all the graph's classes or of some.
        classes: names in the order of the graph's outputs; by default those in the file.
        size: side of the input where the graph takes any.
        on_message: is called with a sentence at each stage.
        on_progress: is called with the number of pictures just computed.

    Raises:
        ResLabError: the graph is no such classifier, or a label is not one of its classes.
        GateNotMet: the wrapped graph and the foreign one give different answers; no file is written.
    """
    foreign = open_foreign_graph(path, classes, size)
    spec, count = foreign.input, len(foreign.classes)
    on_message(f"{path}: {count} classes, {spec.size} px, input {spec.name}, logits from {foreign.output}")
    pictures = source.pictures()
    labels = TASKS["single"].targets(pictures, foreign.classes, source.split)
    on_message(f"trying input rules on pictures of the {source.split} split")
    search = find_rule(foreign, pictures, labels, choices, source.skip_bad, on_progress)
    rule, header = search.best.rule, _header(path, foreign, search.best.rule, source)
    draft = from_bytes(wrap_graph(foreign, rule, header), path)
    on_message("comparing the wrapped graph with the foreign one")
    compared_on = (
        f"{min(_PICTURES, len(search.pixels))} pictures of the {source.split} split of {Path(source.data).name}"
    )
    pixels, some_labels = search.pixels[:_PICTURES], search.labels[:_PICTURES]
    certificate = certify(_ForeignEngine(foreign, rule), draft, pixels, compared_on, some_labels)
    on_message(f"evaluating {len(pictures):,} pictures, fitting the temperature")
    evaluation = evaluate_engine(draft, pictures, source.split, source.skip_bad, on_progress=on_progress).calibrate()
    header = evaluation.fill_header(header, chose_the_model=True)
    content = wrap_graph(foreign, rule, header, certificate.document())
    write_atomically(out, content)
    evaluation = dataclasses.replace(evaluation, model=hashlib.sha256(content).hexdigest())
    warnings = tuple(_warnings(search, evaluation))
    return Adoption(foreign, search, header, evaluation, certificate, draft.explains, warnings)


def _header(path: Path, foreign: ForeignGraph, rule: InputRule, source: Source) -> Header:
    origin = {"file": path.name, "sha256": foreign.sha256, "numbers": rule.numbers, "order": rule.order}
    origin |= {"mean": list(rule.mean), "std": list(rule.std)}
    how = {"val": source.division.val, "split_seed": source.division.seed, "group_by": source.division.group_by}
    training: dict[str, Any] = {name: value for name, value in how.items() if value is not None}
    training |= {"data": Path(source.data).name, "weights_licence": foreign.licence, "adopted": origin}
    return Header({"name": path.stem, "foreign": True}, foreign.classes, rule.preprocess, training=training)


@dataclass(slots=True)
class _ForeignEngine:
    """The original graph, its input computed by numpy."""

    foreign: ForeignGraph
    rule: InputRule
    name: str = "the foreign graph"
    explains: bool = False

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return self.foreign.logits(pixels, self.rule)


def _warnings(search: RuleSearch, evaluation: Evaluation) -> Iterator[str]:
    """Reasons to doubt the result."""
    best, score = search.best, evaluation.score
    if "numbers" in search.doubts:
        second, found = search.doubts["numbers"]
        if found.verdict != "a is better":
            yield (
                f"{best.rule.summary} and {second.rule.summary} cannot be told apart on {found.n} pictures "
                f"({found.a:.1%} and {found.b:.1%}: {found.verdict}); use more pictures, or set --mean and --std"
            )
    if score.top1.low <= score.majority_baseline:
        yield (
            f"{score.top1.value:.1%} is no better than always answering one class ({score.majority_baseline:.1%}): are the "
            "classes in the order of the graph's outputs, and is it a model for such pictures?"
        )

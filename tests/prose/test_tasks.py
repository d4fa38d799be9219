"""Nothing outside `tasks/` asks which task it has, but for a few places that are counted here."""

import ast
import re
from pathlib import Path

import pytest

from reslab.cli.scores import SCORES
from reslab.export.graph import ACTIVATIONS
from reslab.report.sections import SECTIONS
from reslab.tasks.table import TASKS
from reslab.train.probe import REGRESSIONS
from reslab.train.step.loss import HITS, LOSSES

SOURCE = Path(__file__).parents[2] / "src" / "reslab"
MOST, MOST_FILES = 12, 5

FLAGS = {"multi", "is_multi", "multilabel", "multi_label", "mean_ap"}
"""Names that say of a thing which task it is of: as an attribute or a variable, tested."""
CLASSES = {
    "Evaluation",
    "LabelsEvaluation",
    "Single",
    "Multi",
    "LabelsComparison",
    "Comparison",
    "Score",
    "LabelsScore",
}
"""Classes of single tasks: `isinstance` and `issubclass` of one of them."""
OPTIONAL = {("row", "labels"), ("self", "labels"), ("row", "probability"), ("self", "probability")}
"""Fields of a prediction that are None in one of the tasks."""
SCRIPT = re.compile(r"""[!=]==? *["'](?:single|multi)["']|\b(?:run|model|row|document)\.multi\b""")
"""In templates and scripts."""


def literal(node):
    return isinstance(node, ast.Constant) and node.value in TASKS


def asks_by_name(node):
    """A comparison with the name of a task (`x == "multi"`, `x in ("single",)`), or a `match` on it."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        parts = [
            part
            for side in sides
            for part in (side.elts if isinstance(side, ast.Tuple | ast.Set | ast.List) else [side])
        ]
        return any(literal(part) for part in parts)
    return isinstance(node, ast.MatchValue) and literal(node.value)


def asks_by_class(node):
    """`isinstance(x, LabelsEvaluation)`."""
    named = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass")
    return named and any(getattr(part, "id", "") in CLASSES for part in ast.walk(node.args[1]))


def asks_by_shape(node):
    """`labels.ndim`, of labels, targets or marks."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "ndim"
        and any(word in ast.unparse(node.value) for word in ("labels", "targets", "marks", "multi_hot"))
    )


def asks_by_flag(node):
    """`x.multi`, or a bare `multi`, wherever it is read."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in FLAGS and isinstance(node.ctx, ast.Load)


def asks_by_none(node):
    """`row.labels is None`, `row.probability is not None`."""
    if not (isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot)):
        return False
    left = node.left
    return isinstance(left, ast.Attribute) and (getattr(left.value, "id", ""), left.attr) in OPTIONAL


QUESTIONS = (asks_by_name, asks_by_class, asks_by_shape, asks_by_flag, asks_by_none)


def count(source):
    return sum(any(asks(node) for asks in QUESTIONS) for node in ast.walk(ast.parse(source)))


def conditions():
    """File -> how often it asks. The tasks themselves, their metrics, and nn (whose `single` is a block) are other things."""
    python = {
        path: count(path.read_text(encoding="utf-8"))
        for path in SOURCE.rglob("*.py")
        if path.parent.name not in ("tasks", "metrics", "nn")
    }
    others = {
        path: len(SCRIPT.findall(path.read_text(encoding="utf-8")))
        for pattern in ("*.j2", "*.js")
        for path in SOURCE.rglob(pattern)
    }
    return {path.relative_to(SOURCE).as_posix(): n for path, n in (python | others).items() if n}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('if task == "multi": pass', 1),
        ('a = 1 if "single" != plan.task else 2', 1),
        ('x in ("single", "multi")', 1),
        ("if catalog.multi: pass", 1),
        ("def f(multi):\n    return multi and 1", 1),
        ("isinstance(found, LabelsEvaluation)", 1),
        ("isinstance(found, Evaluation) and isinstance(other, Evaluation)", 2),
        ("labels.ndim == 2", 1),
        ("first.labels.ndim != second.labels.ndim", 2),
        ("x = a if row.labels is None else b", 1),
        ("if self.mean_ap is not None: pass", 1),
        ('match task:\n    case "multi":\n        pass', 1),
        ('TASKS["single"].targets(pictures)', 0),
        ('{"single": softmax, "multi": sigmoid}[task]', 0),
        ("weight.ndim == 4 or picture.ndim == 3", 0),
        ("first.task.name != second.task.name", 0),
    ],
)
def test_what_counts(source, expected):
    assert count(source) == expected


def test_few_places_ask():
    found = conditions()
    assert sum(found.values()) <= MOST and len(found) <= MOST_FILES, found


def test_every_table_has_every_task():
    for table in (LOSSES, HITS, REGRESSIONS, ACTIVATIONS, SCORES, SECTIONS):
        assert table.keys() == TASKS.keys()

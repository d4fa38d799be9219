"""Which labels of a run are likely wrong: what the run keeps about its pictures, as one ranking, a table and a page."""

import heapq
import itertools
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reslab.data.catalog import Picture
from reslab.errors import ResLabError
from reslab.evaluate.predict import Prediction
from reslab.metrics.label_errors import agreed_shares, confident_labels, rank_shares, self_confidence
from reslab.model.file import read_header
from reslab.model.run import (
    CORRECTIONS_NAME,
    MARGINS_NAME,
    MODEL_NAME,
    OUT_OF_FOLD,
    fold_folder,
    is_ensemble,
    predictions_name,
    read_config,
    read_rows,
    read_split,
)
from reslab.model.run_data import data_location
from reslab.report.pictures import find_pictures
from reslab.report.review import Case, Page, choose, render
from reslab.system.files import write_atomically
from reslab.tasks.table import task_named
from reslab.tasks.task import require
from reslab.words.phrases import Phrase, say

TOP = 200
"""Pictures of a tab by default."""

LABELS_NAME = "labels.csv"
"""What a page about pictures without labels downloads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """What a run says about the label of one picture."""

    path: str
    label: str
    proposed: str
    """The class that the run holds for right; empty where that is the label."""
    score: float
    """In (0, 1]: the share of the pictures that are at least as doubtful, in every ranking that has this one."""
    reason: Phrase
    likely: tuple[str, ...]
    """Classes to choose from, the likeliest first, as far as they are known."""
    probability: float | None = None
    """Of the label, where a network answered that was not trained on the picture."""
    margin: float | None = None
    """Mean over the training, in logits; None of a picture that did not train."""
    certainty: float | None = None
    """The largest probability, where there is an answer."""

    def document(self) -> dict[str, Any]:
        """As `reslab review --json` prints it; the table has the first five."""
        named = {"path": self.path, "label": self.label, "proposed": self.proposed, "score": round(self.score, 6)}
        return named | {"reason": str(self.reason), "probability": self.probability, "margin": self.margin}


@dataclass(frozen=True, slots=True)
class Review:
    """The labels of a run, the most doubtful first."""

    run: Path
    classes: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    likely_wrong: int | None
    """How many labels confident learning counts as wrong; None without out-of-fold answers."""
    notes: tuple[Phrase, ...]
    """What the run lacks."""
    far: tuple[Suspect, ...] = ()
    """Pictures with an answer that are unlike those of the training, most unlike first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """One source of doubt about some pictures, row by row."""

    doubt: np.ndarray
    """float64 `[n]`: the lower, the more doubtful."""
    rows: dict[str, dict[str, Any]]
    """Key -> fields of `Suspect` but the score, in the order of `doubt`."""
    likely_wrong: int | None = None


def review_run(run: Path) -> Review:
    """Rank the training and validation pictures of a run by how doubtful their labels are. Test pictures are left alone.

    The rankings: the probability of the label out of fold (of a run with `--folds`), the calibrated answer (of validation
    pictures), and the mean margin while training (`train.step.margin`). One that has several rankings is as doubtful as the
    one that doubts it least says.

    Raises:
        ResLabError: the folder holds no run, or nothing about its pictures; its task is another.
    """
    document = read_config(run)
    require(task_named(document.get("task", "single")), "review", "reslab review", "look at the mistakes in its report")
    classes = tuple(document["classes"])
    try:
        margins, folds, answers = _margins(run, document["config"]), _out_of_fold(run, classes), _validation(run)
        far = tuple(_far(run))
        found = [evidence for evidence in (folds, answers, margins) if evidence]  # the first proposes
        suspects = _ranked(found)
    except (KeyError, ValueError) as error:
        raise ResLabError(f"a table of answers or margins in {run} is damaged: {error}", "train anew") from None
    if not suspects:
        raise ResLabError(
            f"{run} keeps neither margins of its training pictures nor answers for others",
            "train with this version, best with --folds 5, which answers for every picture",
        )
    notes = [] if margins else [say("review.note.margins")]
    notes += [] if folds else [say("review.note.folds")]
    likely_wrong = folds.likely_wrong if folds else None
    return Review(run, classes, suspects, likely_wrong, tuple(notes), far)


def _ranked(found: Sequence[_Evidence]) -> tuple[Suspect, ...]:
    if not found:
        return ()
    keys = list(dict.fromkeys(itertools.chain.from_iterable(evidence.rows for evidence in found)))
    place = {key: number for number, key in enumerate(keys)}
    rankings = np.full((len(found), len(keys)), np.nan)
    for ranking, evidence in zip(rankings, found, strict=True):
        ranking[[place[key] for key in evidence.rows]] = rank_shares(evidence.doubt)
    scores = agreed_shares(list(rankings))
    order = np.argsort(scores, kind="stable")
    return tuple(_joined([e.rows[keys[i]] for e in found if keys[i] in e.rows], float(scores[i])) for i in order)


def _joined(parts: list[dict[str, Any]], score: float) -> Suspect:
    """What all sources say about one picture; where they differ, the first counts."""
    reason = parts[0]["reason"]
    for part in parts[1:]:
        reason = say("list", first=reason, next=part["reason"])
    likely = dict.fromkeys(name for part in parts for name in part["likely"])
    merged = {name: value for part in reversed(parts) for name, value in part.items()}
    return Suspect(**merged | {"reason": reason, "likely": tuple(likely), "score": score})


def _out_of_fold(run: Path, classes: tuple[str, ...]) -> _Evidence | None:
    """What networks answered that were not trained on the picture: every class's probability."""
    columns = [f"p({name})" for name in classes]
    rows = read_rows(run / predictions_name(OUT_OF_FOLD), ("path", "label", *columns))
    if not rows:
        return None
    number = {name: k for k, name in enumerate(classes)}
    labels = np.array([number[row["label"]] for row in rows])
    probabilities = np.array([[float(row[column]) for column in columns] for row in rows])
    own, order = self_confidence(probabilities, labels), np.argsort(-probabilities, 1, kind="stable")[:, :10]
    found = {}
    for row, label, mine, likely, each in zip(rows, labels, own, order, probabilities, strict=True):
        best, top = int(likely[0]), float(each[likely[0]])
        said = say("review.reason.folds", answer=classes[best], top=f"{top:.3f}", own=f"{mine:.3f}")
        found[row["path"]] = {
            "path": row["path"],
            "label": row["label"],
            "proposed": "" if best == label else classes[best],
            "reason": said,
            "likely": tuple(classes[k] for k in likely),
            "probability": float(mine),
            "certainty": top,
        }
    confident = confident_labels(probabilities, labels)
    return _Evidence(doubt=own, rows=found, likely_wrong=int(((confident >= 0) & (confident != labels)).sum()))


def _validation(run: Path) -> _Evidence | None:
    """Calibrated answers for the validation pictures. The table has the answer's probability alone, so a wrong answer is the
    more doubtful the surer it is, and a right one the less sure."""
    rows = read_rows(run / predictions_name("val"), ("path", "label", "answer", "probability", "correct"))
    if not rows:
        return None
    doubt, found = np.zeros(len(rows)), {}
    for number, row in enumerate(rows):
        right, top = row["correct"] == "1", float(row["probability"])
        doubt[number] = top if right else -top
        found[row["path"]] = {
            "path": row["path"],
            "label": row["label"],
            "proposed": "" if right else row["answer"],
            "reason": say("review.reason.val", answer=row["answer"], top=f"{top:.3f}"),
            "likely": (row["answer"], row["label"]),
            "probability": top if right else None,
            "certainty": top,
        }
    return _Evidence(doubt=doubt, rows=found)


def _margin_rows(run: Path, config: Mapping[str, Any]) -> list[dict[str, str]]:
    """The table of the training itself; of an ensemble the means over the folds that a picture trained."""
    columns = ("path", "label", "margin", "seen", "rival")
    if not is_ensemble(config):
        return read_rows(run / MARGINS_NAME, columns) or []
    each = defaultdict(list)
    for number in range(1, config["folds"] + 1):
        for row in read_rows(fold_folder(run, number) / MARGINS_NAME, columns) or []:
            each[row["path"]].append(row)
    mean = {path: np.mean([float(row["margin"]) for row in rows]) for path, rows in each.items()}
    lowest = {path: min(rows, key=lambda row: float(row["margin"])) for path, rows in each.items()}
    return [{**row, "margin": f"{mean[path]:.6f}"} for path, row in lowest.items()]


def _margins(run: Path, config: Mapping[str, Any]) -> _Evidence | None:
    """What the training itself said."""
    rows = _margin_rows(run, config)
    if not rows:
        return None
    margins, found = np.array([float(row["margin"]) for row in rows]), {}
    for row, margin in zip(rows, margins, strict=True):
        found[row["path"]] = {
            "path": row["path"],
            "label": row["label"],
            "proposed": row["rival"] if margin < 0 else "",
            "reason": say("review.reason.margin", margin=f"{margin:.2f}", rival=row["rival"]),
            "likely": (row["rival"], row["label"]),
            "margin": float(margin),
        }
    return _Evidence(doubt=margins, rows=found)


def _far(run: Path) -> Iterator[Suspect]:
    """Pictures that are not from here, by the model's own threshold, the strangest first."""
    tables = (read_rows(run / predictions_name(split), ("path", "label", "answer")) for split in (OUT_OF_FOLD, "val"))
    rows = [row for row in next((table for table in tables if table), []) if row.get("outlier")]
    if not rows or not (run / MODEL_NAME).is_file():
        return
    rejection = (read_header(run / MODEL_NAME).get("calibration") or {}).get("rejection") or {}
    limit = rejection.get("max_outlier")
    rows.sort(key=lambda row: -float(row["outlier"]))
    for number, row in enumerate(rows):
        if limit is None or not float(row["outlier"]) > limit:
            return
        reason = say("review.reason.far", score=f"{float(row['outlier']):.4g}", limit=f"{limit:.4g}")
        likely = (row["answer"], row["label"])
        score = (number + 1) / len(rows)
        yield Suspect(path=row["path"], label=row["label"], proposed="", score=score, reason=reason, likely=likely)


# ------------------------------------------------------------------ the page


def review_page(review: Review, top: int = TOP) -> Page:
    """The page of a run, with at most `top` pictures a tab."""
    document = read_config(review.run)
    config = {**document["config"], "data": data_location(document)}
    suspects = review.suspects[:top]
    shown = {one.path for one in suspects}
    answered = [one for one in review.suspects if one.certainty is not None and one.path not in shown]
    doubtful = heapq.nsmallest(top, answered, key=lambda one: one.certainty or 0.0)
    copies = list(itertools.islice(_copies(review.run), top))
    lists = {"suspects": suspects, "doubtful": doubtful, "duplicates": copies, "far": review.far[:top]}
    labels = {one.path: one.label for listed in lists.values() for one in listed}
    found = find_pictures(config, labels, review.run)
    gone = [say("review.note.gone", data=config["data"])] if labels and not found else []

    def case(one: Suspect) -> Case:
        choices = choose(review.classes, (one.proposed, one.label, *one.likely))
        return Case(one.path, one.label, one.proposed, one.reason, choices, found.get(one.path))

    command = f"reslab train {shlex.quote(str(config['data']))} --corrections {CORRECTIONS_NAME}"
    tabs = [(name, [case(one) for one in listed]) for name, listed in lists.items()]
    title = say("review.title", data=Path(config["data"]).name or config["data"])
    notes = [*gone, *review.notes]
    return Page(title, notes, tabs, review.classes, CORRECTIONS_NAME, command, str(review.run.resolve()))


def _copies(run: Path) -> Iterator[Suspect]:
    """Pictures of the same content, as the fingerprints of a run's table have it."""
    groups = defaultdict(list)
    for row in read_split(run) or []:
        if row.fingerprint:
            groups[row.fingerprint].append(row)
    for group in groups.values():
        for row, other in itertools.pairwise([*group, group[0]]) if len(group) > 1 else ():
            labels = dict.fromkeys(one.label for one in group)
            reason = say("review.reason.copy", other=other.path, label=other.label)
            yield Suspect(path=row.path, label=row.label, proposed="", score=1.0, reason=reason, likely=tuple(labels))


@dataclass(slots=True)
class LeastCertain:
    """Of the answers of a `predict`, those with the smallest probability, kept as they stream past."""

    most: int = TOP
    heap: list[tuple[float, int, Prediction]] = field(default_factory=list)
    seen: int = 0

    def add(self, row: Prediction) -> None:
        """Take an answer; one for a picture that could not be read is passed over."""
        if row.top:
            self.seen += 1
            heapq.heappush(self.heap, (-row.top[0][1], -self.seen, row))
            if len(self.heap) > self.most:
                heapq.heappop(self.heap)

    def write(self, path: Path, model: str, classes: tuple[str, ...], digest: str) -> None:
        """Write the page."""
        write_atomically(path, render(self.page(model, classes, digest)).encode(errors="replace"))

    def page(self, model: str, classes: tuple[str, ...], digest: str) -> Page:
        """Least certain first; paths are absolute, so that the table can lie anywhere.

        Args:
            digest: sha256 of the model.
        """
        rows = [row for *_, row in sorted(self.heap, key=lambda entry: (-entry[0], -entry[1]))]
        cases = [_case(row, classes) for row in rows]
        title = say("review.title_new", model=Path(model).name)
        command = f"reslab train {LABELS_NAME}"
        return Page(title, (), [("unlabelled", cases)], classes, LABELS_NAME, command, f"predict {digest}")


def _case(row: Prediction, classes: tuple[str, ...]) -> Case:
    path = Path(row.path).absolute()
    answers = ", ".join(f"{label} {probability:.3f}" for label, probability in row.top[:3])
    reason = say("review.reason.answer", answers=answers)
    choices = choose(classes, (label for label, _ in row.top))
    return Case(path.as_posix(), "", row.label or "", reason, choices, Picture(path.as_posix(), path, ""))

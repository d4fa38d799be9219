"""The seam of a task holds: one that the package does not know, defined in one file, goes through the ordinary code."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reslab.cli.app import run as command
from reslab.data import digits
from reslab.errors import ResLabError
from reslab.evaluate.predict import load_model
from reslab.model.file import header_document, read_model
from reslab.model.run import read_journal
from reslab.run.evaluate import evaluate
from reslab.run.train import resume, train
from reslab.tasks.table import TASKS
from reslab.train.recipes import recipe
from tests.tasks import ordinal

EVERY = 6


@pytest.fixture(scope="module", autouse=True)
def registered():
    """The task in every table, and the digits as ranks."""
    read = digits.read_digits

    def ranks():
        catalog = read()
        return replace(catalog, pictures=catalog.pictures[::EVERY], task="ordinal")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "read_digits", ranks)
        for table, entry in ordinal.TABLES:
            patch.setitem(table, "ordinal", entry)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    config = replace(recipe("standard"), data="digits", model="resnet20", size=8, epochs=2, batch_size=32)
    return train(config, tmp_path_factory.mktemp("runs") / "ranks")


@pytest.fixture(scope="module")
def tested(made):
    return evaluate(made.folder, "digits")


def test_one_file_of_at_most_120_lines():
    assert len(Path(ordinal.__file__).read_text(encoding="utf-8").splitlines()) <= 120
    source = Path(ordinal.__file__).parents[2] / "src"
    assert [path for path in source.rglob("*.py") if "ordinal" in path.read_text(encoding="utf-8")] == []


def test_it_trains_and_its_score_chooses_the_epoch(made):
    epochs = [event for event in read_journal(made.folder) if event["event"] == "epoch"]
    values = [event["val_neg_mean_absolute_error"] for event in epochs]
    assert len(epochs) == 2 and max(values) < 0
    best = max(range(2), key=lambda k: (values[k], -epochs[k]["val_nll"]))
    assert epochs[best]["best"] and json.loads((made.folder / "config.json").read_text())["task"] == "ordinal"


def test_smoothing_is_left_out_and_folds_are_refused(made, tmp_path):
    assert json.loads((made.folder / "config.json").read_text())["config"]["label_smoothing"] == 0
    with pytest.raises(
        ResLabError, match="--folds needs data that give each picture one label; these give each picture one"
    ):
        train(replace(recipe("standard"), data="digits", folds=2), tmp_path / "run")


def test_the_score_is_the_distance_of_ranks(made, tested):
    rows = list(csv.DictReader((made.folder / "predictions-test.csv").read_text(encoding="utf-8").splitlines()))
    distances = [abs(int(row["label"]) - int(row["answer"])) for row in rows]
    assert len(rows) == tested.score.n > 50 and [int(row["distance"]) for row in rows] == distances
    document = json.loads((made.folder / "evaluation-test.json").read_text(encoding="utf-8"))
    assert document["task"] == "ordinal" and document["distance"]["value"] == pytest.approx(np.mean(distances))
    assert document["distance"]["low"] <= document["distance"]["value"] <= document["distance"]["high"]


def test_the_model_file_has_its_own_format_and_predicts(made, tested):
    header = read_model(made.model).header
    assert header.task == "ordinal" and header_document(header)["format"] == 3
    assert header.scores["val"]["distance"] == made.evaluation.score.distance
    pictures = digits.read_digits().split("test")
    answers = load_model(made.folder).predict([picture.source for picture in pictures])
    assert [row.label for row in answers] == [tested.classes[rank] for rank in tested.answers]


def test_a_resumed_run_goes_on(made):
    assert resume(made.folder).evaluation.document() == made.evaluation.document()


def test_verbs_and_page(made, tested, capsys):
    assert command(["eval", str(made.folder), "digits"]) == 0
    assert f"distance {tested.score.distance['value']:.2f} ranks" in capsys.readouterr().out
    assert command(["compare", str(made.folder), str(made.folder), "digits"]) == 0
    assert "+0.00 ranks: no difference shown" in capsys.readouterr().out
    assert command(["check", "digits", "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["task"] == "ordinal"
    assert command(["report", str(made.folder)]) == 0
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    assert "Mean distance of ranks" in page and f"{tested.score.distance['value']:.2f} ranks" in page


def test_without_its_row_in_the_table_a_file_is_refused(made, monkeypatch):
    monkeypatch.delitem(TASKS, "ordinal")
    with pytest.raises(ResLabError, match="format 3; this version reads 1 and 2"):
        read_model(made.model)

"""`--keep-folds`: the networks of a cross-validation are the model, and every verb takes it like any other."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from reslab.engine.open import open_engine
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import evaluate_engine
from reslab.model.file import read_model
from reslab.model.run import OUT_OF_FOLD, predictions_name
from reslab.run.evaluate import evaluate
from reslab.run.examine import read_and_split
from reslab.run.list import list_runs
from reslab.run.review import review_run
from reslab.run.train import resume, train
from reslab.train.plan.choices import refuse_contradictions
from reslab.train.recipes import recipe
from tests.pictures import colour_folder

FOLDS = 2


def quick(data, **changes):
    usual = {"epochs": 1, "batch_size": 8, "folds": FOLDS, "keep_folds": True, "ema": 0.5, "normalize": "measured"}
    usual |= {"layout": "channels-last", "precision": "float32", "model": "resnet20", "size": 16}
    return replace(recipe("standard"), data=str(data), **{**usual, **changes})


def fold(run, number):
    return run.folder / f"fold-{number}"


def members(run):
    return [open_engine(fold(run, k + 1)) for k in range(FOLDS)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "colours"
    colour_folder(root, 2, 8, prefix="train")
    return colour_folder(root, 2, 6, prefix="test", start=50)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(quick(data), tmp_path_factory.mktemp("run") / "a", {"epochs", "folds", "keep_folds"})


def test_the_model_answers_with_the_mean_of_its_folds(run, data):
    test = read_and_split(quick(data)).split("test")
    each = [evaluate_engine(engine, test, "test").logits for engine in members(run)]
    found = evaluate_engine(open_engine(run.folder), test, "test")
    assert np.abs(each[0] - each[1]).max() > 0.01
    assert np.allclose(found.logits, np.mean(each, axis=0), atol=1e-5)
    assert np.allclose(found.calibrated, found.logits / found.temperature)


def test_it_judges_its_answers_by_the_features_of_all_members(run, data):
    """The outlier score is a ratio of distances, so that of K networks side by side is as large as that of each."""
    test = read_and_split(quick(data)).split("test")
    parts = [engine.header.feature_mean for engine in members(run)]
    ensemble = evaluate_engine(open_engine(run.folder), test, "test")
    assert open_engine(run.folder).header.feature_mean == (*parts[0], *parts[1])
    each = [evaluate_engine(engine, test, "test").outlier for engine in members(run)]
    assert np.allclose(ensemble.outlier, np.mean(each, axis=0), atol=0.25 * np.abs(each).max())
    assert ensemble.calibration.rejection.n == 16 and not ensemble.calibration.rejection.reliable


def test_its_file_knows_every_picture_of_its_members_and_whose_score_it_carries(run, data):
    model, parts = read_model(run.model), [read_model(fold(run, k + 1) / "model.safetensors") for k in range(FOLDS)]
    assert {row.tobytes() for row in model.seen} == {row.tobytes() for part in parts for row in part.seen}
    inputs = [{name: part.header.network[name] for name in ("mean", "std")} for part in parts]
    assert model.header.network["members"] == inputs and inputs[0] != inputs[1]
    assert model.header.training["keep_folds"] is True and model.header.training["fold"] == 0
    assert model.header.scores.keys() == {"out-of-fold"} and model.header.calibration.split == "out-of-fold"
    with pytest.raises(ResLabError, match="the model was trained on"):
        evaluate(run.folder, data, "train")


def test_its_folds_are_those_of_a_cross_validation_that_keeps_none(run, data, tmp_path):
    plain = train(quick(data, keep_folds=False), tmp_path / "run")
    for number in range(1, FOLDS + 1):
        ours, theirs = (read_model(fold(one, number) / "model.safetensors") for one in (run, plain))
        assert ours.sha256 == theirs.sha256
    assert run.evaluation.score.top1 == plain.evaluation.score.top1
    assert "keep_folds" not in read_model(plain.model).header.training


class Killed(Exception):
    """Nobody catches it."""


@pytest.mark.parametrize("moment", ["fold", "epoch"])
def test_killed_and_resumed_it_ends_with_the_same_bytes(run, data, tmp_path, moment):
    """Before the first step of the second fold, or after its last."""
    events = []

    def listen(event):
        events.append(event["event"])
        if events.count("fold") == 2 and event["event"] == moment:
            raise Killed

    with pytest.raises(Killed):
        train(quick(data), tmp_path / "run", {"epochs", "folds", "keep_folds"}, listen)
    assert not (tmp_path / "run/model.safetensors").exists()
    resume(tmp_path / "run")
    for name in ("model.safetensors", "evaluation-oof.json", "predictions-oof.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (run.folder / name).read_bytes(), name


def test_the_listing_and_the_report_say_that_it_is_one(run):
    (row,) = list_runs(run.folder.parent)
    spent = [json.loads(line) for k in (1, 2) for line in (fold(run, k) / "journal.jsonl").read_text().splitlines()]
    assert (row["epochs"], row["split"], row["error"]) == ("1/1", "out-of-fold", None)
    assert row["seconds"] == pytest.approx(sum(e["seconds"] for e in spent if e["event"] == "epoch"), abs=0.1)
    page = (run.folder / "report.html").read_text()
    for words in ("the ensemble of all of them", "means over the 2 networks", "an ensemble of 2 such networks", "集成"):
        assert words in page
    assert "reslab resume" not in page and "--folds 2 --keep-folds" in page


def test_it_teaches_but_is_no_start(run, data, tmp_path):
    with pytest.raises(ResLabError, match="an ensemble of 2 networks, and training starts from one") as caught:
        train(quick(data, folds=0, keep_folds=False, weights=str(run.folder), model="auto"), tmp_path / "a")
    assert "--teacher" in caught.value.hint and not (tmp_path / "a").exists()
    taught = quick(data, folds=0, keep_folds=False, val=0.0, normalize="-1-1")
    with_teacher = train(replace(taught, teacher=str(run.folder)), tmp_path / "b")
    assert not np.array_equal(
        read_model(with_teacher.model).tensors["head.weight"],
        read_model(train(taught, tmp_path / "c").model).tensors["head.weight"],
    )


@pytest.mark.parametrize(
    ("changes", "user"),
    [({"folds": 0}, ()), ({"fold": 1}, ("keep_folds",)), ({"folds": 101}, ())],
)
def test_folds_that_cannot_be_kept_are_refused(changes, user):
    with pytest.raises(ResLabError, match="^--keep-folds keeps ") as caught:
        refuse_contradictions(quick("digits", **changes), user)
    assert "--folds 5" in caught.value.hint


def test_a_fold_of_it_can_be_repeated_alone(run, data, tmp_path):
    alone = train(quick(data, fold=2), tmp_path / "alone", {"fold"})
    assert alone.model.read_bytes() == (fold(run, 2) / "model.safetensors").read_bytes()


def test_its_margins_are_the_means_of_those_of_the_folds(run):
    def table(number):
        with (fold(run, number) / "margins.csv").open() as file:
            return {row["path"]: float(row["margin"]) for row in csv.DictReader(file)}

    tables = [table(number) for number in range(1, FOLDS + 1)]
    found = {one.path: one.margin for one in review_run(run.folder).suspects}
    assert found.keys() == tables[0].keys() | tables[1].keys()
    for path, margin in found.items():
        assert margin == pytest.approx(np.mean([each[path] for each in tables if path in each]), abs=1e-5)


def test_pictures_that_are_not_from_here_are_a_tab_of_the_review(run):
    rejection = read_model(run.model).header.calibration.rejection
    with (run.folder / predictions_name(OUT_OF_FOLD)).open(encoding="utf-8-sig") as file:
        outlier = {row["path"]: float(row["outlier"]) for row in csv.DictReader(file)}
    far = review_run(run.folder).far
    strange = {path for path, score in outlier.items() if score > rejection.max_outlier}
    assert {one.path for one in far} == strange
    assert [outlier[one.path] for one in far] == sorted((outlier[path] for path in strange), reverse=True)

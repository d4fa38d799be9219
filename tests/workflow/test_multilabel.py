"""Pictures with several labels, through the whole house: train, score, answer, resume, export, compare, report."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import expit

from reslab.engine.onnx import open_exported
from reslab.engine.torch import network_from_file, open_torch
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import evaluate_engine
from reslab.evaluate.predict import load_model
from reslab.export.graph import write_onnx
from reslab.metrics.calibration import calibrate
from reslab.metrics.multilabel import fit_labels_temperature, labels_likelihood
from reslab.model.file import read_model, write_model, write_tensors
from reslab.model.run import read_config, read_journal
from reslab.report.page import write_report
from reslab.run.evaluate import EvaluationOptions, evaluate
from reslab.run.examine import contact_sheet, examine_data
from reslab.run.list import list_runs
from reslab.run.train import resume, train
from reslab.train.config import TrainConfig
from reslab.train.plan.document import plan_document, plan_from
from reslab.train.recipes import recipe
from tests.pictures import PATCHES, colour_folder, patches_table, tree
from tests.report.reading import Page

EXACT = 1e-12
RELATIVE = 1e-4


def quick(data, **changes):
    fields = {"epochs": 8, "batch_size": 16, "precision": "float32", "layout": "channels-last", "size": 16} | changes
    return replace(recipe("standard"), data=str(data), model="resnet20", **fields)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return patches_table(tmp_path_factory.mktemp("data"), 160)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(quick(data), tmp_path_factory.mktemp("run") / "a")


@pytest.fixture(scope="module")
def tested(run, data):
    return evaluate(run.folder, data)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """One label each, and a model of them."""
    folder = colour_folder(tmp_path_factory.mktemp("colours") / "pictures")
    return folder, train(quick(folder, epochs=1), tmp_path_factory.mktemp("one") / "run")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------------ training


def test_what_can_be_learnt_is_learnt(tested):
    assert tested.split == "test" and tested.classes == PATCHES
    assert tested.score.mean_ap.value > 0.95 and tested.score.frequency_baseline < 0.7


def test_twice_the_same_bytes_and_a_resumed_run_too(data, run, tmp_path):
    whole = run.model.read_bytes()
    assert train(quick(data), tmp_path / "again").model.read_bytes() == whole

    def stop(event):
        if event["event"] == "epoch" and event["epoch"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(quick(data), tmp_path / "cut", on_event=stop)
    assert resume(tmp_path / "cut").model.read_bytes() == whole


def test_data_are_never_touched(data, run, tested):
    before = tree(data.parent)
    evaluate(run.folder, data)
    contact_sheet(quick(data))
    examine_data(quick(data))
    assert tree(data.parent) == before


def test_the_best_epoch_is_the_one_with_the_best_map(run):
    epochs = [e for e in read_journal(run.folder) if e["event"] == "epoch"]
    best = max(range(8), key=lambda i: (epochs[i]["val_mean_ap"], -epochs[i]["val_nll"]))
    assert len(epochs) == 8 and best == [i for i, e in enumerate(epochs) if e["best"]][-1]
    assert run.evaluation.score.mean_ap.value == pytest.approx(epochs[best]["val_mean_ap"], abs=EXACT)
    assert run.evaluation.document()["calibration"]["nll_before"] == pytest.approx(epochs[best]["val_nll"], rel=1e-9)


def test_smoothing_is_off_and_the_plan_says_why(run):
    document = read_config(run.folder)
    assert document["task"] == "multi" and document["classes"] == list(PATCHES)
    assert recipe("standard").label_smoothing > 0 == document["config"]["label_smoothing"]
    assert document["origins"]["label_smoothing"]["reason"].startswith("several labels per picture")
    assert json.loads(json.dumps(plan_document(plan_from(document)))) == document


def test_the_model_file_carries_thresholds_and_score(run):
    header, evaluation = read_model(run.model).header, run.evaluation
    assert header.task == "multi" and header.thresholds == evaluation.thresholds and len(header.thresholds) == 3
    found = calibrate(evaluation.logits, evaluation.labels, fit_labels_temperature, (labels_likelihood,))
    assert header.calibration.temperature == evaluation.temperature == found[0]
    assert header.calibration.n == len(evaluation.keys)
    assert header.scores["val"]["mean_ap"]["value"] == evaluation.score.mean_ap.value
    assert header.scores["val"]["chose_the_model"] is True
    opened = evaluate_engine(open_torch(run.model), [p for p in _pictures(run) if p.split == "val"], "val")
    assert np.array_equal(opened.calibrated, evaluation.calibrated) and opened.document() == evaluation.document()


def _pictures(run):
    from reslab.run.prepare import same_data

    return same_data(plan_from(read_config(run.folder)).config, run.folder)[0].pictures


def test_the_thresholds_are_the_best_on_validation(run):
    evaluation = run.evaluation
    p = expit(evaluation.logits.astype(np.float64) / evaluation.temperature)
    for k, threshold in enumerate(evaluation.thresholds):
        precision, recall, _ = sk.precision_recall_curve(evaluation.labels[:, k], p[:, k])
        greatest = (2 * precision * recall / np.maximum(precision + recall, 1e-300)).max()
        assert sk.f1_score(evaluation.labels[:, k], p[:, k] >= threshold) == pytest.approx(greatest, abs=EXACT)


def test_a_label_without_a_validation_picture_keeps_one_half(data, tmp_path):
    copy = shutil.copytree(data.parent, tmp_path / "data")
    rows = (copy / data.name).read_text().splitlines()
    rare = ["000.png", "001.png"]
    lines = [f"{row};rare" if row[:7] in rare else row for row in rows]
    split = ["split", *(("train" if row[:7] in rare or k % 5 else "val") for k, row in enumerate(rows[1:]))]
    (copy / data.name).write_text("".join(f"{row},{part}\n" for row, part in zip(lines, split, strict=True)))
    events = []
    made = train(quick(copy / data.name, epochs=1), tmp_path / "run", on_event=events.append)
    header = read_model(made.model).header
    assert header.classes == (*PATCHES[:2], "rare", "red") and header.thresholds[2] == 0.5
    verdict = next(e["verdict"] for e in events if e["event"] == "checked")
    assert "its threshold stays at 0.5" in next(p.detail for p in verdict.problems if p.path == "val: rare")
    row = made.evaluation.score.per_label[2]
    assert (row.label, row.n, row.average_precision) == ("rare", 0, None)


def test_without_validation_every_threshold_is_one_half(data, tmp_path):
    made = train(quick(data, epochs=1, val=0.0), tmp_path / "run")
    header = read_model(made.model).header
    assert made.evaluation is None and header.thresholds == (0.5,) * 3 and header.calibration.n == 0
    assert "labels-heading" not in write_report(made.folder).read_text(encoding="utf-8")


@pytest.mark.parametrize("mode", ["head", "all"])
def test_fine_tuning(data, tmp_path, mode):
    config = TrainConfig(
        data=str(data), weights="cifar10_resnet20", finetune=mode, size=32, epochs=2, precision="float32",
        layout="channels-last",
    )  # fmt: skip
    made = train(config, tmp_path / "run")
    epochs = [e for e in read_journal(made.folder) if e["event"] == "epoch"]
    assert made.evaluation.score.mean_ap.value > 0.8 and len(epochs) == (1 if mode == "head" else 2)


def test_blended_pictures_are_learnt_from_too(data, tmp_path):
    made = train(quick(data, augment="strong,mixup", epochs=2), tmp_path / "run")
    assert made.evaluation is not None


# ------------------------------------------------------------------ scores


def test_the_score_is_scikit_learns(tested, run):
    rows = rows_of(run.folder / "predictions-test.csv")
    assert len(rows) == tested.score.n == len(tested.keys) > 10
    marks = np.array([[label in row["label"].split(";") for label in PATCHES] for row in rows])
    answers = np.array([[label in row["answer"].split(";") for label in PATCHES] for row in rows])
    p = np.array([[float(row[f"p({label})"]) for label in PATCHES] for row in rows])
    document = tested.document()
    assert document["exact_match"]["value"] == pytest.approx(sk.accuracy_score(marks, answers), abs=EXACT)
    assert document["hamming_loss"] == pytest.approx(sk.hamming_loss(marks, answers), abs=EXACT)
    assert document["mean_ap"]["value"] == pytest.approx(sk.average_precision_score(marks, tested.logits), abs=EXACT)
    assert document["nll"] == pytest.approx(sum(sk.log_loss(marks[:, k], p[:, k]) for k in range(3)), abs=1e-4)
    assert [row["correct"] for row in rows] == [str(int(same)) for same in (marks == answers).all(1)]
    written = json.loads((run.folder / "evaluation-test.json").read_text())
    assert written == json.loads(json.dumps(document)) and written["task"] == "multi"


def test_seen_pictures_are_counted(run, data):
    with pytest.raises(ResLabError, match="trained on"):
        evaluate(run.folder, data, "train")
    seen = evaluate(run.folder, data, "train", how=EvaluationOptions(allow_seen=True)).document()
    assert seen["seen_in_training"] == seen["n"] and seen["mean_ap_unseen"] is None


def test_a_model_of_one_label_does_not_score_several(colours, data):
    with pytest.raises(ResLabError, match="gives each picture one label") as caught:
        evaluate(colours[1].folder, data)
    assert "train a model" in caught.value.hint


def test_a_model_of_several_labels_scores_one_each(run, colours):
    folder = colours[0]
    found = evaluate(run.folder, folder)
    assert found.labels.sum(1).tolist() == [1] * found.score.n and found.classes == PATCHES


def test_an_unknown_label_is_named(run, data, tmp_path):
    copy = shutil.copytree(data.parent, tmp_path / "data") / data.name
    copy.write_text(copy.read_text().replace("green", "gren"))
    with pytest.raises(ResLabError, match=r"label 'gren' .* does not know") as caught:
        evaluate(run.folder, copy)
    assert "'green'" in caught.value.hint


# ------------------------------------------------------------------ other doors


def test_predict_answers_what_eval_counts(run, tested, data):
    answers = {row["path"]: row["answer"] for row in rows_of(run.folder / "predictions-test.csv")}
    asked = load_model(run.folder).predict([data.parent / key for key in answers])
    assert [row.label for row in asked] == list(answers.values()) and len({*answers.values()}) > 3
    thresholds = dict(zip(PATCHES, read_model(run.model).header.thresholds, strict=True))
    for row in asked:
        above = {label: p for label, p in row.top if p >= thresholds[label]}
        assert row.probability is None and dict(row.labels) == above and row.label == ";".join(sorted(above))
        assert [p for _, p in row.top] == sorted((p for _, p in row.top), reverse=True) and len(row.top) == 3


def test_an_answer_is_what_reaches_its_threshold(run, data, tmp_path):
    model = read_model(run.model)
    asked = load_model(run.model).predict(sorted(data.parent.glob("*.png")))
    middle = sorted(dict(row.top)["green"] for row in asked)[len(asked) // 2]
    path = tmp_path / "model.safetensors"
    write_model(path, model.tensors, replace(model.header, thresholds=(0.0, middle, 1.1)))
    for row, again in zip(asked, load_model(path).predict([row.path for row in asked]), strict=True):
        assert again.top == row.top
        assert again.label == ("blue;green" if dict(row.top)["green"] >= middle else "blue")
    counted = evaluate_engine(open_torch(path), [p for p in _pictures(run) if p.split == "val"], "val").answers.sum(0)
    assert counted[0] == len(run.evaluation.keys) and counted[2] == 0 < counted[1] < counted[0]


def test_an_exported_graph_gives_the_same_probabilities(run, data, tmp_path):
    model = read_model(run.model)
    write_onnx(tmp_path / "m.onnx", network_from_file(model, run.model), model.header, model.seen)
    engine = open_exported(tmp_path / "m.onnx")
    assert engine.header == model.header
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    logits, probabilities = engine.session.run(["logits", "probabilities"], {"images": pixels})
    assert np.abs(probabilities - expit(logits / model.header.calibration.temperature)).max() < 1e-6
    paths = sorted(data.parent.glob("00*.png"))
    ours, theirs = (load_model(path).predict(paths) for path in (run.model, tmp_path / "m.onnx"))
    assert [row.label for row in ours] == [row.label for row in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert [p for _, p in a.top] == pytest.approx([p for _, p in b.top], abs=RELATIVE)


def test_a_version_that_knows_one_label_only_would_refuse_the_file(run, colours, tmp_path):
    from reslab.model.file import header_document

    assert header_document(read_model(run.model).header)["format"] == 2
    assert header_document(read_model(colours[1].model).header)["format"] == 1
    write_tensors(tmp_path / "m", {"w": np.zeros(1)}, {"format": 3, "network": {}})
    with pytest.raises(ResLabError, match="format 3; this version reads 1 and 2"):
        read_model(tmp_path / "m")


def test_runs_are_listed_by_their_map(run):
    (row,) = [row for row in list_runs(run.folder.parent) if row["run"] == str(run.folder)]
    assert row["top1"] is None and row["mean_ap"]["low"] <= row["mean_ap"]["value"] and row["epochs"] == "8/8"


def test_the_page(run, tested):
    path = write_report(run.folder)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.faults == [] and write_report(run.folder).read_text(encoding="utf-8") == html
    assert "Mean average precision (mAP) on the test split" in page.text and "accuracy, %" not in page.text
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    links = {attrs["href"][1:] for attrs in page.all("a")}
    assert {"curves", "labels", "input", "settings", "remake"} == links <= ids
    assert not {"confusion", "calibration", "mistakes", "chart-accuracy-title"} & ids and "chart-mean_ap-title" in ids
    rows = page.table("classes")[1:]
    assert [row[0] for row in rows] == list(PATCHES)
    for row, truth in zip(rows, tested.score.per_label, strict=True):
        assert row[1] == str(truth.n) and row[4] == f"{truth.threshold:.3f}" and row[7] == f"{truth.f1:.3f}"
    trained = [sum(label in row["label"].split(";") for row in rows_of(run.folder / "split.csv") if row["split"] == "train")
               for label in PATCHES]  # fmt: skip
    assert [int(row[8]) for row in rows] == trained

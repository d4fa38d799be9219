"""Cross-validation: who judges whom, what the file says about it, and that a killed one ends with the same bytes."""

import csv
import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from reslab.engine.open import open_engine
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import evaluate_engine
from reslab.metrics.calibration import calibrate
from reslab.model.file import read_model, read_tensors
from reslab.run.evaluate import evaluate, out_of_fold
from reslab.run.examine import read_and_split
from reslab.run.train import resume, train
from reslab.train import probe
from reslab.train.loop import Interrupted
from reslab.train.recipes import recipe
from tests.pictures import colour_folder, colour_picture, tree

FOLDS = 3
ROUNDED = 1e-6  # digits of a probability in a table
EXACT = 1e-12


def quick(data, **changes):
    usual = {
        "epochs": 2,
        "batch_size": 8,
        "folds": FOLDS,
        "ema": 0.9,
        "layout": "channels-last",
        "precision": "float32",
    }
    return replace(recipe("standard"), data=str(data), size=16, **{"model": "resnet20", **usual, **changes})


def table(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def epochs(folder):
    lines = (folder / "journal.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "epoch"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Undivided pictures of three colours that noise makes hard to tell apart."""
    root = tmp_path_factory.mktemp("data") / "colours"
    for label, names in (("bluish", ("blue", "violet")), ("green", ("green",)), ("reddish", ("red", "violet"))):
        (root / label).mkdir(parents=True)
        for number in range(12):
            name = names[number % len(names)]
            colour_picture(name, number + 100 * (label == "reddish")).save(root / label / f"{number:03d}.png")
    return root


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(quick(data), tmp_path_factory.mktemp("run") / "a", {"epochs", "folds"})


def fold(run, number):
    return run.folder / f"fold-{number}"


# ------------------------------------------------------------------ who judges whom


def test_every_picture_is_judged_once_and_by_a_network_that_has_not_seen_it(run):
    rows = table(run.folder / "split.csv")
    pool = [row["path"] for row in rows if row["split"] == "train"]
    assert {row["split"] for row in rows} == {"train", "test"} and len(pool) > 25
    assert sorted(row["path"] for row in table(run.folder / "predictions-oof.csv")) == sorted(pool)
    judged = []
    for number in range(1, FOLDS + 1):
        mine = {row["path"]: row for row in table(fold(run, number) / "split.csv")}
        assert mine.keys() == {row["path"] for row in rows}
        held = {key for key, row in mine.items() if row["split"] == "val"}
        assert held == {row["path"] for row in rows if row["fold"] == str(number)}
        assert held == {row["path"] for row in table(fold(run, number) / "predictions.csv")}
        seen = {row.tobytes().hex() for row in read_model(fold(run, number) / "model.safetensors").seen}
        assert seen == {mine[key]["fingerprint"] for key in pool if key not in held}
        judged += held
    assert sorted(judged) == sorted(pool)
    everything = {row["fingerprint"] for row in rows if row["split"] == "train"}
    assert {row.tobytes().hex() for row in read_model(run.model).seen} == everything


def test_the_pooled_score_is_scikit_learns_on_the_table(run):
    rows = table(run.folder / "predictions-oof.csv")
    labels, answers = [row["label"] for row in rows], [row["answer"] for row in rows]
    document = json.loads((run.folder / "evaluation-oof.json").read_text())
    assert 0.4 < document["top1"]["value"] < 1  # some are wrong, or nothing would be tested
    assert document["top1"]["value"] == sk.accuracy_score(labels, answers)
    assert document["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, answers), abs=EXACT)
    chances = np.array([[float(row[f"p({name})"]) for name in document["classes"]] for row in rows])
    assert np.allclose(chances.sum(1), 1, atol=5 * ROUNDED)
    assert document["nll"] == pytest.approx(sk.log_loss(labels, chances / chances.sum(1)[:, None]), abs=1e-4)
    assert json.loads(json.dumps(run.evaluation.document())) == document and document["split"] == "out-of-fold"


def test_the_spread_is_that_of_the_folds(run):
    folds = json.loads((run.folder / "evaluation-oof.json").read_text())["folds"]
    each = []
    for number in range(1, FOLDS + 1):
        rows = table(fold(run, number) / "predictions.csv")
        each.append(sk.accuracy_score([row["label"] for row in rows], [row["answer"] for row in rows]))
    assert folds["values"] == each and folds["mean"] == pytest.approx(np.mean(each), abs=EXACT)
    assert folds["std"] == pytest.approx(np.std(each, ddof=1), abs=EXACT)


def test_the_file_names_its_score_and_its_temperature_as_out_of_fold(run, data):
    header = read_model(run.model).header
    score, calibration = header.scores["out-of-fold"], header.calibration
    assert header.scores.keys() == {"out-of-fold"} and score["chose_the_model"] is False
    assert score["top1"]["value"] == run.evaluation.score.top1.value and len(score["folds"]["values"]) == FOLDS
    assert (calibration.split, calibration.n, score["n"]) == ("out-of-fold", len(run.evaluation.keys), calibration.n)
    answered = {}
    for number in range(1, FOLDS + 1):
        held = read_and_split(quick(data)).with_fold(number).split("val")
        found = evaluate_engine(open_engine(fold(run, number)), held, "val")
        answered |= {key: (row, label) for key, row, label in zip(found.keys, found.logits, found.labels, strict=True)}
    logits, labels = (np.array(part) for part in zip(*(answered[key] for key in sorted(answered)), strict=True))
    assert calibration.temperature == calibrate(logits, labels)[0]


# ------------------------------------------------------------------ what ships


def test_what_ships_is_a_run_on_everything(data, tmp_path):
    shutil.copytree(data, tmp_path / "data/train")  # declared, so that --val none trains on the same pictures
    run = train(quick(tmp_path / "data"), tmp_path / "run")
    plain = train(quick(tmp_path / "data", folds=0, val=0.0), tmp_path / "plain")
    ours, theirs = read_model(run.model), read_model(plain.model)
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(np.array_equal(theirs.tensors[name], tensor) for name, tensor in ours.tensors.items())
    assert np.array_equal(ours.seen, theirs.seen)


def test_the_last_weights_count_whatever_validation_says(data, tmp_path):
    config = quick(data, epochs=5)
    wild = replace(config, optim=replace(config.optim, lr=3.0), schedule=replace(config.schedule, kind="constant"))
    made = train(wild, tmp_path / "run")
    better_before = 0
    for number in range(1, FOLDS + 1):
        told = epochs(fold(made, number))
        assert len(told) == 5
        document = json.loads((fold(made, number) / "evaluation.json").read_text())
        assert document["top1"]["value"] == pytest.approx(told[-1]["val_accuracy"], abs=EXACT)
        model = read_model(fold(made, number) / "model.safetensors")
        assert model.header.scores["val"]["chose_the_model"] is False
        state = max(
            (read_tensors(p) for p in (fold(made, number) / "state").iterdir()), key=lambda s: s[1]["progress"]["step"]
        )
        assert all(np.array_equal(state[0][f"average.{name}"], tensor) for name, tensor in model.tensors.items())
        better_before += not told[-1]["best"]
    assert better_before


def test_one_fold_alone_is_the_same_run(run, data, tmp_path):
    alone = train(quick(data, fold=2), tmp_path / "alone", {"epochs", "folds", "fold"})
    assert alone.model.read_bytes() == (fold(run, 2) / "model.safetensors").read_bytes()
    assert (alone.folder / "split.csv").read_bytes() == (fold(run, 2) / "split.csv").read_bytes()
    assert not (tmp_path / "alone" / "fold-2").exists()


def test_all_runs_share_their_choices(run):
    configs = [
        json.loads((place / "config.json").read_text()) for place in (run.folder, *(fold(run, k) for k in (1, 2, 3)))
    ]
    assert [c["config"].pop("fold") for c in configs] == [0, 1, 2, 3]
    assert all(c["config"] == configs[0]["config"] for c in configs)
    assert configs[1]["steps_per_epoch"] < configs[0]["steps_per_epoch"]


def test_a_head_takes_no_penalty_from_the_pictures_that_judge_it(data, tmp_path, monkeypatch):
    asked = []

    def fit_head(features, labels, classes, validation=None, *others):
        asked.append(validation)
        return original(features, labels, classes, validation, *others)

    original = probe.fit_head
    monkeypatch.setattr(probe, "fit_head", fit_head)
    config = quick(data, model="auto", weights="cifar10_resnet20", finetune="head", epochs=0)
    made = train(config, tmp_path / "run")
    assert asked == [None] * (FOLDS + 1) and len(epochs(made.folder)) == 1
    before = made.model.read_bytes()
    again = resume(made.folder)
    assert again.model.read_bytes() == before and again.evaluation.document() == made.evaluation.document()


def test_what_is_measured_is_measured_on_the_pictures_that_train(data, tmp_path):
    made = train(quick(data, epochs=1, normalize="measured"), tmp_path / "run")
    means = [
        tuple(read_model(p / "model.safetensors").header.network["mean"])
        for p in (fold(made, 1), fold(made, 2), made.folder)
    ]
    assert len(set(means)) == 3


# ------------------------------------------------------------------ stopped and gone on with


class Killed(Exception):
    """Nobody catches it: what is on disk is all that is left."""


def at(run_number, epoch, deed):
    """A listener that does something at the end of an epoch of one of the runs (0: that on everything)."""
    now = []

    def listen(event):
        if event["event"] == "fold":
            now.append(event["fold"])
        if event["event"] == "epoch" and (now[-1], event["epoch"]) == (run_number, epoch):
            deed()

    return listen


def kill():
    raise Killed


@pytest.mark.parametrize(("where", "epoch"), [(1, 2), (2, 2), (0, 1)])
def test_killed_and_resumed_it_ends_with_the_same_bytes(run, data, tmp_path, where, epoch):
    with pytest.raises(Killed):
        train(quick(data), tmp_path / "run", {"epochs", "folds"}, at(where, epoch, kill))
    assert not (tmp_path / "run" / "evaluation-oof.json").exists()
    begun = [k for k in (1, 2, 3) if (tmp_path / f"run/fold-{k}").exists()]
    states = tree(tmp_path / "run/fold-1/state")
    done = []
    resume(tmp_path / "run", on_event=lambda e: done.append(e["event"]) if e["event"] == "epoch" else None)
    assert (where, begun) in [(1, [1]), (2, [1, 2]), (0, [1, 2, 3])]
    assert len(done) < 2 * (FOLDS + 1) and (where == 1 or tree(tmp_path / "run/fold-1/state") == states)
    for name in ("model.safetensors", "evaluation-oof.json", "predictions-oof.csv", "split.csv", "margins.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (run.folder / name).read_bytes(), name
    for number in range(1, FOLDS + 1):
        assert (tmp_path / f"run/fold-{number}/split.csv").read_bytes() == (
            fold(run, number) / "split.csv"
        ).read_bytes()


def test_a_polite_stop_names_the_fold_and_how_to_go_on(run, data, tmp_path):
    listener = at(2, 1, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted, match=f"fold 2 of {FOLDS}: stopped in epoch") as caught:
        train(quick(data), tmp_path / "run", {"epochs", "folds"}, listener)
    assert caught.value.hint == f"go on with: reslab resume {tmp_path / 'run'}"
    assert resume(tmp_path / "run").model.read_bytes() == run.model.read_bytes()


def test_a_finished_one_is_not_trained_again(run):
    events = []
    before = run.model.read_bytes()
    resume(run.folder, on_event=events.append)
    assert [e["event"] for e in events if e["event"] in ("fold", "epoch", "step")] == ["fold"] * (FOLDS + 1)
    assert run.model.read_bytes() == before


def test_its_length_stands(run):
    with pytest.raises(ResLabError, match="of one length") as caught:
        resume(run.folder, 5)
    assert f"--folds {FOLDS} --epochs 5" in caught.value.hint


# ------------------------------------------------------------------ which pictures


def test_groups_stay_together_and_a_stopped_run_remembers_them(tmp_path):
    data = colour_folder(tmp_path / "data", 2, 30)
    config = quick(data, epochs=1, group_by=r"\d(\d)\d\.png", folds=2)
    with pytest.raises(Killed):
        train(config, tmp_path / "run", on_event=at(1, 1, kill))
    resume(tmp_path / "run")
    for place in (tmp_path / "run", tmp_path / "run/fold-2"):
        sides = {}
        for row in table(place / "split.csv"):
            sides.setdefault(row["group"], set()).add((row["split"], row["fold"]))
        assert sides.keys() == {"0", "1", "2"} and all(len(found) == 1 for found in sides.values())


def test_declared_validation_pictures_join_and_test_pictures_stay_shut(tmp_path):
    data = tmp_path / "data"
    for split, each, start in (("train", 6, 0), ("val", 3, 50), ("test", 4, 100)):
        colour_folder(data, 2, each, prefix=split, start=start)
    for picture in (data / "test").rglob("*.png"):
        picture.write_bytes(b"no picture at all")
    before = tree(data)
    made = train(quick(data, epochs=1), tmp_path / "run")
    judged = {row["path"].split("/")[0] for row in table(made.folder / "predictions-oof.csv")}
    assert judged == {"train", "val"} and len(made.evaluation.keys) == 18
    assert tree(data) == before
    with pytest.raises(ResLabError, match="trained on 6 of these 6") as caught:
        evaluate(made.folder, data, "val")
    assert "out-of-fold" in caught.value.hint


def test_a_copy_in_another_fold_is_counted(tmp_path):
    data = colour_folder(tmp_path / "data", 2, 9, prefix="train")
    config = quick(data, epochs=1)
    homes = {p.key: p.fold for p in read_and_split(config).pictures}
    first, second = (next(k for k, fold in homes.items() if fold == f and "blue" in k) for f in (1, 2))
    shutil.copy(data / first, data / second)
    assert int(train(config, tmp_path / "run").evaluation.seen.sum()) == 2


def test_unreadable_pictures_are_left_out_of_every_fold(tmp_path):
    data = colour_folder(tmp_path / "data", 2, 9, prefix="train")
    (data / "train/blue/004.png").write_bytes(b"no picture at all")
    with pytest.raises(ResLabError, match="blue/004.png"):
        train(quick(data, epochs=1), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    made = train(quick(data, epochs=1, skip_bad=True), tmp_path / "run")
    assert len(made.evaluation.keys) == 17
    before = made.model.read_bytes()
    assert resume(made.folder).model.read_bytes() == before


def test_the_test_pictures_are_those_of_a_run_without_folds(run, data):
    tests = {row["path"] for row in table(run.folder / "split.csv") if row["split"] == "test"}
    assert tests == {p.key for p in read_and_split(quick(data, folds=0)).split("test")}
    assert evaluate(run.folder, data).split == "test"


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("changes", "user", "words"),
    [
        ({"folds": 1}, (), "--folds 1 divides nothing"),
        ({"folds": 99}, (), "--folds 99 needs 99 pictures of every class, and 'green' has"),
        ({"fold": 4}, (), "there is no fold 4 of 3"),
        ({"folds": 0, "fold": 2}, (), "--fold 2 needs --folds"),
        ({"patience": 2}, (), "--folds and --patience contradict"),
        ({"minutes": 1.0}, (), "--folds and --minutes contradict"),
        ({"val": 0.2}, ("val",), "--folds and --val contradict"),
        ({"val": 0.0}, ("val",), "--folds and --val contradict"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(data, tmp_path, changes, user, words):
    with pytest.raises(ResLabError, match=words) as caught:
        train(quick(data, **changes), tmp_path / "run", user)
    assert caught.value.hint and not (tmp_path / "run").exists()


def test_a_folder_that_holds_folds_is_no_place_for_a_new_run(run, data, tmp_path):
    shutil.copytree(fold(run, 1), tmp_path / "run/fold-1")
    before = tree(tmp_path / "run")
    with pytest.raises(ResLabError, match="already holds a run"):
        train(quick(data), tmp_path / "run")
    assert tree(tmp_path / "run") == before


def test_out_of_fold_answers_are_of_one_data_set(run, data, tmp_path):
    right = out_of_fold(run.folder, data)
    assert np.mean(list(right.values())) == run.evaluation.score.top1.value
    with pytest.raises(ResLabError, match="are about .*colours, not about digits"):
        out_of_fold(run.folder, "digits")
    with pytest.raises(ResLabError, match="keeps no out-of-fold answers"):
        out_of_fold(fold(run, 1), data)

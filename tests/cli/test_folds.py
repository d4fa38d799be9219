"""`train --folds` and what the other verbs make of it."""

import json

import pytest

from reslab.cli.app import run
from tests.cli.conftest import QUICK
from tests.pictures import colour_folder, tree

EXACT = ["--precision", "float32"]
SHORT = ["1" if word == "3" else word for word in QUICK]  # epochs


@pytest.fixture(scope="module")
def folded(colours, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folded") / "run"
    assert run(["train", str(colours), *QUICK, *EXACT, "--folds", "3", "--out", str(folder)]) == 0
    return folder


def test_it_says_what_it_does_and_how_good_it_is(reslab, colours, tmp_path):
    before = tree(colours)
    code, out, err = reslab("train", colours, *SHORT, "--folds", "2", "--out", tmp_path / "run")
    assert code == 0 and tree(colours) == before
    assert "training and validation ones together, in 2 folds: each is judged once" in err
    assert [line.split(":")[0] for line in err.splitlines() if line.startswith(("fold ", "all "))] == [
        "fold 1 of 2", "fold 2 of 2", "all pictures",
    ]  # fmt: skip
    assert "(best)" not in err and "hint:" not in err
    assert "out-of-fold  " in out and "95 % interval of the mean" in out and "chose the best epoch" not in out


def test_runs_lists_its_score_as_out_of_fold(reslab, folded):
    (row,) = json.loads(reslab("runs", folded.parent, "--json")[1])["runs"]
    document = json.loads((folded / "evaluation-oof.json").read_text())
    assert (row["split"], row["n"], row["top1"]) == ("out-of-fold", document["n"], document["top1"])
    spent = sum(
        json.loads(line)["seconds"]
        for journal in folded.rglob("journal.jsonl")
        for line in journal.read_text().splitlines()
        if json.loads(line)["event"] == "epoch"
    )
    assert row["seconds"] == pytest.approx(spent, abs=0.1)
    assert "out-of-fold, n = " in reslab("runs", folded.parent)[1]


def test_two_runs_are_compared_by_their_out_of_fold_answers(reslab, folded, trained, colours, tmp_path):
    worse = tmp_path / "worse"
    assert reslab("train", colours, *QUICK, "--lr", "1e-9", "--folds", "2", "--out", worse)[0] == 0
    code, out, _ = reslab("compare", folded, worse, colours, "--split", "out-of-fold", "--json")
    found = json.loads(out)
    scores = [json.loads((place / "evaluation-oof.json").read_text()) for place in (folded, worse)]
    assert code == 0 and (found["split"], found["n"]) == ("out-of-fold", scores[0]["n"])
    assert [found["a"], found["b"]] == [pytest.approx(score["top1"]["value"]) for score in scores]
    code, _, err = reslab("compare", folded, trained, colours, "--split", "out-of-fold")
    assert code == 2 and "keeps no out-of-fold answers" in err and "--folds" in err


def test_a_resumed_one_says_its_score_again(reslab, folded):
    code, out, _ = reslab("resume", folded, "--json")
    assert code == 0 and json.loads(out) == json.loads((folded / "evaluation-oof.json").read_text())


def test_few_pictures_get_a_hint_and_only_they(reslab, colours, tmp_path):
    _, _, err = reslab("train", colours, *SHORT, "--out", tmp_path / "a")
    rows = [line.split(",")[2] for line in (tmp_path / "a" / "split.csv").read_text(encoding="utf-8").splitlines()[1:]]
    train, val = rows.count("train"), rows.count("val")
    assert f"hint: with {train + val} pictures, --folds 5 scores each of them once instead of {val}," in err
    few = colour_folder(tmp_path / "few", 2, 4)  # no five folds of four
    code, _, err = reslab("train", few, *SHORT, "--out", tmp_path / "b")
    assert code == 0 and "--folds" not in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--folds", "1"], "--folds 1 divides nothing"),
        (["--folds", "40"], "needs 40 pictures of every class"),
        (["--fold", "2"], "--fold 2 needs --folds"),
        (["--keep-folds"], "--keep-folds keeps the networks of all --folds"),
        (["--folds", "3", "--val", "none"], "--folds and --val contradict each other"),
        (["--folds", "3", "--val", "0.2"], "--folds and --val contradict each other"),
        (["--folds", "3", "--patience", "2"], "--folds and --patience contradict each other"),
    ],
)
def test_mistakes_are_one_sentence_and_a_hint(reslab, colours, tmp_path, flags, words):
    code, out, err = reslab("train", colours, *QUICK, *flags, "--out", tmp_path / "run")
    assert (code, out) == (2, "") and not (tmp_path / "run").exists()
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "hint"] and words in err


def test_folds_and_a_time_to_keep_contradict_each_other(reslab, colours, tmp_path):
    code, _, err = reslab("train", colours, "--folds", "3", "--minutes", "1", "--out", tmp_path / "run")
    assert code == 2 and "--folds and --minutes contradict each other" in err and "--epochs" in err


def test_like_repeats_the_whole_and_a_fold(reslab, folded, colours, tmp_path):
    for number, place in enumerate((folded, folded / "fold-2")):
        out = tmp_path / str(number)
        assert reslab("train", colours, "--like", place, "--out", out)[0] == 0
        assert (out / "model.safetensors").read_bytes() == (place / "model.safetensors").read_bytes()

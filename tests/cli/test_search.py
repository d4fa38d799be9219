"""`reslab search`, `reslab lr-find` and `--lr auto` as they are typed."""

import csv
import json

import pytest

from reslab.cli.search import _say, _SearchListener
from reslab.model.run import read_config
from reslab.report.folder import read_run
from reslab.report.remake import remake
from tests.cli.conftest import QUICK
from tests.pictures import tree


def test_lr_find_draws_and_suggests(reslab, colours, tmp_path):
    before = tree(colours)
    files = ["--out", tmp_path / "curve.svg", "--csv", tmp_path / "curve.csv"]
    code, out, err = reslab("lr-find", colours, *QUICK, *files)
    assert code == 0, err
    code, printed, _ = reslab("lr-find", colours, *QUICK, "--json")
    document = json.loads(printed)
    assert (
        code == 0 and document["schema"] == 1 and f"suggested learning rate {document['suggestion']:g} for sgd" in out
    )
    drawn = (tmp_path / "curve.svg").read_text(encoding="utf-8")
    assert drawn.count("<path") == 2 and f"suggested: {document['suggestion']:g}" in drawn and "nan" not in drawn
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [float(row["rate"]) for row in rows] == document["rates"]
    assert [float(row["average"]) for row in rows] == document["averages"]
    assert tree(colours) == before


def test_lr_auto_takes_what_lr_find_suggests(reslab, colours, tmp_path):
    _, printed, _ = reslab("lr-find", colours, *QUICK, "--json")
    code, _, err = reslab("train", colours, *QUICK, "--lr", "auto", "--out", tmp_path / "run")
    assert code == 0 and "measured: range test" in err
    lr = json.loads(printed)["suggestion"]
    assert read_config(tmp_path / "run")["config"]["optim"]["lr"] == lr
    assert f"--lr {lr:g}" in remake(read_run(tmp_path / "run")).command
    code, _, err = reslab("train", colours, "--like", tmp_path / "run", "--out", tmp_path / "again")
    assert code == 0, err
    assert read_config(tmp_path / "again")["config"]["optim"]["lr"] == lr


@pytest.fixture
def after_two_trials(monkeypatch):
    """Ctrl-C when the second trial has ended."""
    ended = _SearchListener._ended

    def end(self, event):
        ended(self, event)
        if event["trial"] == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(_SearchListener, "_ended", end)


@pytest.mark.usefixtures("after_two_trials")
def test_search_tells_its_trials_and_goes_on(reslab, colours, tmp_path):
    before, out = tree(colours), tmp_path / "out"
    words = ["search", colours, *QUICK, "--out", out]
    code, printed, err = reslab(*words, "--minutes", "30")
    assert (code, printed) == (130, "") and "a trial of 3 epochs takes" in err and "error: interrupted" in err
    assert "trial 0: lr 0.0125, weight_decay 0.0005, augment light, label_smoothing 0.1: validation" in err
    assert "trial 1: lr" in err and err.count("trial ") >= 2
    code, printed, err = reslab(*words, "--minutes", "0.001")  # no time left: it only tells
    assert code == 0, err
    assert "default (trial 0)" in printed and "2 trials of 3 epochs" in printed and "the default wins" in printed
    assert f"reslab train {colours} --like {out / 'best'}" in printed
    how_to_tell = "reslab compare" in printed
    code, printed, _ = reslab(*words, "--minutes", "0.001", "--json")
    document = json.loads(printed)
    assert how_to_tell == (document["leader"] != document["winner"])
    assert code == 0 and document == json.loads((out / "search.json").read_text()) and len(document["trials"]) == 2
    assert reslab("train", colours, "--like", out / "best", "--out", tmp_path / "again")[0] == 0
    again, best = (read_config(folder)["config"] for folder in (tmp_path / "again", out / "best"))
    assert again == best and tree(colours) == before


def test_bad_search(reslab, colours, tmp_path, trained):
    for words, complaint in (
        ([], "search needs MINUTES"),
        (["--minutes", "0"], "leaves no time"),
        (["--minutes", "0.001"], "is too short: a trial of"),
        (["--minutes", "5", "--val", "none"], "validation pictures"),
        (["--minutes", "5", "--out", colours / "out"], "never written to"),
        (["--minutes", "5", "--out", trained], "already holds a run"),
    ):
        out = [] if "--out" in words else ["--out", tmp_path / "x"]
        code, printed, err = reslab("search", colours, "--model", "resnet20", "--size", "16", *words, *out)
        assert (code, printed) == (2, "") and complaint in err, (words, err)
    assert not (tmp_path / "x").exists()


def test_bad_input(reslab, colours, tmp_path):
    for words, complaint in (
        (["--out", colours / "curve.svg"], "never written to"),
        (["--lr", "fast"], "--lr"),
        (["--weights", "cifar10_resnet20", "--finetune", "head"], "uses no learning rate"),
    ):
        code, _, err = reslab("lr-find", colours, *words)
        assert code == 2 and complaint in err


@pytest.mark.usefixtures("after_two_trials")
def test_a_leader_that_is_not_shown_can_be_judged_by_every_picture(reslab, colours, tmp_path, capsys):
    reslab("search", colours, *QUICK, "--out", tmp_path / "out", "--minutes", "30")
    document = json.loads((tmp_path / "out" / "search.json").read_text())
    document["leader"], document["winner"] = document["default"] | {"trial": 1}, document["default"]
    document["comparison"]["shown"] = False
    capsys.readouterr()
    _say(document, str(colours), str(tmp_path / "out"))
    lines = [line.removeprefix("to tell:").split() for line in capsys.readouterr().out.splitlines()]
    train, again, compare = (line for line in lines if line[:1] == ["reslab"] and {"--folds", "--split"} & set(line))
    for line in (train, again):
        line[line.index("5")] = "2"
        assert reslab(*line[1:])[0] == 0
    code, printed, _ = reslab(*compare[1:])
    assert code == 0 and "0.00" in printed


@pytest.mark.usefixtures("after_two_trials")
def test_a_leader_that_is_shown_wins_with_a_warning(reslab, colours, tmp_path, capsys):
    reslab("search", colours, *QUICK, "--out", tmp_path / "out", "--minutes", "30")
    document = json.loads((tmp_path / "out" / "search.json").read_text())
    document["leader"]["trial"] = document["winner"]["trial"] = 1
    document["comparison"]["shown"] = True
    capsys.readouterr()
    _say(document, "colours", "out")
    printed = " ".join(capsys.readouterr().out.split())
    best, default = document["winner"]["folder"], document["default"]["folder"]
    assert "trial 1 wins; note: the validation pictures chose the leader" in printed
    assert f"reslab compare {best} {default} colours" in printed

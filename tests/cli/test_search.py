"""`reslab lr-find` and `--lr auto` as they are typed."""

import csv
import json

from reslab.report.folder import read_run
from reslab.report.remake import remake
from reslab.runfolder import read_config
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


def test_bad_input(reslab, colours, tmp_path):
    for words, complaint in (
        (["--out", colours / "curve.svg"], "never written to"),
        (["--lr", "fast"], "--lr"),
        (["--weights", "cifar10_resnet20", "--finetune", "head"], "uses no learning rate"),
    ):
        code, _, err = reslab("lr-find", colours, *words)
        assert code == 2 and complaint in err

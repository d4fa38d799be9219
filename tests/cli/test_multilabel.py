"""Several labels per picture, as typed and as printed."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from reslab.cli.app import run
from tests.pictures import PATCHES, patches_table

QUICK = ["--model", "resnet20", "--size", "16", "--batch-size", "8"]


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    return patches_table(tmp_path_factory.mktemp("data"), 120)


@pytest.fixture(scope="module")
def made(patches, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert run(["train", str(patches), *QUICK, "--epochs", "6", "--out", str(folder)]) == 0
    return folder


def test_check(reslab, patches):
    code, out, _ = reslab("check", patches, "--json")
    document = json.loads(out)
    assert code == 0 and document["task"] == "multi" and list(document["classes"]) == list(PATCHES)
    assert [p["kind"] for p in document["problems"]] == ["no label"]
    assert document["majority_baseline"] == pytest.approx(sum(document["classes"].values()) / 3 / 120)
    code, out, _ = reslab("check", patches)
    assert code == 0 and "120 pictures; any number of labels to a picture; a random ranking" in out


def test_train_says_what_it_does(reslab, patches, tmp_path):
    code, out, err = reslab("train", patches, *QUICK, "--epochs", 1, "--out", tmp_path / "run")
    assert code == 0, err
    assert "pictures of 3 labels, any number to a picture" in err and "validation mAP" in err
    assert "several labels per picture: each is learnt without smoothing" in err
    assert out.startswith("\nvalidation: mAP ") and "chose the best epoch and the thresholds" in out


def test_the_whole_job(reslab, patches, made, tmp_path):
    folder = made
    code, out, _ = reslab("eval", folder, patches, "--json", "--csv", tmp_path / "rows.csv")
    document = json.loads(out)
    assert code == 0 and document["task"] == "multi" and "top1" not in document
    mean = document["mean_ap"]
    assert 0 <= mean["low"] <= mean["value"] <= mean["high"] <= 1
    assert {row["label"]: row["n"] for row in document["per_label"]}.keys() == set(PATCHES)
    rows = list(csv.DictReader((tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == ["path", "label", "answer", "correct", *(f"p({label})" for label in PATCHES)]
    code, out, _ = reslab("eval", folder, patches)
    assert code == 0 and f"mAP {100 * mean['value']:.2f} %" in out and "threshold" in out

    code, out, _ = reslab("runs", folder.parent)
    assert code == 0 and f"mAP {100 * mean['value']:.2f} %" in out
    code, out, _ = reslab("resume", folder, "--json")
    assert code == 0 and json.loads(out)["task"] == "multi"
    code, out, _ = reslab("report", folder)
    assert code == 0 and out.strip().endswith("report.html")


def test_predict(reslab, patches, made, tmp_path):
    plain = tmp_path / "plain.png"
    Image.fromarray(np.full((16, 16, 3), 110, np.uint8)).save(plain)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    asked = [patches.parent / "000.png", patches.parent / "001.png", plain, tmp_path / "bad.png"]
    code, out, _ = reslab("predict", made, *asked, "--json", "--csv", tmp_path / "rows.csv")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(rows) == 4 and all(row["schema"] == 1 for row in rows)
    for row in rows[:3]:
        assert row["probability"] is None and len(row["top"]) == 3
        assert row["label"] == ";".join(label for label, _ in row["labels"]) and row["labels"] == sorted(row["labels"])
    assert rows[0]["label"] == "blue;green;red" and rows[2]["labels"] == []
    assert rows[2]["label"] == "" and rows[3]["label"] is rows[3]["labels"] is None
    table = list(csv.DictReader((tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()))
    assert list(table[0]) == ["path", "label", "probability", "accepted", "doubt", "prediction_set", "error"]
    assert not any(row["accepted"] or row["doubt"] or row["prediction_set"] for row in table)
    for row, cells in zip(rows[:3], table, strict=False):
        assert cells["label"] == row["label"] and not cells["error"]
        assert cells["probability"] == ";".join(f"{p:.6f}" for _, p in row["labels"])
    assert table[3]["error"] and not table[3]["label"]
    code, out, _ = reslab("predict", made, *asked)
    lines = out.splitlines()
    assert lines[0].split(": ")[1] == ", ".join(f"{label} {p:.3f}" for label, p in rows[0]["labels"])
    second = sorted(rows[2]["top"], key=lambda one: -one[1])[:2]
    assert lines[2].split(": ")[1] == f"none   ({', '.join(f'{label} {p:.3f}' for label, p in second)})"


def test_compare(reslab, patches, made, tmp_path, trained):
    worse = tmp_path / "worse"
    assert reslab("train", patches, *QUICK, "--epochs", 1, "--lr", "1e-6", "--out", worse)[0] == 0
    code, out, _ = reslab("compare", made, worse, patches, "--split", "test", "--json")
    found = json.loads(out)
    assert code == 0 and found["models"] == [str(made), str(worse)] and found["difference"] == found["a"] - found["b"]
    assert found["verdict"] == "a is better" and 0 < found["low"] <= found["difference"] <= found["high"]
    code, out, _ = reslab("compare", worse, made, patches)
    assert code == 0 and out.rstrip().endswith("b is better") and "a  mAP" in out
    code, out, err = reslab("compare", made, trained, patches)
    assert code == 2 and out == "" and "gives each picture one label" in err


def test_models_with_other_labels_are_not_compared(reslab, patches, made, colours, trained, tmp_path):
    code, out, err = reslab("compare", made, trained, colours)
    assert code == 2 and out == "" and "do not answer with the same labels" in err
    more = patches.with_name("more.csv")
    more.write_text(patches.read_text(encoding="utf-8").replace("blue", "azure;blue"), encoding="utf-8")
    assert reslab("train", more, *QUICK, "--epochs", 1, "--out", tmp_path / "more")[0] == 0
    more.unlink()
    code, out, err = reslab("compare", made, tmp_path / "more", patches)
    assert code == 2 and out == "" and "do not answer with the same labels" in err


@pytest.mark.parametrize("verb", ["train", "check"])
def test_a_table_that_cannot_be_read_says_its_line(reslab, patches, tmp_path, verb):
    broken = patches.with_name(f"{verb}.csv")
    broken.write_text("path,red,blue\n000.png,1,0\n001.png,0,maybe\n002.png,1,1\n003.png,1,0\n", encoding="utf-8")
    code, out, err = reslab(verb, broken)
    broken.unlink()
    assert code == 2 and out == "" and "line 3: blue is 'maybe'" in err and "hint: " in err


def test_an_unknown_label_stops_the_training(reslab, patches, tmp_path):
    table = patches.with_name("strange.csv")
    rows = patches.read_text(encoding="utf-8").splitlines()
    split = ["split", *("val" if n % 4 == 0 else "train" for n in range(len(rows) - 1))]
    lines = [f"{row},{part}" for row, part in zip(rows, split, strict=True)]
    lines[1] = lines[1].replace("red", "rde")
    table.write_text("\n".join(lines), encoding="utf-8")
    code, out, err = reslab("train", table, *QUICK, "--epochs", 1, "--out", tmp_path / "run")
    table.unlink()
    assert code == 2 and out == "" and not (tmp_path / "run").exists()
    assert "unknown class: val: rde" in err and "'red'" in err


def test_the_study_counts_one_label(reslab, patches):
    code, _, err = reslab("study", "degradation", "--minutes", 1, "--data", patches)
    assert code == 2 and "the study needs data that give each picture one label" in err

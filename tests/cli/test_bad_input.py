"""Every mistake gets one sentence and a hint, exit code 2, no traceback; nothing is written to DATA."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from reslab.cli.app import run
from reslab.model.file import read_model
from tests.cli.conftest import QUICK
from tests.machine import small_disk, wait_for_epochs
from tests.pictures import colour_folder, tree


def spoiled(colours, tmp_path, change):
    data = tmp_path / "数据 集" / "ñ é"
    shutil.copytree(colours, data)
    change(data)
    return data


def empty_class(data):
    (data / "yellow").mkdir()


def one_class(data):
    shutil.rmtree(data / "blue")
    shutil.rmtree(data / "green")


def strange_class_in_val(data):
    for split in ("train", "val"):
        colour_folder(data, 2, 4, prefix=split)
    for name in ("blue", "green", "red"):
        shutil.rmtree(data / name)
    shutil.copytree(data / "val" / "blue", data / "val" / "bleu")


def unreadable(data):
    for number in range(20):  # enough that some are surely in the training split
        (data / "red" / f"cut{number}.png").write_bytes((data / "red" / "000.png").read_bytes()[:200])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (empty_class, ["yellow", "holds no picture"]),
        (one_class, ["one class"]),
        (strange_class_in_val, ["val/bleu", "did you mean 'blue'"]),
        (unreadable, ["red/cut", "cut short", "--skip-bad"]),
        (shutil.rmtree, ["there is no"]),
        (lambda data: [shutil.rmtree(p) for p in data.iterdir()], ["holds no pictures"]),
    ],
)
def test_spoiled_data(reslab, colours, tmp_path, change, words):
    data = spoiled(colours, tmp_path, change)
    before = tree(data) if data.exists() else None
    code, out, err = reslab("train", data, *QUICK, "--out", tmp_path / "run")
    assert code == 2 and out == ""
    last = err.splitlines()[-2:]
    assert last[0].startswith("error: ") and last[1].startswith("hint: ")
    assert all(word in err for word in words), err
    assert not (tmp_path / "run").exists()
    assert before is None or tree(data) == before


def test_skip_bad_leaves_the_unreadable_out_and_says_how_many(reslab, colours, tmp_path):
    data = spoiled(colours, tmp_path, unreadable)
    code, _, err = reslab("train", data, *QUICK, "--skip-bad", "--out", tmp_path / "run")
    assert code == 0 and re.search(r"warning: \d+ unreadable pictures left out", err)
    rows = [line.split(",") for line in (tmp_path / "run/split.csv").read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 30 and {row[2] for row in rows if "cut" in row[0]} <= {"test"}


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["trian", "digits"], ["train"]),
        (["train", "digits", "--epoch", "3"], ["--epochs"]),
        (["train", "digits", "--imgsz", "3"], ["--size"]),
        (["train", "digits", "--pretrained"], ["--weights"]),
        (["train", "data=pictures"], ["DATA is"]),
        (["train", "digits", "--model", "resnet19"], ["resnet18"]),
        (["train", "digits", "--recipe", "artcle"], ["article"]),
        (["train", "digits", "--augment", "crop,hflp"], ["hflip"]),
        (["train", "digits", "--normalize", "imagnet"], ["imagenet"]),
        (["train", "digits", "--resize", "crp"], ["crop"]),
        (["train", "digits", "--epochs", "0x"], ["--epochs"]),
        (["train", "digits", "--epochs", "-1"], ["--epochs"]),
        (["train", "digits", "--batch-size", "-2"], ["--batch-size"]),
        (["train", "digits", "--minutes", "0"], ["--minutes"]),
        (["train", "digits", "--processes", "2"], ["--ray and --processes go together"]),
        (["train", "digits", "--ray", "ray://h:1", "--processes", "0", "--out", "r"], ["--processes 0"]),
        (["train", "digits", "--ray", "ray://h:1", "--processes", "2"], ["--ray needs --out"]),
        (["train", "digits", "--lr", "-1"], ["--lr"]),
        (["train", "digits", "--size", "4"], ["8 pixels"]),
        (["train", "digits", "--val", "2"], ["--val"]),
        (["train", "digits", "--group-by", "("], ["regular expression"]),
        (["train", "digits", "--weights", "imagenett"], ["imagenet"]),
        (
            ["train", "digits", "--weights", "imagenet", "--model", "resnet20"],
            ["no ImageNet weights for resnet20", "resnet18"],
        ),
        (["train", "digits", "--weights", "imagenet"], ["resnet18-f37072fd.pth", "sha256", "save it as"]),
        (["train", "digits", "--patience", "-1"], ["--patience"]),
        (["train", "digits", "--weight-decay", "-1"], ["--weight-decay -1 is negative"]),
        (["train", "digits", "--weight-decay", "nan"], ["--weight-decay nan"]),
        (["train", "digits", "--label-smoothing", "1"], ["--label-smoothing 1 is not between 0 and 1"]),
        (["train", "digits", "--layout", "channel-last"], ["--layout channel-last is unknown", "channels-last"]),
        (["train", "digits", "--ema", "99"], ["--ema 99 is not between 0 and 1"]),
        (["eval", "nothing", "digits"], ["there is no model"]),
        (["predict", "latest"], ["at least one picture"]),
        (["resume", "nowhere"], ["no run"]),
        (["report", "nowhere"], ["no run"]),
        (["train"], ["DATA"]),
    ],
)
def test_mistyped_commands(reslab, tmp_path, monkeypatch, tokens, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = reslab(*tokens)
    assert code == 2 and out == ""
    assert "error: " in err and "hint: " in err and all(word in err for word in words), err
    assert not list(tmp_path.iterdir())


def test_a_csv_row_whose_file_is_missing(reslab, tmp_path):
    (tmp_path / "t.csv").write_text("path,label\nnowhere.png,cat\n")
    code, _, err = reslab("train", tmp_path / "t.csv")
    assert code == 2 and "line 2" in err and "nowhere.png" in err


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("each", [1, 2, 7, 33])
def test_small_sets_train_or_say_what_to_change(reslab, tmp_path, classes, each):
    data = colour_folder(tmp_path / "data", classes, each)
    for batch in (1, 2, 32):
        out = tmp_path / f"run{batch}"
        code, _, err = reslab(
            "train", data, "--model", "resnet20", "--size", "8", "--epochs", "1", "--batch-size", batch, "--out", out
        )
        if each == 1:
            assert code == 2 and "--val none" in err
        else:
            assert code == 0, err
            assert (out / "model.safetensors").is_file()


def test_one_picture_per_class_trains_without_validation(reslab, tmp_path):
    data = colour_folder(tmp_path / "data", 2, 1)
    code, _, err = reslab("train", data, *QUICK, "--val", "none", "--out", tmp_path / "run")
    assert code == 0, err


def test_batch_norm_cannot_learn_from_one_value(reslab, colours, tmp_path):
    code, _, err = reslab(
        "train",
        colours,
        "--model",
        "resnet18",
        "--size",
        "16",
        "--epochs",
        "1",
        "--batch-size",
        "1",
        "--out",
        tmp_path / "r",
    )
    assert code == 2 and "--batch-size 2" in err


def test_a_mad_learning_rate_stops_with_step_and_rate(reslab, colours, tmp_path):
    code, _, err = reslab("train", colours, *QUICK, "--recipe", "article", "--lr", "1e6", "--out", tmp_path / "run")
    model = tmp_path / "run/model.safetensors"
    if code == 0:  # Adam's steps are bounded: the loss may stay finite, and then so must the weights
        assert all(np.isfinite(t).all() for t in read_model(model).tensors.values())
    code, _, err = reslab("train", colours, *QUICK, "--lr", "1e6", "--seed", "1", "--out", tmp_path / "sgd")
    assert code == 2 and "learning rate of" in err and "--lr" in err
    assert not (tmp_path / "sgd/model.safetensors").exists() or all(
        np.isfinite(t).all() for t in read_model(tmp_path / "sgd/model.safetensors").tensors.values()
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--minutes", "0"], "--minutes 0 leaves no time"),
        (["--minutes", "3", "--epochs", "2"], "--epochs and --minutes contradict"),
        (["--accumulate", "-1"], "--accumulate -1 is negative"),
    ],
)
def test_lengths_and_parts_that_mean_nothing(reslab, colours, tmp_path, words, complaint):
    code, _, err = reslab("train", colours, *words, "--out", tmp_path / "run")
    assert code == 2 and complaint in err and "hint: " in err and not (tmp_path / "run").exists()


def test_an_output_folder_that_cannot_be_written(reslab, colours, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = reslab("train", colours, *QUICK, "--out", tmp_path / "file" / "run")
    assert code == 2 and "cannot write" in err and "--out" in err


def test_nothing_is_written_into_the_data(reslab, colours, tmp_path):
    for verb in (["train", colours, "--out", colours / "run"], ["preview", colours, "--out", colours / "sheet.png"]):
        code, _, err = reslab(*verb)
        assert code == 2 and "never written to" in err


def test_an_existing_run_is_not_overwritten(reslab, trained, colours):
    code, _, err = reslab("train", colours, *QUICK, "--out", trained)
    assert code == 2 and "reslab resume" in err


def test_a_full_disk_ends_with_a_sentence(reslab, colours, tmp_path):
    with small_disk(tmp_path / "disk", megabytes=2) as disk:
        code, _, err = reslab("train", colours, *QUICK, "--out", disk / "run")
        assert code == 2 and "No space left" in err and "hint: " in err
        assert not list(disk.rglob("*.tmp"))


def child(*tokens):
    return subprocess.Popen(
        [sys.executable, "-m", "reslab", *map(str, tokens)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_resumes_to_the_same_bytes(colours, tmp_path, signal_number):
    arguments = ["--model", "resnet20", "--size", "16", "--epochs", "12", "--batch-size", "4", "--augment", "strong"]
    arguments += ["--layout", "channels-last"]  # not measured: two measurements may differ
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(["train", str(colours), *arguments, "--out", str(whole)]) == 0
    process = child("train", colours, *arguments, "--out", parts)
    wait_for_epochs(parts, process, 2)
    process.send_signal(signal_number)
    _, err = process.communicate(timeout=60)
    if signal_number == signal.SIGINT:
        assert process.returncode == 130 and f"reslab resume {parts}" in err
    assert run(["resume", str(parts)]) == 0
    for name in ("model.safetensors", "margins.csv"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    timeless = [
        [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "images_per_second")} for line in text]
        for text in ((folder / "journal.jsonl").read_text().splitlines() for folder in (whole, parts))
    ]
    assert timeless[0] == timeless[1] and len(timeless[0]) >= 12

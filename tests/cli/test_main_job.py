"""The main job through its verbs: train, eval, predict, runs, report, resume."""

import csv
import hashlib
import json
import shutil

import pytest

from reslab.model.file import read_model
from tests.cli.conftest import QUICK
from tests.pictures import tree

EVAL_KEYS = {
    "schema",
    "n",
    "top1",
    "top5",
    "balanced_accuracy",
    "majority_baseline",
    "nll",
    "ece",
    "per_class",
    "confusion",
    "classes",
}
PREDICT_KEYS = {"schema", "path", "label", "probability", "top", "accepted", "prediction_set", "error", "labels"}
PREDICT_KEYS |= {"may_be_wrong", "not_from_here", "outlier_score"}
CHECK_KEYS = {"schema", "ok", "images", "classes", "problems"}


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_run_folder_holds_everything(trained):
    names = {p.relative_to(trained).as_posix() for p in trained.rglob("*") if p.is_file()}
    wanted = {"config.json", "journal.jsonl", "split.csv", "model.safetensors", "evaluation.json", "predictions.csv"}
    assert wanted | {"report.html", "sheet.png", "state/a.safetensors", "state/b.safetensors"} <= names


def test_every_value_has_an_origin(trained):
    document = json.loads((trained / "config.json").read_text())
    flat = {k for k, v in document["config"].items() if not isinstance(v, dict)}
    flat |= {f"{k}.{i}" for k, v in document["config"].items() if isinstance(v, dict) for i in v}
    assert document["origins"].keys() == flat
    assert {o["origin"] for o in document["origins"].values()} <= {"default", "recipe", "user", "measured"}
    assert document["origins"]["epochs"]["origin"] == "user"
    assert document["origins"]["optim.momentum"]["origin"] == "default"
    assert document["origins"]["label_smoothing"] == {"origin": "recipe", "reason": "standard"}


def test_eval_prints_one_json_document_with_the_stable_keys(reslab, trained, colours):
    code, out, err = reslab("eval", trained, colours, "--json")
    document = json.loads(out)
    assert code == 0
    assert document.keys() >= EVAL_KEYS
    assert document["split"] == "test"
    assert document["top5"] is None  # three classes: hidden
    assert document["n"] == sum(map(sum, document["confusion"])) > 0
    assert json.loads((trained / "evaluation-test.json").read_text()) | {"mirrored": False} == document


def test_predict_agrees_with_eval_picture_by_picture(reslab, trained, colours, tmp_path):
    reslab("eval", trained, colours, "--split", "test", "--csv", tmp_path / "eval.csv")
    rows = read_csv(tmp_path / "eval.csv")
    paths = [colours / row["path"] for row in rows]
    code, out, _ = reslab("predict", trained, *paths, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(answers) == len(rows) > 0
    for row, answer in zip(rows, answers, strict=True):
        assert answer.keys() == PREDICT_KEYS and answer["labels"] is None
        assert answer["label"] == row["answer"]
        assert answer["probability"] == pytest.approx(float(row["probability"]), abs=1e-6)


def test_predict_survives_bad_files_and_gives_a_row_each(reslab, trained, colours, tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not a picture")
    good = colours / "red" / "000.png"
    shutil.copy(good, tmp_path / "数据 ñ.png")
    code, out, err = reslab(
        "predict", trained, tmp_path, "missing.jpg", f"{colours}/red/00*.png", "--json", "--csv", tmp_path / "o.csv"
    )
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [r["error"] for r in rows] == [
        "the file is empty",
        "it is not a picture in a known format",
        None,
        "no such file",
    ] + [None] * 10
    assert len(read_csv(tmp_path / "o.csv")) == len(rows)


def test_a_moved_model_answers_the_same_and_a_damaged_one_is_refused(reslab, trained, colours, tmp_path):
    moved = tmp_path / "模型 ñ" / "m.safetensors"
    moved.parent.mkdir()
    shutil.copy(trained / "model.safetensors", moved)
    picture = colours / "red" / "000.png"
    assert reslab("predict", moved, picture, "--json")[1] == reslab("predict", trained, picture, "--json")[1]
    data = bytearray(moved.read_bytes())
    data[len(data) // 2] ^= 1
    moved.write_bytes(data)
    code, out, err = reslab("predict", moved, picture)
    assert (code, out) == (2, "") and "damaged" in err and err.count("\n") == 2


def test_runs_report_and_latest(reslab, trained):
    code, out, _ = reslab("runs", trained.parent, "--json")
    rows = json.loads(out)["runs"]
    assert code == 0 and [row["epochs"] for row in rows] == ["3/3"] and rows[0]["top1"]["low"] < rows[0]["top1"]["high"]
    assert reslab("report", trained)[1].strip().endswith("report.html")


def test_check_finds_nothing_and_changes_nothing(reslab, colours):
    before = tree(colours)
    code, out, _ = reslab("check", colours, "--json")
    document = json.loads(out)
    assert code == 0 and document.keys() >= CHECK_KEYS and document["ok"] and document["images"] == 36
    assert tree(colours) == before


def test_check_exits_with_1_when_something_must_be_mended(reslab, colours, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(colours, data)
    (data / "red" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0cut")
    code, out, err = reslab("check", data, "--json")
    document = json.loads(out)
    assert code == 1 and not document["ok"]
    assert [(p["kind"], p["path"]) for p in document["problems"]] == [("unreadable", "red/cut.jpg")]


def test_models_lists_the_zoo(reslab):
    rows = {row["name"]: row for row in json.loads(reslab("models", "--json")[1])["models"]}
    assert rows["resnet18"]["parameters"] == 11_689_512 and rows["resnet50"]["layers"] == 50
    assert "stages.0.0.first.conv" in reslab("models", "resnet20")[1]


def test_preview_draws_a_sheet(reslab, colours, tmp_path):
    from PIL import Image

    code, *_ = reslab("preview", colours, "--augment", "strong", "--out", tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert code == 0 and sheet.width > sheet.height > 200 and np_spread(sheet) > 30


def np_spread(image):
    import numpy as np

    return float(np.asarray(image).std())


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(reslab, colours, tmp_path):
    digests = []
    for number, extra in enumerate((["--workers", "0"], ["--workers", "2"], ["--seed", "1"])):
        out = tmp_path / str(number)
        assert reslab("train", colours, *QUICK, "--augment", "strong", "--out", out, *extra)[0] == 0
        digests.append(hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]
    assert (tmp_path / "0/split.csv").read_bytes() == (tmp_path / "2/split.csv").read_bytes()


def test_like_repeats_an_earlier_run(reslab, trained, colours, tmp_path):
    assert reslab("train", colours, "--like", trained, "--out", tmp_path / "again")[0] == 0
    assert (
        read_model(tmp_path / "again" / "model.safetensors").sha256 == read_model(trained / "model.safetensors").sha256
    )


def test_the_articles_log_line_and_estimate(reslab, tmp_path):
    arguments = (
        "--recipe",
        "article",
        "--model",
        "resnet20",
        "--epochs",
        "1",
        "--batch-size",
        "12",
        "--out",
        tmp_path / "run",
    )
    code, _, err = reslab("train", "digits", *arguments)
    lines = err.splitlines()
    assert code == 0
    (line,) = [text for text in lines if text.startswith("Epoch [")]
    assert line.startswith("Epoch [1/1], Step [100/108], Loss: ") and len(line.rsplit(".", 1)[1]) == 4
    estimate = next(i for i, text in enumerate(lines) if "about" in text and "on this machine" in text)
    assert estimate < lines.index(line)
    assert "adam" in (tmp_path / "run/config.json").read_text()


def test_no_validation_keeps_the_last_weights(reslab, colours, tmp_path):
    code, out, err = reslab("train", colours, *QUICK, "--val", "none", "--out", tmp_path / "run")
    assert code == 0 and "no validation pictures" in err and not (tmp_path / "run/evaluation.json").exists()
    assert read_model(tmp_path / "run/model.safetensors").header.calibration.n == 0


SMALL = ("--model", "resnet20", "--size", "16", "--batch-size", "8")


def test_a_run_with_a_time_to_keep_is_followed_bit_for_bit(reslab, colours, tmp_path):
    """Measured and planned again on the way; `--like` takes the same steps without a clock."""
    assert reslab("train", colours, *SMALL, "--minutes", "0.12", "--out", tmp_path / "run")[0] == 0
    document = json.loads((tmp_path / "run/config.json").read_text())
    events = [json.loads(line) for line in (tmp_path / "run/journal.jsonl").read_text().splitlines()]
    changes = [e for e in events if e["event"] == "replan"]
    assert document["origins"]["epochs"]["origin"] == "measured" and document["config"]["epochs"] >= 1
    last = [e for e in events if e["event"] == "epoch"][-1]
    assert not changes or (last["step"] == changes[-1]["total_steps"] and changes[-1]["knots"][0] == [0, 0.0])
    assert reslab("train", colours, "--like", tmp_path / "run", "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "run/model.safetensors").read_bytes()


def test_a_batch_larger_than_the_data_is_one_step_an_epoch(reslab, colours, tmp_path):
    code, *_ = reslab("train", colours, *QUICK[:-1], "100000", "--out", tmp_path / "run")
    assert code == 0 and json.loads((tmp_path / "run/config.json").read_text())["steps_per_epoch"] == 1


def test_precision_and_parts_are_recorded(reslab, colours, tmp_path):
    words = ("--precision", "bfloat16", "--accumulate", "2", "--out", tmp_path / "run")
    assert reslab("train", colours, *QUICK, *words)[0] == 0
    document = json.loads((tmp_path / "run/config.json").read_text())
    assert (document["config"]["precision"], document["config"]["accumulate"]) == ("bfloat16", 2)
    assert {document["origins"][name]["origin"] for name in ("precision", "accumulate")} == {"user"}
    code, _, err = reslab("train", colours, *QUICK, "--precision", "bfloat61", "--out", tmp_path / "no")
    assert code == 2 and "bfloat16" in err


def test_a_quick_network_learns_the_colours_and_goes_on_exactly(reslab, colours, tmp_path):
    """Whitening, Muon, alternating flips: through the ordinary door, killed and resumed or not."""
    words = ("--recipe", "cifar10_94", "--size", "16", "--batch-size", "8", "--layout", "channels-last")
    code, out, err = reslab("train", colours, *words, "--epochs", "6", "--out", tmp_path / "run", "--json")
    assert code == 0 and json.loads(out)["top1"]["value"] > 0.9, err
    assert reslab("train", colours, *words, "--epochs", "6", "--out", tmp_path / "again")[0] == 0
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "run/model.safetensors").read_bytes()


def test_eval_can_average_over_the_mirror_image(reslab, trained, colours, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before = {p.name for p in run.iterdir()}
    code, out, _ = reslab("eval", run, colours, "--split", "test", "--mirror", "--json")
    assert code == 0 and json.loads(out)["mirrored"] is True
    assert {p.name for p in run.iterdir()} == before, "the run keeps its plain answers"
    assert "mirror image" in reslab("eval", run, colours, "--split", "test", "--mirror")[1]
    assert json.loads(reslab("eval", run, colours, "--split", "test", "--json")[1])["mirrored"] is False


def test_bench_measures_a_file_and_a_network(reslab, trained, colours):
    code, out, _ = reslab("bench", trained, "--data", colours, "--seconds", "0.2", "--json")
    found = json.loads(out)
    assert code == 0 and found["files"] == str(colours) and found["size"] == 16
    assert 0 < found["latency_ms_p50"] <= found["latency_ms_p95"] and 0 <= found["waiting_share"] <= 1
    assert min(found["forward_images_per_second"], found["training_images_per_second"], found["peak_memory_mb"]) > 0
    used = 2 * found["macs"] * found["forward_images_per_second"] / found["matmul_gflops"] / 1e7
    assert found["percent_of_peak"] == pytest.approx(used)
    code, out, _ = reslab("bench", "resnet20", "--seconds", "0.2")
    assert code == 0 and "images/s" in out and "GFLOP/s" in out and "JPEG files" in out
    assert reslab("bench", "resnet20", "--seconds", "0")[0] == 2


def test_resume_makes_a_finished_run_longer(reslab, trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    code, _, err = reslab("resume", run, "--epochs", "4")
    epochs = [
        json.loads(line)["epoch"] for line in (run / "journal.jsonl").read_text().splitlines() if '"epoch",' in line
    ]
    assert code == 0 and epochs == [1, 2, 3, 4]


def test_eval_refuses_pictures_that_trained_the_model(reslab, trained, colours):
    code, _, err = reslab("eval", trained, colours, "--split", "train")
    assert code == 2 and "--allow-seen" in err
    code, out, _ = reslab("eval", trained, colours, "--split", "train", "--allow-seen", "--json")
    assert code == 0 and json.loads(out)["seen_in_training"] == json.loads(out)["n"]


def test_compare_tells_whether_a_difference_is_real(reslab, trained, colours):
    code, out, _ = reslab("compare", trained, trained, colours, "--json")
    found = json.loads(out)
    assert code == 0 and found["difference"] == 0 and found["p_value"] == 1 and found["schema"] == 1
    assert found["n"] > 2 and found["verdict"] == "too few pictures to tell"
    code, out, _ = reslab("compare", trained, trained, colours)
    assert code == 0 and "points, 95 % interval" in out

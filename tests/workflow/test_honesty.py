"""What a score may rest on: test pictures stay shut, names match, the best epoch is the one that the journal says."""

import contextlib
import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from filelock import FileLock

from reslab.data.splits import SplitConfig
from reslab.engine.torch import open_torch
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import evaluate_engine
from reslab.metrics.calibration import calibrate
from reslab.model.file import read_model
from reslab.run.evaluate import evaluate
from reslab.run.examine import contact_sheet, examine_data, read_and_split
from reslab.run.train import resume, train
from reslab.train import session, validation
from reslab.train.recipes import recipe
from tests.machine import small_disk
from tests.pictures import colour_folder, colour_picture, tree

TOLERANCE = 1e-12  # a number that is read back from JSON


def quick(data, **changes):
    base = replace(recipe("standard"), data=str(data), model="resnet20", size=16, layout="channels-last")
    return replace(base, **{"epochs": 3, "batch_size": 8, **changes})


@pytest.fixture(scope="module")
def divided(tmp_path_factory):
    """train/ and test/ of three colours."""
    root = tmp_path_factory.mktemp("divided")
    colour_folder(root, 3, 12, prefix="train")
    colour_folder(root, 3, 4, prefix="test", start=100)
    return root


@pytest.fixture(scope="module")
def run(divided, tmp_path_factory):
    return train(quick(divided, epochs=5, ema=0.9), tmp_path_factory.mktemp("run") / "a")


def test_the_last_validation_decodes_nothing(divided, tmp_path):
    """Its pictures are in memory: their files may be gone by then, and the answers are those for the files all the same."""
    data = shutil.copytree(divided, tmp_path / "data")

    def remove(event):
        if event["event"] == "epoch" and event["epoch"] == 2:
            for picture in data.rglob("*.png"):
                picture.unlink()

    config = quick(data, epochs=2)
    made = train(config, tmp_path / "run", on_event=remove)
    pictures = read_and_split(replace(config, data=str(divided))).split("val")
    found = evaluate_engine(open_torch(made.model), pictures, "val")
    assert np.array_equal(found.logits, made.evaluation.logits) and np.array_equal(found.seen, made.evaluation.seen)
    assert found.document() == made.evaluation.document() and found.table() == made.evaluation.table()


def test_the_kept_weights_are_evaluated_once_with_the_results_of_a_second_time(divided, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    monkeypatch.setattr(session, "evaluate_engine", None)
    train(quick(divided, epochs=4, ema=0.9), folder)
    files = [folder / name for name in ("model.safetensors", "evaluation.json", "predictions.csv", "map.json")]
    before = [file.read_bytes() for file in files]
    monkeypatch.undo()
    for file in files[1:]:
        file.unlink()
    resume(folder)  # nothing is known but the weights
    assert [file.read_bytes() for file in files] == before


def test_outputs_that_are_too_large_to_cache_are_computed_again(divided, run, tmp_path, monkeypatch):
    monkeypatch.setattr(validation, "_CACHED_BYTES", 0)
    again = train(quick(divided, epochs=5, ema=0.9), tmp_path / "run")
    assert again.evaluation.document() == run.evaluation.document()
    assert again.model.read_bytes() == run.model.read_bytes()


def test_training_never_opens_test(divided, run, tmp_path):
    data = tmp_path / divided.name
    shutil.copytree(divided, data)
    for picture in (data / "test").rglob("*.png"):
        picture.write_bytes(b"no picture at all")
    again = train(quick(data, epochs=5, ema=0.9), tmp_path / "run")
    assert again.model.read_bytes() == run.model.read_bytes()


def test_the_best_epoch_is_the_one_the_journal_says(run):
    lines = [json.loads(line) for line in (run.folder / "journal.jsonl").read_text().splitlines()]
    epochs = [e for e in lines if e["event"] == "epoch"]
    best = max(range(len(epochs)), key=lambda i: (epochs[i]["val_accuracy"], -epochs[i]["val_nll"]))
    assert len(epochs) == 5 and best == [i for i, e in enumerate(epochs) if e["best"]][-1]
    document = json.loads((run.folder / "evaluation.json").read_text())
    assert document["top1"]["value"] == pytest.approx(epochs[best]["val_accuracy"], abs=TOLERANCE)


def test_the_model_file_carries_its_own_score_and_calibration(run):
    header = read_model(run.model).header
    assert header.scores["val"]["top1"]["value"] == run.evaluation.score.top1.value
    assert header.scores["val"]["chose_the_model"] is True
    assert header.calibration.n == run.evaluation.score.n
    assert header.calibration.temperature == calibrate(run.evaluation.logits, run.evaluation.labels)[0]
    assert run.evaluation.document()["calibration"]["n"] == header.calibration.n


def test_a_score_is_never_worse_for_its_temperature(run, divided):
    """Neither on the answers of the run, nor where the same split is judged again."""
    again = evaluate_engine(open_torch(run.model), read_and_split(quick(divided)).split("val"), "val")
    for fit in (run.evaluation.document()["calibration"], again.document()["calibration"]):
        assert fit["ece_after"] <= fit["ece_before"] and fit["nll_after"] <= fit["nll_before"]
        assert fit["temperature"] == run.evaluation.temperature


def test_the_temperature_changes_no_answer(run):
    assert np.array_equal(run.evaluation.calibrated.argmax(1), run.evaluation.logits.argmax(1))


def test_a_folder_and_a_table_give_the_same_model(tmp_path):
    data = colour_folder(tmp_path / "colours")
    with (tmp_path / "colours.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows([f"colours/{p.parent.name}/{p.name}", p.parent.name] for p in sorted(data.rglob("*.png")))
    shutil.copytree(data, tmp_path / "nested" / "colours" / "colours")
    models = []
    for number, source in enumerate((tmp_path / "colours.csv", tmp_path / "colours.csv")):
        models.append(read_model(train(quick(source), tmp_path / f"run{number}").model))
    assert models[0].sha256 == models[1].sha256
    folder = read_model(train(quick(data), tmp_path / "folder").model)
    assert folder.header.classes == models[0].header.classes
    assert {row.tobytes() for row in folder.seen} != set()


def test_classes_are_matched_by_name(divided, run, tmp_path):
    data = tmp_path / "other"
    shutil.copytree(divided / "test", data / "test")
    shutil.copytree(divided / "train", data / "train")
    whole = evaluate(run.folder, data, "test").score
    shutil.rmtree(data / "test" / "green")  # a middle class is missing: the others keep their columns
    part = evaluate(run.folder, data, "test").score
    recall = {row.label: row.recall for row in whole.per_class if row.label != "green"}
    assert {row.label: row.recall for row in part.per_class if row.n} == recall
    (data / "test" / "blue").rename(data / "test" / "azure")
    with pytest.raises(ResLabError, match="azure"):
        evaluate(run.folder, data, "test")


def test_no_test_split_means_a_validation_score_and_says_so(tmp_path):
    data = colour_folder(tmp_path / "data", prefix="train")
    colour_folder(data, 3, 4, prefix="valid", start=100)
    made = train(quick(data), tmp_path / "run")
    assert evaluate(made.folder, data).split == "val" == made.evaluation.split
    same = SplitConfig(val=0.3), {"val": 0.3}  # as an object, or as plain values
    assert len({evaluate(made.folder, data, "val", each).score.n for each in same}) == 1


def test_data_are_never_touched(divided, tmp_path):
    before = tree(divided)
    made = train(quick(divided, epochs=1), tmp_path / "run")
    evaluate(made.folder, divided)
    contact_sheet(quick(divided))
    examine_data(quick(divided))
    assert tree(divided) == before


def test_a_resumed_run_wants_its_pictures_as_they_were(divided, tmp_path):
    data, made = tmp_path / "data", tmp_path / "run"
    shutil.copytree(divided, data)
    train(quick(data, epochs=1), made)
    picture = next((data / "train" / "red").iterdir())
    content = picture.read_bytes()
    picture.unlink()
    with pytest.raises(ResLabError, match="are gone, e.g. train/red"):
        resume(made, 2)
    colour_picture("red", 999).save(picture)
    with pytest.raises(ResLabError, match=f"{picture.name} was edited"):
        resume(made, 2)
    picture.write_bytes(content)
    (data / "train" / "red" / "new.png").write_bytes(content)
    with pytest.raises(ResLabError, match="were added, e.g. .*new.png"):
        resume(made, 2)
    (data / "train" / "red" / "new.png").unlink()
    assert resume(made, 2).evaluation is not None


def test_a_run_stopped_before_its_first_state_begins_again(run, tmp_path):
    early = tmp_path / "early"
    early.mkdir()
    for name in ("config.json", "split.csv"):
        shutil.copy(run.folder / name, early)
    (early / "journal.jsonl").write_text('{"event": "early stop"}\n{"cut')
    assert resume(early).model.read_bytes() == run.model.read_bytes()


def test_a_disk_that_fills_up_keeps_a_whole_state(divided, run, tmp_path):
    with small_disk(tmp_path / "disk", megabytes=16) as disk:

        def fill(event):
            if event["event"] == "epoch" and event["epoch"] == 3:
                with contextlib.suppress(OSError), (disk / "filler").open("wb") as file:
                    while True:
                        file.write(bytes(2**14))

        with pytest.raises(ResLabError, match="No space left"):
            train(quick(divided, epochs=5, ema=0.9), disk / "run", on_event=fill)
        (disk / "filler").unlink()
        assert resume(disk / "run").model.read_bytes() == run.model.read_bytes()


def test_a_second_process_is_refused(run):
    with FileLock(run.folder / ".lock"), pytest.raises(ResLabError, match="another process"):
        resume(run.folder, 6)


def test_groups_stay_on_one_side(tmp_path):
    data = colour_folder(tmp_path / "data", 3, 30)
    made = train(quick(data, epochs=1, group_by=r"\d(\d)\d\.png"), tmp_path / "run")
    rows = list(csv.DictReader((made.folder / "split.csv").read_text(encoding="utf-8").splitlines()))
    sides = {}
    for row in rows:
        sides.setdefault(row["group"], set()).add(row["split"])
    assert len(sides) == 3 and all(len(s) == 1 for s in sides.values())


def test_events_reach_the_persons_own_tracker(divided, tmp_path):
    seen = []
    train(quick(divided, epochs=2), tmp_path / "run", on_event=lambda e: seen.append(e["event"]))
    assert seen[0] == "check" and seen.count("epoch") == 2 and seen.index("plan") < seen.index("step")


def test_tensorboard_holds_the_epochs(divided, tmp_path):
    from reslab.train.track import tensorboard_listener

    train(quick(divided, epochs=2), tmp_path / "run", on_event=tensorboard_listener())
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"val_accuracy" in file.read_bytes()


def test_patience_stops_early(divided, tmp_path):
    events = []
    config = quick(divided, epochs=30, patience=1)
    config = replace(config, optim=replace(config.optim, lr=1e-12))  # nothing is learnt, so nothing gets better
    train(config, tmp_path / "run", on_event=events.append)
    stops = [e for e in events if e["event"] == "early stop"]
    assert len(stops) == 1 and sum(e["event"] == "epoch" for e in events) < 30

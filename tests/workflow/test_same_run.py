"""A run is known by its pictures and its decisions, not by a word: what was changed is noticed, or nothing is written."""

import json
import pickle
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from reslab.cli.app import run as command
from reslab.errors import ResLabError
from reslab.model.file import read_model, read_tensors, write_tensors
from reslab.model.run import read_config, read_journal, read_split
from reslab.run import prepare
from reslab.run.evaluate import EvaluationOptions, evaluate
from reslab.run.train import resume, train
from reslab.system.files import remove_leftovers, write_atomically
from reslab.train.recipes import recipe
from tests.pictures import colour_folder


def quick(data, **changes):
    values = {"model": "resnet20", "size": 8, "epochs": 2, "batch_size": 16, "layout": "channels-last", "ema": 0.0}
    return replace(recipe("standard"), data=str(data), **values | changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of two epochs on `here/pictures`, and its project."""
    here = tmp_path_factory.mktemp("project")
    colour_folder(here / "pictures", each=40)
    return train(quick(here / "pictures"), here / "run")


@pytest.fixture
def project(made, tmp_path):
    """A copy of the project, whose config names the pictures by a bare word, as a person types it."""
    here = tmp_path / "a"
    shutil.copytree(made.folder.parent, here)
    document = read_config(here / "run")
    document["config"]["data"], document["data_path"] = "pictures", str(here / "pictures")
    (here / "run" / "config.json").write_text(json.dumps(document))
    return here


def changed(run, **changes):
    document = read_config(run)
    document["config"] |= changes
    (run / "config.json").write_text(json.dumps(document))


def test_other_pictures_of_the_same_name_are_written_nowhere(project, tmp_path, monkeypatch):
    """The same word, the same file names, other pictures."""
    monkeypatch.chdir(project)
    evaluate("run", "pictures")
    before = {path.name: path.read_bytes() for path in (project / "run").iterdir() if path.is_file()}
    colour_folder(tmp_path / "b" / "pictures", each=40, start=500)
    for path in (tmp_path / "b" / "pictures").rglob("*.png"):
        path.rename(path.with_name(f"{int(path.stem) - 500:03d}.png"))
    monkeypatch.chdir(tmp_path / "b")
    said = []
    how = EvaluationOptions(assumed=replace(EvaluationOptions().assumed, on_message=said.append))
    evaluate(project / "run", "pictures", how=how)
    assert "nothing is written" in said[0]
    assert {path.name: path.read_bytes() for path in (project / "run").iterdir() if path.is_file()} == before
    for words in (["export", str(project / "run"), "--out", "m.onnx"], ["report", str(project / "run")]):
        assert command(words) == 0
    proof = json.loads(read_card("m.onnx"))
    assert "pictures" in proof["pictures"] and proof["accuracy_before"]["value"] > 0.9, "its own, where they lay"
    shutil.rmtree(project / "pictures")
    assert command(["export", str(project / "run"), "--out", "n.onnx"]) == 0
    assert "photographs" in json.loads(read_card("n.onnx"))["pictures"], "and not those that bear the name here"


def read_card(path):
    import onnx

    return next(entry.value for entry in onnx.load(path).metadata_props if entry.key == "reslab.certificate")


def test_a_run_goes_on_from_any_folder_and_where_its_data_moved(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resume(project / "run", 3).evaluation is not None
    (project / "pictures").rename(tmp_path / "moved")
    with pytest.raises(ResLabError, match="there is no pictures"):
        resume(project / "run", 4)
    assert command(["resume", str(project / "run"), "--epochs", "4", "--data", "moved"]) == 0
    assert read_config(project / "run")["data_path"] == str(tmp_path / "moved")
    assert resume(project / "run").evaluation is not None, "the new place is kept"
    Image.new("RGB", (24, 18)).save(next((tmp_path / "moved" / "red").iterdir()))
    with pytest.raises(ResLabError, match="was edited|not what this run"):
        resume(project / "run", 5, data=tmp_path / "moved")


def test_a_relabelled_table_and_a_missing_test_picture_are_noticed(project, monkeypatch):
    monkeypatch.chdir(project)
    rows = read_split(project / "run")
    row = next(row for row in rows if row.split == "test")
    (project / "pictures" / row.path).rename(project / "kept.png")
    with pytest.raises(ResLabError, match=f"1 picture.s. are gone, e.g. {row.path}"):
        resume(project / "run")
    (project / "kept.png").rename(project / "pictures" / row.path)
    table = "path,label\n" + "".join(f"pictures/{row.path},{row.label}\n" for row in rows)
    (project / "t.csv").write_text(table)
    run = train(quick("t.csv", epochs=1), project / "table").folder
    (project / "t.csv").write_text(table.replace("green/003.png,green", "green/003.png,red"))
    with pytest.raises(ResLabError, match="1 picture.s. have another label.*green/003.png: 'green' then, 'red' now"):
        resume(run, 2)


@pytest.mark.parametrize("change", [{"seed": 9}, {"label_smoothing": 0.2}, {"augment": "none"}, {"size": 16}])
def test_an_edited_config_is_noticed(project, monkeypatch, change):
    monkeypatch.chdir(project)
    changed(project / "run", **change)
    with pytest.raises(ResLabError, match=r"config.json .* was edited since this run began"):
        resume(project / "run")


def test_what_changes_no_result_may_be_edited(project, monkeypatch):
    monkeypatch.chdir(project)
    changed(project / "run", workers=2, save_seconds=9.0, log_every=3)
    assert resume(project / "run").evaluation is not None


def test_a_state_of_an_earlier_version_goes_on(project, monkeypatch):
    monkeypatch.chdir(project)
    for path in (project / "run" / "state").iterdir():
        tensors, content = read_tensors(path)
        write_tensors(path, tensors, {k: v for k, v in content.items() if k not in ("sha256", "decisions")})
    document = read_config(project / "run")
    del document["data_path"]
    (project / "run" / "config.json").write_text(json.dumps(document))
    assert resume(project / "run", 3).evaluation is not None


def test_a_later_schema_is_refused(project):
    document = read_config(project / "run")
    (project / "run" / "config.json").write_text(json.dumps(document | {"schema": 2, "config": []}))
    with pytest.raises(ResLabError, match="is of schema 2; this version reads 1"):
        resume(project / "run")


def test_missing_parts_are_said(project, monkeypatch):
    monkeypatch.chdir(project)
    run, said = project / "run", []
    content = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").unlink()
    best = max(event["epoch"] for event in read_journal(run) if event["best"])
    if best == 2:
        resume(run, on_event=said.append)
        assert any("written again from the state" in event.get("text", "") for event in said)
        assert (run / "model.safetensors").read_bytes() == content, "to the last byte"
    else:
        with pytest.raises(ResLabError, match="model.safetensors is missing: it held the weights of epoch 1"):
            resume(run)
        (run / "model.safetensors").write_bytes(content)
    journal = (run / "journal.jsonl").read_bytes()
    (run / "journal.jsonl").write_bytes(journal.splitlines(keepends=True)[0])
    resume(run, 3, said.append)
    assert any("the curves of earlier epochs are lost" in event.get("text", "") for event in said)
    assert b"\0" not in (run / "journal.jsonl").read_bytes() and [e["epoch"] for e in read_journal(run)] == [1, 3]
    shutil.rmtree(run / "state")
    with pytest.raises(ResLabError, match="state is missing, so the run cannot go on"):
        resume(run)


def test_another_machine_is_said(project, monkeypatch):
    monkeypatch.chdir(project)
    document, said = read_config(project / "run"), []
    (project / "run" / "config.json").write_text(
        json.dumps(document | {"machine": "cpu (riscv), 64 threads, torch 1.0"})
    )
    resume(project / "run", on_event=said.append)
    assert any("began on cpu (riscv), torch 1.0, and this is" in event.get("text", "") for event in said)


@pytest.mark.parametrize("content", ["[]", '{"schema": 1}', "7", "{", '{"config": {"later": 1}}'])
def test_a_damaged_run_does_not_hide_the_others(project, content, capsys, monkeypatch):
    monkeypatch.chdir(project)
    shutil.copytree("run", "runs/good")
    shutil.copytree("run", "runs/bad")
    (project / "runs/bad/config.json").write_text(content)
    assert command(["runs", "--json"]) == 0
    bad, good = json.loads(capsys.readouterr().out)["runs"]
    assert "config.json" in bad["error"] and good["error"] is None and good["top1"] is not None
    assert command(["runs"]) == 0 and "good" in capsys.readouterr().out


def test_leftovers_go_with_the_next_start(project, monkeypatch):
    monkeypatch.chdir(project)
    left = [
        project / "run" / name
        for name in (".sheet.png.123.tmp", ".probe", ".model.tmp.xml", "state/.a.safetensors.9.tmp")
    ]
    for path in left:
        path.write_bytes(b"x")
    resume(project / "run")
    assert not any(path.exists() for path in left)


def test_temporary_files_follow_no_link_and_are_not_shared(tmp_path, monkeypatch):
    (tmp_path / "target").write_text("mine")
    monkeypatch.setattr("secrets.token_hex", lambda n: "guessed")
    (tmp_path / ".m.guessed.tmp").symlink_to(tmp_path / "target")
    with pytest.raises(ResLabError, match="cannot write"):
        write_atomically(tmp_path / "m", b"theirs")
    assert (tmp_path / "target").read_text() == "mine"
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target"]


def test_two_runs_of_one_second_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    barrier, found = threading.Barrier(8), []

    def start():
        barrier.wait()
        folder = prepare.fresh_folder("resnet20-x")
        prepare.reserve(folder)
        found.append(folder)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8 and not list(tmp_path.rglob(".*"))


def test_a_description_larger_than_its_tensors_builds_nothing(made, tmp_path):
    from reslab.engine.torch import network_from_file

    model = read_model(made.model)
    for change in (
        {"depths": [100_000, 1, 1]},
        {"depths": [1] * 9999, "widths": [1] * 9999},
        {"widths": [2**40, 8, 8]},
    ):
        header = replace(model.header, network=model.header.network | change)
        with pytest.raises(ResLabError, match="do not fit the network"):
            network_from_file(replace(model, header=header), made.model)
    assert pickle.dumps(model)
    tensors = {name: tensor.copy() for name, tensor in model.tensors.items()}
    tensors["head.bias"][0] = np.nan
    from reslab.model.file import write_model

    write_model(tmp_path / "m.safetensors", tensors, model.header, [row.tobytes() for row in model.seen])
    with pytest.raises(ResLabError, match="its tensor head.bias holds numbers that are not finite"):
        read_model(tmp_path / "m.safetensors")

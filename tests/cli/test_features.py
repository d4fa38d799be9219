"""`embed`, `near`, and the nearest training pictures of `explain`."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from reslab.cli.app import run as run_command
from reslab.evaluate.feature_file import read_features, write_features
from reslab.model.file import read_header
from tests.cli.conftest import QUICK
from tests.pictures import colour_folder, colour_picture, tree
from tests.report.reading import Page


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", each=15)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished run, and the features of its pictures where `embed` puts them."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert run_command(["train", str(data), *QUICK, "--out", str(folder)]) == 0
    assert run_command(["embed", str(folder), str(data)]) == 0
    return folder


@pytest.fixture
def photos(tmp_path):
    """New pictures, one that is broken, and a copy of a training picture in another file format."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("blue", "red"):
        colour_picture(name, 100).save(folder / f"{name}.png")
    (folder / "zz.png").write_bytes(b"broken")
    return folder


def test_embed_keeps_the_features_of_a_run_in_its_folder(run, data, reslab, tmp_path):
    table = read_features(run / "features.npz")
    assert table.source.model == read_header(run / "model.safetensors")["sha256"]
    assert (len(table.keys), set(table.splits)) == (45, {"train", "val", "test"})
    assert all(key.startswith(label) for key, label in zip(table.keys, table.labels, strict=True))
    before = tree(data)
    code, out, _ = reslab("embed", run, data, "--split", "val", "--out", tmp_path / "val.npz", "--json")
    found = json.loads(out)
    val = read_features(tmp_path / "val.npz")
    assert code == 0 and found["splits"] == {"val": found["n"]} and found["d"] == 64 and found["unreadable"] == []
    assert (found["model"], found["classes"]) == (table.source.model, list(table.source.classes))
    assert set(val.keys) == {key for key, split in zip(table.keys, table.splits, strict=True) if split == "val"}
    here = [table.keys.index(key) for key in val.keys]
    assert np.allclose(val.features, table.features[here], atol=1e-5)
    assert tree(data) == before


def test_near_finds_the_colour_and_marks_the_same_picture(run, data, photos, reslab, tmp_path):
    shutil.copy(data / "green" / "003.png", photos / "copy.png")
    page = tmp_path / "near.html"
    words = ("near", run, data, photos, "--features", run / "features.npz", "--top", "3", "--json", "--html", page)
    code, out, _ = reslab(*words)
    rows = {row["path"].rpartition("/")[2]: row for row in map(json.loads, out.splitlines())}
    assert code == 0 and set(rows) == {"blue.png", "red.png", "copy.png", "zz.png"}
    assert rows["zz.png"]["error"] == "it is not a picture in a known format" and rows["zz.png"]["neighbours"] == []
    same = rows["copy.png"]["neighbours"][0]
    assert (same["path"], same["label"], same["same"]) == ("green/003.png", "green", True)
    assert same["similarity"] == pytest.approx(1, abs=1e-5)
    for row in rows.values():
        values = [one["similarity"] for one in row["neighbours"]]
        assert values == sorted(values, reverse=True) and sum(one["same"] for one in row["neighbours"]) <= 1
    pictures = [a for tag, a in Page(page.read_text(encoding="utf-8")).elements if tag == "img"]
    assert len(pictures) == 3 * (1 + 3) and all(a["src"].startswith("data:image/") for a in pictures)
    assert "http" not in re.sub(r"data:[^\"]*", "", page.read_text(encoding="utf-8")).replace("http-equiv", "")
    _, computed, _ = reslab("near", run, data, photos, "--top", "3", "--json")
    assert [[n["path"] for n in json.loads(line)["neighbours"]] for line in computed.splitlines()] == [
        [n["path"] for n in json.loads(line)["neighbours"]] for line in out.splitlines()
    ]
    code, out, _ = reslab("near", run, data, photos / "copy.png", "--features", run / "features.npz", "--top", "1")
    assert code == 0 and "green   green/003.png   the same picture" in out


def test_pictures_without_labels_are_embedded_as_predict_takes_them(run, photos, reslab, tmp_path):
    out_file = tmp_path / "a.npz"
    code, _, told = reslab("embed", run, photos, "--out", out_file)
    assert code == 2 and "zz.png: it is not a picture in a known format" in told and not out_file.exists()
    code, out, told = reslab("embed", run, photos, "--out", out_file, "--skip-bad")
    table = read_features(out_file)
    assert code == 0 and "zz.png: left out" in told and "64 features of each of 2 pictures" in out
    assert (table.labels, table.splits) == (("", ""), ("", ""))
    code, out, _ = reslab("near", run, str(photos / "[br]*.png"), photos / "blue.png", "--top", "1", "--json")
    assert code == 0 and json.loads(out)["neighbours"][0]["same"]
    code, _, told = reslab("embed", run, photos, "--split", "val", "--out", out_file, "--skip-bad")
    assert code == 2 and "they are not split" in told


def test_explain_shows_the_nearest_training_pictures(run, data, photos, reslab, tmp_path):
    table, picture, heat = read_features(run / "features.npz"), photos / "red.png", tmp_path / "heat.png"
    code, out, _ = reslab("explain", run, picture, "--out", heat, "--json")
    near = json.loads(out)["near"]
    assert code == 0 and len(near) == 5 and all(one["split"] == "train" for one in near)
    assert {one["path"] for one in near} <= set(table.keys)
    with Image.open(heat) as drawn:
        tall = drawn.height
        thumbnail = np.asarray(drawn.crop((10, tall - 150, 100, tall - 60))).reshape(-1, 3).mean(0)
    expected = np.asarray(Image.open(data / near[0]["path"])).reshape(-1, 3).mean(0)
    assert np.abs(thumbnail - expected).max() < 25
    _, out, _ = reslab("explain", run, picture, "--out", heat, "--near", data, "--json")
    assert [one["path"] for one in json.loads(out)["near"]] == [one["path"] for one in near]
    code, out, _ = reslab("explain", run, picture, "--out", heat, "--near", run / "features.npz")
    assert code == 0 and f"near: {near[0]['similarity']:.4f} {near[0]['label']}   {near[0]['path']}" in out
    code, out, _ = reslab("explain", "cifar10_resnet20", picture, "--out", heat, "--json")
    with Image.open(heat) as drawn:
        assert code == 0 and json.loads(out)["near"] is None and drawn.height < tall - 100


def test_explain_leaves_out_features_of_an_earlier_state_and_pictures_that_are_gone(run, photos, reslab, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    table = read_features(run / "features.npz")
    gone = dataclasses.replace(table.source, data=str(tmp_path / "nowhere"))
    write_features(copy / "features.npz", dataclasses.replace(table, source=gone))
    words = ("explain", copy, photos / "red.png", "--out", tmp_path / "heat.png", "--json")
    code, out, _ = reslab(*words)
    assert code == 0 and len(json.loads(out)["near"]) == 5
    earlier = dataclasses.replace(table.source, model="0" * 64)
    write_features(copy / "features.npz", dataclasses.replace(table, source=earlier))
    code, out, told = reslab(*words)
    assert code == 0 and json.loads(out)["near"] is None and "of another state of the model" in told
    code, _, told = reslab(*words, "--near", copy / "features.npz")
    assert code == 2 and "holds the features of another model" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("embed", "RUN", "PHOTOS", "--skip-bad"), "keeps the features of all pictures that it was trained on"),
        (("embed", "RUN", "DATA", "--split", "val"), "keeps the features of all pictures that it was trained on"),
        (("embed", "cifar10_resnet20", "DATA"), "is in no run folder"),
        (("embed", "RUN", "DATA", "--out", "DATA/features.npz"), "which is never written to"),
        (("embed", "RUN", "DATA", "--out", "a.csv"), "written as .npz or .parquet"),
        (("embed", "RUN", "nowhere", "--out", "a.npz"), "there is no nowhere"),
        (("near", "RUN", "DATA"), "near needs at least one picture"),
        (("near", "RUN", "DATA", "nothing.png"), "none of the queries could be read"),
        (("near", "RUN", "DATA", "PHOTOS", "--top", "0"), "--top 0 is not between 1 and 1,000"),
        (("near", "RUN", "DATA", "PHOTOS", "--html", "DATA/near.html"), "which is never written to"),
        (("near", "cifar10_resnet20", "DATA", "PHOTOS", "--features", "RUN/features.npz"), "of another model (sha256"),
        (("near", "RUN", "PHOTOS", "PHOTOS", "--features", "RUN/features.npz"), "no picture in common"),
        (("explain", "RUN", "PHOTOS", "--near", "nowhere.npz"), "there is no nowhere.npz"),
        (("explain", "RUN", "PHOTOS", "--near", "nowhere"), "there is no nowhere"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_writes_nothing(
    words, sentence, run, data, photos, reslab, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    places, before = {"RUN": run, "DATA": data, "PHOTOS": photos}, [tree(run), tree(data), tree(tmp_path)]
    named = [re.sub("^(RUN|DATA|PHOTOS)", lambda found: str(places[found[0]]), word) for word in words]
    code, _, told = reslab(*named)
    assert code == 2 and sentence in told, told
    assert [tree(run), tree(data), tree(tmp_path)] == before

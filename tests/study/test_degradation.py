"""The study trains what it says, finishes what was begun, and its published run shows degradation."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from reslab.figures.degradation import draw
from reslab.nn.layers import to_images
from reslab.nn.zoo import build_named
from reslab.study import degradation
from reslab.study.degradation import NETWORKS, Length, gradients, length_for, study
from reslab.study.published import average, published
from tests.pictures import colour_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def few(monkeypatch):
    """Two small networks stand for six."""
    monkeypatch.setattr(degradation, "NETWORKS", ("plain20", "resnet20"))


@pytest.mark.usefixtures("few")
def test_a_study_is_resumed_and_the_same(tmp_path):
    data = colour_folder(tmp_path / "data", each=30)
    heard = []
    first = study(str(data), tmp_path / "one", Length(2, 0.5), on_event=heard.append)
    assert [event["name"] for event in heard if event["event"] == "network"] == ["plain20", "resnet20"]
    (tmp_path / "one" / "degradation.json").unlink()
    again = study(str(data), tmp_path / "one", Length(2, 0.5))
    assert first == again == json.loads((tmp_path / "one" / "degradation.json").read_text())
    for row in first["networks"]:
        assert len(row["epochs"]) == 2 and row["test"]["n"] == first["pictures"]["test"] > 0
        assert row["test"]["low"] <= row["test"]["error"] <= row["test"]["high"]
        assert len(row["gradients"]["start"]) == len(row["gradients"]["end"]) == 19
    whole = study(str(data), tmp_path / "whole", Length(1, 1.0))
    assert first["pictures"]["train"] == pytest.approx(whole["pictures"]["train"] / 2, abs=3)
    assert first["pictures"]["val"] == whole["pictures"]["val"]


def test_gradients_are_those_of_the_loss():
    network = build_named("resnet20", seed=1)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(8)
    norms = gradients(network, pixels, labels)
    loss = torch.nn.CrossEntropyLoss()(network.train()(to_images(torch.from_numpy(pixels))), torch.from_numpy(labels))
    (stem,) = torch.autograd.grad(loss, [network.stem.first.conv.weight])
    assert len(norms) == 19 and norms[0] == pytest.approx(stem.norm().item(), rel=1e-4)


def test_the_length_fits_the_time():
    seconds = dict.fromkeys(NETWORKS, 60.0)
    usual = Length()
    cost = usual.epochs * len(NETWORKS)
    assert length_for(cost, seconds) == usual
    assert length_for(cost / 4, seconds) == Length(share=0.25)
    assert length_for(2 * cost, seconds) == Length(20)


def test_the_published_run_shows_degradation():
    """Deeper plain networks end worse in training and in validation, deeper residual ones no worse."""
    rows = {row["name"]: row for row in published()["networks"]}
    assert set(rows) == set(NETWORKS)
    last = {name: row["epochs"][-1] for name, row in rows.items()}
    assert {len(row["epochs"]) for row in rows.values()} == {10} and published()["seeds"] == [0, 1, 2]
    assert last["plain56"]["train_error"] > last["plain20"]["train_error"] + 0.02
    assert last["resnet56"]["train_error"] <= last["resnet20"]["train_error"]
    assert last["plain110"]["train_error"] > last["plain56"]["train_error"] + 0.02
    assert last["resnet110"]["train_error"] < last["resnet20"]["train_error"] + 0.01


def test_the_figure_in_docs_is_drawn_from_it():
    drawn = {language: draw(published(), language) for language in ("en", "zh")}
    assert (ROOT / "docs" / "degradation.svg").read_text(encoding="utf-8") == drawn["en"]
    assert (ROOT / "docs" / "degradation.zh.svg").read_text(encoding="utf-8") == drawn["zh"]
    assert "残差网络" in drawn["zh"] and "residual networks" in drawn["en"]
    shape = re.compile(r">[^<]*<")
    assert len(shape.findall(drawn["en"])) == len(shape.findall(drawn["zh"]))


def test_seeds_are_averaged():
    one, other = ({**published(), "seeds": [seed]} for seed in (0, 1))
    other["networks"] = [
        {**row, "test": {**row["test"], "error": row["test"]["error"] + 0.02},
         "epochs": [{key: value + 0.1 for key, value in epoch.items()} for epoch in row["epochs"]]}
        for row in other["networks"]
    ]  # fmt: skip
    both = average([one, other])
    assert both["seeds"] == both["test_seeds"] == [0, 1]
    for row, first in zip(both["networks"], one["networks"], strict=True):
        error = first["test"]["error"]
        assert row["test"] == {"n": 10_000, "error": pytest.approx(error + 0.01), "low": error, "high": error + 0.02}
        assert row["epochs"][-1]["train_error"] == pytest.approx(first["epochs"][-1]["train_error"] + 0.05)
        assert row["gradients"] == first["gradients"]
    unscored = {**other, "networks": [{**row, "test": None} for row in other["networks"]]}
    both = average([one, unscored])
    assert both["seeds"] == [0, 1] and both["test_seeds"] == [0]
    assert [row["test"] for row in both["networks"]] == [row["test"] for row in one["networks"]]

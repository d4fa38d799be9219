"""`reslab study degradation`: the published run at once, or remade here."""

import json

import pytest

from reslab.study import degradation
from reslab.study.published import published
from tests.pictures import colour_folder


@pytest.fixture
def few(monkeypatch):
    """Two small networks stand for six."""
    monkeypatch.setattr(degradation, "NETWORKS", ("plain20", "resnet20"))


def test_the_verb_shows_the_published_run(reslab, tmp_path):
    code, out, _ = reslab("study", "degradation", "--out", tmp_path)
    assert code == 0 and "plain110" in out and "above 60" in out and (tmp_path / "degradation.zh.svg").is_file()
    code, out, _ = reslab("study", "--json")
    assert code == 0 and json.loads(out) == published()


@pytest.mark.usefixtures("few")
def test_the_verb_remakes_it(reslab, tmp_path, monkeypatch):
    monkeypatch.setattr(degradation, "length_for", lambda minutes, seconds: degradation.Length(1, 0.5))
    data = colour_folder(tmp_path / "data", each=30)
    code, out, err = reslab("study", "degradation", "--minutes", "1", "--data", data, "--out", tmp_path / "out")
    assert code == 0, err
    assert (
        "resnet20" in out
        and "validation error" in err
        and (tmp_path / "out" / "resnet20" / "model.safetensors").is_file()
    )


def test_bad_input(reslab, tmp_path):
    data = colour_folder(tmp_path / "data")
    for words, complaint in (
        (["--minutes", "0"], "too short for six networks"),
        (["--data", data, "--out", data / "x", "--minutes", "1"], "never written to"),
        (["--minutes", "1", "--data", tmp_path / "absent"], "absent"),
    ):
        code, _, err = reslab("study", "degradation", *words)
        assert code == 2 and complaint in err
    code, _, err = reslab("study", "overfitting")
    assert code == 2 and "degradation" in err

"""`eval --corruptions`: what it prints and keeps, that it repeats, and what it refuses."""

import json
import shutil

import numpy as np
import pytest

from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.data.splits import SplitConfig
from reslab.engine.open import open_engine
from reslab.errors import ResLabError
from reslab.evaluate import corruptions as evaluated
from reslab.evaluate.corruptions import evaluate_corruptions
from reslab.evaluate.evaluation import evaluate_engine
from reslab.figures.corruptions import draw_corruptions
from reslab.metrics.calibration import expected_calibration_error, softmax
from reslab.pixels.corruptions import CORRUPTIONS, corrupt
from reslab.report.page import write_report


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A copy of the run, which the verb may write into."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("corrupted") / "run")


@pytest.fixture(scope="module")
def opened(run, colours):
    engine = open_engine(run / "model.safetensors")
    pictures = SplitConfig.recorded(engine.header.training).apply(read_data(colours)).split("test")
    return engine, pictures, evaluate_engine(engine, pictures, "test")


def test_eval_scores_every_kind_and_severity_and_the_run_keeps_it(reslab, run, colours):
    code, out, _ = reslab("eval", run, colours, "--corruptions", "--json")
    assert code == 0
    found = (document := json.loads(out))["corruptions"]
    assert json.loads((run / "corruptions.json").read_text()) == found
    assert "corruptions" not in json.loads((run / "evaluation-test.json").read_text())
    assert [(c["kind"], c["severity"]) for c in found["conditions"]] == [(k, s) for k in CORRUPTIONS for s in (1, 3, 5)]
    assert (found["form"], found["n"], found["of"], found["constants"]) == (
        "short",
        document["n"],
        document["n"],
        "CIFAR-10-C",
    )
    assert (found["clean"]["top1"], found["clean"]["ece"]) == (document["top1"], pytest.approx(document["ece"]))
    shares = [cell["top1"]["value"] for cell in found["conditions"]]
    assert found["mean_top1"]["value"] == pytest.approx(np.mean(shares))
    assert found["mean_top1"]["low"] <= np.mean(shares) <= found["mean_top1"]["high"]
    assert len(set(shares)) > 1
    spans = [(c["ece_interval"]["low"], c["ece"], c["ece_interval"]["high"]) for c in found["conditions"]]
    assert all(low <= ece <= high for low, ece, high in spans)
    assert "#corruptions" in (run / "report.html").read_text(encoding="utf-8")


def test_an_answer_is_that_for_the_corrupted_picture(opened):
    engine, pictures, clean = opened
    found = evaluate_corruptions(engine, pictures, clean)
    assert found == evaluate_corruptions(engine, pictures, clean, workers=0)
    prepared = [(p.key, engine.header.preprocess(load(p))) for p in pictures]
    for kind, severity in (("fog", 5), ("impulse_noise", 3)):
        corrupted = np.stack([corrupt(x, kind, severity, evaluated._draw(kind, key)) for key, x in prepared])
        logits = engine.logits(corrupted)
        cell = next(c for c in found.conditions if (c.kind, c.severity) == (kind, severity))
        assert cell.top1.value == (logits.argmax(1) == clean.labels).mean()
        scaled = softmax(logits / engine.header.calibration.temperature)
        assert cell.ece == pytest.approx(expected_calibration_error(scaled, clean.labels), abs=1e-4)


def test_the_short_form_takes_pictures_evenly(opened, monkeypatch):
    engine, pictures, clean = opened
    monkeypatch.setitem(evaluated.FORMS, "short", (3, (5,)))
    seen = []
    monkeypatch.setattr(evaluated, "corrupt", lambda x, kind, severity, draw: seen.append(severity) or x)
    found = evaluate_corruptions(engine, pictures, clean, workers=0)
    assert (found.n, found.of, len(seen)) == (3, len(pictures), 3 * len(CORRUPTIONS))
    third = len(pictures) / 3
    same = clean.rows(np.array([0, int(third), int(2 * third)]))
    assert found.clean.top1.value == found.mean_top1.value == (same.logits.argmax(1) == same.labels).mean()


def test_the_table_is_printed(reslab, run, colours):
    code, out, _ = reslab("eval", run, colours, "--corruptions", "short")
    assert code == 0
    assert "corrupted at 16 px with the constants of CIFAR-10-C; all pictures" in out
    assert "jpeg compression" in out and "mean accuracy" in out and "not divided by AlexNet's errors" in out


def test_scores_of_another_model_are_not_shown(run):
    write_report(run)
    assert 'id="corruptions"' in (run / "report.html").read_text(encoding="utf-8")
    kept = json.loads((run / "corruptions.json").read_text())
    (run / "corruptions.json").write_text(json.dumps(kept | {"model": "another"}))
    write_report(run)
    assert 'id="corruptions"' not in (run / "report.html").read_text(encoding="utf-8")
    (run / "corruptions.json").write_text(json.dumps(kept))


def test_the_figure_has_a_cell_for_each_score_and_one_for_clean_pictures(run):
    document = json.loads((run / "corruptions.json").read_text())
    assert str(draw_corruptions(document).__html__()).count('class="tint lost"') == 15 * 3 + 1
    assert "散焦模糊" in draw_corruptions(document).file("zh")


def test_what_is_refused(reslab, run, colours, opened):
    code, _, err = reslab("eval", run, colours, "--corruptions", "fast")
    assert code == 2 and "fast" in err
    with pytest.raises(ResLabError, match="no form 'fast'"):
        evaluate_corruptions(*opened, form="fast")


def test_several_labels_per_picture_are_refused_before_anything_is_scored(reslab, monkeypatch, tmp_path):
    from reslab.run import evaluate as verbs
    from reslab.tasks.table import TASKS

    class Model:
        header = type("Header", (), {"task": "multi"})

    monkeypatch.setattr(verbs, "_open", lambda *_: verbs._Opened(Model(), [], "test", False, None))
    with pytest.raises(ResLabError, match="--corruptions needs data that give each picture one label"):
        verbs.evaluate_corrupted("model", "data")
    assert "corruptions" in TASKS["multi"].lacks

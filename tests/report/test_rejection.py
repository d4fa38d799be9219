"""The page about answers that are not accepted, and about prediction sets."""

import dataclasses
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from reslab.figures.rejection import risk_coverage
from reslab.model.file import read_header
from reslab.report.page import write_report
from reslab.words.phrases import percent
from tests.report.folders import COLOURS, add_evaluation, evaluation, make_run
from tests.report.reading import Page


def page_of(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


def plain(text):
    return " ".join(text.split())


def keys(n):
    return [f"{i}.png" for i in range(n)]


def judged(run, split, n=60, fitted=60, features=True):
    """The evaluation of a model whose thresholds and sets were fitted on `fitted` validation pictures; its document."""
    model = read_header(run / "model.safetensors")["sha256"]

    def answers(split, n, seed):
        found = evaluation(split, keys(n), COLOURS, model, seed=seed)
        strange = np.random.default_rng(seed).normal(size=n) if features else None
        return dataclasses.replace(found, outlier=strange)

    val = answers("val", fitted, 1).calibrate()
    found = val if split == "val" else dataclasses.replace(answers(split, n, 2), calibration=val.calibration)
    return add_evaluation(run, found)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", splits=())


def test_the_page_says_what_is_accepted_and_what_the_sets_hold(run):
    document = judged(run, "test", n=200)
    found, page = document["rejection"], page_of(run)
    accepted, accuracy = (plain(percent(found[key]["value"], 1)) for key in ("accepted", "accuracy"))
    assert page.faults == [] and found["may_be_wrong"] > 0 and found["not_from_here"] > 0
    assert f"Accepted: {accepted} of the answers ({round(200 * found['accepted']['value'])} of 200)." in page.text
    assert f"Of the accepted answers {accuracy} are right" in page.text
    assert f"May be wrong: {found['may_be_wrong']}. Not from here: {found['not_from_here']}." in page.text
    tile = f"Accepted answers{plain(percent(found['accepted']['value']))}{plain(percent(found['accuracy']['value']))}"
    assert tile.replace(" ", "") in page.text.replace(" ", "")
    rows = [[plain(cell) for cell in row] for row in page.table("sets")[1:]]
    assert len(rows) == len(document["prediction_sets"]) >= 6
    for row, truth in zip(rows, document["prediction_sets"], strict=True):
        assert row[0] == f"{100 * truth['coverage']:.0f} %" and row[2] == plain(percent(truth["measured"]["value"], 1))
        assert row[4:] == [f"{truth['size']:.2f}", str(truth["empty"])]
    assert "An empty set means" in page.text and "unreliable" not in page.text
    assert "fitted on these same pictures so" not in page.text
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "陌生图片：" in html and "最小集合（LAC）" in html


def test_the_pictures_that_fitted_them_prove_little_and_few_of_them_less(run):
    judged(run, "val", fitted=30, features=False)
    text = page_of(run).text
    assert "thresholds were fitted on these same pictures" in text and "keep their promise here by construction" in text
    assert "unreliable: they rest on 30 pictures, fewer than 50" in text
    assert "gives no features to judge" in text and "Not from here:" not in text


def test_a_folder_of_an_older_version_says_what_it_lacks(run):
    judged(run, "val")
    path = run / "evaluation.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in document.items() if k not in ("rejection", "prediction_sets")}))
    page = page_of(run)
    assert "made by an older version of ResLab" in page.text and page.faults == []
    assert not any(kind.startswith("sets") for kind in page.tables) and "Accepted answers" not in page.text
    path.write_text(json.dumps(document | {"rejection": None, "prediction_sets": []}))
    assert "This model has no thresholds" in page_of(run).text


def test_thresholds_that_accept_nothing_have_no_dot(run):
    document = judged(run, "val")
    document["rejection"] |= {"accuracy": None, "accepted": {"value": 0.0, "low": 0.0, "high": 0.1}}
    (run / "evaluation.json").write_text(json.dumps(document))
    page = page_of(run)
    assert "Accepted: 0.0 % of the answers (0 of 60)." in page.text and "Of the accepted" not in page.text


@pytest.mark.parametrize("errors", [(0.0, 0.1, 0.2), (0.0, 0.0, 0.0), (1.0, 0.5, 1 / 3)])
def test_the_curve_and_the_dot_lie_where_their_values_are(errors):
    curve = list(zip((0.2, 0.6, 1.0), errors, strict=True))
    drawing = ElementTree.fromstring(risk_coverage(curve, (0.6, errors[1])).__html__())
    ticks = [e for e in drawing.iter() if e.get("class") == "tick"]
    y = {float(e.text): float(e.get("y")) - 4 for e in ticks if e.get("text-anchor") == "end"}
    x = {float(e.text): float(e.get("x")) for e in ticks if e.get("text-anchor") == "middle"}
    (line,) = (e for e in drawing.iter() if e.get("class") == "line training")
    points = [tuple(map(float, pair.split())) for pair in line.get("d")[1:].split("L")]
    for (share, error), point in zip(curve, points, strict=True):
        assert point[0] == pytest.approx(x[0] + share * (x[100] - x[0]), abs=0.2)
        assert point[1] == pytest.approx(y[0] + 100 * error * (y[max(y)] - y[0]) / max(y), abs=0.2)
    (dot,) = (e for e in drawing.iter() if e.get("class") == "dot validation")
    assert (float(dot.get("cx")), float(dot.get("cy"))) == pytest.approx(points[1], abs=0.2)
    assert [e.text for e in drawing.iter() if e.get("class") == "mark"] == ["accepted: 60.0\N{NARROW NO-BREAK SPACE}%"]
    assert not [
        e for e in ElementTree.fromstring(risk_coverage(curve, None).__html__()).iter() if e.get("class") == "mark"
    ]

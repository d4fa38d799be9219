"""The map of the features: kept beside the answers, drawn on the page from the folder alone."""

import dataclasses
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from reslab.errors import ResLabError
from reslab.evaluate.evaluation import write_evaluation
from reslab.evaluate.feature_map import LARGEST, make_map, read_map, write_map
from reslab.figures.feature_map import COLOURS, Dot, coloured, feature_map
from reslab.metrics.components import principal_components
from reslab.report.folder import read_run
from reslab.report.page import write_report
from reslab.tasks.table import TASKS
from reslab.tasks.task import supports
from tests.report.folders import evaluation, make_run
from tests.report.reading import Page

MODEL = "a" * 64


def features(n, d=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32) * np.linspace(3, 1, d, dtype=np.float32)


def test_a_map_is_written_and_read_as_it_is(tmp_path):
    made = make_map(features(50))
    coordinates, explained = principal_components(features(50))
    assert np.allclose(np.array([made.x, made.y]).T, coordinates, rtol=1e-4) and made.rows == tuple(range(50))
    assert made.explained_variance == pytest.approx(explained, rel=1e-4) and made.d == 8
    write_map(tmp_path / "map.json", made, MODEL)
    assert read_map(tmp_path / "map.json", MODEL) == made
    assert read_map(tmp_path / "map.json", "b" * 64) is None and read_map(tmp_path / "no.json", MODEL) is None


def test_of_many_pictures_some_are_drawn_and_of_very_few_none():
    rows = make_map(features(3 * LARGEST)).rows
    assert len(rows) == LARGEST and rows[0] == 0 and rows[-1] == 3 * LARGEST - 1
    assert max(np.diff(rows)) - min(np.diff(rows)) <= 1
    assert make_map(features(2)) is None and make_map(features(9, 1)) is None


@pytest.mark.parametrize("change", [{"x": [1]}, {"rows": [-1] * 5}, {"explained_variance": [1]}, {"y": "none"}])
def test_a_damaged_map_is_one_sentence(change, tmp_path):
    write_map(tmp_path / "map.json", make_map(features(5)), MODEL)
    document = json.loads((tmp_path / "map.json").read_text())
    (tmp_path / "map.json").write_text(json.dumps(document | change))
    with pytest.raises(ResLabError, match=r"map\.json is damaged"):
        read_map(tmp_path / "map.json", MODEL)


def tree(dots):
    return ElementTree.fromstring(feature_map(dots).__html__())


def spots(drawing, style):
    """Places of the dots of a style, the sample of the legend last."""
    paths = [e.get("d") for e in drawing.iter("path") if e.get("class") == f"spots {style}"]
    return [tuple(map(float, one.split())) for path in paths for one in path[1:].removesuffix("h0").split("h0M")]


def test_dots_lie_where_they_belong_and_mistakes_are_ringed():
    dots = [Dot((0, 0), "ant"), Dot((2, 0), "bee", "b.png: bee → ant"), Dot((0, 1), "ant"), Dot((4, 1), "bee")]
    drawing = tree(dots)
    ants, bees = spots(drawing, "k0")[:-1], spots(drawing, "k1")[:-1]
    assert len(ants) == len(bees) == 2
    unit = bees[0][0] - ants[0][0]
    assert ants[0][1] - ants[1][1] == pytest.approx(unit / 2, abs=0.2), "a unit is as long on both axes"
    assert (bees[1][0] - ants[0][0], bees[1][1]) == (pytest.approx(2 * unit, abs=0.2), ants[1][1])
    rings = [e for e in drawing.iter("circle") if e.get("class") == "missed"]
    assert len(rings) == 2 and (float(rings[0].get("cx")), float(rings[0].get("cy"))) == bees[0]
    assert rings[0].find("title").text == "b.png: bee → ant"
    names = [e.text for e in drawing.iter("text") if e.get("class") is None]
    assert names == ["ant", "bee", "mistake"]
    assert drawing.find("desc").text.startswith("4 pictures of 2 classes") and "1 mistakes" in drawing.find("desc").text


def test_the_most_frequent_classes_have_a_colour_and_one_point_is_drawn_too():
    dots = [Dot((i, i % 7), f"{k:02d} 一二三四五六七八九十") for k in range(25) for i in range(30 - k)]
    assert coloured(dots) == [f"{k:02d} 一二三四五六七八九十" for k in range(COLOURS)]
    drawing = tree(dots)
    assert len(spots(drawing, "rest")) == sum(30 - k for k in range(COLOURS, 25)) + 1
    names = [e.text for e in drawing.iter("text") if e.get("class") is None]
    assert names[0] == "00 一二三四五六七八九…" and names[-1] == "other classes" and len(names) == COLOURS + 1
    assert spots(tree([Dot((3, 3), "a")] * 3), "k0")[0] == (240, 214)


def page_of(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_the_page_draws_what_the_folder_keeps(tmp_path):
    run = make_run(tmp_path / "run", splits=())
    found = evaluation("val", [row.path for row in _val(run)], ("blue", "green", "red"), read_run(run).header["sha256"])
    write_evaluation(run, found)
    assert "coordinates (map.json) are not in the run folder" in write_report(run).read_text(encoding="utf-8")
    write_evaluation(run, dataclasses.replace(found, map=make_map(features(60))))
    html = write_report(run).read_text(encoding="utf-8")
    assert "the 8 numbers that the linear layer is given" in html and "chart-map-title" in html
    wrong = sum(row["correct"] == "0" for row in read_run(run).judged["val"].answers)
    assert wrong > 0 and html.count('class="missed"') == wrong + 1
    assert write_report(run).read_text(encoding="utf-8") == html
    document = json.loads((run / "map.json").read_text())
    (run / "map.json").write_text(json.dumps(document | {"model": MODEL}))
    assert "chart-map-title" not in write_report(run).read_text(encoding="utf-8"), "another model's map"


def _val(run):
    from reslab.model.run import read_split

    return [row for row in read_split(run) if row.split == "val"]


def test_the_task_says_whether_there_is_a_map():
    assert supports(TASKS["single"], "map") and not supports(TASKS["multi"], "map")

"""The figures: sound SVG, values where they belong, words in both languages."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reslab.figures.axes import counts, powers, shares, ticks
from reslab.figures.curves import Curves, Series, curves, reliability, score_bar, whisker
from reslab.figures.svg import Drawing, text
from reslab.words.phrases import plain, say

TRAINING = Series("training", ((1.0, 2.0), (2.0, 1.0), (3.0, 0.5)))
VALIDATION = Series("validation", ((1.0, 1.5), (2.0, 0.7), (3.0, 0.9)))


def tree(figure):
    return ElementTree.fromstring(figure.__html__())


def marks(drawing, style):
    return [e for e in drawing.iter() if e.get("class") == style]


def points(path):
    return [tuple(map(float, pair.split())) for pair in path.get("d")[1:].split("L")]


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_round_and_hold_the_range(low, span):
    found = ticks(low, low + span)
    steps = {round((b - a) / (found[1] - found[0]), 6) for a, b in zip(found, found[1:], strict=False)}
    slack = 1e-8 * (span + abs(low))  # of rounding
    assert found[0] <= low + slack and found[-1] >= low + span - slack
    assert steps == {1.0} and 2 <= len(found) <= 8


def test_ticks_of_nothing_and_of_whole_numbers():
    assert len(ticks(0.5, 0.5)) == 2
    assert ticks(0, 3, whole=True) == [0, 1, 2, 3]
    assert ticks(0, 1, about=6, whole=True) == [0, 1]
    assert ticks(0, 182, about=6, whole=True) == [0, 50, 100, 150, 200]


def test_axes_by_value_by_logarithm_and_in_percent():
    percent = shares(0.069, 0.166)
    assert [name for _, name in percent.ticks] == ["6", "8", "10", "12", "14", "16", "18"]
    assert [percent.share(value) for value in (0.06, 0.12, 0.18, 0.5, 0)] == pytest.approx([0, 0.5, 1, 1, 0])
    decades = powers([0.0, 0.02, 0.3, 10.0])
    assert [name for _, name in decades.ticks] == ["10⁻²", "10⁻¹", "10⁰", "10¹"]
    assert [decades.share(value) for value in (0.01, 0.1, 10, 0)] == pytest.approx([0, 1 / 3, 1, 0])
    assert [name for _, name in counts(1, 6).ticks] == ["1", "2", "3", "4", "5", "6"]
    assert counts(1, 1).share(1) == 0 and counts(0, 0.5).share(0.5) == 1


def test_a_drawing_is_a_page_in_both_languages_or_a_file_in_one():
    drawing = Drawing(plain("a < b"), 90, 30, [text(1, 2, say("yes")), text(3, 4.04, "x")], key="k")
    shown = tree(drawing)
    assert [(e.text, e.get("data-zh")) for e in shown.iter("text")] == [("yes", "是"), ("x", None)]
    for language, words in (("en", ["a < b", "yes", "x"]), ("zh", ["a < b", "是", "x"])):
        file = drawing.file(language)
        root = ElementTree.fromstring(file)
        assert [e.text for e in root.iter() if e.tag.endswith(("}title", "}text"))] == words
        assert "data-zh" not in file and root.get("viewBox") == "-16 -16 122 62" and 'y="4"' in file


def test_lines_go_through_their_values():
    drawing = tree(curves(Curves("loss", (TRAINING, VALIDATION), best=2)))
    line = max(marks(drawing, "line training"), key=lambda e: len(points(e)))
    axis = {float(e.text): float(e.get("y")) - 4 for e in marks(drawing, "tick") if e.get("text-anchor") == "end"}
    assert axis.keys() >= {0, 0.5, 1, 1.5, 2}
    assert [y for _, y in points(line)] == pytest.approx([axis[2], axis[1], axis[0.5]], abs=0.2)
    x = [x for x, _ in points(line)]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)


def test_the_best_epoch_is_marked_on_the_validation_line():
    drawing = tree(curves(Curves("loss", (TRAINING, VALIDATION), best=2)))
    (ring,) = marks(drawing, "ring")
    line = max(marks(drawing, "line validation"), key=lambda e: len(points(e)))
    assert (float(ring.get("cx")), float(ring.get("cy"))) == points(line)[1]
    assert [e.text for e in marks(drawing, "mark")] == ["best: epoch 2"]
    assert [e.get("data-zh") for e in marks(drawing, "mark")] == ["最佳：第 2 轮"]
    assert not marks(tree(curves(Curves("loss", (TRAINING,)))), "best")


def test_a_chart_says_what_it_shows():
    drawing = tree(curves(Curves("loss", (TRAINING, VALIDATION))))
    title, desc = drawing.find("title"), drawing.find("desc")
    assert drawing.get("aria-labelledby").split() == [title.get("id"), desc.get("id")]
    assert desc.text == "training goes from 2 to 0.5; validation goes from 1.5 to 0.9 over 3 epochs."
    assert desc.get("data-zh") == "3 轮之间：训练从 2 到 0.5；验证从 1.5 到 0.9。"
    units = [e.text for e in marks(drawing, "unit")]
    assert units == ["epoch", "loss, nats"]
    legend = [e.text for e in drawing.iter("text") if e.get("class") is None]
    assert legend == ["training", "validation"]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("value", [0.0, 1.0, 0.97])
@pytest.mark.parametrize("epochs", [1, 2, 50])
def test_charts_of_any_length_and_flatness_stay_inside(epochs, value, share):
    series = Series("training", tuple((float(e), value) for e in range(1, epochs + 1)))
    drawing = tree(curves(Curves("accuracy", (series,), best=1, share=share)))
    _, _, width, height = map(float, drawing.get("viewBox").split())
    line = marks(drawing, "line training")[0]
    assert len(points(line)) == epochs
    levels = [float(e.text) for e in marks(drawing, "tick") if e.get("text-anchor") == "end"]
    assert len(levels) == len(set(levels)) > 1 and (max(levels) == 100 or not share)
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points(line))
    assert len(marks(drawing, "dot training")) == (epochs if epochs <= 40 else 0)


def bins(counts):
    n = len(counts)
    return [
        {"low": k / n, "high": (k + 1) / n, "n": c, "confidence": (k + 0.5) / n, "accuracy": 0.5}
        for k, c in enumerate(counts)
    ]


def test_bars_of_the_reliability_diagram():
    drawing = tree(reliability(bins([0, 0, 5, 50, 1200])))
    assert len(marks(drawing, "bin")) == 2 and len(marks(drawing, "bin pale")) == 1
    assert len(marks(drawing, "diagonal")) == 1
    floor = float(marks(drawing, "axis")[0].get("y1"))
    rect = marks(drawing, "bin")[0].find("rect")
    whole = floor - float(marks(drawing, "rule")[-1].get("y1"))
    assert float(rect.get("height")) == pytest.approx(whole / 2, abs=0.2)
    assert float(rect.get("y")) + float(rect.get("height")) == pytest.approx(floor, abs=0.2)
    assert [e.text for e in marks(drawing, "tick") if e.get("transform")] == ["5", "50", "1,200"]
    heights = [float(e.get("height")) for e in marks(drawing, "count")]
    assert heights[2] / heights[1] == pytest.approx(1200 / 50, rel=0.1)
    assert marks(drawing, "bin")[1].find("title").text.startswith("confidence 80")


def test_a_whisker_reaches_over_its_interval():
    drawing = tree(whisker(0.9, 0.6, 0.975))
    (reach,) = marks(drawing, "reach")
    assert (reach.get("x1"), reach.get("x2")) == ("60.00%", "97.50%")
    assert drawing.find("circle").get("cx") == "90.00%" and drawing.get("aria-hidden") == "true"


@pytest.mark.parametrize(("baseline", "shown"), [(0.1, ["100"]), (0.5, ["0", "100"]), (0.95, ["0"])])
def test_the_score_bar_keeps_its_labels_apart(baseline, shown):
    drawing = tree(score_bar({"value": 0.97, "low": 0.95, "high": 0.99}, baseline))
    texts = [e.text for e in drawing.iter("text")]
    assert [text[:-2] for text in texts[1:]] == shown
    assert "score 97.00" in drawing.get("aria-label") and "成绩 97.00" in drawing.get("data-zh-label")

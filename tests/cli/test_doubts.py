"""What the terminal says of doubts, thresholds and prediction sets."""

import dataclasses

import numpy as np
import pytest

from reslab.cli.predicting import _print_row
from reslab.cli.scores import SCORES
from reslab.evaluate.predict import Prediction
from reslab.tasks.task import Calibration
from tests.report.folders import COLOURS, evaluation

SURE = Prediction("a.jpg", "red", 0.9, (("red", 0.9), ("blue", 0.1)), accepted=True, prediction_set=("red",))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"may_be_wrong": True, "prediction_set": ("red", "blue")}, "   may be wrong   {red, blue}"),
        ({"may_be_wrong": True, "not_from_here": True, "prediction_set": ()}, "   not from here   {}"),
        ({"prediction_set": tuple("abcdefgh")}, "   {a, b, c, d, e, 3 more}"),
        ({"accepted": None, "prediction_set": None}, ""),
    ],
)
def test_a_row_says_its_doubt_and_its_set(capsys, changes, said):
    _print_row(dataclasses.replace(SURE, **changes), json=False)
    assert capsys.readouterr().out == f"a.jpg: red 0.900   (blue 0.100){said}\n"


def lines(capsys, found, end=False):
    if end:
        SCORES["single"].trained(found.document(), fold=False)
    else:
        SCORES["single"].evaluation(found.document(), "test split", "")
    return capsys.readouterr().out.splitlines()


def test_a_score_says_what_is_accepted_and_how_large_the_sets_are(capsys):
    keys = [f"{i}.png" for i in range(40)]
    val = dataclasses.replace(evaluation("val", keys, COLOURS, ""), outlier=np.linspace(0, 1, 40)).calibrate()
    score = val.document()["rejection"]
    printed = lines(capsys, val, end=True)
    (at,) = (i for i, line in enumerate(printed) if line.startswith("accepted     "))
    share = f"{100 * score['accepted']['value']:.2f} % of the answers, {100 * score['accuracy']['value']:.2f} % of them right"
    assert (
        printed[at]
        == f"accepted     {share}; {score['may_be_wrong']} may be wrong, {score['not_from_here']} not from here"
    )
    assert printed[at + 1] == "             unreliable: the thresholds rest on 40 pictures, fewer than 50"
    assert printed[at + 2].startswith("sets         coverage and mean size at 0.90: ")
    assert printed[at + 2].endswith("; these pictures fitted them") and printed[at + 2].count(" %, ") == 3
    test = dataclasses.replace(evaluation("test", keys, COLOURS, "", seed=1), calibration=val.calibration)
    (line,) = (line for line in lines(capsys, test) if line.startswith("accepted "))
    assert line.endswith("may be wrong")  # this pass gave no features
    without = lines(capsys, dataclasses.replace(test, calibration=Calibration()))
    assert "accepted every answer: the model file holds no thresholds" in without
    assert not any(line.startswith("sets") for line in without)

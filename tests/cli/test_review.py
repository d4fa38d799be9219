"""`review`, `train --corrections` and `predict --review`: tables, the page's content, and what is refused."""

import csv
import io
import json
import shutil

import pytest

from reslab.data.table import read_table
from reslab.model.file import read_tensors, write_tensors
from reslab.model.run import (
    CORRECTIONS_NAME,
    MARGINS_NAME,
    OUT_OF_FOLD,
    predictions_name,
    read_config,
    read_rows,
    read_split,
)
from reslab.run.review import LeastCertain, review_page, review_run
from reslab.train.plan.document import config_like, plan_from
from tests.cli.conftest import QUICK
from tests.pictures import colour_folder, patches_table, tree
from tests.report.folders import make_run
from tests.report.reading import Page

FAST = [*QUICK[:-4], "--epochs", "1", "--batch-size", "8"]
MARGINS = "path,label,margin,seen,rival\n"


def add_margins(run, **margins):
    """`margins.csv` of some pictures: key without its ending -> margin."""
    rows = [f"{key}.png,{key.split('/')[-2]},{m},4,violet\n" for key, m in margins.items()]
    (run / MARGINS_NAME).write_text(MARGINS + "".join(rows))


@pytest.fixture
def folded(tmp_path):
    """A cross-validation of 60 pictures with a margin each: two of its doubtful ones are doubted by both rankings."""
    run = make_run(tmp_path / "run", ("blue", "green", "red"), splits=(OUT_OF_FOLD,), folds=5)
    rows = read_rows(run / predictions_name(OUT_OF_FOLD), ())
    own = {row["path"]: float(row[f"p({row['label']})"]) for row in rows}
    keys = sorted(own, key=own.get)
    margins = {key: float(number) for number, key in enumerate(keys)}
    margins[keys[0]] = 99.0  # the training alone was sure of it
    table = "".join(f"{key},{key.split('/')[0]},{m},4,red\n" for key, m in margins.items())
    (run / MARGINS_NAME).write_text(MARGINS + table)
    return run, keys


def test_what_both_rankings_doubt_comes_first(folded, reslab, tmp_path):
    run, keys = folded
    code, out, _ = reslab("review", run, "--json", "--csv", tmp_path / "out.csv")
    document = json.loads(out)
    rows = document["rows"]
    assert code == 0 and document["n"] == len(rows) == 60 and document["notes"] == [] and document["likely_wrong"] > 0
    assert [row["path"] for row in rows][:3] == keys[1:4] and rows[-1]["path"] == keys[0]
    assert rows[0]["score"] == pytest.approx(2 / 60, abs=1e-6) and rows[-1]["score"] == 1
    first = rows[0]
    assert first["proposed"] not in ("", first["label"]) and first["margin"] == 1.0 and first["probability"] < 0.5
    assert first["reason"].startswith(f"out of fold {first['proposed']} 0.") and "mean margin 1.00" in first["reason"]
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert list(table[0]) == ["path", "label", "proposed", "score", "reason"]
    assert [row["path"] for row in table] == [row["path"] for row in rows]


def test_a_plain_run_has_margins_and_answers(tmp_path, reslab):
    run = make_run(tmp_path / "run", splits=("val",))
    add_margins(run, **{"more/blue/000": -3.5, "more/green/001": 2.0, "more/red/002": 0.5})
    code, out, err = reslab("review", run)
    lines = out.splitlines()
    assert code == 0 and "path" in lines[0] and "train --folds 5" in err
    rows = {one.path: one for one in review_run(run).suspects}
    assert len(rows) == 63 and rows["more/blue/000.png"].proposed == "violet" and rows["more/blue/000.png"].score < 0.34
    assert rows["more/green/001.png"].proposed == "" and rows["more/green/001.png"].score == 1
    wrong = [one for one in review_run(run).suspects if one.certainty and one.proposed]
    assert wrong == sorted(wrong, key=lambda one: -one.certainty)  # the surest mistakes first


def test_an_earlier_run_has_answers_only_and_an_empty_one_nothing(tmp_path, reslab):
    run = make_run(tmp_path / "run", splits=("val",))
    code, _, err = reslab("review", run)
    assert code == 0 and "an earlier version began it" in err
    (run / MARGINS_NAME).write_text(MARGINS + "blue/000.png,blue,much,4,red\n")
    code, _, err = reslab("review", run)
    assert code == 2 and "damaged" in err
    code, _, err = reslab("review", make_run(tmp_path / "bare", splits=()))
    assert code == 2 and "neither margins" in err and "--folds 5" in err


def test_other_tasks_and_places_are_refused(tmp_path, reslab):
    run = make_run(tmp_path / "run", splits=("val",))
    document = read_config(run) | {"task": "multi"}
    (run / "config.json").write_text(json.dumps(document))
    code, _, err = reslab("review", run)
    assert code == 2 and "needs data that give each picture one label" in err
    for words in (["nowhere"], [tmp_path], [run, "--top", "0"]):
        assert reslab("review", *words)[0] == 2


def test_the_page_shows_what_it_can(colours, tmp_path, reslab):
    run = make_run(tmp_path / "run", splits=("val",), data=colours)
    add_margins(run, **{"blue/000": -1.0, "green/001": -2.0, "red/000": -3.0})
    same = "path,label,split,group,fold,fingerprint\nblue/000.png,blue,train,,,ab\nred/000.png,red,train,,,ab\n"
    (run / "split.csv").write_text(same + "green/001.png,green,train,,,cd\n")
    assert reslab("review", run, "--html", tmp_path / "review.html", "--top", "3")[0] == 0
    page = Page((tmp_path / "review.html").read_text())
    assert page.faults == []
    tabs = dict(review_page(review_run(run), 3).tabs)
    assert {name: len(cases) for name, cases in tabs.items()} == {
        "suspects": 3,
        "doubtful": 3,
        "duplicates": 2,
        "far": 0,
    }
    assert [case.path for case in tabs["duplicates"]] == ["blue/000.png", "red/000.png"]
    assert "red/000.png" in str(tabs["duplicates"][0].reason) and tabs["suspects"][0].choices == (
        "blue",
        "green",
        "red",
    )
    text = (tmp_path / "review.html").read_text()
    assert "data:image" in text and "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_page_without_its_pictures_shows_their_paths(tmp_path, reslab):
    run = make_run(tmp_path / "run", splits=("val",))
    assert reslab("review", run, "--html", tmp_path / "review.html")[0] == 0
    text = (tmp_path / "review.html").read_text()
    assert "blue/000.png" in text and "no longer in nowhere" in text and "data:image" not in text


def test_nothing_is_written_into_the_data(colours, tmp_path, reslab):
    run = make_run(tmp_path / "run", splits=("val",), data=colours)
    assert reslab("review", run, "--html", colours / "review.html")[0] == 2 and not (colours / "review.html").exists()


# ------------------------------------------------------------------ corrections


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    """A run with two corrections, its table gone since."""
    from reslab.cli.app import run as command

    place = tmp_path_factory.mktemp("corrected")
    data = colour_folder(place / "data", each=30)
    before = tree(data)
    table = place / "table.csv"
    table.write_text("path,label\nblue/000.png,red\nblue/001.png,-\n")
    assert command(["train", str(data), *FAST, "--corrections", str(table), "--out", str(place / "run")]) == 0
    table.unlink()
    assert tree(data) == before
    return place


def test_a_run_is_trained_with_the_corrected_labels(corrected):
    labels = {row.path: row.label for row in read_split(corrected / "run")}
    assert labels["blue/000.png"] == "red" and "blue/001.png" not in labels and len(labels) == 89
    margins = {row["path"]: row["label"] for row in read_rows(corrected / "run" / MARGINS_NAME, ())}
    trained = {row.path: row.label for row in read_split(corrected / "run") if row.split == "train"}
    assert margins == trained
    assert plan_from(read_config(corrected / "run")).corrections_digest


def test_its_own_copy_resumes_and_repeats_it(corrected, reslab, tmp_path):
    run = shutil.copytree(corrected / "run", tmp_path / "run")
    assert config_like(run).corrections == str(run / CORRECTIONS_NAME)
    assert reslab("resume", run)[0] == 0
    before = (run / "evaluation.json").read_bytes()
    code, _, err = reslab("eval", run, corrected / "data", "--split", "test")
    assert code == 0 and "nothing is written" not in err and (run / "evaluation-test.json").is_file()
    assert (run / "evaluation.json").read_bytes() == before
    (run / CORRECTIONS_NAME).write_text("path,label\nblue/001.png,-\n")
    code, _, err = reslab("resume", run)
    assert code == 2 and "have another label" in err


def test_a_run_of_an_earlier_version_goes_on_without_margins(corrected, reslab, tmp_path):
    run = shutil.copytree(corrected / "run", tmp_path / "run")
    (run / MARGINS_NAME).unlink()
    for file in (run / "state").iterdir():
        arrays, content = read_tensors(file)
        earlier = {name: array for name, array in arrays.items() if not name.startswith("margins.")}
        write_tensors(file, earlier, {k: v for k, v in content.items() if k != "sha256"})
    code, _, err = reslab("resume", run)
    assert code == 0 and "without the margins" in err and not (run / MARGINS_NAME).exists()
    assert (run / "model.safetensors").read_bytes() == (corrected / "run" / "model.safetensors").read_bytes()


def test_check_takes_corrections_too(corrected, reslab, tmp_path):
    table = tmp_path / "table.csv"
    first, second, *_ = (
        row.path for row in read_split(corrected / "run") if row.label == "green" and row.split == "val"
    )
    table.write_text(f"path,label\n{first},blue\n{second},-\n")
    code, out, _ = reslab("check", corrected / "data", "--corrections", table, "--json")
    document = json.loads(out)
    assert code == 0 and document["images"] == 89 and document["classes"] == {"blue": 31, "green": 28, "red": 30}
    assert [p["detail"] for p in document["problems"] if p["kind"] == "corrections"][0].startswith(
        "1 relabelled and 1 left"
    )
    table.write_text("path,label\ngreen/000.png,grene\n")
    code, _, err = reslab("train", corrected / "data", "--corrections", table, "--out", tmp_path / "run")
    assert code == 2 and "no class 'grene'" in err and "did you mean 'green'" in err and not (tmp_path / "run").exists()


def test_several_labels_cannot_be_corrected(reslab, tmp_path):
    (tmp_path / "table.csv").write_text("path,label\n000.png,blue\n")
    code, _, err = reslab("check", patches_table(tmp_path / "data"), "--corrections", tmp_path / "table.csv")
    assert code == 2 and "--corrections needs data that give each picture one label" in err


# ------------------------------------------------------------------ pictures without labels


def test_the_least_certain_are_shown_and_their_table_trains(corrected, reslab, tmp_path, monkeypatch):
    colour_folder(tmp_path / "new", each=3, start=900)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new" / "broken.png").write_bytes(b"no picture")
    code, out, _ = reslab("predict", corrected / "run", "new", "--review", "pages/review.html", "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(answers) == 10
    page = Page((tmp_path / "pages" / "review.html").read_text())
    assert page.faults == []
    text = (tmp_path / "pages" / "review.html").read_text()
    answered = sorted((row for row in answers if row["error"] is None), key=lambda row: row["probability"])
    places = [text.index(f'data-path="{(tmp_path / row["path"]).as_posix()}"') for row in answered]
    assert places == sorted(places) and text.count('class="case"') == 9 and "labels.csv" in text
    # what the page downloads lies somewhere else
    (tmp_path / "downloads").mkdir()
    rows = [f"{(tmp_path / row['path']).as_posix()},{'blue' if n % 2 else 'red'}\n" for n, row in enumerate(answered)]
    (tmp_path / "downloads" / "labels.csv").write_text("path,label\n" + "".join(rows))
    catalog = read_table(tmp_path / "downloads" / "labels.csv")
    assert len(catalog.pictures) == 9 and {p.label for p in catalog.pictures} == {"blue", "red"}
    assert reslab("check", tmp_path / "downloads" / "labels.csv")[0] == 0


def test_only_so_many_are_kept_of_a_stream():
    from reslab.evaluate.predict import Prediction

    kept = LeastCertain(most=2)
    for number, probability in enumerate((0.9, 0.4, None, 0.7, 0.4, 0.95)):
        top = () if probability is None else (("blue", probability), ("red", 0.01))
        kept.add(Prediction(f"{number}.png", "blue", probability, top))
    ((_, cases),) = kept.page("model", ("blue", "red"), "").tabs
    assert [case.path.rpartition("/")[2] for case in cases] == ["1.png", "4.png"]


def test_models_of_several_labels_have_no_such_page(reslab, tmp_path):
    data = patches_table(tmp_path / "data", 40)
    assert reslab("train", data, *FAST, "--out", tmp_path / "run")[0] == 0
    assert not (tmp_path / "run" / MARGINS_NAME).exists()
    code, _, err = reslab("predict", tmp_path / "run", data.parent, "--review", tmp_path / "review.html")
    assert code == 2 and "--review needs" in err

"""The page of a run: whole, self-contained, true to the run's files, and never at a loss about a missing one."""

import dataclasses
import json
import re

import pytest

from reslab.errors import ResLabError
from reslab.report.page import write_report
from reslab.run.list import list_runs
from reslab.tasks.task import Calibration
from reslab.words.phrases import percent
from tests.report.folders import COLOURS, add_evaluation, evaluation, make_run
from tests.report.reading import Page

HOSTILE = ("<script>alert(1)</script>", "\"two\" & 'one'", "猫与狗", "{{ 7 * 7 }}", "plain")
LOADING = {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "formaction", "background"}


def page_of(run):
    return Page(write_report(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "usual")


@pytest.fixture(scope="module")
def page(run):
    return page_of(run)


@pytest.fixture(scope="module")
def test_document(run):
    return json.loads((run / "evaluation-test.json").read_text())


def plain(text):
    return " ".join(text.split())


def test_nothing_is_loaded_from_outside(run, page):
    links = [(tag, value) for tag, attrs in page.elements for name, value in attrs.items() if name in LOADING]
    assert len(links) > 8
    assert [link for link in links if not link[1].startswith(("#", "data:"))] == []
    html = (run / "report.html").read_text(encoding="utf-8")
    assert "http://" not in html and "https://" not in html and "@import" not in html and "url(" not in html
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:")


def test_the_page_is_well_formed(page):
    assert page.faults == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) > 15 and len(ids) == len(set(ids))
    named = [i for _, attrs in page.elements for i in attrs.get("aria-labelledby", "").split()]
    targets = [a["href"][1:] for a in page.all("a")]
    assert named and targets and set(named) | set(targets) <= set(ids)


def test_those_who_do_not_see_are_told(page):
    assert all(attrs.get("alt") and attrs.get("data-zh-alt") for attrs in page.all("img"))
    drawings = [attrs for attrs in page.all("svg") if attrs.get("aria-hidden") != "true"]
    assert len(drawings) == 5
    assert all(attrs["role"] == "img" and ("aria-labelledby" in attrs or attrs["aria-label"]) for attrs in drawings)
    heads = page.all("th")
    assert len(heads) > 30 and all(attrs["scope"] in ("row", "col") for attrs in heads)


def test_the_headline_is_the_test_score(page, test_document):
    top1 = test_document["top1"]
    for value in (top1["value"], top1["low"], top1["high"], test_document["balanced_accuracy"]):
        assert plain(percent(value)) in page.text
    assert "Accuracy on the test split" in page.text
    assert f"{round(60 * top1['value'])} of 60 pictures classified correctly" in page.text
    assert f"most frequent class, which scores {plain(percent(test_document['majority_baseline']))}" in page.text


def test_the_validation_score_stands_beside_it_and_is_called_what_it_is(run, page):
    top1 = json.loads((run / "evaluation.json").read_text())["top1"]
    low, high = plain(percent(top1["low"])), plain(percent(top1["high"]))
    assert f"for comparison: {plain(percent(top1['value']))} (95 % interval {low} to {high}, n = 60)" in page.text
    assert "The split was also used to choose the model" in page.text


def test_the_class_table_is_the_evaluation(page, test_document):
    rows = page.table("classes")[1:]
    assert len(rows) == 3
    for row, truth in zip(rows, test_document["per_class"], strict=True):
        cells = [plain(cell) for cell in row]
        assert cells[:3] == [truth["label"], str(truth["n"]), plain(percent(truth["recall"], 1))]
        assert cells[4:] == [plain(percent(truth["precision"], 1)), f"{truth['f1']:.3f}", "20"]


def test_the_matrix_is_the_evaluation(page, test_document):
    rows = [[int(cell) for cell in row[1:]] for row in page.table("matrix")[1:]]
    assert rows == test_document["confusion"]


def test_calibration_before_and_after(page, test_document):
    fit = test_document["calibration"]
    rows = {row[0]: [plain(cell) for cell in row[1:]] for table in page.tables.values() for row in table}
    before, after = rows["ECE, expected calibration error"]
    assert before == plain(percent(fit["ece_before"])) and after.startswith(plain(percent(fit["ece_after"])))
    assert rows["NLL, negative log likelihood (nats)"] == [f"{fit[f'nll_{w}']:.4f}" for w in ("before", "after")]
    assert rows["temperature"] == ["1", f"{fit['temperature']:.3f}"]
    bins = [b for b in test_document["reliability"] if b["n"]]
    assert {f"{b['n']:,}" for b in bins} <= {row[1] for table in page.tables.values() for row in table if len(row) == 4}


def test_a_temperature_that_was_not_applied_is_said_so(tmp_path):
    run = make_run(tmp_path / "run", splits=())
    found = evaluation("val", [f"{i}.png" for i in range(40)], COLOURS, _digest(run))
    add_evaluation(run, dataclasses.replace(found, calibration=Calibration(1.0, 40, "test"), calibrated=found.logits))
    assert "A temperature was fitted, but it is not applied" in page_of(run).text
    add_evaluation(run, dataclasses.replace(found, calibration=Calibration(), calibrated=found.logits))
    assert "No temperature was fitted" in page_of(run).text


@pytest.mark.parametrize("kind", ["plain", "A", "B"])
def test_only_a_network_with_shortcuts_is_called_residual(tmp_path, kind):
    """The degradation experiment trains plain networks, and writes their reports too."""
    run = make_run(tmp_path / "run")
    document = json.loads((run / "config.json").read_text())
    document["network"] |= {"name": "somenet", "shortcut": kind}
    (run / "config.json").write_text(json.dumps(document))
    text = page_of(run).text
    assert ("somenet is a plain network" in text) == (kind == "plain")
    assert ("somenet is a residual network" in text) == (kind != "plain")
    assert "do not make it worse" not in text  # resnet1202 tests worse than resnet110 (He et al. 2015, table 6)


def test_the_surest_mistakes_come_first(run, page):
    rows = [line.split(",") for line in (run / "predictions-test.csv").read_text().splitlines()[1:]]
    wrong = sorted((row for row in rows if row[4] == "0"), key=lambda row: -float(row[3]))
    assert len(wrong) > 3
    places = [page.text.index(row[0]) for row in wrong]
    assert places == sorted(places)
    assert f"{len(wrong)} of {len(wrong)} mistakes on the test split" in page.text


def test_every_setting_is_listed_with_its_origin(run, page):
    config = json.loads((run / "config.json").read_text())["config"]
    names = [n for n, v in config.items() if not isinstance(v, dict)]
    names += [f"{outer}.{n}" for outer in ("optim", "schedule") for n in config[outer]]
    rows = {r[0].split()[-1]: r[1:] for k, table in page.tables.items() if k.startswith("settings") for r in table[1:]}
    assert rows.keys() == set(names)
    assert rows["epochs"] == ["4", "your choice", ""]
    assert rows["size"] == ["8", "default", "photographs of about 40 px"]
    assert rows["optim.clip_norm"] == ["5", "recipe", "the recipe standard"]


def test_hostile_names_stay_text(tmp_path):
    run = make_run(tmp_path / "run", HOSTILE, n=100)
    page = page_of(run)
    assert page.faults == []
    assert len(page.scripts) == 1 and "alert" not in page.scripts[0]
    assert [row[0] for row in page.table("classes")[1:]] == list(HOSTILE)
    assert "{{ 7 * 7 }}" in page.text and "猫与狗" in page.text


def test_many_classes_are_listed_instead_of_drawn(tmp_path):
    names = tuple(f"class {i:03d}" for i in range(100))
    page = page_of(make_run(tmp_path / "run", names, n=1000))
    assert not any(kind.startswith("matrix") for kind in page.tables)
    assert (
        "With 100 classes the full matrix would be too large to read. These are the 20 most frequent confusions"
        in page.text
    )
    rows = page.table("classes")[1:]
    assert len(rows) == 100
    f1 = [float(row[5]) for row in rows]
    assert f1 == sorted(f1)


def test_a_class_without_pictures_has_no_recall(tmp_path):
    run = make_run(tmp_path / "run", splits=())
    keys = [f"{i}.png" for i in range(40)]
    found = evaluation("val", keys, COLOURS, _digest(run))
    logits = found.calibrated.copy()
    logits[:, 2] = -9
    labels = found.labels % 2
    add_evaluation(run, dataclasses.replace(found, labels=labels, calibrated=logits))
    row = page_of(run).table("classes")[3]
    assert [plain(cell) for cell in row] == ["red", "0", "–", "", "–", "–", "20"]


def test_without_a_test_score_the_validation_score_leads_with_a_warning(tmp_path):
    page = page_of(make_run(tmp_path / "run", splits=("val",)))
    assert "Accuracy on the validation split" in page.text
    assert "to choose its best epoch: the score is slightly optimistic" in page.text
    assert f"reslab eval {tmp_path / 'run'} nowhere" in page.text
    assert "test split" not in page.text


def test_a_run_without_validation(tmp_path):
    page = page_of(make_run(tmp_path / "run", splits=(), val=0.0))
    assert "This run kept no pictures for validation" in page.text
    assert "the model of the last epoch, 4, was kept" in page.text
    assert "validation loss" not in page.text and "Worst mistakes" not in page.text


def test_a_cross_validation_is_called_what_it_is(tmp_path):
    run = make_run(tmp_path / "run", splits=("out-of-fold",), folds=3)
    page = page_of(run)
    top1 = json.loads((run / "evaluation-oof.json").read_text())["top1"]
    assert f"Accuracy out of fold {plain(percent(top1['value']))}" in page.text
    assert "Fold by fold: 75.0 %, 80.0 %, 87.5 %; mean 80.83 %, standard deviation 6.29 %" in page.text
    assert "each picture was classified by a network that had not been trained on it" in page.text
    assert "the model of the last epoch, 4, was kept, as in every fold" in page.text
    assert f"reslab report {run / 'fold-1'}" in page.text
    assert "fitted on these out-of-fold answers" in page.text
    assert "chose its best epoch" not in page.text and "validation split" not in page.text
    chinese = (run / "report.html").read_text(encoding="utf-8")
    assert "各折依次为 75.0\u202f%、80.0\u202f%、87.5\u202f%" in chinese and "折外准确率" in chinese


def test_copies_in_another_fold_are_owned_up_to(tmp_path):
    run = make_run(tmp_path / "run", splits=(), folds=3)
    found = evaluation("out-of-fold", [f"{i}.png" for i in range(50)], COLOURS, _digest(run))
    found.seen[:4] = True
    add_evaluation(run, found)
    assert "An exact copy of 4 of these 50 pictures lies in another fold" in page_of(run).text


def test_beside_a_test_score_stands_that_of_the_folds(tmp_path):
    run = make_run(tmp_path / "run", splits=("test", "out-of-fold"), folds=3)
    page = page_of(run)
    value = plain(percent(json.loads((run / "evaluation-oof.json").read_text())["top1"]["value"]))
    assert "Accuracy on the test split" in page.text and f"Out of fold, for comparison: {value}" in page.text


def test_a_single_fold_says_that_its_pictures_chose_nothing(tmp_path):
    page = page_of(make_run(tmp_path / "run", splits=("val",), folds=3, fold=2))
    assert "one fold of a cross-validation: they were used neither to train this network nor to choose" in page.text
    assert "the validation pictures are used to score, not to choose" in page.text
    assert "best: epoch" not in page.text and "slightly optimistic" not in page.text


def test_an_interrupted_run_says_how_to_go_on(tmp_path):
    page = page_of(make_run(tmp_path / "run", done=2, splits=()))
    assert "Not finished: 2 of 4 epochs" in page.text
    assert f"reslab resume {tmp_path / 'run'}" in page.text
    assert "This run has not been evaluated yet" in page.text


def test_a_run_without_a_finished_epoch(tmp_path):
    run = make_run(tmp_path / "run", done=0, splits=())
    page = page_of(run)
    assert "No epoch has finished yet" in page.text and "sheet.png) is not in the run folder" in page.text
    for name in ("journal.jsonl", "split.csv"):
        (run / name).unlink()
    assert page_of(run).text.count("No epoch has finished yet") == 1


def test_a_journal_cut_by_a_crash(tmp_path):
    run = make_run(tmp_path / "run", splits=())
    journal = run / "journal.jsonl"
    journal.write_text(journal.read_text()[:-40])
    assert "Not finished: 3 of 4 epochs" in page_of(run).text


def test_an_early_stop_counts_as_finished_unless_training_went_on(tmp_path):
    run = make_run(tmp_path / "run", done=3)
    journal = run / "journal.jsonl"
    stop = json.dumps({"event": "early stop", "epoch": 3, "best_epoch": 2}) + "\n"
    before = journal.read_text()
    journal.write_text(before + stop)
    assert "Stopped early: no better validation score since epoch 2" in page_of(run).text
    journal.write_text(stop + before)
    assert "Not finished: 3 of 4 epochs" in page_of(run).text


def test_a_run_that_kept_its_time_has_as_many_epochs_as_it_came_to(tmp_path):
    run = make_run(tmp_path / "run", done=3, minutes=2.0)  # four were planned
    journal = run / "journal.jsonl"
    assert "Not finished: 3 of 4 epochs" in page_of(run).text
    *lines, last = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines, json.dumps(json.loads(last) | {"epochs": 3})]) + "\n")
    assert "Not finished" not in page_of(run).text and "3 / 3" in page_of(run).text
    assert [row["epochs"] for row in list_runs(tmp_path)] == ["3/3"]


def test_a_score_of_another_model_is_not_shown_as_this_ones(tmp_path):
    run = make_run(tmp_path / "run", splits=("val",))
    keys = [f"{i}.png" for i in range(30)]
    old = add_evaluation(run, evaluation("test", keys, COLOURS, "0" * 64, right=0.99))
    page = page_of(run)
    assert "Accuracy on the validation split" in page.text
    value = plain(percent(old["top1"]["value"]))
    assert f"The score on the test split ({value}) belongs to an earlier state of the model" in page.text


def test_pictures_seen_in_training_are_owned_up_to(tmp_path):
    run = make_run(tmp_path / "run", splits=())
    found = evaluation("test", [f"{i}.png" for i in range(50)], COLOURS, _digest(run))
    found.seen[:10] = True
    document = add_evaluation(run, found)
    text = page_of(run).text
    assert "trained on 10 of these 50 pictures" in text
    assert f"Without them it is {plain(percent(document['top1_unseen']['value']))}" in text
    assert "No test picture trained the network" not in text


@pytest.mark.parametrize(("right", "said"), [(1.0, "Clearly better"), (0.3, "so far there is no evidence")])
def test_the_baseline_is_compared_with_the_interval(tmp_path, right, said):
    run = make_run(tmp_path / "run", splits=())
    add_evaluation(run, evaluation("val", [f"{i}.png" for i in range(40)], COLOURS, _digest(run), right))
    assert said in page_of(run).text


def test_no_mistakes(tmp_path):
    run = make_run(tmp_path / "run", splits=())
    found = evaluation("val", [f"{i}.png" for i in range(40)], COLOURS, _digest(run))
    perfect = found.logits * 0
    perfect[range(40), found.labels] = 9
    add_evaluation(run, dataclasses.replace(found, logits=perfect, calibrated=perfect))
    assert "No mistakes on the validation split" in page_of(run).text
    (run / "predictions.csv").unlink()
    assert "(predictions.csv) are not in the run folder" in page_of(run).text


def test_no_run_is_one_sentence(tmp_path):
    with pytest.raises(ResLabError, match="holds no run") as caught:
        write_report(tmp_path)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_writing_twice_gives_the_same_bytes(tmp_path):
    run = make_run(tmp_path / "run")
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert not re.search(rb"\b20\d\d-\d\d-\d\d", first)  # no date: equal runs give equal pages


def _digest(run):
    from reslab.model.file import read_header

    return read_header(run / "model.safetensors")["sha256"]

"""A search turns what it says, prunes by the median, goes on as if it had never been stopped, and keeps its evidence."""

import csv
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from scipy.stats import binomtest

from reslab.data import store
from reslab.data.sources import read_data
from reslab.data.splits import assign_splits
from reslab.errors import ResLabError
from reslab.figures.search import draw_search
from reslab.metrics.paired import compare_paired
from reslab.model.run import predictions_name, read_config, read_journal
from reslab.run.evaluate import evaluate
from reslab.run.train import train
from reslab.search import search as searching
from reslab.search import space
from reslab.search.evidence import compare_on_validation, objective
from reslab.search.search import SearchRequest, _length, search
from reslab.search.space import Parameter, default_values, parameter_from, search_space, with_values
from reslab.system.files import read_json
from reslab.train.config import Origin
from reslab.train.loop import Interrupted
from reslab.train.plan.document import config_like
from reslab.train.plan.resolve import resolve
from reslab.train.recipes import recipe
from reslab.words.phrases import say
from tests.pictures import colour_folder, tree


class Enough(Exception):
    """Ends a search from within, as a kill would: nobody tidies up."""


def after(event, number, epoch=None):
    """A listener that stops there; what it heard is kept in `.heard`."""

    def listen(told):
        listen.heard.append(told)
        if told["event"] == "trial":
            listen.trial = told["trial"]
        if told["event"] == event and listen.trial == number and told.get("epoch") == epoch:
            raise Enough

    listen.heard, listen.trial = [], None
    return listen


def config(data, **fields):
    base = replace(recipe("standard"), data=str(data), model="resnet20", size=8, batch_size=8, epochs=3)
    return replace(base, precision="float32", layout="channels-last", **{"val": 0.2} | fields)


def hunted(asked, out, trials, user=("epochs",)):
    """`search.json` of a search that was stopped after so many trials."""
    with pytest.raises(Enough):
        search(asked, 30, out, user, after("trial end", trials - 1))
    return ended(asked, out, user)


def ended(asked, out, user=("epochs",)):
    """What a search says that has no time left."""
    return search(asked, 30, out, user, begun=time.monotonic() - 1e6)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return colour_folder(tmp_path_factory.mktemp("data") / "colours", each=24)


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """Folder and document of a search of five trials."""
    out = tmp_path_factory.mktemp("search") / "out"
    return out, hunted(config(data), out, 5)


def plan_of(data, **fields):
    catalog = assign_splits(read_data(str(data)))
    return resolve(config(data, **fields), catalog.only(("train", "val"))), catalog


# ------------------------------------------------------------------ what is turned


def test_dials_stand_around_the_default(data):
    plan, _ = plan_of(data)
    found = {dial.name: dial for dial in search_space(plan, "", True, ())}
    assert list(found) == ["optim.lr", "optim.weight_decay", "augment", "label_smoothing"]
    assert found["optim.lr"].span == (plan.config.optim.lr / 5, plan.config.optim.lr * 5)
    assert found["augment"].options == ("light", "standard", "strong")
    assert all(dial.default in dial.options for dial in found.values() if dial.options)
    assert [parameter_from(json.loads(json.dumps(dial.document()))) for dial in found.values()] == list(found.values())


def test_what_a_person_set_and_what_makes_no_sense_is_no_dial(data):
    plan, _ = plan_of(data, optim=replace(recipe("article").optim), augment="none")
    names = [dial.name for dial in search_space(plan, "", True, {"augment", "seed"})]
    assert names == ["optim.lr", "label_smoothing"], "without weight decay there is none to turn"
    with pytest.raises(ResLabError, match="nothing is left to search"):
        search_space(plan, "", True, {"augment", "optim.lr", "label_smoothing"})
    tuned, _ = plan_of(data, weights="cifar10_resnet20", finetune="all")
    modes = search_space(tuned, "head", True, ())[0]
    assert (modes.name, modes.options) == ("finetune", ("head", "last", "all", "gradual"))
    assert search_space(tuned, "all", True, ())[0].options == ("last", "all", "gradual")


def test_sets_that_differ_by_a_mirror_only_are_tried_once():
    digits = assign_splits(read_data("digits")).only(("train", "val"))
    plan = resolve(replace(recipe("standard"), data="digits"), digits)
    augment = {dial.name: dial for dial in search_space(plan, "", digits.mirrored, ())}["augment"]
    assert augment.options == ("crop", "standard", "strong")
    made = with_values(plan, {"augment": "strong"}, False, Origin("search", say("reason.trial", number=1)))
    assert "hflip" not in made.changes and made.config.augment == ",".join(made.changes)


def test_turning_changes_the_dials_alone(data):
    plan, catalog = plan_of(data)
    found = search_space(plan, "", True, ())
    same = with_values(plan, default_values(found), True, Origin("search", say("reason.trial", number=1)))
    assert same.config == plan.config and same.changes == plan.changes
    values = {"optim.lr": 0.03, "augment": "strong", "label_smoothing": 0.0, "optim.weight_decay": 1e-3}
    made = with_values(plan, values, True, Origin("search", say("reason.trial", number=1)))
    resolved = resolve(
        replace(plan.config, augment="strong", label_smoothing=0.0,
                optim=replace(plan.config.optim, lr=0.03, weight_decay=1e-3)), catalog.only(("train", "val"))
    )  # fmt: skip
    assert made.config == resolved.config and made.changes == resolved.changes
    assert {name for name, origin in made.origins.items() if origin.origin == "search"} == values.keys()
    assert made.origins["optim.lr"].reason.text("zh") == "第 1 次试验"


def test_numbers_are_drawn_to_three_digits_within_their_span():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    dial = Parameter("optim.lr", 0.1, (0.02, 0.5))
    values = [dial.draw(study.ask()) for _ in range(200)]
    assert all(0.02 <= value <= 0.5 and value == float(f"{value:.3g}") for value in values)
    assert 0.4 < np.mean(np.array(values) < 0.1) < 0.6, "half of them below the middle of a logarithmic scale"


def test_wrong_answers_come_first_and_the_loss_decides_between_equals():
    n = 50
    pairs = [(right / n, nll) for right in range(n + 1) for nll in (0.01, 1.0, 1e6)]
    by_value = sorted(pairs, key=lambda pair: objective(*pair, n))
    assert by_value == sorted(pairs, key=lambda pair: (-pair[0], pair[1]))


def test_the_length_of_a_trial_fits_the_time():
    def length(minutes, full, per_epoch, user=()):
        return _length(SearchRequest(recipe("standard"), minutes, user, time.monotonic()), full, per_epoch)

    assert length(60, 30, 10.0) == 30 and length(24.01, 30, 10.0) == 18 and length(2, 30, 1.0) == 14
    assert length(1.01, 30, 6.0) == 3, "a handful of trials no longer fits, three of three epochs do"
    assert length(30.01, 30, 20.0, {"epochs"}) == 30
    for words, epochs in (((0.5, 30, 6.0), 3), ((10, 30, 20.0, {"epochs"}), 30)):
        with pytest.raises(ResLabError, match="is too short: a trial of") as caught:
            length(*words)
        enough = float(caught.value.hint.removeprefix("give --minutes ").split(" ")[0])
        assert length(enough, *words[1:]) == epochs, "what it asks for is enough"


# ------------------------------------------------------------------ a whole search


def test_the_default_comes_first_and_the_leader_is_never_worse(done):
    _, document = done
    trials = document["trials"]
    assert [trial["trial"] for trial in trials] == list(range(5))
    standard = {dial["name"]: dial["default"] for dial in document["dials"]}
    assert trials[0]["dials"] == standard and trials[0]["state"] == "complete"
    values = [objective(t["val_accuracy"], t["val_nll"], document["pictures"]["val"]) for t in trials]
    whole = [number for number, trial in enumerate(trials) if trial["state"] == "complete"]
    assert document["leader"]["trial"] == min(whole, key=lambda number: values[number])
    assert document["leader"]["val_accuracy"] >= document["default"]["val_accuracy"]
    assert document["winner"]["trial"] == (document["leader"]["trial"] if document["comparison"]["shown"] else 0)
    assert all(len(trial["curve"]) == trial["epochs"] <= document["epochs"] == 3 for trial in trials)


def test_a_trial_stops_where_the_median_of_the_finished_ones_was_better(data, tmp_path):
    document = hunted(config(data, epochs=4), tmp_path / "out", 10)
    trials, n = document["trials"], document["pictures"]["val"]
    curves = [[objective(*point, n) for point in trial["curve"]] for trial in trials]
    stopped = 0
    for number, trial in enumerate(trials):
        finished = [curves[k] for k in range(number) if trials[k]["state"] == "complete"]
        for epoch in (1, 2, 3):
            if len(curves[number]) < epoch:
                break
            worse = (
                epoch >= 2
                and len(finished) >= 3
                and min(curves[number][:epoch]) > np.median([c[epoch - 1] for c in finished])
            )
            ends = trial["state"] == "pruned" and len(curves[number]) == epoch
            assert worse == ends, (number, epoch)
            stopped += ends
    assert stopped > 0, "none was stopped: this test saw nothing"


def test_the_evidence_is_what_the_runs_say(done, data):
    out, document = done
    assert document == read_json(out / "search.json") and document["schema"] == 1
    with (out / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == [trial["state"] for trial in document["trials"]]
    assert [float(row["optim.lr"]) for row in rows] == [trial["dials"]["optim.lr"] for trial in document["trials"]]
    assert [float(row["val_accuracy"]) for row in rows] == [trial["val_accuracy"] for trial in document["trials"]]
    folders = (document[name]["folder"] for name in ("leader", "default"))
    leader, default = (evaluate(Path(folder), str(data), "val") for folder in folders)
    theirs = compare_paired(*(one.logits.argmax(1) == one.labels for one in (leader, default)))
    assert document["comparison"]["difference"] == pytest.approx(theirs.difference)
    assert document["comparison"]["p_value"] == theirs.p_value
    assert document["comparison"]["rivals"] == 4
    assert all(document[name]["val"]["nll"] == document[name]["val_nll"] for name in ("leader", "winner"))
    for language, name in (("en", "search.svg"), ("zh", "search.zh.svg")):
        figure = (out / name).read_text(encoding="utf-8")
        assert figure == draw_search(document, language) and "nan" not in figure
        assert figure.count("<circle") == 2 * (len(rows) + 1), "a dot per trial and panel, and a ring for the default"


def test_the_losers_leave_and_the_winner_is_a_run(done, data, tmp_path):
    out, document = done
    best = document["winner"]["trial"]
    assert {path.name for path in (out / "trials").iterdir()} == {"000", f"{document['leader']['trial']:03d}"}
    assert (out / "best" / "report.html").is_file()
    winner = read_config(out / "best")
    assert winner["config"]["optim"]["lr"] == document["winner"]["dials"]["optim.lr"]
    again = train(replace(config_like(out / "best"), data=str(data)), tmp_path / "again")
    assert again.model.read_bytes() == (out / "best" / "model.safetensors").read_bytes()
    page = (out / "best" / "report.html").read_text(encoding="utf-8")
    assert best == 0 or f"trial {best}" in page


def answered(folder, right, n):
    """A run folder that answers the first `right` of `n` validation pictures correctly."""
    folder.mkdir()
    with (folder / predictions_name("val")).open("w", newline="") as file:
        csv.writer(file).writerows([("path", "correct"), *((f"{i}.png", int(i < right)) for i in range(n))])
    return folder


@pytest.mark.parametrize(
    ("right", "rivals", "shown"),
    [(59, 1, True), (59, 30, False), (70, 30, True), (52, 1, False), (50, 1, False), (41, 1, False)],
)
def test_the_default_stays_where_its_pictures_cannot_tell(tmp_path, right, rivals, shown):
    default, leader = answered(tmp_path / "a", 50, 100), answered(tmp_path / "b", right, 100)
    found = compare_on_validation(leader, default, rivals)
    assert found["shown"] is shown
    tossed = binomtest(found["only_a"], max(1, found["only_a"] + found["only_b"])).pvalue
    assert right == 50 or found["p_of_best"] == pytest.approx(min(1, rivals * tossed))


@pytest.mark.parametrize("shown", [False, True])
def test_the_winner_is_the_leader_only_where_it_is_shown(data, tmp_path, monkeypatch, shown):
    """Whichever of the two wins lies in best/, and the other stays beside it."""
    real = searching.compare_on_validation
    monkeypatch.setattr(
        searching, "compare_on_validation", lambda *given, rivals: real(*given, rivals) | {"shown": shown}
    )
    document = hunted(config(data, epochs=1), tmp_path / "out", 4)
    leader = document["leader"]["trial"]
    assert leader > 0, "the default leads: this test saw nothing"
    assert document["winner"]["trial"] == (leader if shown else 0)
    kept = tmp_path / "out" / "trials" / f"{document['winner']['trial']:03d}" / "model.safetensors"
    assert (tmp_path / "out" / "best" / "model.safetensors").read_bytes() == kept.read_bytes()


def told(document):
    """What a search found, without its times."""
    return [{k: v for k, v in trial.items() if k != "seconds"} for trial in document["trials"]]


@pytest.mark.parametrize(("event", "number", "epoch"), [("trial", 2, None), ("epoch", 1, 2), ("trial end", 3, None)])
def test_a_search_that_was_cut_short_goes_on_as_if_it_never_had_been(done, data, tmp_path, event, number, epoch):
    out = tmp_path / "out"
    with pytest.raises(Enough):
        search(config(data), 30, out, ("epochs",), after(event, number, epoch))
    with (out / "search.log").open("ab") as file:
        file.write(b'{"op_code":9,"worker')  # half a line, as a crash leaves it
    listener = after("trial end", 4)
    with pytest.raises(Enough):
        search(config(data), 30, out, ("epochs",), listener)
    first = next(told for told in listener.heard if told["event"] == "trial")
    assert first["trial"] == (number + 1 if event == "trial end" else number), "what was finished is not done again"
    document = ended(config(data), out)
    assert told(document) == told(done[1]) and document["comparison"] == done[1]["comparison"]
    assert (out / "best" / "model.safetensors").read_bytes() == (done[0] / "best" / "model.safetensors").read_bytes()


def test_a_polite_stop_saves_the_step_and_says_how_to_go_on(data, tmp_path):
    def stop(told):
        if told["event"] == "step" and told["step"] == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted, match="in epoch 1, step 3; the state is saved") as caught:
        search(config(data), 30, tmp_path / "out", ("epochs",), stop)
    assert caught.value.hint == f"go on with the same command and --out {tmp_path / 'out'}"
    listener = after("trial end", 0)
    with pytest.raises(Enough):
        search(config(data), 30, tmp_path / "out", ("epochs",), listener)
    assert next(told["step"] for told in listener.heard if told["event"] == "step") == 4


def test_without_time_left_it_only_tells(done, data):
    out, document = done
    before = {name: content for name, content in tree(out).items() if "best" in name}
    assert ended(config(data), out) == document
    assert {name: content for name, content in tree(out).items() if "best" in name} == before


def test_pictures_are_decoded_once_and_test_stays_shut(data, tmp_path, monkeypatch):
    loads, whole = Counter(), store.load_decoded

    def counted(picture, file=None):
        loads[picture.split, picture.key] += 1
        return whole(picture, file)

    monkeypatch.setattr(store, "load_decoded", counted)
    monkeypatch.setattr("reslab.run.prepare.load_decoded", counted)
    monkeypatch.setattr("reslab.check.data.load_decoded", counted)
    hunted(config(data, epochs=1), tmp_path / "out", 3)
    trained = {key: n for (split, key), n in loads.items() if split == "train"}
    assert len(trained) > 50 and set(trained.values()) == {2}, "once by each of the two commands"
    assert not [key for split, key in loads if split == "test"]


def test_every_trial_sees_the_same_split(done):
    out, document = done
    splits = {(folder / "split.csv").read_text() for folder in (*(out / "trials").iterdir(), out / "best")}
    assert len(splits) == 1 and "test" in splits.pop()


def test_a_rate_that_diverges_ends_its_trial_only(data, tmp_path, monkeypatch):
    monkeypatch.setattr(space, "_RATE", 1e30)
    calm = config(data, optim=replace(recipe("standard").optim, clip_norm=0.0))
    document = hunted(calm, tmp_path / "out", 5)
    states = Counter(trial["state"] for trial in document["trials"])
    assert states["diverged"] >= 1 and document["trials"][0]["state"] == "complete"
    assert not [t for t in document["trials"] if t["state"] == "diverged" and t["dials"]["optim.lr"] < 1]


def test_a_default_that_diverges_is_said(data, tmp_path):
    wild = config(data, optim=replace(recipe("standard").optim, lr=1e30, clip_norm=0.0), lr_per_128=False)
    with pytest.raises(ResLabError, match="the default itself diverges"):
        search(wild, 30, tmp_path / "out", ("epochs", "optim.lr"))
    document = hunted(config(data, epochs=1), tmp_path / "out", 1)
    assert document["winner"]["trial"] == 0, "the folder is free for another start"


def test_trained_weights_bring_their_mode(tmp_path):
    data = colour_folder(tmp_path / "few", each=12)
    asked = config(data, weights="cifar10_resnet20", size=32, epochs=1, optim=replace(recipe("standard").optim, lr=0.1))
    heard = after("trial end", 5)
    with pytest.raises(Enough):
        search(asked, 30, tmp_path / "out", ("epochs",), heard)
    document = ended(asked, tmp_path / "out")
    assert document["trials"][0]["dials"] == {"finetune": "head"}, "auto: very few pictures per class"
    assert len(list(read_journal(tmp_path / "out" / "trials" / "000"))) == 1
    config_ = read_config(tmp_path / "out" / "trials" / "000")
    assert config_["config"]["epochs"] == 0 and config_["origins"]["finetune"]["origin"] == "default"
    modes = {trial["dials"]["finetune"] for trial in document["trials"]}
    assert len(modes) > 1 and all(
        ("optim.lr" in trial["dials"]) == (trial["dials"]["finetune"] != "head") for trial in document["trials"]
    )


# ------------------------------------------------------------------ what goes wrong


def test_a_folder_keeps_to_one_search(done, data, tmp_path):
    out, _ = done
    with pytest.raises(ResLabError, match="holds another search: seed was 0 and is 1"):
        search(config(data, seed=1), 30, out, ("epochs",))
    with pytest.raises(ResLabError, match="holds another search: fixed"):
        search(config(data), 30, out, ("epochs", "augment"))
    with pytest.raises(ResLabError, match="already holds a run"):
        search(config(data), 30, out / "best", ("epochs",))


def test_a_damaged_log_is_said(done, data, tmp_path):
    broken = tmp_path / "out"
    (broken / "trials" / "000").mkdir(parents=True)
    (broken / "trials" / "000" / "split.csv").write_bytes(b"")
    content = (done[0] / "search.log").read_bytes()
    for damage in (content.replace(b"op_code", b"op_mode", 1), content.replace(b"{", b"[", 3)):
        (broken / "search.log").write_bytes(damage)
        with pytest.raises(ResLabError, match="search.log is damaged"):
            search(config(data), 30, broken, ("epochs",))


def test_pictures_that_changed_are_refused(tmp_path):
    data, out = colour_folder(tmp_path / "data", each=12), tmp_path / "out"
    hunted(config(data, epochs=1), out, 1)
    victim = next((data / "red").glob("*.png"))
    victim.write_bytes((data / "blue" / victim.name).read_bytes())
    with pytest.raises(ResLabError, match="was edited since this run began|same picture"):
        ended(config(data, epochs=1), out)
    victim.unlink()
    with pytest.raises(ResLabError, match="picture\\(s\\) are gone"):
        ended(config(data, epochs=1), out)


def test_nothing_is_left_of_a_search_that_could_not_begin(data, tmp_path, monkeypatch):
    for asked, minutes, complaint in (
        (config(data), 1e-4, "is too short"),
        (config(data), 0, "leaves no time"),
        (config(data, val=0.0), 5, "validation pictures"),
        (config(data, weights="cifar10_resnet20", size=32, finetune="head"), 5, "nothing is left to search"),
    ):
        with pytest.raises(ResLabError, match=complaint):
            search(asked, minutes, tmp_path / "out", ("epochs", "finetune"))
        assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ResLabError, match="needs Optuna") as caught:
        search(config(data), 5, tmp_path / "out")
    assert "reslab[search]" in caught.value.hint and not (tmp_path / "out").exists()

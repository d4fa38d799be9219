"""The command on the page makes the run again: word by word, and once in earnest."""

import json
import re
import shlex
from html import unescape
from pathlib import Path

import pytest

from reslab.report.folder import read_run
from reslab.report.page import write_report
from reslab.report.remake import remake
from reslab.system.files import write_json
from tests.pictures import colour_folder
from tests.report.folders import make_run


def edited(run, origins=None, **config):
    """The run with other values in its config, and with these fields chosen by `origins`."""
    path = run / "config.json"
    content = json.loads(path.read_text())
    content["config"] |= config
    content["origins"] = {name: {"origin": origin, "reason": ""} for name, origin in (origins or {}).items()}
    write_json(path, content)
    return read_run(run)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", splits=())


def test_only_what_a_person_chose_becomes_a_flag(run):
    made = remake(edited(run, {"epochs": "user", "size": "default", "optim.clip_norm": "recipe", "data": "user"}))
    assert made.command == "reslab train nowhere --epochs 4"
    assert not made.silent and not made.resumed


def test_every_kind_of_value(run):
    config = {
        "data": "my pictures",
        "val": 0.0,
        "skip_bad": True,
        "group_by": r"(\d+)_",
        "normalize": "-1-1",
        "epochs": 4,
    }
    made = remake(edited(run, {**dict.fromkeys(config, "user"), "optim.lr": "user"}, **config))
    assert shlex.split(made.command) == [
        "reslab", "train", "my pictures", "--val", "none", "--group-by", r"(\d+)_", "--skip-bad", "--normalize=-1-1",
        "--epochs", "4", "--lr", "0.1",
    ]  # fmt: skip


def test_a_rate_keeps_its_digits(run):
    rate = 0.1 + 0.2
    found = edited(run, {"optim.lr": "user"}, optim={"lr": rate})
    assert float(shlex.split(remake(found).command)[-1]) == rate


def test_what_the_clock_decided_is_repeated_not_measured_again(run):
    made = remake(edited(run, {"minutes": "user", "epochs": "measured"}, minutes=3.0, size=160))
    assert made.command == f"reslab train nowhere --like {run}"
    write_report(run)
    assert "was given 3 minutes" in (run / "report.html").read_text()


def test_a_choice_without_a_flag_is_said_and_no_false_command_given(run):
    made = remake(edited(run, {"grow": "user", "epochs": "user"}, grow=0.4))
    assert made.command is None and made.silent == ("grow = 0.4",)
    html = write_report(run).read_text()
    assert "grow = 0.4" in html and f"reslab train nowhere --like {run}" in html


def test_arithmetic_that_was_measured_is_given_as_it_was(run):
    measured = {"layout": "measured", "precision": "measured", "convolution": "measured"}
    made = remake(edited(run, measured, layout="channels-first", precision="bfloat16", convolution="matmul"))
    assert made.command == "reslab train nowhere --precision bfloat16 --layout channels-first --convolution matmul"


def test_a_network_chosen_by_time_is_named_since_another_machine_would_choose_another(run):
    measured = dict.fromkeys(("recipe", "model", "size"), "measured")
    made = remake(edited(run, measured, recipe="quick", model="fast_resnet8", size=32))
    assert made.command == "reslab train nowhere --recipe quick --model fast_resnet8 --size 32"


def test_a_rate_handed_on_by_like_is_given_as_it_is(run):
    assert remake(edited(run, {"lr_per_128": "user"})).command == "reslab train nowhere --lr 0.1"


def test_a_run_whose_length_was_changed_promises_nothing(run):
    assert not remake(read_run(run)).resumed
    assert remake(edited(run, {"epochs": "user"}, epochs=6)).resumed
    html = write_report(run).read_text()
    assert "changed by resume" in html and "bit for bit" not in html


def commands(page):
    return [shlex.split(unescape(text)) for text in re.findall(r"<pre><code>(.*?)</code></pre>", page.read_text())]


def test_the_commands_on_the_page_make_the_same_model(tmp_path):
    from reslab.cli.app import run as reslab

    data = colour_folder(tmp_path / "two words", each=6)
    quick = "--model resnet20 --size 8 --epochs 1 --batch-size 8 --normalize=-1-1 --augment crop --seed 3 --lr 0.02"
    quick += " --weight-decay 0.002 --label-smoothing 0.05 --ema 0.9"
    out = tmp_path / "first"
    assert reslab(["train", str(data), *quick.split(), "--out", str(out)]) == 0
    found = commands(out / "report.html")
    assert len(found) == 2
    for number, (program, *words) in enumerate(found):
        again = tmp_path / f"again{number}"
        assert program == "reslab" and reslab([*words, "--out", str(again)]) == 0
        assert Path(again, "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()

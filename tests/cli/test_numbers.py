"""Every number of every verb, discovered from the command line itself, with values that are none."""

from typing import get_args

import pytest

from reslab.cli.app import VERBS, bound_of, build_app, run

STRANGE = ("nan", "inf", "-inf", "-1", "0", str(2**64))
FIRST = {"search": ["--minutes", "1"], "preview": ["--out", "x.png"], "adopt": ["--data", "d", "--classes", "c"]}


def kinds(hint):
    found = {hint, *get_args(hint)}
    return found | {kind for each in found for kind in get_args(each)}


def numeric():
    app = build_app()
    for verb in VERBS:
        for argument in app[verb].assemble_argument_collection():
            if {int, float} & kinds(argument.hint):
                yield pytest.param(
                    verb, argument.name, 3 if "tuple" in str(argument.hint) else 1, id=f"{verb} {argument.name}"
                )


@pytest.mark.parametrize(("verb", "option", "count"), list(numeric()))
def test_a_number_is_refused_or_within_its_bounds(reslab, tmp_path, monkeypatch, verb, option, count):
    """What passes would begin the verb's work: it stops at the model or the data, which are not there."""
    monkeypatch.chdir(tmp_path)
    bound = bound_of(option.lstrip("-").replace("-", "_"))
    assert bound, f"{option} is neither a setting with a bound nor a row of reslab.system.bounds"
    for value in STRANGE:
        held = value not in ("nan", "inf", "-inf") and bound.holds(int(value))
        if held and verb in ("runs", "demo", "models", "study", "serve", "bench"):
            continue
        places = [] if verb in ("demo", "models", "study", "runs") else ["nowhere"] * (3 if verb == "compare" else 2)
        places = (
            places[:1]
            if verb in ("train", "check", "preview", "search", "lr-find", "resume", "export", "bench", "serve", "adopt")
            else places
        )
        given = [] if option == "--minutes" else FIRST.get(verb, [])
        code, out, err = reslab(verb, *places, *given, option, *[value] * count)
        assert code == 2 and out == "" and err.count("error: ") == 1 and "unexpected" not in err, (value, err)
        assert held or option in err, (value, err)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["check", "train", "eval", "export", "serve", "bench", "explain"])
def test_an_empty_argument_is_refused(reslab, verb):
    code, out, err = reslab(verb, "", *(["x"] if verb in ("eval", "explain") else []))
    assert code == 2 and out == "" and "is empty" in err


@pytest.mark.parametrize(("seed", "workers"), [(2**64, 0), (-1, 1), (99999999999999999999, 0)])
def test_any_whole_number_is_a_seed(colours, tmp_path, seed, workers):
    out = tmp_path / "run"
    quick = ["--model", "resnet20", "--size", "8", "--epochs", "1", "--layout", "channels-last", "--val", "none"]
    assert run(["train", str(colours), *quick, "--seed", str(seed), "--workers", str(workers), "--out", str(out)]) == 0

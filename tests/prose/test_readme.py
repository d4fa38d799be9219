"""Every command and every line of Python that the READMEs show is run, on a small stand-in folder."""

import re
import shlex
from pathlib import Path

import pytest

from reslab.cli.app import run
from tests.pictures import colour_folder

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
QUICK = {"train": ["--model", "resnet20", "--size", "16", "--epochs", "1"]}


def commands(readme):
    """The block that is marked as runnable, comments stripped."""
    block = re.search(r"<!-- run: pictures -->\s*```\n(.*?)```", readme.read_text(encoding="utf-8"), re.S)
    assert block, f"{readme.name} has no runnable block"
    return [shlex.split(line, comments=True) for line in block[1].splitlines() if line.strip()]


def test_the_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    colour_folder(tmp_path / "pictures")
    shown = commands(READMES[0])
    assert len(shown) >= 6
    for program, verb, *rest in shown:
        assert program == "reslab"
        assert run([verb, *rest, *QUICK.get(verb, [])]) == 0, capsys.readouterr().err


def test_both_languages_show_the_same_commands():
    assert commands(READMES[0]) == commands(READMES[1])


def test_the_python_runs(tmp_path, monkeypatch):
    import dataclasses

    import reslab

    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", READMES[0].read_text(encoding="utf-8"), re.S)[1]
    quick = dataclasses.replace(reslab.recipe("standard"), epochs=1)
    monkeypatch.setattr(reslab, "recipe", lambda name: quick, raising=False)
    exec(code, {"print": lambda *a, **k: None})
    assert (tmp_path / "runs/digits/report.html").is_file()


@pytest.mark.parametrize("readme", READMES, ids=lambda p: p.name)
def test_every_flag_and_verb_that_is_shown_exists(readme, capsys):
    from reslab.cli.app import VERBS

    text = readme.read_text(encoding="utf-8")
    verbs = set(re.findall(r"reslab ([a-z]+(?:-[a-z]+)*)", text))
    assert verbs and verbs <= VERBS.keys()
    helps = ""
    for verb in VERBS:
        run([verb, "--help"])
        helps += capsys.readouterr().out
    flags = set(re.findall(r"(?<=[ `])--[a-z][a-z-]+", text)) - {"--index-url"}  # of pip
    assert len(flags) > 5 and all(flag in helps for flag in flags), flags


@pytest.mark.parametrize("readme", READMES, ids=lambda p: p.name)
def test_links_lead_somewhere(readme):
    links = [m for m in re.findall(r"\]\(([^)#]+)\)", readme.read_text(encoding="utf-8")) if "://" not in m]
    assert links and all((ROOT / link).exists() for link in links), links

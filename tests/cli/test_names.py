"""Names are data: brackets, escape sequences, formulas and bytes that are no text, in classes, paths, labels and run folders."""

import csv
import io
import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reslab.cli.app import run
from reslab.cli.explaining import _file_names
from reslab.cli.rows import as_text, spreadsheet
from reslab.errors import ResLabError, visible
from reslab.system.fetch import cache_folder

QUICK = ["--layout", "channels-last", "--model", "resnet20", "--size", "8", "--epochs", "1", "--batch-size", "8"]
CLASSES = ["[raw]", "[x] [", "[#1] :smile:", "[link=x]", "=1+1", "a\x1b[31m\u202eb"]
SHOWN = [*CLASSES[:-1], "a\\x1b[31m\\u202eb"]
ODD = "\x1b\x07\u202e\u2028"


def plant(root, each=5):
    for number, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for n in range(each):
            pixels = np.random.default_rng([number, n]).integers(
                40 * number, 40 * number + 40, (8, 8, 3), dtype=np.uint8
            )
            Image.fromarray(pixels).save(root / name / f"[{n}].png")
    return root


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode on this system")
def test_names_are_shown_as_they_are_through_every_verb(reslab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = plant(Path(os.fsdecode(b"caf\xe9 [/b]")))
    out = tmp_path / "runs" / "[old] [#x]"
    code, shown, _ = reslab("check", data)
    assert code == 0 and all(name in shown for name in SHOWN) and not set(ODD) & set(shown)
    code, shown, told = reslab("train", data, *QUICK, "--out", out)
    assert code == 0 and "run folder: " + str(out) in told and not set(ODD) & set(shown + told)
    assert json.loads((out / "config.json").read_text("utf-8"))["config"]["data"] == str(data)
    code, shown, _ = reslab("resume", out)
    assert code == 0
    code, shown, _ = reslab("runs", tmp_path / "runs")
    assert code == 0 and "[old] [#x]" in shown
    code, shown, told = reslab("eval", out, data, "--csv", "eval.csv")
    assert code == 0 and all(name in shown for name in SHOWN) and not set(ODD) & set(shown + told)
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(data / "=1+1/[0].png", new / "a\nb\x1b[31m.png")
    shutil.copy(data / "=1+1/[0].png", new / "=cmd.png")
    code, shown, _ = reslab("predict", out, new)
    assert code == 0 and len(shown.splitlines()) == 2 and "a\\nb\\x1b[31m.png: " in shown
    code, shown, _ = reslab("predict", out, new, "--json")
    assert [Path(json.loads(line)["path"]).name for line in shown.splitlines()] == ["=cmd.png", "a\nb\x1b[31m.png"]
    monkeypatch.chdir(new)
    code, shown, _ = reslab("predict", out, "=cmd.png", "--csv", tmp_path / "rows.csv")
    content = (tmp_path / "rows.csv").read_text("utf-8")
    assert code == 0 and content.startswith("\ufeffpath,label") and "\n'=cmd.png," in content
    code, shown, told = reslab("explain", out, new, "--out", tmp_path / "maps")
    assert code == 0 and len(shown.splitlines()) == 2 and len(list((tmp_path / "maps").iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "seen"),
    [("a\tb\nc", "a\\tb\\nc"), ("\x1b]0;x\x07", "\\x1b]0;x\\x07"), ("\u202eb", "\\u202eb"), ("\udce9", "\\udce9"),
     ("\u2028", "\\u2028"), ("\x9b", "\\x9b"), ("\ufeff", "\\ufeff"), ("数据 é [x] 👩\u200d🔬", "数据 é [x] 👩\u200d🔬")],
)  # fmt: skip
def test_what_cannot_be_seen_is_spelt_out(text, seen):
    assert visible(text) == seen
    error = ResLabError(f"there is no {text}", text)
    assert (error.message, error.hint) == (f"there is no {seen}", seen)


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+1+1", "-1-1", "\tx", "\rx", "=cmd|' /C calc'!A0", "-x"])
def test_formulas_are_kept_text(cell):
    assert as_text(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-1", "+1", "-0.5", "cat", "a=b", "", "'x", "-"])
def test_what_is_no_formula_is_left_alone(cell):
    assert as_text(cell) == cell


def test_a_whole_table_is_kept_text():
    rows = [["path", "label"], ['=a",\n.png', "-1"]]
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    assert list(csv.reader(io.StringIO(spreadsheet(file.getvalue()), newline=""))) == [
        rows[0],
        ["'" + rows[1][0], "-1"],
    ]


def test_heat_maps_never_meet():
    keys = [
        "s/a/b_c.png",
        "s/a_b/c.png",
        "S/A/B_C.png",
        "s\\a\\b_c.png",
        "C:/x.png",
        "x" * 300,
        "x" * 301,
        "é" * 200,
        "a\nb",
    ]
    names = _file_names([*keys, *keys])
    assert len({name.casefold() for name in names}) == 2 * len(keys)
    assert all(len(name.encode()) < 255 and not set(name) & set('/\\:*?"<>|\n') for name in names)


def test_explain_keeps_both_of_two_pictures(reslab, tmp_path):
    for place in ("a/b_c.png", "a_b/c.png"):
        (tmp_path / "s" / place).parent.mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "s" / place)
    code, out, _ = reslab("explain", "cifar10_resnet20", tmp_path / "s", "--out", tmp_path / "maps")
    assert code == 0 and len(out.splitlines()) == 2 and len(list((tmp_path / "maps").iterdir())) == 2


def test_one_bad_input_leaves_the_exit_code_at_0(reslab, tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    code, out, _ = reslab("predict", "cifar10_resnet20", "x" * 300, "", tmp_path / "a.png", "--csv", tmp_path / "r.csv")
    assert code == 0 and out.count("cannot answer") == 2
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 4
    assert reslab("predict", "cifar10_resnet20", "")[0] == 2


def test_without_a_home_there_is_a_sentence(reslab, monkeypatch):
    def nobody(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("RESLAB_CACHE")
    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(ResLabError, match="no home folder"):
        cache_folder("data")
    code, _, err = reslab("check", "mnist")
    assert code == 2 and "RESLAB_CACHE" in err


@pytest.mark.parametrize("group_by", ["parent", "^(\\w+)/"])
def test_groups_as_large_as_classes_are_the_reason(reslab, colours, tmp_path, group_by):
    code, out, _ = reslab("check", colours, "--group-by", group_by)
    assert code == 1 and out.count("are one group, which cannot be divided") == 3
    code, _, err = reslab("train", colours, *QUICK, "--group-by", group_by, "--out", tmp_path / "run")
    assert (
        code == 2 and "are one group" in err and "group by something finer" in err and not (tmp_path / "run").exists()
    )


def test_one_label_each_is_said(reslab, colours, tmp_path):
    lines = [
        f"{p.as_posix()},{int('blue' in str(p))},{int('blue' not in str(p))}" for p in sorted(colours.rglob("*.png"))
    ]
    (tmp_path / "t.csv").write_text("\n".join(["path,blue,other", *lines]))
    assert "every picture has exactly one label" in reslab("check", tmp_path / "t.csv")[1]


def test_a_run_with_keys_as_they_were_written_goes_on(colours, tmp_path):
    """As versions up to caf36f2 wrote them: `./`, absolute, accents apart."""
    data = tmp_path / "data"
    shutil.copytree(colours, data)
    files = sorted(data.rglob("*.png"))
    files[0] = files[0].rename(files[0].with_name(unicodedata.normalize("NFD", "é.png")))
    lines = [f"./{p.relative_to(data).as_posix()},{p.parent.name}" for p in files]
    (data / "t.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    out = tmp_path / "run"
    assert run(["train", str(data / "t.csv"), *QUICK, "--out", str(out)]) == 0
    before = (out / "model.safetensors").read_bytes()
    rows = (out / "split.csv").read_text("utf-8").splitlines()
    old = [rows[0]]
    for n, row in enumerate(rows[1:]):
        old.append((f"./{row}", f"{data.as_posix()}/{row}", unicodedata.normalize("NFD", row))[n % 3])
    (out / "split.csv").write_text("\n".join(old) + "\n", encoding="utf-8")
    assert run(["resume", str(out)]) == 0
    assert (out / "model.safetensors").read_bytes() == before

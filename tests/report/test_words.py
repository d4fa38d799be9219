"""The tables of words: the same keys and blanks in every language, no key missing and none idle."""

import ast
import importlib
import json
import re
import shutil
import string
from pathlib import Path

import pytest

from reslab.errors import ResLabError
from reslab.words import phrases
from reslab.words.phrases import TABLES, Phrase, element, plain, read_reason, say, setting, text
from tests.report.folders import document, make_run
from tests.report.reading import Page

ENGLISH, CHINESE = TABLES["en"], re.compile(r"[\u4e00-\u9fff]")
SAME = {"classes.n", "classes.f1", "curves.and", "data.kind.gif", "labels.ap", "language.code", "list", "plain"}
"""Texts without a word."""

SOURCE = Path(phrases.__file__).parents[1]
SPEAKERS = [
    path for path in sorted(SOURCE.rglob("*.py")) if "reslab.words.phrases import" in path.read_text(encoding="utf-8")
]
SECTIONS = "".join(path.read_text(encoding="utf-8") for path in SPEAKERS if path.parent.name == "report")
TEMPLATES = sorted(SOURCE.rglob("*.j2"))


def blanks(template):
    return sorted((name, spec) for _, name, spec, _ in string.Formatter().parse(template) if name)


@pytest.mark.parametrize("language", TABLES)
def test_every_table_has_the_same_keys_and_blanks(language):
    table = TABLES[language]
    assert list(table) == list(ENGLISH)
    assert [key for key in table if not table[key] or blanks(table[key]) != blanks(ENGLISH[key])] == []


@pytest.mark.parametrize("key", ENGLISH)
def test_a_text_is_written_in_its_language(key):
    assert not CHINESE.search(ENGLISH[key]) or key == "language.name"
    assert CHINESE.search(TABLES["zh"][key]) or key in SAME


def keys_of(node, scope):
    """The keys that an argument may be; one that is put together ends in `*`. An unreadable argument is shown as it stands."""
    if isinstance(node, ast.Constant):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return keys_of(node.body, scope) | keys_of(node.orelse, scope)
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        return {f"{node.values[0].value}*"}
    if isinstance(node, ast.Name):
        given = [a.value for a in ast.walk(scope) if isinstance(a, ast.Assign) and ast.unparse(a.targets[0]) == node.id]
        if given:
            return set().union(*(keys_of(value, scope) for value in given))
    if isinstance(node, ast.Attribute):
        values = re.findall(rf'^    {node.attr} = "([a-z.]+)"$', SECTIONS, re.M)
        if values:
            return set(values)
    return {f"? {ast.unparse(node)}"}


def asked(path):
    """Every key that a file asks for: the first argument of `say`, `text` and `Phrase`."""
    if path.suffix == ".j2":
        content = path.read_text(encoding="utf-8")
        whole = set(re.findall(r'"([a-z]+\.[a-z_.]+)"', content))
        return whole | {f"{start}*" for start in re.findall(r'"([a-z.]+\.)" ~ ', content)}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ours = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "reslab.words.phrases"]
    names = {alias.name for node in ours for alias in node.names} & {
        "say",
        "text",
        "Phrase",
    }  # `figures.svg` has a `text`
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = ((args[0], scope) for scope in scopes for args in calls(scope, "|".join(names) or "-") if args)
    return set().union(*(keys_of(*one) for one in found))


def calls(tree, pattern):
    """The arguments of every call of a function whose name, as it is written there, matches."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.fullmatch(pattern, ast.unparse(node.func)):
            yield node.args


def matches(key, asked_for):
    return key == asked_for or (asked_for.endswith("*") and key.startswith(asked_for[:-1]))


def test_every_key_that_is_asked_for_exists_and_every_key_is_asked_for():
    asked_for = set().union(*(asked(path) for path in [*SPEAKERS, *TEMPLATES] if path.name != "phrases.py"))
    asked_for |= {"plain", "time.*", "setting.*", "language.*"}  # phrases
    for lesson in (SOURCE.parents[1] / "lessons" / "en").glob("*.md"):  # figures of the course
        found = re.findall(r'say\(f?"([a-z]+\.[a-z_]*)', lesson.read_text(encoding="utf-8"))
        asked_for |= {f"{key}*" if key.endswith(".") else key for key in found}
    device = (SOURCE / "system" / "device.py").read_text(encoding="utf-8")  # lies below words, and gives a key
    asked_for = asked_for - {"? key"} | set(re.findall(r'"(reason\.[a-z_.]+)"', device))
    assert len(asked_for) > 150 and len([one for one in asked_for if one.endswith("*")]) > 10
    assert [one for one in sorted(asked_for) if not any(matches(key, one) for key in ENGLISH)] == []
    assert [key for key in ENGLISH if not any(matches(key, one) for one in asked_for)] == []


def test_no_reason_is_a_sentence_of_the_source():
    """A reason is a phrase with a key, which the test above finds in every table; what is plain is a name."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")}
    reasons = [args[1] for tree in trees.values() for args in calls(tree, "Origin") if len(args) > 1]
    plans = [tree for path, tree in trees.items() if path.parent.name == "plan"]
    reasons += [args[2] for tree in plans for args in calls(tree, r"choices\.set") if len(args) > 2]
    assert len(reasons) > 40
    assert [ast.unparse(one) for one in reasons if isinstance(one, ast.Constant | ast.JoinedStr | ast.BinOp)] == []
    elsewhere = [tree for path, tree in trees.items() if path.parent.name not in ("words", "report")]
    assert {ast.unparse(args[0]) for tree in elsewhere for args in calls(tree, "plain")} == {
        "config.recipe",
        "start.name",
    }


def test_a_further_language_is_one_more_file(tmp_path, monkeypatch):
    folder = shutil.copytree(SOURCE / "words", tmp_path / "spoken")
    (folder / "xx.py").write_text(f"TEXTS = { {key: f'<{key}> {ENGLISH[key]}' for key in ENGLISH}!r}", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    spoken = importlib.import_module("spoken.phrases")
    assert spoken.text("reason.trial", "xx", number=3) == "<reason.trial> trial 3"
    monkeypatch.setitem(TABLES, "xx", spoken.TABLES["xx"])
    from reslab.report.page import write_report

    page = Page(write_report(make_run(tmp_path / "run")).read_text(encoding="utf-8"))
    for mark in ("", "-alt", "-label"):
        spoken_in = {
            language: [a[name] for _, a in page.elements if (name := f"data-{language}{mark}") in a]
            for language in ("zh", "xx")
        }
        assert len(spoken_in["xx"]) == len(spoken_in["zh"]) > 0
        assert all(re.match("<[a-z_.0-9-]+> ", one) for one in spoken_in["xx"])
    ((_, button),) = [(tag, a) for tag, a in page.elements if tag == "button"]
    assert [code for code, _, _ in json.loads(button["data-languages"])] == ["en", "zh", "xx"]


def test_every_setting_of_a_run_has_a_name():
    from reslab.report.remake import flat

    names = flat(document(("a",))["config"])
    assert len(names) > 30
    assert [name for name in names if f"setting.{name}" not in ENGLISH] == []
    assert {setting("not.yet").text(language) for language in TABLES} == {"not.yet"}


def test_a_reason_is_read_by_its_key_and_that_of_an_earlier_version_as_it_stands():
    stored = Phrase("reason.batch.pictures", {"pictures": 1292, "size": 8})
    assert read_reason("1,292 training pictures of 8 px", stored).text("zh") == "1,292 张 8 像素的训练图片"
    assert read_reason("1,292 training pictures of 8 px", None) == plain("1,292 training pictures of 8 px")
    assert read_reason("", None) is None


@pytest.mark.parametrize(
    "stored", [Phrase("reason.of.tomorrow"), Phrase("reason.trial"), Phrase("reason.batch.all", {"asked": "many"}),
               Phrase("reason.memory", {"megabytes": [1], "gigabytes": {}})],
)  # fmt: skip
def test_a_reason_of_a_later_version_or_an_edited_one_is_shown_as_it_stands(stored):
    assert read_reason("as it stands", stored) == plain("as it stands")


def test_the_page_says_a_reason_by_its_key_and_refuses_what_is_no_key(tmp_path):
    from reslab.report.page import write_report

    run = make_run(tmp_path / "run")
    content = json.loads((run / "config.json").read_text())
    content["reasons"] = {"size": {"key": "reason.size.photographs", "values": {"side": 40}}}
    (run / "config.json").write_text(json.dumps(content))
    assert 'data-zh="约 40 像素的照片">photographs of about 40 px<' in write_report(run).read_text(encoding="utf-8")
    (run / "config.json").write_text(json.dumps(content | {"reasons": {"size": "photographs"}}))
    with pytest.raises(ResLabError, match=r"config.json is damaged: reasons.size is 'photographs'"):
        write_report(run)


def test_a_phrase_within_a_phrase_fills_in_each_language_its_own():
    phrase = say("mistakes.none", split=say("split.test"))
    assert (str(phrase), phrase.text("zh")) == ("No mistakes on the test split.", "测试集上一个错误也没有。")
    assert text("mistakes.none", "zh", split=say("split.test")) == phrase.text("zh")


def test_values_are_never_markup_nor_templates():
    phrase = say("mistakes.alt", key="<b>{label}", label="{0}", answer='"')
    assert str(phrase) == '<b>{label}: is {0}, answered "'
    assert "<b>" not in element("p", phrase) and "&lt;b&gt;{label}" in element("p", phrase)


def test_the_switch_reaches_every_word_of_a_page(tmp_path):
    """What shows without Chinese in waiting is a number, a name or a value of the run."""
    from reslab.report.page import write_report

    run = make_run(tmp_path / "run", ("zzqa", "zzqb"), data="zzqdata")
    page = Page(write_report(run).read_text(encoding="utf-8"))
    texts = [attrs["data-zh"] for _, attrs in page.elements if attrs.get("data-zh")]
    assert len(texts) > 150
    untranslated = _texts_without_chinese(write_report(run).read_text(encoding="utf-8"))
    allowed = re.compile(
        r"[\d.,%–\s/]+|.*zzq.*|reslab .*|-1-1|crop|none|resnet20|sgd|onecycle|standard|digits|\d+ px|中文"
    )
    names = {"reslab 0.1.0", "cpu (x86_64), 2 threads", str(run)}
    rest = {t for t in untranslated if not allowed.fullmatch(t) and t not in names}
    settings = {name for name in rest if f"setting.{name}" in ENGLISH}
    assert {t for t in rest - settings if not re.fullmatch(r"[0-9a-f]{64}", t)} == set()


def _texts_without_chinese(html):
    body = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.S)
    body = re.sub(r"<(\w+)[^>]* data-zh=\"[^\"]*\"[^>]*>[^<]*</\1>", "", body)
    return {t.strip() for t in re.findall(r">([^<]+)<", body) if t.strip()}


def test_durations():
    said = [str(phrases.duration(s)) for s in (3.2, 89, 95, 5399, 9000)]
    assert said == ["3 s", "89 s", "2 min", "90 min", "2.5 h"]
    assert phrases.duration(95).text("zh") == "2 分钟"

"""The tables of words: the same keys and blanks in every language, no key missing and none idle."""

import ast
import re
import string
from pathlib import Path

import pytest

from reslab.words import phrases
from reslab.words.phrases import TABLES, element, plain, reason, say, setting, text
from tests.report.folders import document, make_run
from tests.report.reading import Page

ENGLISH, CHINESE = TABLES["en"], re.compile(r"[\u4e00-\u9fff]")
SAME = {"classes.n", "classes.f1", "curves.and", "labels.ap", "language.code", "list", "plain", "reason"}
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
    assert [
        key for key in table if not table[key] or (key != "reason" and blanks(table[key]) != blanks(ENGLISH[key]))
    ] == []


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
    found, tree = set(), ast.parse(path.read_text(encoding="utf-8"))
    ours = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "reslab.words.phrases"]
    names = {alias.name for node in ours for alias in node.names} & {
        "say",
        "text",
        "Phrase",
    }  # `figures.svg` has a `text`
    for scope in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                found |= keys_of(node.args[0], scope)
    return found


def matches(key, asked_for):
    return key == asked_for or (asked_for.endswith("*") and key.startswith(asked_for[:-1]))


def test_every_key_that_is_asked_for_exists_and_every_key_is_asked_for():
    asked_for = set().union(*(asked(path) for path in [*SPEAKERS, *TEMPLATES] if path.name != "phrases.py"))
    asked_for |= {"plain", "time.*", "setting.*", "language.*", "reason"}  # phrases
    assert len(asked_for) > 60 and len([one for one in asked_for if one.endswith("*")]) > 10
    assert [one for one in sorted(asked_for) if not any(matches(key, one) for key in ENGLISH)] == []
    assert [key for key in ENGLISH if not any(matches(key, one) for one in asked_for)] == []


def test_every_setting_of_a_run_has_a_name():
    from reslab.report.remake import flat

    names = flat(document(("a",))["config"])
    assert len(names) > 30
    assert [name for name in names if f"setting.{name}" not in ENGLISH] == []
    assert {setting("not.yet").text(language) for language in TABLES} == {"not.yet"}


def test_reasons_are_translated_where_they_are_known():
    known = ["light, but a mirror would change these labels", "1,292 training pictures of 8 px", "0.2 x batch 64 / 128",
             "photographs of about 500 px, and less than 5 minutes", "given to resume"]  # fmt: skip
    assert all(CHINESE.search(reason(text).text("zh")) and str(reason(text)) == text for text in known)
    assert reason("1,292 training pictures of 8 px").text("zh") == "1,292 张 8 像素的训练图片"
    assert reason("a wholly new reason") == plain("a wholly new reason")


def test_a_phrase_within_a_phrase_fills_in_each_language_its_own():
    phrase = say("mistakes.none", split=say("split.test"))
    assert (str(phrase), phrase.text("zh")) == ("Not one mistake on the test split.", "测试集上一个错误也没有。")
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

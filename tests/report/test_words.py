"""The catalogue: both languages, no blank in one only, no key missing and none idle."""

import re
import string
from pathlib import Path

import pytest

from reslab.words import captions, labels, phrases
from reslab.words import page as words
from reslab.words.phrases import Phrase, element, reason, say, setting
from tests.report.folders import document, make_run
from tests.report.reading import Page

FILES = [Path(module.__file__) for module in (words, captions, labels)]
ROOMS = [FILES[0].parent, FILES[0].parents[1] / "report", FILES[0].parents[1] / "figures"]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SAME = {"classes.n", "classes.f1", "curves.and", "labels.ap"}
"""Signs that are written alike in both languages."""


def blanks(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("key", words.WORDS)
def test_both_languages_say_it(key):
    english, chinese = words.WORDS[key]
    assert english and not CHINESE.search(english)
    assert CHINESE.search(chinese) or key in SAME
    assert blanks(english) == blanks(chinese)


def test_every_key_that_is_asked_for_exists_and_every_key_is_asked_for():
    files = [path for room in ROOMS for path in sorted(room.iterdir()) if path.suffix in (".py", ".j2")]
    sources = "".join(path.read_text(encoding="utf-8") for path in files if path not in FILES)
    places = {key.split(".")[0] for key in words.WORDS}
    dotted = set(re.findall(r'"([a-z]+\.[a-z0-9_.]+)"', sources)) - {"split.csv"}
    asked = {text for text in dotted if text.split(".")[0] in places}
    made = tuple(set(re.findall(r'f"([a-z.]+\.)\{', sources)) | set(re.findall(r'"([a-z.]+\.)" ~ ', sources)))
    assert len(asked) > 60 and len(made) > 10
    assert asked - words.WORDS.keys() == set()
    assert [k for k in words.WORDS if f'"{k}"' not in sources and not k.startswith(made)] == []


def test_every_setting_of_a_run_has_a_name():
    from reslab.report.remake import flat

    names = flat(document(("a",))["config"])
    assert len(names) > 30
    assert [name for name in names if f"setting.{name}" not in words.WORDS] == []
    assert setting("not.yet") == Phrase("not.yet", "not.yet")


def test_reasons_are_translated_where_they_are_known():
    known = ["light, but a mirror would change these labels", "1,292 training pictures of 8 px", "0.2 x batch 64 / 128",
             "photographs of about 500 px, and less than 5 minutes", "given to resume"]  # fmt: skip
    assert all(CHINESE.search(reason(text).zh) and reason(text).en == text for text in known)
    assert reason("1,292 training pictures of 8 px").zh == "1,292 张 8 像素的训练图片"
    assert reason("a wholly new reason") == Phrase("a wholly new reason", "a wholly new reason")


def test_a_phrase_within_a_phrase_fills_in_each_language_its_own():
    phrase = say("mistakes.none", split=say("split.test"))
    assert phrase == Phrase("Not one mistake on the test split.", "测试集上一个错误也没有。")


def test_values_are_never_markup_nor_templates():
    phrase = say("mistakes.alt", key="<b>{label}", label="{0}", answer='"')
    assert phrase.en == '<b>{label}: is {0}, answered "'
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
    settings = {name for name in rest if f"setting.{name}" in words.WORDS}
    assert {t for t in rest - settings if not re.fullmatch(r"[0-9a-f]{64}", t)} == set()


def _texts_without_chinese(html):
    body = re.sub(r"<(style|script)\b.*?</\1>", "", html, flags=re.S)
    body = re.sub(r"<(\w+)[^>]* data-zh=\"[^\"]*\"[^>]*>[^<]*</\1>", "", body)
    return {t.strip() for t in re.findall(r">([^<]+)<", body) if t.strip()}


def test_durations():
    said = [phrases.duration(s).en for s in (3.2, 89, 95, 5399, 9000)]
    assert said == ["3 s", "89 s", "2 min", "90 min", "2.5 h"]
    assert phrases.duration(95).zh == "2 分钟"

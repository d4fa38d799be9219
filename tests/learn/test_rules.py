"""Every page of the course keeps its rules; each rule is seen failing on a page that breaks it."""

import pytest

from reslab.learn.check import exercises_of
from reslab.learn.course import LESSONS as ALL
from tests.learn import rules
from tests.learn.rules import FOLDER, LESSONS, PAGES, ROOT, number_of, read

TERMS = rules.terms(read(FOLDER / "TERMS.md"))
COURSE = {
    language: {number_of(page): read(page) for page in LESSONS if page.parent.name == language}
    for language in ("en", "zh")
}
CHINESE = [*FOLDER.glob("zh/*.md"), ROOT / "README.zh.md", *ROOT.glob("docs/zh/**/*.md"), *ROOT.glob("docs/*.zh.md")]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def stubs(page):
    return "\n".join(each.stub for each in exercises_of(number_of(page))) if page in LESSONS else ""


@pytest.mark.parametrize("page", [page for page in LESSONS if page.parent.name == "en"], ids=name_of)
def test_a_lesson_is_short(page):
    assert rules.too_long(read(page)) == []


@pytest.mark.parametrize("page", CHINESE, ids=name_of)
def test_a_chinese_paragraph_is_one_line_and_polite(page):
    assert rules.wrapped(read(page)) == []
    assert rules.impolite(read(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_beside_a_quote_occur_in_it(page):
    assert rules.strange_names(read(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_numbers_are_printed_or_from_a_paper(page):
    assert rules.unproven_numbers(read(page), stubs(page)) == []


@pytest.mark.parametrize("page", LESSONS, ids=name_of)
def test_terms_are_defined_before_they_are_used_twice(page):
    language = page.parent.name
    assert rules.undefined(COURSE[language], number_of(page), language, TERMS) == []


@pytest.mark.parametrize("page", LESSONS, ids=name_of)
def test_exercises_are_judged_and_answered(page):
    assert rules.unmatched_exercises(read(page), number_of(page)) == []
    assert rules.unchecked_answers(read(page)) == []


def test_no_exercise_is_without_a_page():
    assert {n for n in range(1, ALL + 1) if exercises_of(n)} <= {number_of(page) for page in LESSONS}


def test_the_table_of_terms_is_in_order():
    assert all(row.en and row.zh and row.lesson in (None, *range(1, ALL + 1)) for row in TERMS)
    assert len({row.en for row in TERMS}) == len(TERMS) > 50


# ---------------------------------------------------------------- each rule, broken


def test_length_counts_words_of_prose_alone():
    code = "```python\n" + "word " * 2000 + "\n```\n"
    assert rules.too_long(code + "word " * 1200) == []
    assert rules.too_long(code + "word " * 1201) == ["1201 words"]


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("一段话，\n分成两行。\n", 1), ("- 列表里\n  也一样。\n", 1), ("以 Latin\n开头也算。\n", 1),
        ("一段话。\n\n另一段。\n", 0),
        ("- 一项\n- 另一项\n", 0), ("| 表 | 格 |\n|---|---|\n| 一 | 二 |\n", 0),
        ("```\n代码，\n两行\n```\n", 0), ("two\nlines\n", 0),
    ],
)  # fmt: skip
def test_wrapped_chinese_is_noticed(text, broken):
    assert len(rules.wrapped(text)) == broken


def test_the_familiar_you_is_noticed():
    assert rules.impolite("请您先猜一猜。") == [] and rules.impolite("请你先猜。") == ["请你先猜。"]


QUOTE = (
    "```python quote=reslab.nn.blocks:Block.forward\ndef forward(self, x):\n    return self.shortcut(x) + F(x)\n```\n"
)


@pytest.mark.parametrize(
    ("before", "after", "strange"),
    [
        ("Look at `shortcut`.", "The class is `Block`.", []),
        ("Look at `cross_entropy`.", "", ["cross_entropy"]),
        ("", "*Source: [`src/a.py`](a.py), class `Block`*\n\n`self.norm(x)` comes later.", ["norm"]),
        ("Far away: `far`.\n\nNear.", "Near.\n\nFar: `far`.", []),
        ("", "Now `y`:\n\n```python\ny = 1\n```", []),
    ],
)
def test_a_name_that_its_quote_does_not_have_is_noticed(before, after, strange):
    assert rules.strange_names(f"{before}\n\n{QUOTE}\n{after}\n") == strange


BELOW = "A line.\n\n## One\n\n"


@pytest.mark.parametrize(
    ("text", "unproven"),
    [
        (f"{BELOW}It has 1,797 pictures.", ["1797"]),
        (f"{BELOW}```python\nprint(1797)\n```\n\nIt has 1,797 pictures.", []),
        (f"{BELOW}It has 1,797 pictures.\n\nMore.\n\n```python\nprint(1797)\n```", ["1797"]),
        (f"{BELOW}It has 1,797 pictures:\n\n```python\nprint(1797)\n```", []),
        ("Are there 1,797 pictures, or 14?\n\n## One\n\n```python\nprint(1797)\n```", ["14"]),
        ("```text\n0.50\n```\n\nHalf is 0.5, or 50 %.", ["50"]),
        (f"{BELOW}He et al. (2015) trained 152 layers.", []),
        (f"{BELOW}Of 152 layers 34 died (He et al. 2015, table 2). Then 34 more.", ["34"]),
        (f"{BELOW}In 2015 there were 152; “they had 152”.", ["152"]),
        (f"{BELOW}ResNet-18, resnet20, $18$, $$x_{{20}}$$, lesson 14, exercise 13.2. 12 blocks, 13 not.", ["13"]),
        (f"{BELOW}He 等（2015）训练了 152 层。后来有 1,001 层。", ["1001"]),
        (f"{BELOW}共有 97.5 % 答对，见第 13 课与练习 13.2。", ["97.5"]),
        ("```python\nlr = 1e-3\n```\n\nThe rate is 0.001.", []),
        ("## Exercises\n\n**6.1** Use 224 pixels.\n\n<details>\n\n```python\nsize(224)\n```\n\n</details>", []),
        ("## Exercises\n\n**6.1** Use 224 pixels.", ["224"]),
    ],
)  # fmt: skip
def test_a_number_from_nowhere_is_noticed(text, unproven):
    assert rules.unproven_numbers(text) == unproven


TABLE = [
    rules.Term("residual", "残差", 2),
    rules.Term("residual block", "残差块", 3),
    rules.Term("norm", "归一化", None),
]


@pytest.mark.parametrize(
    ("first", "second", "faults"),
    [
        ("A word.", "The *residual* is small.", []),
        ("A residual block, a residual block.", "One residual. The *residuals* are small.", []),
        (
            "The residual here.", "The residual there. A *residual* is small.",
            ["residual is used before it is defined, in lessons [1, 2]"],
        ),
        ("A word.", "The **residual** is bold, a residual is not.", ["residual is not defined"]),
        ("# Residual\n\n[the residual](2.md)", "## Residuals\n\n`residual` and *residual*.", []),
        ("A *residual*.", "No more of it.", ["residual is not defined"]),
    ],
)  # fmt: skip
def test_a_term_that_is_defined_too_late_is_noticed(first, second, faults):
    assert rules.undefined({1: first, 2: second, 3: ""}, 2, "en", TABLE) == faults


def test_a_chinese_term_that_is_not_defined_is_noticed():
    course = {1: "残差块，又一个残差块。", 2: "*残差*（residual）很小。"}
    assert rules.undefined(course, 2, "zh", TABLE) == []
    assert rules.undefined(course | {1: "残差，残差。"}, 2, "zh", TABLE) == [
        "残差 is used before it is defined, in lessons [1]"
    ]


def test_a_table_without_its_columns_is_noticed():
    with pytest.raises(AssertionError):
        rules.terms("| English | 中文 | |\n|---|---|---|\n| norm | 归一化 | |\n")
    head = "| English | 中文 | also called | lesson | |\n|---|---|---|---|---|\n"
    assert rules.terms(f"{head}| norm | 归一化 | | 4 | not 范数 |\n") == [rules.Term("norm", "归一化", 4)]


def test_exercises_without_a_bank_or_an_answer_are_noticed():
    assert rules.unmatched_exercises("**2.1** One.\n\n**2.2** Another.\n", 2) != []
    answer = '**2.1** One.\n\n<details>\n\n```python\ncheck("2.1", f)\n```\n\n```text\n2.1 ✔ right\n```\n\n</details>\n'
    assert rules.unchecked_answers(answer) == []
    assert rules.unchecked_answers(answer.replace("✔", "✘")) == ["2.1"]
    assert rules.unchecked_answers(answer.replace("check(", "print(")) == ["2.1"]
    assert rules.unchecked_answers("**2.1** One.\n") == ["2.1"]

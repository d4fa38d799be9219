"""Every exercise: its stub is no answer, its oracle is right, each banked mistake gets its own sentence, in both languages."""

import dataclasses
import re

import pytest

from reslab.errors import ResLabError
from reslab.learn.check import LESSONS, check, exercise, exercises_of
from reslab.learn.exercise import Exercise, Mistake, Raised, Text, judge, same, value

EXERCISES = [each for lesson in range(1, LESSONS + 1) for each in exercises_of(lesson)]
SLIPS = [
    pytest.param(each, mistake, id=f"{each.number}-{n}")
    for each in EXERCISES
    for n, mistake in enumerate(each.mistakes)
]
LEAST = 6


def number_of(each):
    return each.number


def chinese(text):
    return any("一" <= letter <= "鿿" for letter in text)


def coding(each):
    return each.observe is not value


@pytest.mark.parametrize("each", EXERCISES, ids=number_of)
def test_the_oracle_is_right_and_the_stub_is_no_answer(each):
    assert judge(each, each.expected).right
    namespace = {}
    exec(each.stub, namespace)
    assert not judge(each, namespace[each.name]).right


@pytest.mark.parametrize(("each", "mistake"), SLIPS)
def test_a_banked_mistake_gets_its_own_sentence(each, mistake):
    verdict = judge(each, mistake.answer)
    assert not verdict.right and verdict.says == mistake.says


class Strange:
    """Neither a module nor a number, whatever it is given."""

    def __init__(self, *_, **__):
        pass

    def __call__(self, *_, **__):
        return [object(), "text"]


STRANGE = ("text", Strange, lambda *_, **__: None)


@pytest.mark.parametrize("each", EXERCISES, ids=number_of)
def test_no_answer_is_too_strange_to_be_judged(each):
    verdicts = [judge(each, answer) for answer in STRANGE]
    assert not any(verdict.right for verdict in verdicts) and all(chinese(verdict.says.zh) for verdict in verdicts)


@pytest.mark.parametrize("each", EXERCISES, ids=number_of)
def test_a_bank_is_large_enough_and_speaks_both_languages(each):
    assert len(each.mistakes) >= (LEAST if coding(each) else 1)
    assert len({mistake.says for mistake in each.mistakes}) == len(each.mistakes)
    texts = [*each.hints, *(mistake.says for mistake in each.mistakes)]
    assert len(each.hints) == 3
    code = [
        text for text in texts if re.sub(r"\W", "", text.zh) == re.sub(r"\W", "", text.en)
    ]  # a hint may be code alone
    assert all(chinese(text.zh) and not chinese(text.en) for text in texts if text not in code)
    assert all(re.search(r"[=(\[]", text.en) for text in code)


def test_exercises_are_found_by_number(capsys):
    assert [each.number for each in exercises_of(2)][0] == "2.1"
    assert check("2.1", exercise("2.1").expected).right
    assert capsys.readouterr().out == "2.1 ✔ right in all 8 cases\n"
    for number, said in (("2", "no exercise"), ("2.9", "lesson 2 has 2.1"), ("99.1", "no lesson 99")):
        with pytest.raises(ResLabError) as told:
            exercise(number)
        assert said in f"{told.value.message} {told.value.hint}"


def adder(**options):
    return Exercise("0.1", "add", "", lambda a, b: a + b, (), (Text("", ""),) * 3, lambda: [(1, 2), (3, 4)], **options)


def unwritten(a, b):
    raise NotImplementedError


def test_a_rule_that_cannot_be_applied_recognises_nothing():
    says = Text("larger", "更大")
    slip = Mistake(None, says, when=lambda given, expected: given[0] > expected[0])
    bank = dataclasses.replace(adder(), mistakes=(slip,))
    assert judge(bank, lambda a, b: a + b + 1).says == says and judge(bank, lambda a, b: "3").says != says


def test_an_unknown_mistake_is_described_by_its_first_case():
    assert judge(adder(), lambda a, b: a * b).says.en == "different in 2 of 2 cases; the first gives 2, expected 3"
    assert "ZeroDivisionError" in judge(adder(), lambda a, b: a // 0).says.en
    assert "return" in judge(adder(), lambda a, b: None).says.en
    assert "no answer yet" in judge(adder(), unwritten).says.en
    assert judge(adder(), None).says.en.startswith("different in 2 of 2 cases; the first gives TypeError")


def test_results_are_the_same_by_structure_and_tolerance():
    assert same((1, [2.0, "a"]), [1, (2.0 + 1e-7, "a")], 1e-5)
    assert not same((1, 2), (1, 2, 3), 1e-5) and not same("1", 1, 1e-5) and not same(True, 1, 1e-5)
    assert not same([[1.0]], [1.0], 1e-5) and not same(object(), 1.0, 1e-5)
    assert Raised("ValueError", "a") == Raised("ValueError", "b") and not same(Raised("ValueError"), 1, 1e-5)

"""Every exercise: its stub is no answer, its oracle is right, each banked mistake gets its own sentence, in both languages."""

import contextlib
import dataclasses
import re
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d
from torchvision.models import resnet as models

import reslab
from reslab.errors import ResLabError
from reslab.learn.check import LESSONS, check, exercise, exercises_of
from reslab.learn.exercise import Exercise, Mistake, Raised, Text, same, value
from reslab.learn.judge import judge

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


def unwatched(each):
    """The exercise for our own answers, which may use what it forbids."""
    return dataclasses.replace(each, watch=lambda: contextlib.nullcontext([]))


def coding(each):
    return each.observe is not value


@pytest.mark.parametrize("each", EXERCISES, ids=number_of)
def test_the_oracle_is_right_and_the_stub_is_no_answer(each):
    assert judge(unwatched(each), each.expected).right
    namespace = {}
    exec(each.stub, namespace)
    answer = namespace[each.name]
    verdict = judge(each, answer)
    hunt = callable(answer) and "NotImplementedError" not in each.stub
    assert not verdict.right and ("no answer yet" in verdict.says.en) == (not hunt)


@pytest.mark.parametrize(("each", "mistake"), SLIPS)
def test_a_banked_mistake_gets_its_own_sentence(each, mistake):
    verdict = judge(unwatched(each), mistake.answer)
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
    assert check("2.3", exercise("2.3").expected).right
    assert capsys.readouterr().out == "2.3 ✔ right in all 9 cases\n"
    for number, said in (("2", "no exercise"), ("2.9", "lesson 2 has 2.1"), ("99.1", "no lesson 99")):
        with pytest.raises(ResLabError) as told:
            exercise(number)
        assert said in f"{told.value.message} {told.value.hint}"


def adder(**options):
    stub = "def add(a, b):\n    raise NotImplementedError\n"
    return Exercise(
        "0.1", "add", stub, lambda a, b: a + b, (), (Text("", ""),) * 3, lambda: [(1, 2), (3, 4)], **options
    )


def unwritten(a, b):
    raise NotImplementedError


def test_a_rule_that_cannot_be_applied_recognises_nothing():
    says = Text("larger", "更大")
    slip = Mistake(None, *says, when=lambda given, expected: given[0] > expected[0])
    bank = dataclasses.replace(adder(), mistakes=(slip,))
    assert judge(bank, lambda a, b: a + b + 1).says == says and judge(bank, lambda a, b: "3").says != says


def test_an_unknown_mistake_is_described_by_its_first_case():
    said = judge(adder(), lambda a, b: a * b).says
    assert said.en == "different in 2 of 2 cases; the first (a=1, b=2) gives 2, expected 3"
    assert said.zh == "2 个用例中有 2 个不符；第一个（a=1, b=2）给出 2，应为 3"
    lists = dataclasses.replace(adder(), cases=lambda: [([np.ones(2)], [3.0])] * 2)
    assert "the first (len(a)=1, b=[3.0]) gives" in judge(lists, lambda a, b: a).says.en
    assert "ZeroDivisionError" in judge(adder(), lambda a, b: a // 0).says.en
    assert "return" in judge(adder(), lambda a, b: None).says.en
    assert "no answer yet" in judge(adder(), unwritten).says.en
    assert judge(adder(), None).says.en == "add must be a function, and is of type NoneType"
    assert judge(adder(), lambda a: a).says == ("add must take 2 arguments: a, b", "add 应接受 2 个参数：a, b")


def doubler(**options):
    stub = "def double(x):\n    raise NotImplementedError\n"
    options = {"expected": lambda x: (x * 2, "text"), "cases": lambda: [(np.ones((2, 3)),)], **options}
    return Exercise("0.2", "double", stub, mistakes=(), hints=(Text("", ""),) * 3, **options)


def off(x):
    y = x * 2
    y[1, 2] += 1e-4
    return y, "text"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (off, "not right: it gives 2.0001 at [1, 2] in part 1, expected 2"),
        (lambda x: ((x * 2)[:1], "text"), "an array of shape [1, 3] in part 1, expected an array of shape [2, 3]"),
        (lambda x: ((x * 2).tolist(), "text"), "a list of length 2 in part 1, expected an array of shape [2, 3]"),
        (lambda x: x * 2, "an array of shape [2, 3], expected a tuple of length 2"),
        (lambda x: (x * 2, "word"), "'word' in part 2, expected 'text'"),
        (lambda x: (Raised("KeyError", "a\n b", 7), "text"), "KeyError (line 7): a b in part 1, expected an array"),
    ],
)
def test_the_first_number_that_differs_is_shown_with_its_place(answer, said):
    verdict = judge(doubler(), answer)
    assert said in verdict.says.en and chinese(verdict.says.zh)


def test_what_a_class_of_the_readers_raises_is_told_and_its_stub_is_no_answer():
    inside = doubler(observe=lambda answer, case: [1, Raised("NotImplementedError") if answer is off else 2])
    assert "no answer yet" in judge(inside, off).says.en


@pytest.mark.parametrize("number", ["1.3", "3.3", "5.1", "5.3", "17.3", "11.2"])
def test_the_answer_of_a_question_is_never_told(number):
    asked = exercise(number)
    strange = dict.fromkeys(asked.expected, "nothing") if isinstance(asked.expected, dict) else -12345.5
    said = judge(dataclasses.replace(asked, mistakes=()), strange).says
    assert "expected" not in said.en and "应为" not in said.zh and f"hint {number}" in said.en


class Convolution(nn.Module):
    def forward(self, x, weight, stride, padding):
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], stride, padding, bias=False)
        layer.weight.data = weight
        return layer(x)


def differentiated(x, w1, w2, grad):
    x, w1, w2 = (each.detach().requires_grad_() for each in (x, w1, w2))
    y = ((x @ w1.T).relu() @ w2.T + x).relu()
    y.backward(grad)
    return x.grad, w1.grad, w2.grad


def counted(depths):
    return sum(each.numel() for each in models.ResNet(models.BasicBlock, depths).parameters())


@pytest.mark.parametrize(
    ("number", "answer", "name"),
    [
        (
            "2.1",
            lambda x, weight, stride, padding: conv2d(x, weight, stride=stride, padding=padding),
            "torch.nn.functional.conv2d",
        ),
        ("2.1", lambda *given: Convolution()(*given), "torch.nn.functional.conv2d"),
        ("6.2", differentiated, "torch.Tensor.backward"),
        ("8.1", models.resnet18, "torchvision.models.resnet.ResNet"),
        ("8.1", partial(reslab.build, "resnet18"), "reslab.nn."),
        ("8.2", counted, "torch.nn.modules.conv.Conv2d"),
    ],
)
def test_what_an_exercise_forbids_is_no_answer(number, answer, name):
    verdict = judge(exercise(number), answer)
    assert not verdict.right and f"your code uses {name}" in verdict.says.en and "不借助" in verdict.says.zh
    nn.Conv2d(1, 1, 1)(torch.zeros(1, 1, 1, 1))  # afterwards all is as it was


def test_results_are_the_same_by_structure_and_tolerance():
    assert same((1, [2.0, "a"]), [1, (2.0 + 1e-7, "a")], 1e-5)
    assert not same((1, 2), (1, 2, 3), 1e-5) and not same("1", 1, 1e-5) and not same(True, 1, 1e-5)
    assert not same([[1.0]], [1.0], 1e-5) and not same(object(), 1.0, 1e-5)
    assert Raised("ValueError", "a") == Raised("ValueError", "b") and not same(Raised("ValueError"), 1, 1e-5)

"""Lesson 10, loss and steps: cross-entropy, SGD with momentum and decay; Adam and a schedule are in `lesson10_more`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Text
from reslab.learn.exercises.lesson10_more import ADAM, COSINE
from reslab.train.step.muon import SGD

_STEPS = 10


def _loss_cases() -> list[tuple[Tensor, Tensor]]:
    """Ordinary logits, as many pictures as classes, one picture, and rows of very different size."""
    dice = torch.Generator().manual_seed(10)
    cases = []
    for pictures, classes in ((6, 10), (5, 5), (1, 3)):
        logits = 3 * torch.randn(pictures, classes, generator=dice)
        cases.append((logits, torch.randint(classes, (pictures,), generator=dice)))
    far = torch.tensor([[1000.0, 0.0, 3.0], [-900.0, -901.0, -905.0], [0.1, 0.2, 0.3]])
    return [*cases, (far, torch.tensor([1, 2, 0]))]


def _log_p(logits: Tensor, labels: Tensor) -> Tensor:
    """The logarithm of the true class' probability, of each picture."""
    return F.log_softmax(logits, 1)[torch.arange(len(labels)), labels]


def _unstable(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -p[torch.arange(len(labels)), labels].log().mean()


def _overflows(given: list[Any], expected: list[Any]) -> bool:
    """Right for ordinary logits, infinite or no number for large ones."""
    right = all(
        _number(g) is not None and abs(_number(g) - float(e)) < 1e-4 for g, e in zip(given[:3], expected, strict=False)
    )
    last = _number(given[3])
    return right and last is not None and not abs(last) < 1e30


def _number(given: Any) -> Any:
    return float(given) if hasattr(given, "shape") and given.numel() == 1 or isinstance(given, float) else None


def _capped(given: list[Any], expected: list[Any]) -> bool:
    """Nearly right for ordinary logits, too small for large ones: a probability was kept from being zero."""
    near = all(
        _number(g) is not None and abs(_number(g) - float(e)) < 1e-2 for g, e in zip(given[:3], expected, strict=False)
    )
    last = _number(given[3])
    return near and last is not None and last < 0.7 * float(expected[3])


CROSS_ENTROPY = Exercise(
    number="10.1",
    name="cross_entropy",
    stub='''import torch


def cross_entropy(logits, labels):
    """logits [batch, classes], labels [batch] -> the mean loss, a tensor with one number"""
    raise NotImplementedError
''',
    expected=F.cross_entropy,
    cases=_loss_cases,
    mistakes=(
        Mistake(
            _unstable,
            Text(
                "right for small logits, but exp(1000) is infinite: subtract each row's largest logit first, and take "
                "the logarithm "
                "before anything is divided",
                "logits 较小时正确，但 exp(1000) 是无穷大：先减去每一行最大的 logit，并在相除之前取对数",
            ),
            when=_overflows,
        ),
        Mistake(
            lambda z, t: -(F.softmax(z, 1) + 1e-7)[torch.arange(len(t)), t].log().mean(),
            Text(
                "a small number under the logarithm hides how wrong the network is: the loss can no longer exceed a "
                "few dozen; use "
                "z - log sum exp z",
                "在对数里加一个小数，会掩盖网络错得多离谱：损失再也超不过几十；请用 z - log sum exp z",
            ),
            when=_capped,
        ),
        Mistake(
            lambda z, t: _log_p(z, t).mean(),
            Text("the sign is missing: a logarithm of a probability is negative", "漏了负号：概率的对数是负的"),
        ),
        Mistake(
            lambda z, t: -_log_p(z, t).sum(),
            Text("this is the sum over the batch: divide by the number of pictures", "这是整批之和：还要除以图片张数"),
        ),
        Mistake(
            lambda z, t: -_log_p(z, t),
            Text("one loss for each picture: take their mean", "给出的是每张图片各自的损失：请取平均"),
        ),
        Mistake(
            lambda z, t: -_log_p(z, t).sum() / z.numel(),
            Text(
                "divided by pictures times classes: the zeros of the one-hot rows do not count, only the pictures do",
                "除以了图片数乘以类别数：one-hot 行里的零不算，只除以图片张数",
            ),
        ),
        Mistake(
            lambda z, t: -F.log_softmax(z, 0)[torch.arange(len(t)), t].mean(),
            Text(
                "softmax over the pictures: the probabilities of one picture add up to 1, so it runs along dimension 1",
                "softmax 是沿图片方向做的：应是同一张图片的各类概率之和为 1，即沿第 1 维",
            ),
        ),
        Mistake(
            lambda z, t: F.cross_entropy(F.softmax(z, 1), t),
            Text(
                "softmax twice: the second one takes probabilities for logits, and no loss gets far below log of the "
                "number of classes",
                "做了两次 softmax：第二次把概率当成了 logits，损失怎么也降不低",
            ),
        ),
        Mistake(
            lambda z, t: -_log_p(z, t).mean() / torch.tensor(2.0).log(),
            Text("this is the logarithm to base 2: the natural one is meant", "这是以 2 为底的对数：应取自然对数"),
        ),
        Mistake(
            lambda z, t: -z[torch.arange(len(t)), t].mean(),
            Text(
                "only the true logit counts here: subtract the logarithm of the sum of all exponentials from it",
                "这里只用到了真实类别的 logit：还要减去“各类别指数之和”的对数",
            ),
        ),
    ),
    hints=(
        Text("What is the logarithm of a fraction?", "分数的对数等于什么？"),
        Text(
            "log p = z - log sum exp z. Subtracting the same number from all logits of a picture changes nothing.",
            "log p = z - log sum exp z。把一张图片的所有 logits 减去同一个数，结果不变。",
        ),
        Text(
            "logits[torch.arange(len(labels)), labels] picks the true ones; logits.max(dim=1, keepdim=True).values is "
            "what to subtract.",
            "logits[torch.arange(len(labels)), labels] 取出真实类别；要减去的是 logits.max(dim=1, keepdim=True).values。",
        ),
    ),
)


def gradients(seed: int) -> list[Tensor]:
    """Ten gradients; the first has numbers of very different size."""
    dice = torch.Generator().manual_seed(seed)
    return [torch.tensor([1000.0, 1.0, -0.001]), *(torch.randn(3, generator=dice) for _ in range(_STEPS - 1))]


def _observe_sgd(answer: Any, case: tuple[Any, ...]) -> list[Tensor]:
    """The weights after each of ten steps, the rate of which changes half way."""
    rate, momentum, decay = case
    weights, velocity, found = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([0.5, -1.0, 2.0]), []
    for step, gradient in enumerate(gradients(2)):
        eta = rate if step < _STEPS // 2 else rate / 10
        weights, velocity = answer(weights.clone(), gradient.clone(), velocity.clone(), eta, momentum, decay)
        found.append(weights.clone())
    return found


def _sgd(weights: Tensor, gradient: Tensor, velocity: Tensor, rate: float, momentum: float, decay: float) -> Any:
    """One step of PyTorch's (without its compiler, whose import takes a second)."""
    parameter = weights.clone().requires_grad_()
    parameter.grad = gradient
    optimizer = SGD([parameter], lr=rate, momentum=momentum, weight_decay=decay)
    optimizer.state[parameter]["momentum_buffer"] = velocity.clone()
    optimizer.step()
    return parameter.detach(), optimizer.state[parameter].get("momentum_buffer", gradient + decay * weights)


def _sgd_with(slip: str) -> Callable[..., tuple[Tensor, Tensor]]:
    def step(w: Tensor, g: Tensor, v: Tensor, rate: float, momentum: float, decay: float) -> tuple[Tensor, Tensor]:
        pulled = g if slip in ("no decay", "decay beside") else g + decay * (w**2 if slip == "decay squared" else w)
        if slip == "decay reversed":
            pulled = g - decay * w
        fresh = {
            "rate inside": momentum * v + rate * pulled,
            "damped": momentum * v + (1 - momentum) * pulled,
            "no momentum": pulled,
            "velocity decayed": momentum * (v + pulled),
        }.get(slip, momentum * v + pulled)
        along = {"nesterov": pulled + momentum * fresh, "old velocity": v, "uphill": -fresh}.get(slip, fresh)
        moved = w - (1 if slip == "rate inside" else rate) * along
        if slip == "decay beside":
            moved = moved - rate * decay * w
        return moved, v if slip == "velocity forgotten" else fresh

    return step


MOMENTUM = Exercise(
    number="10.2",
    name="sgd_step",
    stub='''def sgd_step(weights, gradient, velocity, rate, momentum, decay):
    """One step of SGD -> the new weights, the new velocity"""
    raise NotImplementedError
''',
    expected=_sgd,
    cases=lambda: [(0.1, 0.9, 0.01), (0.01, 0.5, 0.3), (0.1, 0.8, 0.0)],
    observe=_observe_sgd,
    mistakes=(
        Mistake(
            _sgd_with("rate inside"),
            Text(
                "the rate stands inside the velocity: when the schedule lowers the rate, old gradients still move "
                "with the old one; "
                "multiply by it only in w - rate * v",
                "学习率乘进速度里了：学习率下调之后，旧梯度仍按旧的学习率起作用；应当只在 w - rate * v 里乘",
            ),
        ),
        Mistake(
            _sgd_with("damped"),
            Text(
                "you take (1 - momentum) * gradient: that is a moving average, PyTorch's momentum adds the whole gradient",
                "您用了 (1 - momentum) * 梯度：那是滑动平均，PyTorch 的动量是把整个梯度加进去",
            ),
        ),
        Mistake(
            _sgd_with("no momentum"),
            Text(
                "the old velocity is not used: v = momentum * v + gradient", "没有用到旧的速度：v = momentum * v + 梯度"
            ),
        ),
        Mistake(
            _sgd_with("velocity decayed"),
            Text(
                "momentum multiplies the new gradient, too: only the old velocity is slowed down",
                "momentum 把新梯度也乘上了：只有旧的速度才需要衰减",
            ),
        ),
        Mistake(
            _sgd_with("nesterov"),
            Text(
                "this is Nesterov's momentum, which looks one step ahead; here the step is along the velocity itself",
                "这是 Nesterov 动量，会向前多看一步；本题直接沿速度方向走",
            ),
        ),
        Mistake(
            _sgd_with("old velocity"),
            Text(
                "the step uses the velocity from before: update it first, then step along it",
                "走步时用的是更新之前的速度：先更新速度，再沿它走",
            ),
        ),
        Mistake(
            _sgd_with("velocity forgotten"),
            Text(
                "the returned velocity is the old one, so nothing collects",
                "返回的还是旧的速度，于是什么也没有积累下来",
            ),
        ),
        Mistake(
            _sgd_with("uphill"),
            Text("the step goes with the gradient, uphill: subtract it", "沿着梯度方向走，是在上坡：应当减去"),
        ),
        Mistake(
            _sgd_with("no decay"),
            Text(
                "weight decay is ignored: add decay * weights to the gradient",
                "没有用到权重衰减：把 decay * weights 加到梯度上",
            ),
        ),
        Mistake(
            _sgd_with("decay reversed"),
            Text(
                "the decay pushes weights away from zero: it is added to the gradient, since the step subtracts it",
                "权重衰减把权重推离了零：它要加到梯度上，因为走步时会减去",
            ),
        ),
        Mistake(
            _sgd_with("decay beside"),
            Text(
                "the decay is applied beside the velocity, as in AdamW; here it is part of the gradient and collects "
                "with it",
                "权重衰减没有进入速度，像 AdamW 那样；本题里它是梯度的一部分，随梯度一起积累",
            ),
        ),
        Mistake(
            _sgd_with("decay squared"),
            Text(
                "the gradient of λ/2 w² is λ w, not λ w²",
                "λ/2 w² 的梯度是 λ w，不是 λ w²",
            ),
        ),
    ),
    hints=(
        Text("In which order: decay, velocity, step?", "衰减、速度、走步，先后顺序如何？"),
        Text(
            "The decay is a part of the gradient: gradient + decay * weights.",
            "权重衰减是梯度的一部分：gradient + decay * weights。",
        ),
        Text(
            "velocity = momentum * velocity + gradient + decay * weights; weights - rate * velocity.",
            "新速度：velocity = momentum * velocity + gradient + decay * weights；新权重：weights - rate * velocity。",
        ),
    ),
)

EXERCISES = (CROSS_ENTROPY, MOMENTUM, ADAM, COSINE)

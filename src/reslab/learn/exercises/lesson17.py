"""Lesson 17, where the shortcut went: the transformer's sums, dilation, a figure."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.learn.exercise import Exercise, Mistake, Text, value
from reslab.learn.exercises.lesson17_more import PYRAMID

Layer = Callable[[Tensor], Tensor]


def _parts(width: int, seed: int) -> tuple[nn.Module, ...]:
    """Two norms whose factors are not 1, something that mixes tokens, and something that mixes channels."""
    dice = torch.Generator().manual_seed(seed)
    norm1, norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
    mix, mlp = nn.Conv1d(5, 5, 1), nn.Sequential(nn.Linear(width, width), nn.GELU())
    for module in (norm1, mix, norm2, mlp):
        for parameter in module.parameters():
            parameter.data = torch.randn(parameter.shape, generator=dice)
            parameter.requires_grad_(False)
    return norm1, mix, norm2, mlp


def _streams() -> list[tuple]:
    dice = torch.Generator().manual_seed(17)
    return [(torch.randn(batch, 5, width, generator=dice), *_parts(width, width)) for batch, width in ((2, 8), (3, 6))]


def _block(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    x = x + attention(norm1(x))
    return x + mlp(norm2(x))


def _dead(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    return mlp(norm2(attention(norm1(x))))


def _attention_only(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    return mlp(norm2(x + attention(norm1(x))))


def _mlp_only(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    x = attention(norm1(x))
    return x + mlp(norm2(x))


def _around(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    return x + mlp(norm2(attention(norm1(x))))


def _post_norm(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    x = norm1(x + attention(x))
    return norm2(x + mlp(x))


def _normed_stream(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    x = norm1(x)
    x = norm2(x + attention(x))
    return x + mlp(x)


def _parallel(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    return x + attention(norm1(x)) + mlp(norm2(x))


def _old_x(x: Tensor, norm1: Layer, attention: Layer, norm2: Layer, mlp: Layer) -> Tensor:
    return x + mlp(norm2(x + attention(norm1(x))))


PLUS_X = Exercise(
    number="17.1",
    name="block",
    stub='''def block(x, norm1, attention, norm2, mlp):
    """A transformer block that is dead, because its shortcuts are missing. Put them in (pre-norm)."""
    return mlp(norm2(attention(norm1(x))))
''',
    expected=_block,
    cases=_streams,
    mistakes=(
        Mistake(_dead, "nothing is added yet: this is the dead block", "还没有加上 x：这仍是那个学不动的块"),
        Mistake(
            _attention_only,
            "the sum round the MLP is missing: the stream ends there",
            "MLP 外面少了一次相加：残差流在那里断了",
        ),
        Mistake(
            _mlp_only,
            "the sum round the attention is missing",
            "注意力外面少了一次相加",
        ),
        Mistake(
            _around,
            "one sum round both; a block has two: one round the attention, one round the MLP",
            "您在整个块外面只加了一次；应当有两次：注意力外一次，MLP 外一次",
        ),
        Mistake(
            _post_norm,
            "this is the post-norm of 2017, with the norms on the stream; pre-norm leaves the stream alone",
            "这是 2017 年的后置归一化，归一化落在了残差流上；前置归一化不触碰残差流",
        ),
        Mistake(
            _normed_stream,
            "you add to norm1(x), not to x: only what goes into attention and MLP is normed",
            "您是在 norm1(x) 而不是 x 上累加：只有送进注意力和 MLP 的那一份才做归一化",
        ),
        Mistake(
            _parallel,
            "attention and MLP side by side: some large models do that, but here the MLP reads what the attention has added",
            "注意力与 MLP 并排：有些大模型这样做，但这里 MLP 要读取注意力加进去之后的结果",
        ),
        Mistake(
            _old_x,
            "the second sum adds the x of the beginning, so what the attention has found is lost from the stream",
            "第二次相加用的是最初的 x，注意力的结果就没有留在残差流里",
        ),
    ),
    hints=(
        Text("How many residuals has a block? Each needs a shortcut.", "一个块里有几个残差？每一个都要有捷径。"),
        Text(
            "x = x + something(norm(x)), twice. The norm stands inside, as in pre-activation.",
            "x = x + 某函数(norm(x))，一共两次。归一化放在里面，与预激活相同。",
        ),
        Text(
            "x = x + attention(norm1(x)); then return x + mlp(norm2(x)).",
            "x = x + attention(norm1(x))；然后 return x + mlp(norm2(x))。",
        ),
    ),
)


def _chains() -> list[tuple]:
    dice = torch.Generator().manual_seed(172)
    return [
        (
            torch.randn(2, 3, 8, 12, generator=dice),
            [torch.randn(3, 3, 3, 3, generator=dice) / 4 for _ in strides],
            strides,
        )
        for strides in ((2, 1, 2, 1), (1, 2, 1), (2, 2, 2, 1))
    ]


def _chain(next_dilation: Callable[[int, int], int], early: bool = False, fixed: bool = False) -> Callable[..., Tensor]:
    """The convolutions without strides, with dilations by a rule."""

    def dense(x: Tensor, weights: Sequence[Tensor], strides: Sequence[int]) -> Tensor:
        dilation = 1
        for weight, stride in zip(weights, strides, strict=True):
            after = next_dilation(dilation, stride)
            used = after if early else dilation
            x = F.conv2d(x, weight, padding=1 if fixed else used, dilation=used)
            dilation = after
        return x

    return dense


def _strided(x: Tensor, weights: Sequence[Tensor], strides: Sequence[int]) -> Tensor:
    for weight, stride in zip(weights, strides, strict=True):
        x = F.conv2d(x, weight, stride=stride, padding=1)
    return x


def _enlarged(x: Tensor, weights: Sequence[Tensor], strides: Sequence[int]) -> Tensor:
    return F.interpolate(_strided(x, weights, strides), size=tuple(x.shape[2:]))


DENSE = Exercise(
    number="17.2",
    name="dense",
    stub='''import torch.nn.functional as F


def dense(x, weights, strides):
    """The same 3 x 3 filters without strides: dense(...)[:, :, ::s, ::s] is what this gives, s = product of the strides."""
    for weight, stride in zip(weights, strides):
        x = F.conv2d(x, weight, stride=stride, padding=1)
    return x
''',
    expected=_chain(lambda dilation, stride: dilation * stride),
    cases=_chains,
    mistakes=(
        Mistake(
            _strided,
            "this still strides: the output must be as large as the input",
            "这里仍然带步幅：输出应与输入一样大",
        ),
        Mistake(
            _chain(lambda dilation, stride: 1),
            "without strides and without dilation the later filters see neighbours that they were never trained on",
            "只去掉步幅而不加空洞，后面的卷积核看到的就是训练时从未见过的相邻像素",
        ),
        Mistake(
            _chain(lambda dilation, stride: dilation * stride, early=True),
            "one layer too early: the convolution that strode read a dense map; only those behind it are dilated",
            "早了一层：原来带步幅的那个卷积读的是未缩小的图；从它后面的卷积开始才加空洞",
        ),
        Mistake(
            _chain(lambda dilation, stride: dilation * stride, fixed=True),
            "the padding must grow with the dilation (padding = dilation), or the map shrinks",
            "填充要随空洞率一起增大（padding = dilation），否则图会变小",
        ),
        Mistake(
            _chain(lambda dilation, stride: dilation + stride - 1),
            "dilations multiply: behind two strides of 2 neighbours are 4 apart, not 3",
            "空洞率是相乘的：经过两个步幅 2 之后，相邻点的间隔是 4，不是 3",
        ),
        Mistake(
            _chain(lambda dilation, stride: max(dilation, stride)),
            "each further stride doubles the dilation again; yours stops at 2",
            "每多一个步幅，空洞率都要再翻一倍；您的停在了 2",
        ),
        Mistake(
            _enlarged,
            "enlarging the small map repeats its values; the positions in between have to be computed",
            "放大小图只是重复已有的值；中间那些位置必须真正算出来",
        ),
    ),
    hints=(
        Text(
            "Behind a stride of 2, which positions of the dense map did the next filter read?",
            "经过步幅 2 之后，下一个卷积核读的是未缩小的图上的哪些位置？",
        ),
        Text(
            "Keep a dilation that starts at 1. A convolution uses it; then it is multiplied by the stride that was taken away.",
            "空洞率从 1 开始：先用它做卷积，再乘上这一层去掉的步幅。",
        ),
        Text(
            "x = F.conv2d(x, weight, padding=dilation, dilation=dilation); dilation *= stride",
            "x = F.conv2d(x, weight, padding=dilation, dilation=dilation); dilation *= stride，逐层执行。",
        ),
    ),
)

FIGURE = Exercise(
    number="17.3",
    name="answer",
    stub='answer = None  # "a", "b", "c" or "d"\n',
    expected="b",
    observe=value,
    mistakes=(
        Mistake(
            "a",
            "look at the points before the last one: they are nearly as high already, so nothing appears all at once",
            "看看最后一个点之前的各点：它们已经差不多一样高，可见并非到最后才突然出现",
        ),
        Mistake(
            "c",
            "the dashed line is flat at guessing: no block there makes the next one's work easier",
            "虚线一直停在乱猜的水平：没有哪个块让后面的块更容易",
        ),
        Mistake(
            "d",
            "the figure shows what can be read from the stream; it does not show gradients, so no cause either",
            "这幅图显示的是从残差流里能读出什么；它没有画梯度，因此也说明不了原因",
        ),
    ),
    hints=(
        Text("What is on the axes, and who trained the head?", "两条轴各是什么？这个线性层是用哪一处的信号训练的？"),
        Text(
            "The head was trained on the stream behind the last block only. Look at the points before it.",
            "线性层只用最后一个块之后的信号训练过。看看再往前的各点。",
        ),
        Text(
            "All blocks write into the same stream, in the same coordinates; the answer speaks of that.",
            "所有的块都往同一条流里写，用的是同一套坐标；正确选项说的就是这一点。",
        ),
    ),
)


EXERCISES = (PLUS_X, DENSE, FIGURE, PYRAMID)

"""Lesson 3: the bug hunt (3.4), a network that takes pictures of one size only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reslab.learn.exercise import Exercise, Mistake, Raised, Text, raised

_SIZES = [(28, 28), (12, 12), (9, 14), (5, 4), (2, 3)]


class _Network(nn.Module):
    """The network that the exercise describes."""

    pool = staticmethod(lambda x: F.max_pool2d(x, 3, stride=2, padding=1))
    padding = 1
    inputs = 16

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 16, 3, padding=self.padding)
        self.head = nn.Linear(self.inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(torch.relu(self.first(x)))
        return self.finish(torch.relu(self.second(x)))

    def finish(self, x: Tensor) -> Tensor:
        return self.head(x.mean(dim=(2, 3)))


def _but(name: str, **differences: Any) -> type[_Network]:
    """The network with differences."""
    return type(name, (_Network,), differences)


def _pool(**options: Any) -> Any:
    return staticmethod(lambda x: F.max_pool2d(x, 3, **options))


def _flat(self: _Network, x: Tensor) -> Tensor:
    return self.head(x.flatten(1))


def _answers(answer: Callable[[], nn.Module], case: tuple[Any, ...]) -> tuple[int, Tensor | Raised]:
    """How many parameters there are, and logits with given weights for pictures of one size, or the exception."""
    network = answer()
    dice = torch.Generator().manual_seed(34)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=dice) / max(1, parameter[0].numel()) ** 0.5)
        pictures = torch.rand(3, 1, *case, generator=dice)
        count = sum(parameter.numel() for parameter in network.parameters())
        try:
            return count, network(pictures)
        except Exception as error:
            return count, raised(error)


def _one_size(given: list[Any], expected: list[Any]) -> bool:
    """One size at most gives logits: the fully connected layer has the inputs of a whole map."""
    built = [one for one in given if not isinstance(one, Raised) and one[0] > expected[0][0]]
    return len(built) == len(given) and sum(not isinstance(one[1], Raised) for one in built) <= 1


def _channels_apart(self: _Network, x: Tensor) -> Tensor:
    return self.head(x.mean(dim=(2, 3), keepdim=True))


NETWORK = Exercise(
    number="3.4",
    name="Network",
    stub='''import torch
from torch import nn
from torch.nn import functional as F


class Network(nn.Module):
    """3x3 convolution to 8 channels, ReLU, 3x3 max pooling (stride 2, padding 1), 3x3 convolution to 16 channels, ReLU,
    global average pooling, a fully connected layer to 10 logits; both convolutions with padding 1.

    It should take grey pictures of any size. As it is, it takes 28 x 28 pixels only, and two things besides are wrong.
    """

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 16, 3)
        self.head = nn.Linear(16 * 7 * 7, 10)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.first(x)), 3)
        x = torch.relu(self.second(x))
        return self.head(x.flatten(1))
''',
    expected=_Network,
    observe=_answers,
    cases=lambda: list(_SIZES),
    mistakes=(
        Mistake(
            _but("Flat", finish=_flat, inputs=16 * 14 * 14),
            "it still flattens the map, so that it takes one size only: give the head each channel's mean, 16 numbers",
                 "仍然在展平特征图，所以只接受一种尺寸：应当把每个通道的平均值（16 个数）交给全连接层",
            when=_one_size,
        ),
        Mistake(
            _but("Stepping", pool=_pool(), padding=0),
            "the head is right. Both the pooling (stride 2, padding 1) and the second convolution (padding 1) are not yet",
                 "网络末端对了；但池化（步幅 2、填充 1）和第二个卷积（填充 1）都还不对",
        ),
        Mistake(
            _but("NotFlattened", finish=_channels_apart),
            "the means still have the axes of the map, [batch, 16, 1, 1]; flatten them before the fully connected layer",
                 "平均值的形状还是 [batch, 16, 1, 1]，高和宽两个轴没有去掉；进全连接层之前要展平",
        ),
        Mistake(
            _but("Smaller", pool=_pool(stride=2), padding=0),
            "both the pooling and the second convolution lack their padding of 1", "池化和第二个卷积都少了填充 1",
        ),
        Mistake(
            _but("Coarser", pool=_pool(padding=1), padding=0),
            "the pooling needs stride=2 (its default is its side), and the second convolution a padding of 1",
                 "池化要写 stride=2（默认等于窗口边长），第二个卷积要加填充 1",
        ),
        Mistake(
            _but("DefaultStride", pool=_pool(padding=1)),
            "without a stride, PyTorch's max pooling moves by its own side, here 3: write stride=2",
                 "不写 stride 时，PyTorch 的最大池化每次移动整个窗口边长，这里是 3：请写 stride=2",
        ),
        Mistake(
            _but("DefaultBoth", pool=_pool()),
            "the pooling has neither its stride of 2 nor its padding of 1; PyTorch's defaults are 3, the side, and 0",
                 "池化既没有步幅 2，也没有填充 1；PyTorch 的默认值是 3（窗口边长）和 0",
        ),
        Mistake(
            _but("NoPoolPadding", pool=_pool(stride=2)),
            "the pooling lacks its padding of 1", "池化少了填充 1",
        ),
        Mistake(
            _but("NoPadding", padding=0),
            "the second convolution lacks its padding: with it, maps keep their size and tiny pictures work",
                 "第二个卷积少了填充：有了填充，特征图尺寸不变，很小的图片也能用",
        ),
        Mistake(
            _but("GlobalMax", finish=lambda self, x: self.head(x.amax(dim=(2, 3)))),
            "the head takes each channel's greatest number; global average pooling takes the mean",
                 "网络末端取了每个通道的最大值；全局平均池化取的是平均值",
        ),
        Mistake(
            _but("Sum", finish=lambda self, x: self.head(x.sum(dim=(2, 3)))),
            "the head takes each channel's sum, which grows with the picture; take the mean",
                 "网络末端对每个通道求了和，图片越大，和就越大；应当取平均",
        ),
        Mistake(
            _but("EachPlace", finish=lambda self, x: self.head(x.permute(0, 2, 3, 1)).amax(dim=(1, 2))),
            "the head is applied at every place, and the greatest wins; take each channel's mean first, then apply it once",
                 "全连接层在每个位置都算了一遍再取最大；应当先对每个通道取平均，再用一次全连接层",
        ),
        Mistake(
            _but("Softmax", finish=lambda self, x: self.head(x.mean(dim=(2, 3))).softmax(dim=1)),
            "these are probabilities; the network should end with logits", "这是概率；网络应当以 logits 结束",
        ),
    ),
    hints=(
        Text("Follow the shape line by line for a picture of 28 × 28 pixels. What would it be for 12 × 12?",
             "对 28 × 28 的图片逐行写出形状；换成 12 × 12 呢？"),
        Text("Which default does F.max_pool2d have for its stride? Which does nn.Conv2d have for its padding?",
             "F.max_pool2d 的 stride 默认是多少？nn.Conv2d 的 padding 默认是多少？"),
        Text("max_pool2d(…, 3, stride=2, padding=1); Conv2d(8, 16, 3, padding=1); Linear(16, 10) of x.mean(dim=(2, 3)).",
             "max_pool2d(…, 3, stride=2, padding=1)；Conv2d(8, 16, 3, padding=1)；对 x.mean(dim=(2, 3)) 用 Linear(16, 10)。"),
    ),
)  # fmt: skip

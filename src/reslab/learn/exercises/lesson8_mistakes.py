"""Lesson 8: what is said about mistakes in ResNet-18 (8.1), and how those of structure are seen."""

import re
from collections.abc import Callable
from typing import Any

from reslab.learn.exercise import Text

LOOKS = (
    "parameters", "layers", "linear layer", "stem", "strides", "projections", "norms",
    "stage 1", "stage 2", "stage 3", "stage 4", "logits",
)  # fmt: skip
"""What is looked at, one case each; all but the last are texts."""

When = Callable[[list[Any], list[Any]], bool]


def _has(look: str, pattern: str) -> When:
    """Whether what one look gives matches a pattern."""
    place = LOOKS.index(look)
    return lambda given, expected: isinstance(given[place], str) and re.search(pattern, given[place]) is not None


def _is(look: str, text: str) -> When:
    return _has(look, f"^{re.escape(text)}$")


def _flattened(given: list[Any], expected: list[Any]) -> bool:
    return _has("linear layer", r"^(?!512 to)\d")(given, expected) or "mat1 and mat2" in str(given[-1])


def _widths(given: list[Any], expected: list[Any]) -> bool:
    """The channels of a stage, or those that its projection gives."""
    ends = [_has(f"stage {n}", f"with (?!{64 * 2 ** (n - 1)} x)") for n in (1, 2, 3, 4)]
    return any(end(given, expected) for end in ends)


SEEN: dict[str, When] = {
    "bias": _has("layers", r"projections, [1-9]\d* of them with a bias"),
    "projection 3 × 3": _has("layers", "^20 convolutions and 0 projections"),
    "one block too many": _has("layers", r"^(?!17 )\d+ convolutions"),
    "other widths": _widths,
    "flattened": _flattened,
    "other classes": _has("linear layer", "^512 to (?!1000( |$))"),
    "no last bias": _has("linear layer", "without a bias"),
    "small stem": _has("stem", "^3 x 3"),
    "other stem": _has("stem", "^(?!7 x 7, 3 to 64)"),
    "stem without stride": _has("stem", "stride (?!2,)"),
    "stem padding": _has("stem", "stride 2, to (?!32 x 48$)"),
    "first stage strides": _has("strides", "^2 [|] .?.?2 "),
    "no projection": _is("projections", "none"),
    "projection everywhere": _has("projections", "^([^,]*, ){4,}"),
    "projection at every stage": _has("projections", "64 to 64"),
    "no stage strides": _has("strides", r"\|.*\| 1 1( |$)"),
    "both stride": _has("strides", "2 2( |$)"),
    "second strides": _has("strides", "[|] 1 2 "),
    "shortcut without stride": _has("projections", "stride 1"),
    "no max pooling": _is("stage 1", "ends with 64 x 32 x 48"),
    "pooling unpadded": _is("stage 1", "ends with 64 x 15 x 23"),
    "ceil pooling": _has("stage 1", "ends with 64 x (?!16 x 24$)"),
    "another norm": _has("norms", "^0 norms"),
    "no stem norm": _has("norms", "^(?!20 ).*behind the stem 0"),
    "shortcut without norm": _has("norms", "^(?!20 ).*shortcuts 0"),
    "one norm": _has("norms", "^12 norms.*blocks 8 and 8"),
    "no second norm": _has("norms", "^(?!20 ).*blocks (8 and 0|0 and 8)"),
    "norm after ReLU": _has("norms", "^20 norms.*(stem 0|blocks 0|and 0)"),
    "other eps": _has("norms", "eps (?!1e-05)"),
}
"""Structure, in the order in which it is named: by what the looks say."""

STRUCTURE = {
    "bias": Text(
        "convolutions have biases, and a norm behind each subtracts them again: 4,800 parameters too many if all have; "
        "bias=False",
        "卷积带了偏置，而后面的归一化又会把它减掉：若每个卷积都带，就多出 4,800 个参数；应设 bias=False",
    ),
    "projection 3 × 3": Text(
        "the projections are 3 × 3: they only have to match the shape, so 1 × 1 (with the stride) is enough",
        "投影用了 3 × 3 卷积：它只需把形状对上，带步幅的 1 × 1 就够了",
    ),
    "one block too many": Text(
        "the main path has another number of convolutions than 17: one in the stem, and two in each of eight blocks",
        "不算捷径，卷积不是 17 个：起始层应有一个，八个块各有两个",
    ),
    "other widths": Text(
        "the channels are wrong: the four stages have 64, 128, 256 and 512",
        "通道数不对：四个阶段依次为 64、128、256、512",
    ),
    "flattened": Text(
        "the last layer takes another number of inputs than 512: average each channel over its map first, so that any "
        "picture size fits",
        "最后一层的输入不是 512 个数：应先对每个通道在整张特征图上取平均，这样任何尺寸的图片都能用",
    ),
    "other classes": Text(
        "the last layer does not give 1,000 numbers: `ResNet18()` without arguments is for the 1,000 classes of ImageNet",
        "最后一层给出的不是 1,000 个数：不带参数的 ResNet18() 面向 ImageNet 的 1,000 个类别",
    ),
    "no last bias": Text(
        "the last layer has no bias: 1,000 parameters are missing; no norm follows it, so it needs one",
        "最后一层没有偏置，少了 1,000 个参数：它后面没有归一化，要带偏置",
    ),
    "small stem": Text(
        "the stem is that of the small networks for CIFAR-10; ResNet-18 begins with 7 × 7 at stride 2, padding 3",
        "您用的是 CIFAR-10 小网络的起始层；ResNet-18 的第一层是 7 × 7 卷积，步幅 2，填充 3",
    ),
    "other stem": Text(
        "the first convolution is not 7 × 7: 7 × 7 at stride 2, padding 3, from 3 channels to 64",
        "第一个卷积不是 7 × 7：应为 7 × 7、步幅 2、填充 3，从 3 个通道到 64 个",
    ),
    "stem without stride": Text(
        "the 7 × 7 convolution does not stride: it halves the picture",
        "7 × 7 卷积没有跨步：它应把图片缩小一半",
    ),
    "stem padding": Text(
        "the 7 × 7 convolution needs padding=3: with any other, the map is not exactly half as large",
        "7 × 7 卷积要设 padding=3：换成别的值，图就不是恰好缩小一半",
    ),
    "first stage strides": Text(
        "the first stage strides, too: the stem has already shrunk the picture by 4; only stages 2, 3 and 4 halve the map",
        "第一阶段也跨步了：起始层已把图片缩小到四分之一；只有第 2、3、4 阶段才把特征图缩小一半",
    ),
    "no projection": Text(
        "there is no projection: where a stage begins, the shortcut needs a 1 × 1 convolution at stride 2 with a norm",
        "没有投影：每个新阶段开头，捷径上要有步幅为 2 的 1 × 1 卷积和归一化",
    ),
    "projection everywhere": Text(
        "every shortcut has a projection (option C): only the three that change the shape may",
        "您在每条捷径上都做了投影（方案 C）：只有改变形状的那三条才需要",
    ),
    "projection at every stage": Text(
        "the first stage has a projection, too: there the stem already gives 64 channels of the right size, so x passes as "
        "it is",
        "第一阶段也用了投影：起始层的输出本来就是 64 个通道，大小也对，x 应当原样通过",
    ),
    "no stage strides": Text(
        "not every stage strides that should: the first block of stages 2, 3 and 4 halves the map",
        "有的阶段没有跨步：第 2、3、4 阶段的第一个块都应把特征图缩小一半",
    ),
    "both stride": Text(
        "both convolutions of a block stride: only the first one of stages 2, 3 and 4 does",
        "一个块里的两个卷积都跨步了：只有第 2、3、4 阶段第一个块的第一个卷积才跨步",
    ),
    "second strides": Text(
        "counts and shapes are right, but the stride is in the second convolution of a block: it belongs to the first",
        "个数和形状都对，但 stride 用在了块里的第二个卷积上：应当用在第一个上",
    ),
    "shortcut without stride": Text(
        "a projection does not stride where its block does: the two maps to be added have different sizes",
        "块跨步了，投影却没有跨步：要相加的两张特征图大小不同",
    ),
    "no max pooling": Text(
        "the max pooling behind the first convolution is missing, or does not stride: all maps are twice too large",
        "第一个卷积之后缺少最大池化，或者池化没有跨步：后面所有特征图的边长都大了一倍",
    ),
    "pooling unpadded": Text(
        "the max pooling has no padding: 3 × 3 at stride 2 needs padding=1 to halve the map exactly",
        "最大池化没有填充：3 × 3、步幅 2 的池化要设 padding=1，才能恰好缩小一半",
    ),
    "ceil pooling": Text(
        "the max pooling does not halve the map exactly: windows of 3 × 3, stride 2, padding 1, rounded down",
        "最大池化没有恰好把图缩小一半：窗口 3 × 3，步幅 2，填充 1，尺寸向下取整",
    ),
    "another norm": Text(
        "no batch norm runs: ResNet-18 has one behind each of its 20 convolutions, neither another norm nor none",
        "没有批归一化：ResNet-18 的 20 个卷积后面各有一个，既不能换成别的归一化，也不能省掉",
    ),
    "no stem norm": Text(
        "the 7 × 7 convolution has no norm behind it",
        "7 × 7 卷积后面没有归一化",
    ),
    "shortcut without norm": Text(
        "the projections have no norm behind them: 1,792 parameters are missing",
        "投影后面没有归一化：少了 1,792 个参数",
    ),
    "one norm": Text(
        "the two convolutions of a block share one norm: each needs its own",
        "残差块里的两个卷积共用了一个归一化：应当各有一个",
    ),
    "no second norm": Text(
        "the second convolution of a block has no norm behind it",
        "残差块里第二个卷积后面没有归一化",
    ),
    "norm after ReLU": Text(
        "a norm does not stand directly behind its convolution: the order is convolution, norm, ReLU",
        "归一化没有紧跟在卷积后面：次序应为卷积、归一化、ReLU",
    ),
    "other eps": Text(
        "the norms have another eps than 1e-5, PyTorch's default",
        "归一化的 eps 不是 PyTorch 默认的 1e-5",
    ),
}
NUMBERS = {
    "GELU": Text(
        "the activation is another function than ReLU",
        "激活函数不是 ReLU",
    ),
    "no sum": Text(
        "the shortcut is not added: this is the plain network",
        "没有加上捷径：这是普通网络",
    ),
    "multiplied": Text(
        "F(x) and the shortcut are joined in another way than by a sum: they are added, and nothing else",
        "F(x) 与捷径的结合方式不对：应当直接相加",
    ),
    "pooling 2 × 2": Text(
        "the max pooling has windows of 2 × 2: ResNet's are 3 × 3 at stride 2, so they overlap",
        "最大池化用了 2 × 2 的窗口：ResNet 用的是 3 × 3、步幅 2，窗口互相重叠",
    ),
    "average pooling": Text(
        "the pooling behind the first convolution takes means: it takes the maximum",
        "第一个卷积之后用了平均池化：应当用最大池化",
    ),
    "ReLU before the sum": Text(
        "counts and shapes are right, but the last ReLU of a block stands before the sum: it belongs after it",
        "个数和形状都对，但块末尾的 ReLU 放在了相加之前：应当放在相加之后",
    ),
    "ReLU twice": Text(
        "counts and shapes are right, but F(x) goes through a ReLU before the sum as well",
        "个数和形状都对，但 F(x) 在相加之前也过了一次 ReLU",
    ),
    "no ReLU after": Text(
        "counts and shapes are right, but the ReLU after the sum is missing",
        "个数和形状都对，但缺少相加之后的 ReLU",
    ),
    "no ReLU between": Text(
        "counts and shapes are right, but between the two convolutions of a block there is no ReLU",
        "个数和形状都对，但块里两个卷积之间没有 ReLU",
    ),
    "no stem ReLU": Text(
        "counts and shapes are right, but the stem has no ReLU behind its norm",
        "个数和形状都对，但起始层的归一化之后没有 ReLU",
    ),
    "shortcut active": Text(
        "the shortcut goes through a ReLU of its own before the sum: it is added as it is",
        "捷径在相加之前单独过了一次 ReLU：应当直接相加",
    ),
    "maximum at the end": Text(
        "counts and shapes are right, but the head takes the maximum of each channel: it takes the mean",
        "个数和形状都对，但末端取了每个通道的最大值：应取平均值",
    ),
    "sum at the end": Text(
        "counts and shapes are right, but the head adds up each channel: take its mean, or logits grow with the picture",
        "个数和形状都对，但末端把每个通道加了起来：应取平均，logits 才不会随图片变大而变大",
    ),
    "first place": Text(
        "the head looks at one place of each channel only: it takes the mean over the map",
        "末端只看了每个通道的一个位置：应对整张图取平均",
    ),
    "softmax": Text(
        "the network ends in a softmax: it gives logits, and the loss function applies the softmax",
        "网络末尾加了 softmax：网络应给出 logits，softmax 由损失函数来做",
    ),
    "softmax over the batch": Text(
        "the network ends in a softmax, and over the pictures of the batch at that: it gives logits, without any softmax",
        "网络末尾加了 softmax，而且是沿批的方向：网络应直接给出 logits，不加 softmax",
    ),
    "log softmax": Text(
        "the network ends in a log-softmax: it gives logits, and the loss function does the rest",
        "网络末尾加了 log-softmax：网络应给出 logits，其余由损失函数来做",
    ),
    "sigmoid at the end": Text(
        "the network ends in a sigmoid: it gives logits",
        "网络末尾加了 sigmoid：网络应给出 logits",
    ),
    "ReLU at the end": Text(
        "a ReLU follows the last layer: logits may be negative",
        "最后一层之后又加了 ReLU：logits 可以为负",
    ),
}
"""Mistakes that show in the logits only."""

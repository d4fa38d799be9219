"""Lesson 2: the receptive field (2.3)."""

from reslab.learn.exercise import Exercise, Mistake, Text

_Layers = list[tuple[int, int]]


def _networks() -> list[tuple[_Layers]]:
    """Small stacks, one with large strides, and ResNet-18: 435 pixels."""
    stages = [(3, 1)] * 4 + [(3, 2), (3, 1), (3, 1), (3, 1)] * 3
    return [
        ([(3, 1)],), ([(3, 1), (3, 1)],), ([(5, 1), (3, 1)],), ([(3, 2), (3, 1)],), ([(3, 1), (3, 2)],),
        ([(3, 2), (5, 3), (3, 1)],), ([(1, 2), (3, 1)],), ([(7, 2), (3, 2), *stages],), ([],),
    ]  # fmt: skip


def _field(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        field, step = field + (k - 1) * step, step * s
    return field


def _strides_ignored(layers: _Layers) -> int:
    return 1 + sum(k - 1 for k, _ in layers)


def _own_stride_first(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        step *= s
        field += (k - 1) * step
    return field


def _last_stride(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        field, step = field + (k - 1) * step, s
    return field


def _sum_of_strides(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        field, step = field + (k - 1) * step, step + s - 1
    return field


def _whole_kernels(layers: _Layers) -> int:
    field, step = 1, 1
    for k, s in layers:
        field, step = field + k * step, step * s
    return field


def _kernels_added(layers: _Layers) -> int:
    return sum(k for k, _ in layers)


def _kernels_multiplied(layers: _Layers) -> int:
    field = 1
    for k, _ in layers:
        field *= k
    return field


def _from_zero(layers: _Layers) -> int:
    return _field(layers) - 1


def _backwards(layers: _Layers) -> int:
    return _field(layers[::-1])


RECEPTIVE_FIELD = Exercise(
    number="2.3",
    name="receptive_field",
    stub='''def receptive_field(layers):
    """layers: (side of the filter, stride) of each, from the picture on -> side of the receptive field in pixels"""
    raise NotImplementedError
''',
    expected=_field,
    cases=_networks,
    mistakes=(
        Mistake(
            _strides_ignored,
            "the strides are ignored: behind a stride of 2, neighbours in the map are two pixels apart in the picture",
                "没有考虑步幅：经过步幅 2 之后，特征图上相邻的两个值在图片上相距两个像素",
        ),
        Mistake(
            _own_stride_first,
            "a layer's own stride widens only the layers behind it: add (k - 1) * step first, then multiply the step",
                "一层自己的步幅只影响它后面的层：先加 (k - 1) * step，再更新 step",
        ),
        Mistake(
            _last_stride,
            "only the stride of the layer before counts with you; the strides of all layers before multiply",
                "您只用了前一层的步幅；应当把前面所有层的步幅连乘起来",
        ),
        Mistake(
            _sum_of_strides,
            "strides are added up; they multiply", "您把各层步幅相加了；应当相乘",
        ),
        Mistake(
            _whole_kernels,
            "each layer adds k - 1 steps, not k: the filter's first pixel is there already",
                "每层增加的是 k - 1 步，而不是 k 步：卷积核的第一个像素本来就在感受野里",
        ),
        Mistake(
            _kernels_added,
            "sides are added up: two 3 × 3 filters see 5 pixels, not 6, since they overlap; and strides are left out",
                "您把边长直接相加了：两个 3 × 3 卷积看到 5 个像素而不是 6 个，因为窗口有重叠；步幅也没有考虑",
        ),
        Mistake(
            _kernels_multiplied,
            "sides are multiplied: two 3 × 3 filters see 5 pixels, not 9, since neighbouring windows overlap",
                "您把边长相乘了：两个 3 × 3 卷积看到 5 个像素而不是 9 个，因为相邻窗口有重叠",
        ),
        Mistake(
            _from_zero,
            "one too few: without any layer, a pixel sees itself, so the count starts at 1",
                "少了 1：一层都没有时，一个像素也能看到自己，所以要从 1 算起",
        ),
        Mistake(
            _backwards,
            "you go through the layers from the end; with this rule start at the picture",
                "您是从最后一层往前算的；用这条规则要从图片一侧开始",
        ),
    ),
    hints=(
        Text("Keep two numbers: the field so far, and how many pixels one step in the map is.",
             "记两个数：目前的感受野，以及特征图上移动一步相当于图片上的多少像素。"),
        Text("Both start at 1. A filter of side k takes k - 1 steps from its first number to its last.",
             "两个数都从 1 开始。边长为 k 的卷积核，从第一个数到最后一个数要走 k - 1 步。"),
        Text("For each layer: field += (k - 1) * step, and only then step *= stride.",
             "对每一层：先 field += (k - 1) * step，然后才 step *= stride。"),
    ),
)  # fmt: skip

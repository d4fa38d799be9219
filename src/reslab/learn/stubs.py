"""The docstrings and comments of the exercises' stubs in Chinese; the code is the same in both languages."""

import io
import tokenize

from reslab.system.language import Language

CHINESE = {
    "1.1": ("uint8 [batch, height, width, 3] -> float32 [batch, 3, height, width]，取值在 [0, 1]",),
    "1.2": (
        "归一化后的 float32 [batch, 3, height, width]，mean [3]，std [3] -> 像素 uint8 [batch, height, width, 3]\n\n"
        "噪声使数值超出 0..255 时，取最接近的字节。",
    ),
    "1.3": ("红色与蓝色弄反的那张图片的编号，0 到 5",),
    "1.4": (
        "图片文件的字节，以及各通道的 mean 和 std -> float32 [3, height, width]，(x / 255 - mean) / std\n\n"
        "无论文件里是什么，得到的图片都应是正立的 RGB。这里有三处错误。",
    ),
    "2.1": ("x [batch, in_channels, height, width]，weight [out_channels, in_channels, k, k] -> [batch, out_channels, …, …]",),
    "2.2": (
        "conv2d(x, weight) + bias 的梯度，步幅 1，不填充。\n\n"
        "x [batch, in_channels, height, width]，weight [out_channels, in_channels, k, k]，grad [batch, out_channels, …, …]\n"
        "-> 依次为 x、weight 和偏置的梯度",
    ),
    "2.3": ("layers：从图片一侧起，各层的（卷积核边长，步幅）-> 感受野的边长（像素）",),
    "2.4": ("与 F.conv2d 相同，但不逐个位置循环。这里有三处错误。",),
    "3.1": (
        "x [batch, channels, height, width]，以及池化结果的梯度 -> 池化结果，x 的梯度\n\n"
        "一个窗口里有几个数并列最大时，梯度归按行数起的第一个。",
    ),
    "3.2": (
        "最后的特征图 [batch, channels, height, width]，weight [classes, channels]，bias [classes] -> logits [batch, classes]\n\n"
        "全局平均池化加一个全连接层，特征图的高和宽可以是任意值。",
    ),
    "3.3": ("去掉最大池化之后，ResNet-18 处理一张 224 x 224 的图片要做的乘加次数",),
    "3.4": (
        "3x3 卷积到 8 个通道，ReLU，3x3 最大池化（步幅 2，填充 1），3x3 卷积到 16 个通道，ReLU，\n"
        "全局平均池化，全连接层给出 10 个 logits；两个卷积的填充都是 1。\n\n"
        "它应当接受任意尺寸的灰度图。现在它只接受 28 x 28 像素，此外还有两处错误。",
    ),
    "4.1": (
        "对 x [batch, channels, height, width] 的每个通道做归一化，包括训练模式和评估模式。",
        "两个参数（先缩放，后平移）和滑动平均",
    ),
    "4.2": ("weight [out_channels, in_channels, k, k]，其余都是 [out_channels] -> 一个卷积的卷积核和偏置",),
    "4.3": ("后面接负斜率为 a 的 leaky ReLU 的卷积，其权重 [out_channels, in_channels, kernel, kernel] 的标准差。",),
    "4.4": ("用这些批次重新测量每个 BatchNorm2d 的滑动平均；其余一切照旧（评估模式也是）。",),
    "5.1": (
        "训练、测试、日后图片上的错误率（%）；浅网络 | 深网络", "", "", "", "",
        '为 A、B、C、D 各选一个词："overfitting"（过拟合）、"degradation"（退化）、"underfitting"（欠拟合）、"leak"（泄漏）。',
    ),
    "5.2": (
        "设定一个普通块的权重，使它在评估模式下原样给出任何没有负数的 x。\n\n"
        "这个块计算两次 relu(norm(conv(·)))：block.first 和 block.second，各由 conv（3 × 3，无偏置）\n"
        "和 norm（weight、bias、running_mean、running_var）组成。",
    ),
    "5.3": ("最后一轮之后，plain56 的训练错误率比 plain20 高多少个百分点。",),
    "5.4": ('用同样的批次训练 build("plain") 和 build("A")：{kind: 最后十步的平均损失}。',),
    "6.1": ("两个 3 × 3 卷积，各接批归一化；一条捷径，形状改变处带投影（方案 B）。",),
    "6.2": (
        "y = relu(relu(x @ w1.T) @ w2.T + x)：给定 y 的梯度，求 x、w1 和 w2 的梯度。\n\nx、grad [batch, n]，w1 [m, n]，w2 [n, m]",
    ),
    "6.3": ("x [batch, channels, height, width] 按方案 A 作为捷径；新增的通道有一半（向下取整）放在前面。",),
    "6.4": ("若干阶段的块组成一个网络。除第一阶段外，每个阶段的第一个块步幅为 2。",),
    "7.1": (
        "一串块 x + w2 @ relu(w1 @ x) 在 x [n] 处的雅可比矩阵：最后的输出对 x 的导数 [n, n]，亲手推导。\n\n"
        "blocks：(w1 [m, n], w2 [n, m]) 的列表，第一个块在前",
    ),
    "7.2": ("穿过这么多个块的路径中，有多少条最多经过 `longest` 个残差分支。",),
    "7.3": (
        "去掉块 network.stages[stage][number] 的 F、只留捷径时，x 的 logits。\n\n"
        "块由 block.shortcut 和 block.residual 组成。之后网络必须恢复原样。",
    ),
    "7.4": ("最长路径上从头到尾每个卷积的梯度范数，与训练的一步相同。",),
    "8.1": ("面向 1,000 个类别的 ResNet-18：图片 [batch, 3, height, width] -> logits [batch, 1000]。",),
    "8.2": ("四个阶段各有这么多基本块、1,000 个类别的 ResNet 的参数量，只用算术。",),
    "8.3": ("为 32 像素的图片改动课文中 ResNet 的起始层（conv1、bn1、maxpool），并返回这个网络。",),
    "8.4": ("这个类是对的。", "这个类有四处错误。"),
    "9.1": ("ResNet-50 的块：输入 in_channels 个通道，输出 4 * width 个；跨步处把图缩小一半（v1.5）。",),
    "9.2": (
        "瓶颈块网络的参数量：depths = (3, 4, 6, 3) 就是 ResNet-50，共 25,557,032 个。\n\n"
        "根据您所知道的来算，不要搭建网络：起始层 7 x 7，RGB 输入，宽度 64、128、256、512，1,000 个类别。",
    ),
    "9.3": ("这是 2015 年的块。请改成 2016 年的；形状不变时 `project` 为 None。",),
    "9.4": ("带压缩与激励（squeeze-and-excitation）的块：F(x) 的每个通道乘以 0 与 1 之间的系数。这里有三处错误。",),
    "10.1": ("logits [batch, classes]，labels [batch] -> 平均损失，只含一个数的张量",),
    "10.2": ("SGD 的一步 -> 新的权重，新的速度",),
    "10.3": ("Adam 的第 t 步（第一步为 1）-> 新的权重、m、v",),
    "10.4": ("第 0 … steps - 1 步的学习率：在第 warmup - 1 步升到峰值，然后下降；到第 `steps` 步就会是零。",),
    "11.1": ("picture [height, width, 3] -> 同样大小的窗口，其左上角位于四周补零后图片的 (y, x)",),
    "11.2": (
        "手写数字，按数值分类", "猫和狗的照片", "显微镜下的血细胞", "交通标志，其中有左转和右转",
        "胸片；心脏在通常的一侧，或在另一侧",
    ),
    "11.3": (
        "images [batch, channels, height, width]，targets [batch, classes]，partner [batch]，box =（上，下，左，右）\n"
        "-> 方框内取自 partner 的图片，以及按面积混合的 targets；传入的数据保持不变",
    ),
    "11.4": ("pictures [batch, height, width, 3]，保持不变 -> 每张以 1/2 的概率左右镜像",),
    "12.1": ("old、new：张量的列表 -> 第 `step` 步（第一步为 0）之后滑动平均的列表",),
    "12.2": ("把整批平均交叉熵的梯度留在参数里，每次最多计算 `size` 张图片。",),
    "12.3": (
        "一次训练继续下去所需的一切，放在一个字典里；保存之后训练还可能继续。",
        "装入全新的网络、全新的优化器和全新的随机数生成器 -> 已完成的步数",
    ),
    "12.4": (
        "-> 验证集上最好的那一轮的权重，以及它答对了多少张测试图片\n\n"
        "train、validation、test：各为 (pictures, labels)；gamma：每轮之后学习率乘以的系数。",
    ),
    "13.1": ("比例的 95 % 置信区间 (low, high)，用 Wilson 得分法，z = 1.96。",),
    "13.2": (
        "真实准确率为 `better` 和 `worse` 的两个模型，各用自己的图片评判，每个需要多少张测试图片，\n"
        "才能在 80 % 的此类测试中以 5 % 的水平（双侧）发现差别。",
    ),
    "13.3": (
        'rows：字典的列表，含 path、split（"train"、"val"、"test"）、digest（像素的摘要）、patient（或 None）\n'
        "和 made_from（若此图由另一张改动而来，则为那张的 path，否则为 None）-> 泄漏的测试图片的 path，已排序。",
    ),
    "13.4": ("Numpy 数组 ->（测试图片上的准确率，图片数，拟合温度下的校准误差）。",),
    "14.1": ("对训练模式下的 reslab 网络，只让 `network.head` 学习：其下的一切保持不变。",),
    "14.2": ("features [n, d]，labels [n]（都是 numpy）-> weight [classes, d] 和 bias [classes]，适用于未经归一化的特征。",),
    "14.3": (
        "weight [旧类别数, d]，bias [旧类别数]，两个名字列表 -> 面向 `new` 的分类头的 weight 和 bias：\n"
        "两边都有的名字用训练好的行，其余为零。",
    ),
    "14.4": ("在冻结的层上用 SGD（0.05）训练新的分类头五步；返回可以直接用来回答的网络。",),
    "15.1": (
        "features [channels, height, width]，末端的 weight [classes, channels] 和 bias [classes]，类别编号\n"
        "-> 图 [height, width]，其平均值 + bias[label] = 该类别的 logit。",
    ),
    "15.2": (
        "对图片 [channels, n, n] 内每个 side × side 方块的位置：该类别的 logit，减去\n"
        "把方块的所有通道都换成图片均值之后的 logit -> [n - side + 1, n - side + 1]。",
    ),
    "15.3": ("images [n, 1, height, width] -> 在所有图片中置零后改变回答最多的那个像素的 (row, column)。",),
    "15.4": (
        "最后一张特征图的 Grad-CAM（Selvaraju 等，2017）：reslab 网络和图片 [channels, height, width]\n"
        "-> [图的高, 图的宽]。",
    ),
    "16.1": (
        "原模型与导出模型的 logits [n, classes] -> 若最可能的类别全部相同，且每个 logit 之差都不超过\n"
        "1e-4 乘以期望 logit 的最大绝对值（不足 1 时按 1 计），则为 True。",
    ),
    "16.2": (
        "weight [out_channels, in_channels, k, k] -> 同样形状的 int8 数，从 -127 到 127，以及 scale [out_channels]，\n"
        "使 numbers * scale 尽可能接近 weight。",
    ),
    "16.3": (
        "服务器的 HTTP 状态码和 JSON 文本 -> 每张图片标签的列表；某行有错误或未被采纳时为 None\n"
        '（null：模型没有阈值，其回答照用）；503 时为 "later"。',
    ),
    "16.4": (
        "run：导出的计算图，uint8 RGB [n, size, size, 3] -> logits（它自己做归一化）；pictures：uint8，RGB、灰度\n"
        "[size, size] 或 RGBA -> 每张的（标签，校准后的概率）。",
    ),
    "17.1": ("一个因为缺少捷径而失效的 transformer 块。请把捷径补上（pre-norm）。",),
    "17.2": ("同样的 3 x 3 卷积核，但不跨步：dense(...)[:, :, ::s, ::s] 应等于跨步时的结果，s 为各步幅之积。",),
    "17.3": ('"a"、"b"、"c" 或 "d"',),
    "17.4": (
        "特征金字塔。maps：最精细的在前；laterals：每张图一个 1 x 1 卷积。每张图给出一张，最精细的在前，\n"
        "并加上来自更深各层的信息。这里有三处错误。",
    ),
}  # fmt: skip
"""Number -> its docstrings and comments in their order; where a text is empty the English one stays."""


def notes_of(stub: str) -> list[tokenize.TokenInfo]:
    """The docstrings and comments of a stub."""
    tokens = tokenize.generate_tokens(io.StringIO(stub).readline)
    return [
        each
        for each in tokens
        if each.type == tokenize.COMMENT or (each.type == tokenize.STRING and each.string.startswith('"""'))
    ]


def stub_in(language: Language, number: str, stub: str) -> str:
    """The stub of an exercise with its notes in the reader's language."""
    if language == "en":
        return stub
    lines = stub.splitlines(keepends=True)
    for note, said in reversed(list(zip(notes_of(stub), CHINESE.get(number, ()), strict=False))):
        (first, start), (last, end) = note.start, note.end
        if said and note.type == tokenize.STRING:
            indent = "\n" + " " * start
            said = (
                '"""'
                + said.replace("\n", indent).replace(f"{indent}\n", "\n\n")
                + (indent if "\n\n" in said else "")
                + '"""'
            )
        elif said:
            said = f"# {said}"
        if said:
            lines[first - 1 : last] = [lines[first - 1][:start] + said + lines[last - 1][end:]]
    return "".join(lines)

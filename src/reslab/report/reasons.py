"""Why a plan chose what it chose, in Chinese."""

REASONS: tuple[tuple[str, str], ...] = (
    (r"(\w+), but a mirror would change these labels", "{0}，但镜像会改变这些标签的含义"),
    (r"([\d,]+) training pictures of (\d+) px", "{0} 张 {1} 像素的训练图片"),
    (r"a CIFAR network \(3x3 stem\) for (\d+) px", "{0} 像素的小图片，用 CIFAR 结构（3×3 起始卷积）"),
    (r"the usual start for photographs", "照片的常用起点"),
    (r"from scratch: small pictures", "从零开始：图片很小"),
    (r"from scratch: none fit (\w+)", "从零开始：没有适合 {0} 的预训练权重"),
    (
        r"from scratch: (\S+) \((\d+) MB\) is neither at (.+) nor to be fetched",
        "从零开始：{2} 处没有 {0}（{1} MB），也无法下载",
    ),
    (r"photographs, and (.+) is here \((.+)\)", "照片，且本机已有 {0}（{1}）"),
    (r"photographs, and (.+) can be fetched \((.+)\)", "照片，且可下载 {0}（{1}）"),
    (r"from scratch: every layer learns alike", "从零开始：各层一样学习"),
    (r"(\d+) pictures per class: too few to change what the layers see", "每类 {0} 张图片：太少，不宜改动各层"),
    (
        r"(\d+) pictures per class: the head first, then every layer, slower towards the input",
        "每类 {0} 张图片：先训练分类层，再训练所有层，越靠近输入越慢",
    ),
    (r"(\d+) pictures per class: enough for every layer", "每类 {0} 张图片：足够训练所有层"),
    (r"licence: (.+)", "许可证：{0}"),
    (r"as the weights were trained", "与权重训练时一致"),
    (r"the network of the weights", "权重所属的网络"),
    (r"the smallest network with ImageNet weights", "有 ImageNet 权重的最小网络"),
    (
        r"([\d.e-]+) x batch (\d+) / 128 x ([\d.]+): the weights are trained already",
        "{0} × 批大小 {1} / 128 × {2}：权重已经训练过",
    ),
    (r"range test: the averaged loss was least there", "学习率范围测试：平均损失在此处最低"),
    (
        r"range test: a tenth of ([\d.e+-]+), where the averaged loss was least: the rate is held",
        "学习率范围测试：平均损失在 {0} 处最低；学习率保持不变，故取其十分之一",
    ),
    (
        r"range test: a tenth of ([\d.e+-]+), where the averaged loss was least: the weights are trained already",
        "学习率范围测试：平均损失在 {0} 处最低；权重已经训练过，故取其十分之一",
    ),
    (r"in proportion to the other rate", "与另一学习率成比例"),
    (r"centred; no statistics needed for a fresh network", "以零为中心；从零训练的网络不需要统计量"),
    (r"the pictures' own size, (\d+) px", "图片自身的尺寸，{0} 像素"),
    (r"what (\w+) was designed for; the pictures are larger", "{0} 的设计尺寸；图片比它更大"),
    (r"photographs of about (\d+) px", "约 {0} 像素的照片"),
    (r"photographs of about (\d+) px, and less than 5 minutes", "约 {0} 像素的照片，且时间不足 5 分钟"),
    (r"about ([\d,]+) pictures shown, within (\d+) to (\d+) epochs", "总共看约 {0} 张次图片，限 {1} 至 {2} 轮"),
    (r"([\d.e-]+) x batch (\d+) / 128", "{0} × 批大小 {1} / 128"),
    (r"([\d.]+) minutes at ([\d.]+) s per epoch", "{0} 分钟，每轮 {1} 秒"),
    (r"mean (\[.*\]), std (\[.*\]) of (\d+) pictures", "{2} 张图片的均值 {0}，标准差 {1}"),
    (r"trial (\d+)", "第 {0} 次试验"),
    (r"(\d+) epochs shortened for a search of ([\d.]+) minutes", "为 {1} 分钟的搜索，由 {0} 轮缩短"),
    (r"given to resume", "由 resume 指定"),
    (r"([\d,]+) asked for, but there are no more training pictures", "要求 {0} 张，但训练图片没有那么多"),
    (
        r"a picture takes about ([\d.]+) MB in training, and ([\d.]+) GB may be used",
        "训练中每张图片约占 {0} MB，可用 {1} GB",
    ),
    (r"this processor multiplies matrices of it directly \(AMX\)", "本处理器可直接做这种矩阵乘法（AMX）"),
    (r"this GPU multiplies it directly", "本显卡可直接计算"),
    (r"this GPU has no bfloat16", "本显卡不支持 bfloat16"),
    (r"what convolutions like here", "这台机器上卷积更快的排布"),
    (
        r"(\d+) images/s channels-last, (\d+) images/s channels-first",
        "channels-last 每秒 {0} 张，channels-first 每秒 {1} 张",
    ),
    (r"nothing shorter is faster here", "在这台机器上更短的格式并不更快"),
)
"""How `train.plan` words its reasons -> the same in Chinese. Reasons are data of the run, not words of the page: one that
is missing here is shown as it was written."""

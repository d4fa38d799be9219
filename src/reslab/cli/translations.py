"""Chinese for the terminal, where RESLAB_LANG asks for it: help lines of the verbs, lines of scores, the commonest errors.

A line is recognised by its English text, with `{}` for what varies; what varies is translated in turn. Lines without a row
here stay English. So no verb knows of this table, and JSON and files are never touched.
"""

import re
from functools import cache

from reslab.system.language import reader_language

HELP = {
    "From a folder of pictures to a classifier that you can understand, train, trust and ship.":
        "从一个图片文件夹，到看得懂、训得动、信得过、用得上的分类器。",
    "Start with: reslab demo. Each verb explains itself: reslab train --help. Tracebacks: --debug.":
        "从 reslab demo 开始。每个命令都有自己的说明：reslab train --help。查看调用栈：--debug。",
    "Built-in digits: train, score, report, predict; under a minute.": "用内置的手写数字训练、评分、出报告、预测，不到一分钟。",
    "List the zoo: layers, parameters, multiply-accumulates, source.": "列出全部网络：层数、参数量、乘加次数、出处。",
    "Check the data, read-only; exit code 1 if something must be fixed.": "检查数据，只读；有问题必须处理时退出码为 1。",
    "Pack pictures into tar shards with an index, on this disk or at a URL.":
        "把图片打包成带索引的 tar 分片，写到本机磁盘或网址。",
    "What the network sees, as one picture.": "把网络看到的样子拼成一张图片。",
    "Check the data, train, calibrate, score and report.": "检查数据、训练、校准、评分、出报告。",
    "Continue a run where it stopped.": "从中断处继续一次训练。",
    "List the runs in a folder: score, interval, time.": "列出文件夹里的各次训练：得分、置信区间、用时。",
    "Score a model on labelled pictures, with intervals.": "用带标签的图片给模型评分，附置信区间。",
    "Is one model really better? Paired, on the same pictures.": "一个模型真的更好吗？在同样的图片上配对比较。",
    "Which labels are wrong? The most doubtful first, as a table and a page.": "哪些标签有误？最可疑的在前，输出表格和网页。",
    "Classify files, folders and patterns; one row per picture.": "对文件、文件夹和通配符分类；每张图片一行。",
    "Turn an ONNX classifier from elsewhere into a ResLab model file.": "把其他工具的 ONNX 分类器转成 ResLab 模型文件。",
    "Write the features of pictures to a file: .npz or .parquet.": "把图片的特征写入文件：.npz 或 .parquet。",
    "Find the pictures of a data set that are nearest to others.": "在数据集中找出与给定图片最相似的图片。",
    "Show where in the picture the answer comes from.": "显示回答依据的是图片的哪些部分。",
    "Write a model for other programs, verified to answer as before.": "导出模型供其他程序使用，并验证回答不变。",
    "Serve a model over HTTP, with a web page; no torch needed.": "通过 HTTP 提供模型服务，附网页；不需要 torch。",
    "Search the settings that matter most, within a time limit.": "在限定时间内，为最要紧的几项设置寻找更好的取值。",
    "Measure the loss over the learning rate, and suggest one.": "测量损失随学习率的变化，并给出建议值。",
    "Measure images per second, latency and memory on this machine.": "测量这台机器上的每秒图片数、延迟和内存。",
    "Why residual networks: plain against residual, by depth.": "为什么用残差网络：按深度比较普通网络与残差网络。",
    "The course: lessons, and exercises that judge your own code.": "课程：课文，以及由程序评判的练习。",
    "One self-contained HTML page about a run.": "关于一次训练的独立网页报告。",
}  # fmt: skip
"""The lines of `reslab --help`."""

LEARN = {
    "Usage: {}": "用法：{}",
    "Commands": "命令",
    "Parameters": "参数",
    "[required]": "[必填]",
    "[choices: {}]": "[可选：{}]",
    "[default: {}]": "[默认：{}]",
    "Display this message and exit.": "显示本说明并退出。",
    "Display application version.": "显示版本。",
    "List the lessons with your progress or, with a number, show that lesson in the browser.":
        "列出各课和您的进度；给出编号则在浏览器中打开那一课。",
    "Write a file to begin an exercise with: what it asks, and a stub.": "写出做一道练习的起始文件：题目和待补全的代码。",
    "Judge your code; exit code 1 if anything is wrong.": "评判您的代码；有错误时退出码为 1。",
    "Show the next of three hints at each call, from a nudge to nearly the solution.":
        "每道练习有三条提示，由浅入深，最后一条接近答案；每运行一次显示下一条。",
    "Write a lesson as a Jupyter notebook, with its outputs and figures, and a cell for each exercise.":
        "把一课写成 Jupyter 笔记本，含输出和图，每道练习一个单元格。",
    "The number of a lesson, or the name of a page; it is shown as one file in the cache folder.":
        "课的编号，或页面的名字；页面是缓存文件夹里的一个文件。",
    "The number of a lesson, or the name of a page.": "课的编号，或页面的名字。",
    "Open the browser; where that cannot be, and with --no-open, the path is printed only.":
        "打开浏览器；无法打开或使用 --no-open 时，只输出路径。",
    "The language; by default that of RESLAB_LANG, or English.": "语言；默认取 RESLAB_LANG，未设置时为英文。",
    "Print JSON.": "输出 JSON。",
    "The number, as in 6.2.": "练习的编号，例如 6.2。",
    "The number, as in 6.2; with that of a lesson, each of its exercises that the file answers.":
        "练习的编号，例如 6.2；若给出课的编号，则评判文件中作答的每道练习。",
    "The file; by default exercise_6_2.py in this folder.": "文件；默认为当前文件夹中的 exercise_6_2.py。",
    "The file; by default the page's name and the language, as in 6-residual-block.en.ipynb, in this folder.":
        "文件；默认在当前文件夹，以页面名和语言命名，例如 6-residual-block.zh.ipynb。",
    "Replace a file that is there.": "覆盖已有的文件。",
    "Your Python file. It runs in a process of its own, for at most a minute.":
        "您的 Python 文件；它在单独的进程中运行，最多一分钟。",
}  # fmt: skip
"""The help of `learn`, and the words around every help."""

SCORES = {
    "checked {} pictures of {} classes: {}": "已检查 {} 张图片，共 {} 个类别：{}",
    "no problems found": "没有发现问题",
    "{} pictures; {} {}": "{} 张图片；{} {}",
    "always answering one class scores": "总是回答同一类别的得分为",
    "{} pictures train, {} validate; about {} on this machine": "{} 张用于训练，{} 张用于验证；在这台机器上约需 {}",
    "run folder: {}": "运行文件夹：{}",
    "hint: --minutes {}, a tenth of the time, is enough for {} epochs of {} at {} px":
        "提示：--minutes {0}（十分之一的时间）够把 {3} px 的 {2} 训练 {1} 轮",
    "epoch {}/{}: train loss {}, validation {} (best), {} images/s, {}":
        "第 {}/{} 轮：训练损失 {}，验证 {}（最佳），每秒 {} 张，{}",
    "epoch {}/{}: train loss {}, validation {}, {} images/s, {}": "第 {}/{} 轮：训练损失 {}，验证 {}，每秒 {} 张，{}",
    "test score   {}; never seen in training": "测试得分     {}；训练中从未见过",
    "validation   {}; these pictures also chose the best epoch": "验证得分     {}；这些图片也用于选择最佳轮",
    "validation   {}; the pictures of this fold, which chose nothing": "验证得分     {}；这一折的图片，没有用于任何选择",
    "out-of-fold  {}; each answered by a network that had not seen it": "折外得分     {}；每张都由没见过它的网络回答",
    "{} split of {}: {}": "{}的 {} 部分：{}",
    "{} (95 % interval {} to {}, n = {})": "{}（95 % 置信区间 {} 至 {}，n = {}）",
    "             balanced {}; always answering one class would score {}":
        "             平衡准确率 {}；总是回答同一类别为 {}",
    "             always answering one class would score {}": "             总是回答同一类别为 {}",
    "calibration  {}; {}": "校准         {}；{}",
    "temperature {}": "温度 {}",
    "no temperature was fitted": "没有拟合温度",
    "temperature not applied: it did not improve held-out ECE and NLL": "未采用温度：它没有改善留出数据上的 ECE 和 NLL",
    "accepted     {} of the answers, {} of them right; {} may be wrong, {} not from here":
        "采纳         {} 的回答，其中 {} 正确；{} 个可能有误，{} 张为陌生图片",
    "accepted {} of the answers, {} of them right; {} may be wrong, {} not from here":
        "采纳 {} 的回答，其中 {} 正确；{} 个可能有误，{} 张为陌生图片",
    "sets         coverage and mean size at {}; these pictures fitted them":
        "预测集       覆盖率与平均大小：{}；它们就是用这些图片拟合的",
    "sets     coverage and mean size at {}": "预测集   覆盖率与平均大小：{}",
    "model        {}": "模型         {}",
    "report       {}": "报告         {}",
    "prediction   {}: {}, {}": "预测         {}：{}，{}",
    "next: {}": "下一步：{}",
    "Try next:": "接下来可以试试：",
    "a - b  {} points, 95 % interval {}; p = {}": "a - b  {} 个百分点，95 % 置信区间 {}；p = {}",
    "only a is right on {} pictures, only b on {}: {}": "只有 a 答对 {} 张，只有 b 答对 {} 张：{}",
    "{} x {} answered as {}, e.g. {}": "{} 张 {} 被答成 {}，例如 {}",
    "{} unreadable picture(s) left out": "{} 张无法读取的图片未计入",
    "the model was trained on {} of these pictures; without them {}": "模型训练时见过其中 {} 张；去掉它们为 {}",
    "wrote {}": "已写入 {}",
}  # fmt: skip
"""Lines about data, trainings and scores."""

ERRORS = {
    "error: {}": "错误：{}",
    "hint: {}": "提示：{}",
    "there is no {}": "没有 {}",
    "DATA is a folder, a .csv/.tsv table, a folder or URL of shards, a .zip, .parquet, or a name; known: {}":
        "DATA 是文件夹、.csv/.tsv 表格、分片文件夹或网址、.zip、.parquet 或名字；已知的名字：{}",
    "{} holds no pictures": "{} 里没有图片",
    "put pictures into one folder per class, e.g. data/cats/1.jpg": "每个类别一个文件夹，例如 data/cats/1.jpg",
    "nothing is left to validate on: class {} has {} picture(s)": "没有图片可用于验证：类别 {} 只有 {} 张",
    "add pictures, or train on all of them with --val none": "请增加图片，或用 --val none 全部用于训练",
    "there is no network named {}": "没有名为 {} 的网络",
    "there is no recipe {}": "没有名为 {} 的配方",
    "did you mean {}?": "您是不是想写 {}？",
    "known: {}": "可用的有：{}",
    "unknown option: {}": "未知选项：{}",
    "here it is {}": "这里写作 {}",
    "unknown command {}": "未知命令 {}",
    "see reslab --help": "见 reslab --help",
    "see --help of this verb": "见该命令的 --help",
    "{} does not know {}": "{} 不认识 {}",
    "invalid value for {}: unable to convert {} into {}": "{} 的值无效：无法把 {} 转换成 {}",
    "{} needs DATA": "{} 需要 DATA",
    "{} needs MODEL": "{} 需要 MODEL",
    "{} needs RUN": "{} 需要 RUN",
    "there is no model {}": "没有模型 {}",
    "MODEL is a .safetensors or .onnx file, a run folder, latest, or cifar10_resnet20":
        "MODEL 是 .safetensors 或 .onnx 文件、运行文件夹、latest 或 cifar10_resnet20",
    "there is no trained model under {}": "{} 里没有训练好的模型",
    "train one: reslab train DATA, or reslab demo": "先训练一个：reslab train DATA，或 reslab demo",
    "no runs in {} yet; train one: reslab train DATA": "{} 里还没有训练；先训练一个：reslab train DATA",
    "{} is not a ResLab model, or its header is damaged": "{} 不是 ResLab 模型，或其文件头已损坏",
    "{} is damaged or not an ONNX model": "{} 已损坏，或不是 ONNX 模型",
    "{} is damaged: its checksum does not match": "{} 已损坏：校验和不符",
    "copy it again from where it came from": "请从原处重新复制",
    "{} is a pickle that would run code, and is not opened": "{} 是会执行代码的 pickle 文件，不予打开",
    "{} answered, {} of them could not be read": "已回答 {} 张，其中 {} 张无法读取",
    "{} of {} parts are in {} already": "{2} 里已有 {1} 份中的 {0} 份",
    "{} of {} parts could not be read": "{1} 份中有 {0} 份无法读取",
    "each line above says why": "原因见上面各行",
    "{} was begun with {}: {}, here it is {}": "{} 开始写入时用的是{}：{}，现在是 {}",
    "another model": "另一个模型",
    "another version of ResLab": "另一版本的 ResLab",
    "another DATA": "另一份数据",
    "other pictures": "另一些图片",
    "other prediction sets": "另一种预测集",
    "give the same model, data and options, or another folder": "请给出相同的模型、数据和选项，或另选文件夹",
    "{} is not empty: it holds {}": "{} 不是空文件夹：里面有 {}",
    "the Ray cluster has {}, this is {}": "Ray 集群上是 {}，本机是 {}",
    "none of the inputs could be read": "没有一个输入能够读取",
    "each row above says why": "原因见上面各行",
    "cannot read {}: {}": "无法读取 {}：{}",
    "repair or remove the file, or leave it out with --skip-bad": "请修复或删除该文件，或用 --skip-bad 跳过它",
    "{} is not between {} and {}": "{} 不在 {} 与 {} 之间",
    "give a number above {}, below {}": "请给出大于 {}、小于 {} 的数",
    "give a number from {}, up to {}": "请给出 {} 到 {} 之间的数",
    "give a whole number from {}, up to {}": "请给出 {} 到 {} 之间的整数",
    "predict needs at least one picture, folder or pattern": "predict 至少需要一张图片、一个文件夹或一个通配符",
    "{} has no column {}": "{} 没有 {} 列",
    "if {} names the pictures, call it path; it names {}": "如果 {} 列是图片路径，请把列名改为 path；现有的列：{}",
    "{} holds no run": "{} 不是运行文件夹",
    "give a run folder, such as those that reslab runs lists": "请给出运行文件夹，reslab runs 会列出它们",
    "{} holds no model.safetensors": "{} 里没有 model.safetensors",
    "give a run folder whose training got past one epoch": "请给出至少训练完一轮的运行文件夹",
    "{} does not say a format": "{} 没有说明格式",
    "end it in .onnx, .xml (OpenVINO) or .pt2, or say --format": "请以 .onnx、.xml（OpenVINO）或 .pt2 结尾，或写明 --format",
    "the smallest input is {} pixels, the largest {}": "输入最小为 {} 像素，最大为 {}",
    "{} is negative": "{} 是负数",
    "{} is too small": "{} 太小",
    "{} is empty": "{} 为空",
    "is a shell variable unset?": "是不是有个 shell 变量没有设置？",
    "{} could not be downloaded: {}": "{} 无法下载：{}",
    "{} needs {} pictures of every class, and {} has {}": "{} 要求每类至少有 {} 张图片，而 {} 只有 {} 张",
    "reslab predict MODEL photos/": "例如：reslab predict MODEL photos/",
    "reslab {} --help": "见 reslab {} --help",
    "add some, or leave the class out": "请增加图片，或去掉该类别",
    "use {}, or add some": "请用 {}，或增加图片",
    "there is no picture in the {} split": "{} 划分里没有图片",
    "this needs the package {}": "需要安装 {} 包",
    "the disk is full": "磁盘已满",
    "interrupted": "已中断",
    "there is no lesson {}": "没有第 {} 课",
    "lessons are 1 to {}": "课程共有第 1 至 {} 课",
    "lessons are 1 to {}; reslab learn lists them": "课程共有第 1 至 {} 课；reslab learn 会列出它们",
    "reslab learn lists the lessons": "reslab learn 会列出各课",
    "there is no exercise {}": "没有练习 {}",
    "{} is no exercise": "{} 不是练习的编号",
    "write lesson.exercise, as in 6.2": "请写“课.练习”，例如 6.2",
    "lesson {} has {}": "第 {} 课有 {}",
    "{} is an exercise": "{} 是一道练习",
    "reslab learn start {} begins it": "用 reslab learn start {} 开始做",
    "{} does not exist": "{} 不存在",
    "{} is a folder": "{} 是文件夹",
    "reslab learn start NUMBER writes a file to begin with": "reslab learn start 编号 会写出一个可以开始的文件",
    "{} is a notebook": "{} 是笔记本",
    "in the notebook: {}": "请在笔记本里运行：{}",
    "an answer is a short file of Python": "答案应是一个简短的 Python 文件",
    "{} needs FILE": "{} 需要 FILE",
    "{} needs EXERCISE": "{} 需要 EXERCISE",
    "{} needs LESSON": "{} 需要 LESSON",
    "{} needs LANG": "{} 需要 LANG",
    "{} needs OUT": "{} 需要 OUT",
    "invalid value {} for {}. Choose from: {}": "{1} 的值 {0} 无效；可选：{2}",
    "unused Tokens: {}": "多余的参数：{}",
    "cannot write {}: {}": "无法写入 {}：{}",
    "free space or choose --out": "请腾出空间，或用 --out 另选位置",
    "{} has {} bytes": "{} 有 {} 字节",
    "the lessons are not installed": "课文没有安装",
    "{} is damaged: it is not JSON": "{} 已损坏：不是 JSON",
    "{} is there already": "{} 已经存在",
    "choose another file with --out, or replace it with --overwrite": "请用 --out 另选文件，或用 --overwrite 覆盖它",
    "delete this file to begin with no exercise passed": "删除此文件即可从头开始",
}  # fmt: skip
"""Errors and hints."""

TEMPLATES = HELP | LEARN | SCORES | ERRORS


def localise(line: str) -> str:
    """A line of the terminal as the reader wants it."""
    return translate(line) if reader_language() == "zh" else line


def translate(line: str) -> str:
    """The Chinese of a line of the terminal; the line itself where the table has no row for it."""
    if line in TEMPLATES:
        return TEMPLATES[line]
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(line):
            return chinese.format(*(translate(part) for part in found.groups()))
    return line


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Rows with blanks, the longest text first, so that the most particular one is taken."""
    rows = sorted(((en, zh) for en, zh in TEMPLATES.items() if "{}" in en), key=lambda row: -len(row[0]))
    return [(re.compile("(.+?)".join(map(re.escape, en.split("{}"))), re.DOTALL), zh) for en, zh in rows]

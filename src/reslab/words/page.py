"""Every word of the page, in English and in Chinese: one catalogue, one key per phrase. Data only; `speak` uses it.

Those around the figures stand in `captions`.

Chinese keeps a space between Chinese characters and Latin letters or digits, and uses full-width punctuation.
"""

from reslab.words.captions import CAPTIONS
from reslab.words.labels import LABEL_WORDS

WORDS: dict[str, tuple[str, str]] = LABEL_WORDS | {
    # the frame
    "page.title": ("{model} on {data}", "{model} 在 {data} 上的训练"),
    "page.laboratory": ("ResLab, the residual laboratory", "ResLab 残差实验室"),
    "page.contents": ("On this page", "本页内容"),
    "nav.curves": ("Learning", "学习过程"),
    "nav.confusion": ("Confusion", "混淆"),
    "nav.classes": ("Classes", "类别"),
    "nav.calibration": ("Calibration", "校准"),
    "nav.mistakes": ("Mistakes", "错误"),
    "nav.input": ("Pictures", "图片"),
    "nav.settings": ("Settings", "配置"),
    "nav.remake": ("Make it again", "复现"),
    "page.run": ("Run folder", "运行目录"),
    "page.foot": (
        "Written by ResLab {version}. This page is one file: it loads nothing and sends nothing.",
        "由 ResLab {version} 生成。整个页面就是一个文件：不加载任何外部内容，也不发送任何数据。",
    ),
    "page.numbers": ("All numbers", "全部数值"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "split.test": ("test split", "测试集"),
    "split.val": ("validation split", "验证集"),
    "split.out-of-fold": ("out-of-fold answers", "折外预测"),
    "time.seconds": ("{n} s", "{n} 秒"),
    "time.minutes": ("{n} min", "{n} 分钟"),
    "time.hours": ("{n} h", "{n} 小时"),
    # what kind of run it is
    "state.finished": ("Finished", "已完成"),
    "state.early": (
        "Stopped early: no better validation score since epoch {best}",
        "提前停止：第 {best} 轮之后验证集得分不再提高",
    ),
    "state.unfinished": ("Not finished: {done} of {planned} epochs", "尚未完成：{planned} 轮中的 {done} 轮"),
    "state.continue": ("Continue exactly where it stopped:", "从停下的地方继续："),
    "fact.train": ("training pictures", "训练图片"),
    "fact.val": ("validation pictures", "验证图片"),
    "fact.test": ("test pictures", "测试图片"),
    "fact.folds": ("folds", "折"),
    "fact.classes": ("classes", "类别"),
    "fact.size": ("input side", "输入边长"),
    "fact.epochs": ("epochs", "轮"),
    "fact.time": ("training time", "训练用时"),
    # the score
    "score.heading": ("The score", "成绩"),
    "score.test": ("Accuracy on the test split", "测试集准确率"),
    "score.val": ("Accuracy on the validation split", "验证集准确率"),
    "score.out-of-fold": ("Accuracy out of fold", "折外准确率"),
    "score.hits": ("{hits} of {n} pictures named correctly", "{n} 张图片中答对 {hits} 张"),
    "score.interval": ("95 % interval: {low} to {high}", "95 % 置信区间：{low} 至 {high}"),
    "score.unseen": (
        "No test picture trained the network or chose its best epoch: expect about this on new pictures of the same kind.",
        "测试图片既没有参与训练，也没有用来挑选最佳轮次：对同类的新图片，大致可以期待这样的成绩。",
    ),
    "score.chose": (
        "These pictures did not train the network, but they chose its best epoch: the score flatters a little.",
        "这些图片没有参与训练，但最佳轮次是用它们挑选的：这个成绩略偏乐观。",
    ),
    "score.fold": (
        "These pictures are one fold of a cross-validation: they neither trained this network nor chose anything about it.",
        "这些图片是交叉验证中的一折：它们既没有参与训练，也没有用来做任何选择。",
    ),
    "score.folded": (
        "Cross-validation: each picture was answered by a network that had not trained on it, and no fold chose anything "
        "by the pictures that judged it. The network of this folder trained on all of them, somewhat more than any fold "
        "did: expect about this, or a little better, on new pictures of the same kind.",
        "交叉验证：每张图片都由没有用它训练过的网络来回答，各折也没有按评判它的图片做任何选择。"
        "本目录中的网络用全部图片训练，比任何一折都略多：对同类的新图片，大致可以期待这样的准确率，或略高一点。",
    ),
    "score.spread": (
        "Fold by fold: {each}; mean {mean}, standard deviation {std}; 95 % interval of the mean {low} to {high}. It takes "
        "the folds as independent, though they share training pictures, so it is a rough one.",
        "各折依次为 {each}；平均 {mean}，标准差 {std}；平均值的 95 % 置信区间为 {low} 至 {high}。"
        "该区间把各折视为相互独立，而它们共用训练图片，因此只是粗略的估计。",
    ),
    "score.twins": (
        "An exact copy of {seen} of these {n} pictures lies in another fold, which flatters the score.",
        "这 {n} 张图片中有 {seen} 张在另一折里有完全相同的副本，成绩因此偏高。",
    ),
    "score.ask": ("Score it on pictures that it has never seen:", "用它从未见过的图片来评分："),
    "score.beside": (
        "Validation split, for comparison: {value} (95 % interval {low} to {high}, n\u00a0=\u00a0{n}). "
        "A validation score also chose the model, so it flatters a little.",
        "验证集供对照：{value}（95 % 置信区间 {low} 至 {high}，n\u00a0=\u00a0{n}）。"
        "模型也是按验证集成绩挑选的，因此它略偏乐观。",
    ),
    "score.beside_folds": (
        "Out of fold, for comparison: {value} (95 % interval {low} to {high}, n\u00a0=\u00a0{n}): every picture that is "
        "not for testing, each answered by a network that had not trained on it.",
        "折外成绩供对照：{value}（95 % 置信区间 {low} 至 {high}，n\u00a0=\u00a0{n}）："
        "测试集以外的每张图片，都由没有用它训练过的网络来回答。",
    ),
    "score.seen": (
        "The network was trained on {seen} of these {n} pictures, which flatters the score.",
        "这 {n} 张图片中有 {seen} 张参与过训练，成绩因此偏高。",
    ),
    "score.without": ("Without them it is {value}.", "去掉它们后为 {value}。"),
    "score.unreadable": (
        "Pictures that could not be read and are not counted: {n}.",
        "无法读取、未计入成绩的图片：{n} 张。",
    ),
    "score.above": (
        "Clearly better than always answering the most frequent class, which scores {baseline}.",
        "明显好于永远回答最常见的类别（后者的准确率为 {baseline}）。",
    ),
    "score.level": (
        "The interval reaches down to {baseline}, what always answering the most frequent class scores: "
        "so far nothing shows that the network has learnt more than that.",
        "置信区间的下端没有超过 {baseline}，也就是永远回答最常见类别的准确率：目前还看不出网络学到了更多东西。",
    ),
    "score.none": ("No score", "没有成绩"),
    "score.none_val": (
        "This run kept no pictures for validation, so nothing has judged it yet.",
        "这次训练没有留出验证集，因此还没有任何评分。",
    ),
    "score.none_yet": ("This run has not been judged yet.", "这次训练还没有评分。"),
    "score.stale": (
        "The score on the {split} ({value}) belongs to an earlier state of the model, so it is not shown as this model's.",
        "{split}上的成绩（{value}）属于模型更早的状态，因此不作为当前模型的成绩。",
    ),
    "score.bar": (
        "Scale from 0 to 100 %: score {value}, interval {low} to {high}, baseline {baseline}",
        "0 到 100 % 的刻度：成绩 {value}，置信区间 {low} 至 {high}，基线 {baseline}",
    ),
    "score.baseline_mark": ("baseline {value}", "基线 {value}"),
    "score.balanced": ("Balanced accuracy", "平衡准确率"),
    "score.balanced_why": ("every class counts the same", "每个类别权重相同"),
    "score.baseline": ("Majority baseline", "多数类基线"),
    "score.baseline_why": ("always answering the most frequent class", "永远回答最常见的类别"),
    "score.top5": ("Top-5 accuracy", "Top-5 准确率"),
    "score.top5_why": ("the right class is among the first five", "正确类别在前五个答案之中"),
    "score.ece": ("Calibration error", "校准误差"),
    "score.ece_why": ("how far stated confidence is from the truth", "所报置信度与实际准确率的平均差距"),
    # mistakes
    "mistakes.heading": ("Worst mistakes", "最严重的错误"),
    "mistakes.read": (
        "Wrong, and sure of it: {shown} of {total} mistakes on the {split}, surest first. "
        "Some may be mislabelled pictures rather than mistakes.",
        "答错却很有把握：{split}上 {total} 个错误中的 {shown} 个，把握最大的在前。其中有些可能是标签标错了。",
    ),
    "mistakes.none": ("Not one mistake on the {split}.", "{split}上一个错误也没有。"),
    "mistakes.unknown": (
        "The answers for single pictures ({file}) are not in the run folder.",
        "运行目录里没有逐张图片的回答（{file}）。",
    ),
    "mistakes.gone": (
        "The pictures cannot be shown, only their names: {why}.",
        "无法显示图片，只列出名称：{why}。",
    ),
    "mistakes.no_data": ("the data are no longer at {data}", "数据已不在 {data}"),
    "mistakes.unread": ("cannot be read", "无法读取"),
    "mistakes.true": ("is", "实为"),
    "mistakes.answer": ("answered", "答成"),
    "mistakes.alt": ("{key}: is {label}, answered {answer}", "{key}：实为 {label}，答成 {answer}"),
    # what the network sees
    "input.heading": ("What the network sees", "网络看到的图片"),
    "input.read": (
        "Left column: training pictures as they are prepared for every score. The others: the same pictures as the first "
        "epochs show them, augmented. If you cannot tell what they are, neither can the network.",
        "最左一列：训练图片按评分时的方式处理后的样子。其余各列：同一图片在最初几轮中经过数据增强的样子。"
        "如果你认不出来，网络也认不出来。",
    ),
    "input.alt": (
        "Contact sheet of training pictures: prepared on the left, augmented to the right",
        "训练图片样张：左侧为处理后，右侧为增强后",
    ),
    "input.none": ("The contact sheet (sheet.png) is not in the run folder.", "运行目录里没有样张（sheet.png）。"),
    # settings
    "settings.heading": ("What was decided, and why", "配置：每个选择及其理由"),
    "settings.network": (
        "{name} is a residual network: {blocks} blocks of kind {block}, each output = shortcut(x) + residual(x). The "
        "shortcut connection hands the input on, in most blocks unchanged (an identity mapping), so a block need only "
        "learn what to change, and such networks can be made much deeper before more layers make them worse (degradation).",
        "{name} 是一个残差网络：{blocks} 个 {block} 残差块，每块的输出 = 捷径连接(x) + 残差(x)。"
        "捷径连接把输入传下去，在大多数块里原样不变（恒等映射），每块只需学习要改变的部分，"
        "因此网络可以深得多，才会因层数增加而变差（退化）。",
    ),
    "settings.plain": (
        "{name} is a plain network: {blocks} blocks of kind {block} without shortcut connections, made for comparison with "
        "residual ones. More layers make such a network harder to train (degradation).",
        "{name} 是一个普通网络：{blocks} 个 {block} 块，没有捷径连接，用来与残差网络作比较。"
        "这样的网络层数越多越难训练（退化）。",
    ),
    "settings.scratch": ("It was trained from scratch.", "它是从零开始训练的。"),
    "settings.tuned": ("It was fine-tuned from the weights {weights}.", "它在权重 {weights} 的基础上微调而来。"),
    "settings.decided": ("Chosen, measured, or with a reason", "指定的、测得的、或有理由的选择"),
    "settings.rest": ("The other {n} settings, as they come", "其余 {n} 项设置，保持默认"),
    "settings.name": ("setting", "设置"),
    "settings.value": ("value", "值"),
    "settings.origin": ("from", "来源"),
    "settings.reason": ("why", "理由"),
    "settings.recipe": ("the recipe {name}", "配方 {name}"),
    "origin.default": ("default", "默认"),
    "origin.recipe": ("recipe", "配方"),
    "origin.user": ("your choice", "由你指定"),
    "origin.measured": ("measured", "测得"),
    "origin.search": ("searched", "搜索得到"),
    "setting.data": ("data", "数据"),
    "setting.data_dir": ("folder of a named set", "命名数据集所在目录"),
    "setting.val": ("share for validation", "验证集比例"),
    "setting.split_seed": ("seed of the split", "划分种子"),
    "setting.group_by": ("groups kept together", "保持在一起的分组"),
    "setting.folds": ("folds of cross-validation; 0: none", "交叉验证的折数；0 为不做"),
    "setting.fold": ("which fold it is; 0: the whole", "第几折；0 为整体"),
    "setting.skip_bad": ("leave unreadable pictures out", "跳过无法读取的图片"),
    "setting.recipe": ("recipe", "配方"),
    "setting.model": ("network", "网络"),
    "setting.finetune": ("layers that learn", "参与训练的层"),
    "setting.start_decay": ("pull towards the starting weights", "向初始权重的回拉强度"),
    "setting.teacher": ("teacher", "教师网络"),
    "setting.teacher_share": ("the teacher's share of the loss", "教师在损失中的比重"),
    "setting.teacher_temperature": ("softening of the answers to the teacher", "蒸馏温度"),
    "setting.balance": ("classes of unequal size", "类别不平衡的处理"),
    "setting.drop_path": ("stochastic depth", "随机深度"),
    "setting.weights": ("starting weights", "初始权重"),
    "setting.zero_init": ("every block starts as the identity", "每个残差块从恒等映射开始"),
    "setting.size": ("input side, px", "输入边长（像素）"),
    "setting.resize": ("fitting to the input", "缩放方式"),
    "setting.normalize": ("normalisation", "归一化"),
    "setting.augment": ("augmentation", "数据增强"),
    "setting.epochs": ("epochs", "轮数"),
    "setting.batch_size": ("batch size", "批大小"),
    "setting.accumulate": ("parts of a batch, one after the other", "批次分几部分依次计算"),
    "setting.precision": ("precision of the products", "乘法精度"),
    "setting.layout": ("layout of maps in memory", "特征图的内存排布"),
    "setting.course": ("course of an earlier run", "沿用先前一次训练的步数与学习率进度"),
    "setting.minutes": ("minutes allowed; 0: not limited", "限定分钟数；0 为不限"),
    "setting.grow": ("share trained on smaller pictures", "用较小图片训练的比例"),
    "setting.label_smoothing": ("label smoothing", "标签平滑"),
    "setting.optim.name": ("optimiser", "优化器"),
    "setting.optim.lr": ("peak learning rate", "最高学习率"),
    "setting.optim.momentum": ("momentum (sgd, muon)", "动量（sgd、muon）"),
    "setting.optim.rest_lr": ("peak rate of the rest (muon)", "其余参数的最高学习率（muon）"),
    "setting.optim.betas": ("decay of the moments (adam)", "矩的衰减率（adam）"),
    "setting.optim.weight_decay": ("weight decay", "权重衰减"),
    "setting.optim.clip_norm": ("greatest gradient norm; 0: no limit", "梯度范数上限；0 为不限"),
    "setting.lr_per_128": ("rate scales with the batch", "学习率随批大小缩放"),
    "setting.find_lr": ("rate to be measured first", "先测定学习率"),
    "setting.schedule.kind": ("course of the rate", "学习率曲线"),
    "setting.schedule.warmup": ("share of warm-up", "预热比例"),
    "setting.schedule.milestones": ("where the rate falls (step)", "学习率下降的位置（step）"),
    "setting.schedule.gamma": ("what it falls to (step)", "下降倍率（step）"),
    "setting.schedule.floor": ("final share of the rate", "学习率终值比例"),
    "setting.ema": ("moving average of the weights", "权重的滑动平均"),
    "setting.seed": ("seed of the training", "训练种子"),
    "setting.patience": ("epochs of patience; 0: never stops early", "容忍轮数；0 为从不提前停止"),
    "setting.log_every": ("steps between loss lines", "记录损失的步数间隔"),
    "setting.save_seconds": ("seconds between saved states", "保存状态的间隔秒数"),
    "setting.workers": ("threads that prepare batches", "准备批次的线程数"),
    # remaking it
    "remake.heading": ("How to make it again", "如何复现"),
    "remake.command": ("From the beginning, with everything you chose:", "从头开始，包含你指定的全部选择："),
    "remake.like": ("With every choice taken from this run folder:", "从这个运行目录取得全部选择："),
    "remake.silent": (
        "These choices have no flag, so only the run folder can hand them on: {names}.",
        "这些选择没有对应的命令行参数，只能由运行目录带过去：{names}。",
    ),
    "remake.minutes": (
        "The run was fitted into {minutes} minutes (planned: {epochs} epochs); the command takes the same steps, without "
        "a clock.",
        "这次训练被限定在 {minutes} 分钟内（计划 {epochs} 轮）；命令逐步重走同样的过程，不再计时。",
    ),
    "remake.resumed": (
        "The length of this run was changed on the way (resume), so a run of {epochs} epochs in one go follows another "
        "learning rate: expect a similar network, not the same one.",
        "这次训练中途改过长度（resume），一次训练 {epochs} 轮的学习率走势会不同：得到的是相近而非相同的网络。",
    ),
    "remake.promise": (
        "The same pictures, machine, versions and seed give the same file, bit for bit.",
        "图片、机器、版本和种子都相同，得到的模型文件逐位相同。",
    ),
    "remake.seed": ("seed of the training", "训练种子"),
    "remake.split_seed": ("seed of the split", "划分种子"),
    "remake.machine": ("machine", "机器"),
    "remake.versions": ("versions", "版本"),
    "remake.model": ("model file (sha256)", "模型文件（sha256）"),
} | CAPTIONS  # fmt: skip

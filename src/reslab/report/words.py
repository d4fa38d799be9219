"""Every word of the page, in English and in Chinese: one catalogue, one key per phrase. Data only; `speak` uses it.

Chinese keeps a space between Chinese characters and Latin letters or digits, and uses full-width punctuation.
"""

WORDS: dict[str, tuple[str, str]] = {
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
    "fact.classes": ("classes", "类别"),
    "fact.size": ("input side", "输入边长"),
    "fact.epochs": ("epochs", "轮"),
    "fact.time": ("training time", "训练用时"),
    # the score
    "score.heading": ("The score", "成绩"),
    "score.test": ("Accuracy on the test split", "测试集准确率"),
    "score.val": ("Accuracy on the validation split", "验证集准确率"),
    "score.hits": ("{hits} of {n} pictures named correctly", "{n} 张图片中答对 {hits} 张"),
    "score.interval": ("95 % interval: {low} to {high}", "95 % 置信区间：{low} 至 {high}"),
    "score.unseen": (
        "No test picture trained the network or chose its best epoch: expect about this on new pictures of the same kind.",
        "测试图片既没有参与训练，也没有用来挑选最佳轮次：对同类的新图片，大致可以期待这样的准确率。",
    ),
    "score.chose": (
        "These pictures did not train the network, but they chose its best epoch: the score flatters a little.",
        "这些图片没有参与训练，但最佳轮次是用它们挑选的：这个成绩略偏乐观。",
    ),
    "score.ask": ("Score it on pictures that it has never seen:", "用它从未见过的图片来评分："),
    "score.beside": (
        "Validation split, for comparison: {value} (95 % interval {low} to {high}, n\u00a0=\u00a0{n}). "
        "A validation score also chose the model, so it flatters a little.",
        "验证集供对照：{value}（95 % 置信区间 {low} 至 {high}，n\u00a0=\u00a0{n}）。"
        "模型也是按验证集成绩挑选的，因此它略偏乐观。",
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
        "Scale from 0 to 100 %: accuracy {value}, interval {low} to {high}, baseline {baseline}",
        "0 到 100 % 的刻度：准确率 {value}，置信区间 {low} 至 {high}，基线 {baseline}",
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
    # learning curves
    "curves.heading": ("How it learnt", "学习过程"),
    "curves.none": (
        "No epoch has finished yet, so there is nothing to draw.",
        "还没有完成任何一轮，因此没有曲线可画。",
    ),
    "curves.why": (
        "Training is measured on augmented pictures while the weights still change, its loss with everything the recipe "
        "adds (such as label smoothing); validation on plain pictures after the epoch. So validation may well look better.",
        "训练的数值是在增强后的图片上、权重仍在变化时测得的，损失还包含配方附加的项（如标签平滑）；"
        "验证的数值是每轮结束后在未增强的图片上测得的。因此验证看起来比训练更好，是正常的。",
    ),
    "curves.best": (
        "The model of epoch {epoch} was kept: it had the best validation score.",
        "保留的是第 {epoch} 轮的模型：它的验证集成绩最好。",
    ),
    "curves.last": (
        "Nothing validated, so the model of the last epoch, {epoch}, was kept.",
        "没有验证集，因此保留了最后一轮（第 {epoch} 轮）的模型。",
    ),
    "curves.accuracy": ("Accuracy", "准确率"),
    "curves.loss": ("Loss", "损失"),
    "curves.rate": ("Learning rate", "学习率"),
    "curves.axis.accuracy": ("accuracy, %", "准确率（%）"),
    "curves.axis.loss": ("loss, nats", "损失（奈特）"),
    "curves.axis.rate": ("learning rate", "学习率"),
    "curves.axis.epoch": ("epoch", "轮"),
    "curves.training": ("training", "训练"),
    "curves.validation": ("validation", "验证"),
    "curves.steps": ("single steps", "单步"),
    "curves.mark": ("best: epoch {epoch}", "最佳：第 {epoch} 轮"),
    "curves.point": ("epoch {x}: {y}", "第 {x} 轮：{y}"),
    "curves.from_to": ("{name} goes from {first} to {last}", "{name}从 {first} 到 {last}"),
    "curves.desc": ("{what} over {epochs} epochs.", "{epochs} 轮之间：{what}。"),
    "curves.and": ("{first}; {second}", "{first}；{second}"),
    "curves.column.epoch": ("epoch", "轮"),
    "curves.column.train_loss": ("training loss", "训练损失"),
    "curves.column.val_nll": ("validation loss", "验证损失"),
    "curves.column.train_accuracy": ("training accuracy", "训练准确率"),
    "curves.column.val_accuracy": ("validation accuracy", "验证准确率"),
    "curves.column.lr": ("learning rate", "学习率"),
    "curves.column.seconds": ("seconds", "秒"),
    # confusion and classes
    "confusion.heading": ("What it mixes up", "混淆矩阵"),
    "confusion.read": (
        "Row: the true class. Column: what the network answered. The diagonal is right; the stronger a cell, the larger "
        "its share of the row.",
        "行是真实类别，列是网络的回答。对角线为答对；颜色越深，占该行的比例越大。",
    ),
    "confusion.corner": ("true \\ answered", "真实 \\ 回答"),
    "confusion.caption": ("Confusion matrix, {split}, counts of pictures", "混淆矩阵，{split}，图片数"),
    "confusion.many": (
        "With {classes} classes a full matrix cannot be read. These are the {shown} most frequent confusions; "
        "every class has its row in the table below.",
        "{classes} 个类别的完整矩阵无法阅读。下面是最常见的 {shown} 种混淆；每个类别的数值见下一张表。",
    ),
    "confusion.pairs": ("Most frequent confusions, {split}", "最常见的混淆，{split}"),
    "confusion.clean": ("Not a single picture was answered wrongly.", "没有一张图片答错。"),
    "confusion.true": ("true class", "真实类别"),
    "confusion.answered": ("answered as", "回答为"),
    "confusion.n": ("times", "次数"),
    "confusion.share": ("of its class", "占该类"),
    "classes.heading": ("Class by class", "各个类别"),
    "classes.read": (
        "Recall: of the pictures of this class, how many were found; beside it the 95 % interval, drawn from 0 to 100 %. "
        "Precision: of the answers with this name, how many were right. F1 is their harmonic mean.",
        "召回率：该类图片中被找出的比例；旁边是它的 95 % 置信区间，刻度从 0 到 100 %。"
        "精确率：以此为答案时答对的比例。F1 是两者的调和平均。",
    ),
    "classes.worst_first": ("The weakest classes come first.", "表现最弱的类别排在最前。"),
    "classes.caption": ("Per class, {split}", "各类别，{split}"),
    "classes.class": ("class", "类别"),
    "classes.n": ("n", "n"),
    "classes.trained": ("trained on", "训练图片"),
    "classes.precision": ("precision", "精确率"),
    "classes.recall": ("recall", "召回率"),
    "classes.interval": ("95 % interval", "95 % 置信区间"),
    "classes.f1": ("F1", "F1"),
    # calibration
    "calibration.heading": ("Does 90 % mean 90 %?", "校准：说有 90 % 的把握，就真能对 90 % 吗？"),
    "calibration.read": (
        "Pictures are sorted into bars by how sure the network was; a bar's height is how often it was right. "
        "Honest probabilities end on the diagonal. Whiskers are 95 % intervals; bars of fewer than {few} pictures are "
        "drawn pale.",
        "按网络的把握大小把图片分组，柱高是实际答对的比例。诚实的概率会落在对角线上。"
        "竖线为 95 % 置信区间；不足 {few} 张图片的柱子颜色较浅。",
    ),
    "calibration.overall": (
        "On average it is {confidence} sure and {accuracy} right: {verdict}.",
        "平均把握 {confidence}，实际答对 {accuracy}：{verdict}。",
    ),
    "calibration.modest": ("too modest by {gap} points", "过于保守，相差 {gap} 个百分点"),
    "calibration.bold": ("too sure of itself by {gap} points", "过于自信，相差 {gap} 个百分点"),
    "calibration.fair": ("well matched", "两者相符"),
    "calibration.sharpened": (
        "The temperature {t} is below 1: after training the network was too modest, and was sharpened.",
        "温度 {t} 小于 1：训练后的网络过于保守，概率被调得更尖锐。",
    ),
    "calibration.softened": (
        "The temperature {t} is above 1: after training the network was too sure of itself, and was softened.",
        "温度 {t} 大于 1：训练后的网络过于自信，概率被调得更平缓。",
    ),
    "calibration.val": (
        "The temperature was fitted on this very split, so each fifth of it is judged here by the temperature of the rest.",
        "温度正是在这个集合上拟合的，因此这里每五分之一的图片都用其余图片拟合的温度来评判。",
    ),
    "calibration.test": (
        "The temperature was fitted on the validation split; these pictures had no part in it.",
        "温度是在验证集上拟合的，这些图片没有参与。",
    ),
    "calibration.unfitted": (
        "No temperature was fitted, because nothing validated this run: before and after are the same.",
        "这次训练没有验证集，因此没有拟合温度：前后相同。",
    ),
    "calibration.caption": ("Before and after temperature scaling", "温度缩放前后"),
    "calibration.measure": ("measure", "指标"),
    "calibration.before": ("before", "之前"),
    "calibration.after": ("after", "之后"),
    "calibration.ece": ("ECE, expected calibration error", "ECE，期望校准误差"),
    "calibration.nll": ("NLL, negative log likelihood (nats)", "NLL，负对数似然（奈特）"),
    "calibration.temperature": ("temperature", "温度"),
    "calibration.diagram": ("Reliability diagram", "可靠性图"),
    "calibration.desc": (
        "Accuracy per confidence bin against the diagonal, {n} pictures; the numbers are in the table below.",
        "每个置信度区间的准确率与对角线对照，共 {n} 张图片；数值见下表。",
    ),
    "calibration.axis.x": ("confidence, %", "置信度（%）"),
    "calibration.axis.y": ("accuracy, %", "准确率（%）"),
    "calibration.axis.n": ("pictures", "图片数"),
    "calibration.bar": (
        "confidence {low} to {high}: {n} pictures, accuracy {accuracy}",
        "置信度 {low} 至 {high}：{n} 张图片，准确率 {accuracy}",
    ),
    "calibration.bin": ("confidence", "置信度"),
    "calibration.mean": ("mean confidence", "平均置信度"),
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
        "shortcut connection hands the input on unchanged (an identity mapping), so a block need only learn what to "
        "change, and more layers do not make it worse (no degradation).",
        "{name} 是一个残差网络：{blocks} 个 {block} 残差块，每块的输出 = 捷径连接(x) + 残差(x)。"
        "捷径连接把输入原样传下去（恒等映射），每块只需学习要改变的部分，因此层数增加也不会变差（没有退化）。",
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
    "setting.skip_bad": ("leave unreadable pictures out", "跳过无法读取的图片"),
    "setting.recipe": ("recipe", "配方"),
    "setting.model": ("network", "网络"),
    "setting.finetune": ("layers that learn", "参与训练的层"),
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
    "setting.course": ("course of an earlier run", "沿用先前运行的进程"),
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
}  # fmt: skip

"""The words around the figures, in both languages: learning curves, confusion, classes, calibration."""

CAPTIONS: dict[str, tuple[str, str]] = {
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
    "curves.folded": (
        "This is the run on all pictures, so nothing validated it, and the model of the last epoch, {epoch}, was kept, as in "
        "every fold. The folds have their own curves: reslab report {fold}.",
        "这是用全部图片进行的训练，没有图片可供验证，因此与各折一样保留最后一轮（第 {epoch} 轮）的模型。"
        "各折有自己的曲线：reslab report {fold}。",
    ),
    "curves.fold": (
        "The model of the last epoch, {epoch}, was kept: in a cross-validation the validation pictures judge and choose nothing.",
        "保留的是最后一轮（第 {epoch} 轮）的模型：在交叉验证中，验证图片只作评判，不作选择。",
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
    "calibration.out-of-fold": (
        "The temperature was fitted on these out-of-fold answers, so each fifth of them is judged here by the temperature of "
        "the rest.",
        "温度是在这些折外预测上拟合的，因此这里每五分之一的图片都用其余图片拟合的温度来评判。",
    ),
    "calibration.test": (
        "The temperature was fitted on other pictures (the validation split, or the folds); these had no part in it.",
        "温度是在另外的图片（验证集或各折）上拟合的，这些图片没有参与。",
    ),
    "calibration.unfitted": (
        "No temperature was fitted, because nothing validated this run: before and after are the same.",
        "这次训练没有验证集，因此没有拟合温度：前后相同。",
    ),
    "calibration.refused": (
        "A temperature was fitted, but it is not applied: on held-out folds it did not improve the likelihood and the "
        "calibration error.",
        "拟合过温度，但没有采用：在留出的各折上，它没有改善似然和校准误差。",
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
}  # fmt: skip

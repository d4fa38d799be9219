"""The words of a page about pictures with any number of labels; `words` takes them in."""

LABEL_WORDS: dict[str, tuple[str, str]] = {
    "nav.labels": ("Labels", "标签"),
    "fact.labels": ("labels", "标签"),
    "curves.mean_ap": ("Mean average precision", "平均精度均值"),
    "curves.axis.mean_ap": ("mAP, %", "平均精度均值（%）"),
    "curves.column.val_mean_ap": ("validation mAP", "验证 mAP"),
    "labels.accuracy": (
        "Accuracy among the numbers counts a picture only where all of its labels are right.",
        "数值表中的准确率只计全部标签都答对的图片。",
    ),
    "labels.test": ("Mean average precision (mAP) on the test split", "测试集平均精度均值（mAP）"),
    "labels.val": ("Mean average precision (mAP) on the validation split", "验证集平均精度均值（mAP）"),
    "labels.hits": ("{hits} of {n} pictures with every label right", "{n} 张图片中有 {hits} 张的标签全部答对"),
    "labels.above": (
        "Clearly better than ranking the pictures without a look, which reaches {baseline}: the labels' mean share.",
        "明显好于不看图片的随意排序（{baseline}，即各标签所占比例的均值）。",
    ),
    "labels.level": (
        "The interval reaches down to {baseline}, what ranking the pictures without a look reaches: so far nothing shows "
        "that the network has learnt more than that.",
        "置信区间的下端没有超过 {baseline}，也就是不看图片随意排序的成绩：目前还看不出网络学到了更多东西。",
    ),
    "labels.certain": (
        "The interval is a bootstrap over the pictures: where all are ranked rightly it has no width, which proves little "
        "with few pictures.",
        "置信区间由对图片的自助抽样（bootstrap）得到：全部排对时它没有宽度，而图片很少时这说明不了什么。",
    ),
    "labels.exact": ("Every label right", "标签全部正确"),
    "labels.exact_why": ("no label missing, none too many", "不多也不少"),
    "labels.hamming": ("Wrong answers", "错误的回答"),
    "labels.hamming_why": ("one answer per picture and label", "每张图片的每个标签算一个回答"),
    "labels.macro": ("Mean F1", "F1 均值"),
    "labels.macro_why": ("over the labels, each at its threshold", "各标签按自己的阈值计算后取平均"),
    "labels.baseline": ("Baseline", "基线"),
    "labels.baseline_why": ("mAP of an order without a look", "不看图片随意排序的 mAP"),
    "labels.heading": ("Label by label", "各个标签"),
    "labels.read": (
        "Average precision (AP) ranks all pictures by one label. It is 100 % where every picture that bears the label "
        "comes before all others, and about the label's share of the pictures where the order means nothing. A picture is "
        "given the label if its probability reaches the threshold; precision, recall and F1 are counted there.",
        "平均精度（AP）按一个标签给所有图片排序：带有该标签的图片全部排在最前时为 100 %，排序毫无意义时大约等于该标签所占的比例。"
        "概率达到阈值，图片就得到这个标签；精确率、召回率和 F1 都按此统计。",
    ),
    "labels.thresholds.val": (
        "The thresholds were chosen on these very pictures, each for the greatest F1, so precision, recall and F1 flatter "
        "a little.",
        "阈值正是在这些图片上按 F1 最大选出的，因此精确率、召回率和 F1 略偏乐观。",
    ),
    "labels.thresholds.test": (
        "The thresholds were chosen on the validation split, each for the greatest F1; these pictures had no part in it.",
        "阈值是在验证集上按 F1 最大选出的，这些图片没有参与。",
    ),
    "labels.temperature": (
        "One temperature for all labels, {t}, was fitted on the validation split. It takes the negative log likelihood of "
        "a picture's labels from {before} to {after} nats here.",
        "所有标签共用一个在验证集上拟合的温度 {t}。在这里，一张图片的标签的负对数似然由 {before} 变为 {after} 奈特。",
    ),
    "labels.caption": ("Per label, {split}", "各标签，{split}"),
    "labels.label": ("label", "标签"),
    "labels.ap": ("AP", "AP"),
    "labels.share": ("share of the pictures", "所占比例"),
    "labels.threshold": ("threshold", "阈值"),
}  # fmt: skip

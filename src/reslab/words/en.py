"""English: every text of a run's page and every reason of a plan, by key.

A table of another language stands beside this one, in a file named by its code, with the same keys and the same blanks. A
blank may say how its number is written (`{n:,}`). What is read here: `words.phrases`.
"""

TEXTS: dict[str, str] = {
    "language.code": "en",
    "language.name": "English",
    # building blocks
    "reason": "{en}",
    "plain": "{text}",
    "list": "{first}, {next}",
    # the frame
    "page.title": "{model} on {data}",
    "page.laboratory": "ResLab, the residual laboratory",
    "page.contents": "On this page",
    "nav.curves": "Learning",
    "nav.confusion": "Confusion",
    "nav.classes": "Classes",
    "nav.calibration": "Calibration",
    "nav.mistakes": "Mistakes",
    "nav.input": "Pictures",
    "nav.settings": "Settings",
    "nav.remake": "Make it again",
    "page.run": "Run folder",
    "page.foot": "Written by ResLab {version}. This page is one file: it loads nothing and sends nothing.",
    "page.numbers": "All numbers",
    "yes": "yes",
    "no": "no",
    "split.test": "test split",
    "split.val": "validation split",
    "split.out-of-fold": "out-of-fold answers",
    "time.seconds": "{n} s",
    "time.minutes": "{n} min",
    "time.hours": "{n} h",
    # what kind of run it is
    "state.finished": "Finished",
    "state.early": "Stopped early: no better validation score since epoch {best}",
    "state.unfinished": "Not finished: {done} of {planned} epochs",
    "state.continue": "Continue exactly where it stopped:",
    "fact.train": "training pictures",
    "fact.val": "validation pictures",
    "fact.test": "test pictures",
    "fact.folds": "folds",
    "fact.classes": "classes",
    "fact.size": "input side",
    "fact.epochs": "epochs",
    "fact.time": "training time",
    # the score
    "score.heading": "The score",
    "score.test": "Accuracy on the test split",
    "score.val": "Accuracy on the validation split",
    "score.out-of-fold": "Accuracy out of fold",
    "score.hits": "{hits} of {n} pictures named correctly",
    "score.interval": "95 % interval: {low} to {high}",
    "score.unseen":
        "No test picture trained the network or chose its best epoch: expect about this on new pictures of the same kind.",
    "score.chose": "These pictures did not train the network, but they chose its best epoch: the score flatters a little.",
    "score.fold":
        "These pictures are one fold of a cross-validation: they neither trained this network nor chose anything about it.",
    "score.folded":
        "Cross-validation: each picture was answered by a network that had not trained on it, and no fold chose anything by "
        "the pictures that judged it. The network of this folder trained on all of them, somewhat more than any fold did: "
        "expect about this, or a little better, on new pictures of the same kind.",
    "score.spread":
        "Fold by fold: {each}; mean {mean}, standard deviation {std}; 95 % interval of the mean {low} to {high}. It takes "
        "the folds as independent, though they share training pictures, so it is a rough one.",
    "score.twins": "An exact copy of {seen} of these {n} pictures lies in another fold, which flatters the score.",
    "score.ask": "Score it on pictures that it has never seen:",
    "score.beside":
        "Validation split, for comparison: {value} (95 % interval {low} to {high}, n\u00a0=\u00a0{n}). A validation score "
        "also chose the model, so it flatters a little.",
    "score.beside_folds":
        "Out of fold, for comparison: {value} (95 % interval {low} to {high}, n\u00a0=\u00a0{n}): every picture that is not "
        "for testing, each answered by a network that had not trained on it.",
    "score.seen": "The network was trained on {seen} of these {n} pictures, which flatters the score.",
    "score.without": "Without them it is {value}.",
    "score.unreadable": "Pictures that could not be read and are not counted: {n}.",
    "score.above": "Clearly better than always answering the most frequent class, which scores {baseline}.",
    "score.level":
        "The interval reaches down to {baseline}, what always answering the most frequent class scores: so far nothing shows "
        "that the network has learnt more than that.",
    "score.none": "No score",
    "score.none_val": "This run kept no pictures for validation, so nothing has judged it yet.",
    "score.none_yet": "This run has not been judged yet.",
    "score.stale":
        "The score on the {split} ({value}) belongs to an earlier state of the model, so it is not shown as this model's.",
    "score.bar": "Scale from 0 to 100 %: score {value}, interval {low} to {high}, baseline {baseline}",
    "score.baseline_mark": "baseline {value}",
    "score.balanced": "Balanced accuracy",
    "score.balanced_why": "every class counts the same",
    "score.baseline": "Majority baseline",
    "score.baseline_why": "always answering the most frequent class",
    "score.top5": "Top-5 accuracy",
    "score.top5_why": "the right class is among the first five",
    "score.ece": "Calibration error",
    "score.ece_why": "how far stated confidence is from the truth",
    # mistakes
    "mistakes.heading": "Worst mistakes",
    "mistakes.read":
        "Wrong, and sure of it: {shown} of {total} mistakes on the {split}, surest first. Some may be mislabelled pictures "
        "rather than mistakes.",
    "mistakes.none": "Not one mistake on the {split}.",
    "mistakes.unknown": "The answers for single pictures ({file}) are not in the run folder.",
    "mistakes.gone": "The pictures cannot be shown, only their names: {why}.",
    "mistakes.no_data": "the data are no longer at {data}",
    "mistakes.unread": "cannot be read",
    "mistakes.true": "is",
    "mistakes.answer": "answered",
    "mistakes.alt": "{key}: is {label}, answered {answer}",
    # what the network sees
    "input.heading": "What the network sees",
    "input.read":
        "Left column: training pictures as they are prepared for every score. The others: the same pictures as the first "
        "epochs show them, augmented. If you cannot tell what they are, neither can the network.",
    "input.alt": "Contact sheet of training pictures: prepared on the left, augmented to the right",
    "input.none": "The contact sheet (sheet.png) is not in the run folder.",
    # settings
    "settings.heading": "What was decided, and why",
    "settings.network":
        "{name} is a residual network: {blocks} blocks of kind {block}, each output = shortcut(x) + residual(x). The "
        "shortcut connection hands the input on, in most blocks unchanged (an identity mapping), so a block need only learn "
        "what to change, and such networks can be made much deeper before more layers make them worse (degradation).",
    "settings.plain":
        "{name} is a plain network: {blocks} blocks of kind {block} without shortcut connections, made for comparison with "
        "residual ones. More layers make such a network harder to train (degradation).",
    "settings.scratch": "It was trained from scratch.",
    "settings.tuned": "It was fine-tuned from the weights {weights}.",
    "settings.decided": "Chosen, measured, or with a reason",
    "settings.rest": "The other {n} settings, as they come",
    "settings.name": "setting",
    "settings.value": "value",
    "settings.origin": "from",
    "settings.reason": "why",
    "settings.recipe": "the recipe {name}",
    "origin.default": "default",
    "origin.recipe": "recipe",
    "origin.user": "your choice",
    "origin.measured": "measured",
    "origin.search": "searched",
    "setting.data": "data",
    "setting.data_dir": "folder of a named set",
    "setting.val": "share for validation",
    "setting.split_seed": "seed of the split",
    "setting.group_by": "groups kept together",
    "setting.folds": "folds of cross-validation; 0: none",
    "setting.fold": "which fold it is; 0: the whole",
    "setting.skip_bad": "leave unreadable pictures out",
    "setting.recipe": "recipe",
    "setting.model": "network",
    "setting.finetune": "layers that learn",
    "setting.start_decay": "pull towards the starting weights",
    "setting.teacher": "teacher",
    "setting.teacher_share": "the teacher's share of the loss",
    "setting.teacher_temperature": "softening of the answers to the teacher",
    "setting.balance": "classes of unequal size",
    "setting.drop_path": "stochastic depth",
    "setting.weights": "starting weights",
    "setting.zero_init": "every block starts as the identity",
    "setting.size": "input side, px",
    "setting.resize": "fitting to the input",
    "setting.normalize": "normalisation",
    "setting.augment": "augmentation",
    "setting.epochs": "epochs",
    "setting.batch_size": "batch size",
    "setting.accumulate": "parts of a batch, one after the other",
    "setting.precision": "precision of the products",
    "setting.layout": "layout of maps in memory",
    "setting.course": "course of an earlier run",
    "setting.minutes": "minutes allowed; 0: not limited",
    "setting.grow": "share trained on smaller pictures",
    "setting.label_smoothing": "label smoothing",
    "setting.optim.name": "optimiser",
    "setting.optim.lr": "peak learning rate",
    "setting.optim.momentum": "momentum (sgd, muon)",
    "setting.optim.rest_lr": "peak rate of the rest (muon)",
    "setting.optim.betas": "decay of the moments (adam)",
    "setting.optim.weight_decay": "weight decay",
    "setting.optim.clip_norm": "greatest gradient norm; 0: no limit",
    "setting.lr_per_128": "rate scales with the batch",
    "setting.find_lr": "rate to be measured first",
    "setting.schedule.kind": "course of the rate",
    "setting.schedule.warmup": "share of warm-up",
    "setting.schedule.milestones": "where the rate falls (step)",
    "setting.schedule.gamma": "what it falls to (step)",
    "setting.schedule.floor": "final share of the rate",
    "setting.ema": "moving average of the weights",
    "setting.seed": "seed of the training",
    "setting.patience": "epochs of patience; 0: never stops early",
    "setting.log_every": "steps between loss lines",
    "setting.save_seconds": "seconds between saved states",
    "setting.workers": "threads that prepare batches",
    # remaking it
    "remake.heading": "How to make it again",
    "remake.command": "From the beginning, with everything you chose:",
    "remake.like": "With every choice taken from this run folder:",
    "remake.silent": "These choices have no flag, so only the run folder can hand them on: {names}.",
    "remake.minutes":
        "The run was fitted into {minutes} minutes (planned: {epochs} epochs); the command takes the same steps, without a "
        "clock.",
    "remake.resumed":
        "The length of this run was changed on the way (resume), so a run of {epochs} epochs in one go follows another "
        "learning rate: expect a similar network, not the same one.",
    "remake.promise": "The same pictures, machine, versions and seed give the same file, bit for bit.",
    "remake.seed": "seed of the training",
    "remake.split_seed": "seed of the split",
    "remake.machine": "machine",
    "remake.versions": "versions",
    "remake.model": "model file (sha256)",
    # pictures with several labels
    "nav.labels": "Labels",
    "fact.labels": "labels",
    "curves.mean_ap": "Mean average precision",
    "curves.axis.mean_ap": "mAP, %",
    "curves.column.val_mean_ap": "validation mAP",
    "labels.accuracy": "Accuracy among the numbers counts a picture only where all of its labels are right.",
    "labels.test": "Mean average precision (mAP) on the test split",
    "labels.val": "Mean average precision (mAP) on the validation split",
    "labels.hits": "{hits} of {n} pictures with every label right",
    "labels.above":
        "Clearly better than ranking the pictures without a look, which reaches {baseline}: the labels' mean share.",
    "labels.level":
        "The interval reaches down to {baseline}, what ranking the pictures without a look reaches: so far nothing shows "
        "that the network has learnt more than that.",
    "labels.certain":
        "The interval is a bootstrap over the pictures: where all are ranked rightly it has no width, which proves little "
        "with few pictures.",
    "labels.exact": "Every label right",
    "labels.exact_why": "no label missing, none too many",
    "labels.hamming": "Wrong answers",
    "labels.hamming_why": "one answer per picture and label",
    "labels.macro": "Mean F1",
    "labels.macro_why": "over the labels, each at its threshold",
    "labels.baseline": "Baseline",
    "labels.baseline_why": "mAP of an order without a look",
    "labels.heading": "Label by label",
    "labels.read":
        "Average precision (AP) ranks all pictures by one label. It is 100 % where every picture that bears the label comes "
        "before all others, and about the label's share of the pictures where the order means nothing. A picture is given "
        "the label if its probability reaches the threshold; precision, recall and F1 are counted there.",
    "labels.thresholds.val":
        "The thresholds were chosen on these very pictures, each for the greatest F1, so precision, recall and F1 flatter a "
        "little.",
    "labels.thresholds.test":
        "The thresholds were chosen on the validation split, each for the greatest F1; these pictures had no part in it.",
    "labels.temperature":
        "One temperature for all labels, {t}, was fitted on the validation split. It takes the negative log likelihood of a "
        "picture's labels from {before} to {after} nats here.",
    "labels.caption": "Per label, {split}",
    "labels.label": "label",
    "labels.ap": "AP",
    "labels.share": "share of the pictures",
    "labels.threshold": "threshold",
    # learning curves
    "curves.heading": "How it learnt",
    "curves.none": "No epoch has finished yet, so there is nothing to draw.",
    "curves.why":
        "Training is measured on augmented pictures while the weights still change, its loss with everything the recipe adds "
        "(such as label smoothing); validation on plain pictures after the epoch. So validation may well look better.",
    "curves.best": "The model of epoch {epoch} was kept: it had the best validation score.",
    "curves.last": "Nothing validated, so the model of the last epoch, {epoch}, was kept.",
    "curves.folded":
        "This is the run on all pictures, so nothing validated it, and the model of the last epoch, {epoch}, was kept, as in "
        "every fold. The folds have their own curves: reslab report {fold}.",
    "curves.fold":
        "The model of the last epoch, {epoch}, was kept: in a cross-validation the validation pictures judge and choose "
        "nothing.",
    "curves.accuracy": "Accuracy",
    "curves.loss": "Loss",
    "curves.rate": "Learning rate",
    "curves.axis.accuracy": "accuracy, %",
    "curves.axis.loss": "loss, nats",
    "curves.axis.rate": "learning rate",
    "curves.axis.epoch": "epoch",
    "curves.training": "training",
    "curves.validation": "validation",
    "curves.steps": "single steps",
    "curves.mark": "best: epoch {epoch}",
    "curves.point": "epoch {x}: {y}",
    "curves.from_to": "{name} goes from {first} to {last}",
    "curves.desc": "{what} over {epochs} epochs.",
    "curves.and": "{first}; {second}",
    "curves.column.epoch": "epoch",
    "curves.column.train_loss": "training loss",
    "curves.column.val_nll": "validation loss",
    "curves.column.train_accuracy": "training accuracy",
    "curves.column.val_accuracy": "validation accuracy",
    "curves.column.lr": "learning rate",
    "curves.column.seconds": "seconds",
    # confusion and classes
    "confusion.heading": "What it mixes up",
    "confusion.read":
        "Row: the true class. Column: what the network answered. The diagonal is right; the stronger a cell, the larger its "
        "share of the row.",
    "confusion.corner": "true \\ answered",
    "confusion.caption": "Confusion matrix, {split}, counts of pictures",
    "confusion.many":
        "With {classes} classes a full matrix cannot be read. These are the {shown} most frequent confusions; every class "
        "has its row in the table below.",
    "confusion.pairs": "Most frequent confusions, {split}",
    "confusion.clean": "Not a single picture was answered wrongly.",
    "confusion.true": "true class",
    "confusion.answered": "answered as",
    "confusion.n": "times",
    "confusion.share": "of its class",
    "classes.heading": "Class by class",
    "classes.read":
        "Recall: of the pictures of this class, how many were found; beside it the 95 % interval, drawn from 0 to 100 %. "
        "Precision: of the answers with this name, how many were right. F1 is their harmonic mean.",
    "classes.worst_first": "The weakest classes come first.",
    "classes.caption": "Per class, {split}",
    "classes.class": "class",
    "classes.n": "n",
    "classes.trained": "trained on",
    "classes.precision": "precision",
    "classes.recall": "recall",
    "classes.interval": "95 % interval",
    "classes.f1": "F1",
    # calibration
    "calibration.heading": "Does 90 % mean 90 %?",
    "calibration.read":
        "Pictures are sorted into bars by how sure the network was; a bar's height is how often it was right. Honest "
        "probabilities end on the diagonal. Whiskers are 95 % intervals; bars of fewer than {few} pictures are drawn pale.",
    "calibration.overall": "On average it is {confidence} sure and {accuracy} right: {verdict}.",
    "calibration.modest": "too modest by {gap} points",
    "calibration.bold": "too sure of itself by {gap} points",
    "calibration.fair": "well matched",
    "calibration.sharpened": "The temperature {t} is below 1: after training the network was too modest, and was sharpened.",
    "calibration.softened":
        "The temperature {t} is above 1: after training the network was too sure of itself, and was softened.",
    "calibration.val":
        "The temperature was fitted on this very split, so each fifth of it is judged here by the temperature of the rest.",
    "calibration.out-of-fold":
        "The temperature was fitted on these out-of-fold answers, so each fifth of them is judged here by the temperature of "
        "the rest.",
    "calibration.test":
        "The temperature was fitted on other pictures (the validation split, or the folds); these had no part in it.",
    "calibration.unfitted": "No temperature was fitted, because nothing validated this run: before and after are the same.",
    "calibration.refused":
        "A temperature was fitted, but it is not applied: on held-out folds it did not improve the likelihood and the "
        "calibration error.",
    "calibration.caption": "Before and after temperature scaling",
    "calibration.measure": "measure",
    "calibration.before": "before",
    "calibration.after": "after",
    "calibration.ece": "ECE, expected calibration error",
    "calibration.nll": "NLL, negative log likelihood (nats)",
    "calibration.temperature": "temperature",
    "calibration.diagram": "Reliability diagram",
    "calibration.desc": "Accuracy per confidence bin against the diagonal, {n} pictures; the numbers are in the table below.",
    "calibration.axis.x": "confidence, %",
    "calibration.axis.y": "accuracy, %",
    "calibration.axis.n": "pictures",
    "calibration.bar": "confidence {low} to {high}: {n} pictures, accuracy {accuracy}",
    "calibration.bin": "confidence",
    "calibration.mean": "mean confidence",
    # the figures of a search, of a range test and of the study
    "figure.error": "error, %",
    "figure.rate": "peak learning rate",
    "search.trials": "validation error by trial",
    "search.rates": "validation error by learning rate",
    "search.trial": "trial",
    "search.kinds": "amber: best · ringed: default · hollow: stopped early",
    "range.title": "loss while the rate grows",
    "range.lines": "bold: average · pale: each step",
    "range.suggestion": "suggested: {rate:g}",
    "study.title": "plain networks, residual networks: error, %",
    "study.plain": "plain networks",
    "study.resnet": "residual networks",
    "study.short.plain": "plain",
    "study.short.resnet": "residual",
    "study.lines": "solid: validation · dashed: training",
    "study.layers": "{depth} layers",
    "study.convolution": "convolution",
    "study.gradients": "size of the gradient, trained, {depth} layers",
}  # fmt: skip

"""English: every text of a run's page and every reason of a plan, by key.

A table of another language stands beside this one, in a file named by its code, with the same keys and the same blanks. A
blank may say how its number is written (`{n:,}`). What is read here: `words.phrases`.
"""

TEXTS: dict[str, str] = {
    "language.code": "en",
    "language.name": "English",
    # building blocks
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
    "nav.rejection": "Doubts",
    "nav.mistakes": "Mistakes",
    "nav.corruptions": "Corruptions",
    "nav.input": "Pictures",
    "nav.settings": "Settings",
    "nav.remake": "Reproduce",
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
    "score.hits": "{hits} of {n} pictures classified correctly",
    "score.interval": "95 % interval: {low} to {high}",
    "score.unseen":
        "No test picture was used to train the network or to choose its best epoch: expect a similar score on new pictures "
        "of the same kind.",
    "score.chose":
        "These pictures were not used to train the network, but to choose its best epoch: the score is slightly optimistic.",
    "score.fold":
        "These pictures are one fold of a cross-validation: they were used neither to train this network nor to choose "
        "anything about it.",
    "score.folded":
        "Cross-validation: each picture was classified by a network that had not been trained on it, and nothing was chosen "
        "by the pictures that a fold is scored on. The network in this folder was trained on all of them, somewhat more than "
        "in any fold: expect about this score, or a little better, on new pictures of the same kind.",
    "score.ensemble":
        "Cross-validation: each picture was classified by the one of the {folds} networks that had not been trained on it. The "
        "model in this folder is the ensemble of all of them: the mean of their logits. An ensemble is usually somewhat more "
        "accurate than its members, so expect about this score, or a little better, on new pictures of the same kind. The "
        "ensemble itself can only be scored on pictures that none of its members was trained on.",
    "score.spread":
        "Fold by fold: {each}; mean {mean}, standard deviation {std}; 95 % interval of the mean {low} to {high}. The "
        "interval treats the folds as independent, although they share training pictures, so it is approximate.",
    "score.twins": "An exact copy of {seen} of these {n} pictures lies in another fold, so the score is optimistic.",
    "score.ask": "Evaluate it on pictures that it has never seen:",
    "score.beside":
        "Validation split, for comparison: {value} (95 % interval {low} to {high}, n\u00a0=\u00a0{n}). The split was also "
        "used to choose the model, so its score is slightly optimistic.",
    "score.beside_folds":
        "Out of fold, for comparison: {value} (95 % interval {low} to {high}, n\u00a0=\u00a0{n}): every picture outside the "
        "test split, each classified by a network that had not been trained on it.",
    "score.seen": "The network was trained on {seen} of these {n} pictures, so the score is optimistic.",
    "score.without": "Without them it is {value}.",
    "score.unreadable": "Pictures that could not be read and are not counted: {n}.",
    "score.above": "Clearly better than always answering the most frequent class, which scores {baseline}.",
    "score.level":
        "The interval reaches down to {baseline}, the score of always answering the most frequent class: so far there is no "
        "evidence that the network has learnt more than that.",
    "score.none": "No score",
    "score.none_val": "This run kept no pictures for validation, so it has not been evaluated yet.",
    "score.none_yet": "This run has not been evaluated yet.",
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
    "score.ece_why": "mean gap between confidence and accuracy",
    "score.accepted": "Accepted answers",
    "score.accepted_why": "{accuracy} of them are right",
    "score.ece_span": "{why}; 95 % interval {low} to {high}",
    # mistakes
    "mistakes.heading": "Worst mistakes",
    "mistakes.read":
        "Confident but wrong: {shown} of {total} mistakes on the {split}, the most confident first. Some may be mislabelled "
        "pictures rather than mistakes.",
    "mistakes.none": "No mistakes on the {split}.",
    "mistakes.unknown": "The predictions for single pictures ({file}) are not in the run folder.",
    "mistakes.gone": "The pictures cannot be shown, only their names: {why}.",
    "mistakes.no_data": "the data are no longer at {data}",
    "mistakes.unread": "cannot be read",
    "mistakes.true": "is",
    "mistakes.answer": "answered",
    "mistakes.alt": "{key}: is {label}, answered {answer}",
    # what the network sees
    "input.heading": "What the network sees",
    "input.read":
        "Left column: training pictures as they are prepared for evaluation. Other columns: the same pictures, augmented as "
        "in the first epochs. If you cannot tell what they show, neither can the network.",
    "input.alt": "Contact sheet of training pictures: prepared on the left, augmented on the right",
    "input.none": "The contact sheet (sheet.png) is not in the run folder.",
    # the map of the features
    "nav.map": "Map",
    "map.heading": "Map of the features",
    "map.read":
        "Each dot is a picture of the {split}: its pooled features, the {d} numbers that the linear layer is given, projected "
        "onto their first two principal components (PCA). Near each other lie pictures that the network takes for similar. "
        "Mistakes are ringed; a pointer on one shows its name.",
    "map.none":
        "The coordinates ({file}) are not in the run folder: earlier versions did not keep them, and the networks of a "
        "cross-validation have no map in common.",
    "map.explained":
        "The two components explain {first} and {second} of the variance. The rest is not shown: dots that overlap here may "
        "be far apart in the other directions.",
    "map.chosen": "Shown are {shown} of {n} pictures, evenly spaced.",
    "map.many": "Only the {shown} most frequent classes have a colour.",
    "map.axis.x": "first principal component",
    "map.axis.y": "second principal component",
    "map.desc": "{n} pictures of {classes} classes by the first two principal components of their features; {wrong} mistakes.",
    "map.mistake": "mistake",
    "map.others": "other classes",
    # the nearest pictures (reslab near)
    "near.title": "The nearest pictures in {data}",
    "near.read":
        "For each picture on the left, the pictures of {data} with the most similar pooled features by the model {model}, "
        "nearest first. The number is the cosine similarity: 1 is the same direction, 0 nothing in common.",
    "near.first": "Shown are the first {shown} of {n} pictures; the command line and its JSON give all of them.",
    "near.query": "The picture compared",
    "near.same": "the same picture",
    "near.failed": "cannot be compared: {reason}",
    # settings
    "settings.heading": "What was decided, and why",
    "settings.network":
        "{name} is a residual network: {blocks} blocks of kind {block}, each output = shortcut(x) + residual(x). The "
        "shortcut connection passes its input on, in most blocks unchanged (an identity mapping), so a block only has to "
        "learn what to change, and such networks can be made much deeper before more layers make them worse (degradation).",
    "settings.plain":
        "{name} is a plain network: {blocks} blocks of kind {block} without shortcut connections, made for comparison with "
        "residual ones. More layers make such a network harder to train (degradation).",
    "settings.ensemble":
        "The model is an ensemble of {folds} such networks: its logits are the mean of theirs, so its probabilities are their "
        "geometric mean, scaled to sum to 1.",
    "settings.scratch": "It was trained from scratch.",
    "settings.tuned": "It was fine-tuned from the weights {weights}.",
    "settings.decided": "Chosen, measured, or with a reason",
    "settings.rest": "The other {n} settings, at their defaults",
    "settings.name": "setting",
    "settings.value": "value",
    "settings.origin": "from",
    "settings.reason": "why",
    "settings.recipe": "the recipe {name}",
    "origin.default": "default",
    "origin.recipe": "recipe",
    "origin.user": "your choice",
    "origin.measured": "measured",
    "origin.search": "found by search",
    "setting.data": "data",
    "setting.data_dir": "folder of a named dataset",
    "setting.val": "validation share",
    "setting.split_seed": "seed of the split",
    "setting.group_by": "groups kept together",
    "setting.folds": "cross-validation folds; 0: none",
    "setting.keep_folds": "the model is the ensemble of the folds",
    "setting.fold": "number of this fold; 0: all pictures",
    "setting.corrections": "corrected labels",
    "setting.skip_bad": "skip unreadable pictures",
    "setting.recipe": "recipe",
    "setting.model": "network",
    "setting.finetune": "layers that are trained",
    "setting.start_decay": "decay towards the starting weights",
    "setting.teacher": "teacher",
    "setting.teacher_share": "the teacher's share of the loss",
    "setting.teacher_temperature": "distillation temperature",
    "setting.balance": "handling of class imbalance",
    "setting.drop_path": "stochastic depth",
    "setting.weights": "starting weights",
    "setting.zero_init": "every block starts as the identity",
    "setting.size": "input side, px",
    "setting.resize": "resizing to the input",
    "setting.normalize": "normalisation",
    "setting.augment": "augmentation",
    "setting.epochs": "epochs",
    "setting.batch_size": "batch size",
    "setting.accumulate": "parts of a batch (gradient accumulation)",
    "setting.precision": "precision of matrix products",
    "setting.layout": "memory layout of feature maps",
    "setting.convolution": "how 3x3 convolutions are computed",
    "setting.course": "steps and schedule of an earlier run",
    "setting.minutes": "time limit in minutes; 0: none",
    "setting.grow": "share trained on smaller pictures",
    "setting.label_smoothing": "label smoothing",
    "setting.logit_norm": "LogitNorm temperature; 0: off",
    "setting.optim.name": "optimiser",
    "setting.optim.lr": "peak learning rate",
    "setting.optim.momentum": "momentum (sgd, muon)",
    "setting.optim.rest_lr": "peak learning rate of the other parameters (muon)",
    "setting.optim.betas": "decay of the moments (adam)",
    "setting.optim.weight_decay": "weight decay",
    "setting.optim.clip_norm": "limit of the gradient norm; 0: none",
    "setting.lr_per_128": "learning rate scales with the batch size",
    "setting.find_lr": "learning rate found by a range test",
    "setting.schedule.kind": "learning-rate schedule",
    "setting.schedule.warmup": "warm-up share of the run",
    "setting.schedule.milestones": "where the rate drops (step)",
    "setting.schedule.gamma": "factor of each drop (step)",
    "setting.schedule.floor": "final share of the peak rate",
    "setting.ema": "moving average of the weights",
    "setting.seed": "seed of the training",
    "setting.patience": "epochs without improvement before stopping; 0: never",
    "setting.log_every": "steps between logged losses",
    "setting.save_seconds": "seconds between saved states",
    "setting.workers": "threads that prepare batches",
    # why a plan chose what it chose
    "reason.fold": "one of {folds} folds",
    "reason.val.folds": "not used: every picture validates once, in its fold",
    "reason.size.own": "the pictures' own size, {side} px",
    "reason.size.designed": "what {model} was designed for; the pictures are larger",
    "reason.size.photographs": "photographs of about {side} px",
    "reason.recipe.quick": "learns most per minute from scratch on a processor",
    "reason.size.quick": "in limited time from scratch on a processor at most {size} px",
    "reason.size.processor": "from scratch on a processor at most {size} px",
    "reason.size.features": "features take about {seconds:.0f} s at this size, {more:.0f} s at the usual one",
    "reason.size.short": "photographs of about {side} px, and less than {minutes} minutes",
    "reason.model.cifar": "a CIFAR network (3x3 stem) for {size} px",
    "reason.model.photographs": "the usual start for photographs",
    "reason.model.imagenet": "the smallest network with ImageNet weights",
    "reason.model.weights": "the network that the weights belong to",
    "reason.as_trained": "as the weights were trained",
    "reason.normalize.centred": "centred; no statistics needed for a fresh network",
    "reason.normalize.measured": "mean {mean}, std {std} of {pictures} pictures",
    "reason.weights.small": "from scratch: small pictures",
    "reason.weights.none": "from scratch: there are no ImageNet weights for {model}",
    "reason.weights.homeless": "from scratch: there is no folder for weights; RESLAB_CACHE sets one",
    "reason.weights.here": "photographs, and {place} is on this machine ({licence})",
    "reason.weights.reachable": "photographs, and {address} can be downloaded ({licence})",
    "reason.weights.unreachable": "from scratch: {url} ({megabytes:.0f} MB) is not at {place} and cannot be downloaded",
    "reason.weights.licence": "licence: {licence}",
    "reason.finetune.scratch": "from scratch: all layers learn at the same rate",
    "reason.finetune.head": "{per_class:.0f} pictures per class: too few to train more than the head",
    "reason.finetune.all": "{per_class:.0f} pictures per class: all layers, with lower rates towards the input",
    "reason.finetune.time": "an epoch of all layers would take {seconds:.0f} s: only the head, on features computed once",
    "reason.labels": "several labels per picture: each is learnt without smoothing",
    "reason.minutes.head": "the head is computed once: there are no steps to fit into a time",
    "reason.epochs.head": "no epochs: the best head on frozen features is computed",
    "reason.epochs.default": "about {shown:,} pictures shown, within {least} to {most} epochs",
    "reason.epochs.minutes": "{minutes:g} minutes at {seconds:.1f} s per epoch",
    "reason.epochs.search": "shortened from {epochs} epochs for a search of {minutes:g} minutes",
    "reason.epochs.resume": "set by resume",
    "reason.batch.pictures": "{pictures:,} training pictures of {size} px",
    "reason.batch.all": "{asked:,} requested, but there are no more training pictures than this",
    "reason.rate.batch": "{rate:g} x batch {batch} / 128",
    "reason.rate.trained": "{rate:g} x batch {batch} / 128 x {share:g}: the weights are already trained",
    "reason.rate.least": "range test: the averaged loss was lowest there",
    "reason.rate.tenth_held":
        "range test: a tenth of {rate:.3g}, where the averaged loss was lowest, because the rate is held constant",
    "reason.rate.tenth_trained":
        "range test: a tenth of {rate:.3g}, where the averaged loss was lowest, because the weights are already trained",
    "reason.rate.rest": "in proportion to the other rate",
    "reason.augment.mirror": "{augment}, but a mirror would change these labels",
    "reason.augment.risky": "{names}: only for pictures whose label they do not change",
    "reason.augment.safe": "{names} are not used: they can change a label",
    "reason.precision.gpu": "this GPU computes in it directly",
    "reason.precision.old_gpu": "this GPU does not support bfloat16",
    "reason.precision.amx": "this processor multiplies matrices in it directly (AMX)",
    "reason.precision.avx": "this processor has instructions for it (AVX-512), to be timed",
    "reason.precision.short": "the run is short",
    "reason.precision.timed": "{bfloat16:.0f} images/s in bfloat16, {float32:.0f} images/s in float32",
    "reason.precision.full": "no shorter format is faster on this machine",
    "reason.convolution.usual": "PyTorch's own; no other was timed in this precision",
    "reason.convolution.timed": "images/s: {speeds}",
    "reason.layout.usual": "convolutions are usually faster in it",
    "reason.layout.convolution": "the chosen convolution is computed in it",
    "reason.layout.timed": "{last:.0f} images/s channels-last, {first:.0f} images/s channels-first",
    "reason.memory": "a picture takes about {megabytes:.1f} MB in training, and {gigabytes:.1f} GB may be used",
    "reason.time.fits": "{seconds:.1f} s per epoch: {epochs} or more fit; {model} at {size} px would take {more:.1f} s",
    "reason.time.default": "about {minutes:.0f} minutes for {epochs} epochs; {model} at {size} px would take {more:.0f}",
    "reason.time.smallest": "the smallest that is tried, {seconds:.1f} s per epoch",
    "reason.trial": "trial {number}",
    # remaking it
    "remake.heading": "How to reproduce it",
    "remake.command": "From the beginning, with everything you chose:",
    "remake.like": "With every choice taken from this run folder:",
    "remake.silent": "These choices have no flag, so only the run folder can pass them on: {names}.",
    "remake.minutes":
        "The run was given {minutes} minutes (planned: {epochs} epochs); the command repeats its steps, without a time limit.",
    "remake.resumed":
        "The length of this run was changed by resume, so a single run of {epochs} epochs follows another learning-rate "
        "schedule: expect a similar network, not the same one.",
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
    "labels.accuracy": "Accuracy in the table of numbers counts a picture only if all of its labels are right.",
    "labels.test": "Mean average precision (mAP) on the test split",
    "labels.val": "Mean average precision (mAP) on the validation split",
    "labels.hits": "{hits} of {n} pictures with every label right",
    "labels.above": "Clearly better than a random ranking, which reaches {baseline}: the mean prevalence of the labels.",
    "labels.level":
        "The interval reaches down to {baseline}, the score of a random ranking: so far there is no evidence that the "
        "network has learnt more than that.",
    "labels.certain":
        "The interval is a bootstrap over the pictures: where all are ranked correctly its width is zero, which proves "
        "little with few pictures.",
    "labels.exact": "Every label right",
    "labels.exact_why": "no label missing, none added",
    "labels.hamming": "Wrong answers",
    "labels.hamming_why": "of one answer per picture and label",
    "labels.macro": "Mean F1",
    "labels.macro_why": "over the labels, each at its threshold",
    "labels.baseline": "Baseline",
    "labels.baseline_why": "mAP of a random ranking",
    "labels.heading": "Label by label",
    "labels.read":
        "Average precision (AP) ranks all pictures by one label. It is 100 % where every picture with the label comes before "
        "all others, and about the label's prevalence where the ranking is random. A picture is given the label if its "
        "probability reaches the threshold; precision, recall and F1 are computed there.",
    "labels.thresholds.val":
        "The thresholds were chosen on these same pictures, each for the highest F1, so precision, recall and F1 are "
        "slightly optimistic.",
    "labels.thresholds.test":
        "The thresholds were chosen on the validation split, each for the highest F1; these pictures were not used.",
    "labels.temperature":
        "One temperature for all labels, {t}, was fitted on the validation split. It changes the negative log likelihood of "
        "a picture's labels from {before} to {after} nats here.",
    "labels.caption": "Per label, {split}",
    "labels.label": "label",
    "labels.ap": "AP",
    "labels.share": "prevalence",
    "labels.threshold": "threshold",
    # learning curves
    "curves.heading": "Learning curves",
    "curves.none": "No epoch has finished yet, so there is nothing to draw.",
    "curves.why":
        "Training values are measured on augmented pictures while the weights still change, and the loss includes what the "
        "recipe adds (such as label smoothing); validation values are measured on unaugmented pictures after each epoch. So "
        "validation may well look better.",
    "curves.best": "The model of epoch {epoch} was kept: it had the best validation score.",
    "curves.last": "There was no validation, so the model of the last epoch, {epoch}, was kept.",
    "curves.folded":
        "This run used all pictures, so there was no validation, and the model of the last epoch, {epoch}, was kept, as in "
        "every fold. The folds have their own curves: reslab report {fold}.",
    "curves.ensemble":
        "The curves are means over the {folds} networks; of each, the weights of the last epoch, {epoch}, are part of the "
        "ensemble. Each network has curves of its own: reslab report {fold}.",
    "curves.fold":
        "The model of the last epoch, {epoch}, was kept: in a cross-validation the validation pictures are used to score, "
        "not to choose.",
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
    "confusion.heading": "Confusions",
    "confusion.read":
        "Row: the true class. Column: the network's answer. The diagonal is correct; the stronger the colour of a cell, the "
        "larger its share of the row.",
    "confusion.corner": "true \\ answered",
    "confusion.caption": "Confusion matrix, {split}, counts of pictures",
    "confusion.many":
        "With {classes} classes the full matrix would be too large to read. These are the {shown} most frequent confusions; "
        "every class has its row in the table below.",
    "confusion.pairs": "Most frequent confusions, {split}",
    "confusion.clean": "No picture was classified wrongly.",
    "confusion.true": "true class",
    "confusion.answered": "answered as",
    "confusion.n": "times",
    "confusion.share": "of its class",
    "classes.heading": "Class by class",
    "classes.read":
        "Recall: of the pictures of this class, how many were found; beside it the 95 % interval, drawn from 0 to 100 %. "
        "Precision: of the answers that name this class, how many were right. F1 is their harmonic mean.",
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
        "Pictures are grouped into bars by the network's confidence; the height of a bar is the share of right answers. "
        "Calibrated probabilities end on the diagonal. Whiskers are 95 % intervals; bars of fewer than {few} pictures are "
        "pale.",
    "calibration.overall": "Its mean confidence is {confidence}, its accuracy {accuracy}: {verdict}.",
    "calibration.modest": "underconfident by {gap} points",
    "calibration.bold": "overconfident by {gap} points",
    "calibration.fair": "well matched",
    "calibration.sharpened":
        "The temperature {t} is below 1: after training the network was underconfident, and its probabilities were sharpened.",
    "calibration.softened":
        "The temperature {t} is above 1: after training the network was overconfident, and its probabilities were softened.",
    "calibration.val":
        "The temperature was fitted on this same split, so each fifth of it is evaluated here with the temperature of the "
        "rest.",
    "calibration.out-of-fold":
        "The temperature was fitted on these out-of-fold answers, so each fifth of them is evaluated here with the "
        "temperature of the rest.",
    "calibration.ensemble":
        "They are the answers of single networks, whose temperature the ensemble takes over: its own could only be fitted on "
        "pictures that none of them was trained on.",
    "calibration.test":
        "The temperature was fitted on other pictures (the validation split, or the folds); these were not used.",
    "calibration.unfitted": "No temperature was fitted, because this run had no validation: before and after are the same.",
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
    # answers that are not accepted, and prediction sets
    "rejection.heading": "When does it doubt its answer?",
    "rejection.read":
        "If only the surest answers were given, fewer would be wrong: the curve shows the error of the given answers over the "
        "share that is given (risk and coverage). The dot is what the model does: it doubts an answer whose probability is "
        "below its threshold (may be wrong), and any answer on a picture unlike those of the training (not from here).",
    "rejection.older":
        "This evaluation was made by an older version of ResLab, which fitted no thresholds and no prediction sets: train and "
        "evaluate again to have them.",
    "rejection.none":
        "This model has no thresholds, so none of its answers is doubted: nothing was set aside to fit them on, or an older "
        "version of ResLab trained it.",
    "rejection.accepted": "Accepted: {share} of the answers ({hits} of {n}).",
    "rejection.accuracy":
        "Of the accepted answers {value} are right (95 % interval {low} to {high}); of all answers it is {every}.",
    "rejection.wrong": "May be wrong: {wrong}. The model gives no features to judge whether a picture is from here.",
    "rejection.doubts": "May be wrong: {wrong}. Not from here: {strange}. A picture may be both.",
    "rejection.fitted":
        "The thresholds were fitted on these same pictures so that 95 % of the answers are accepted: only pictures that were "
        "not used for that can tell what is accepted otherwise.",
    "rejection.unreliable":
        "The thresholds are unreliable: they rest on {n} pictures, fewer than {least}, so on the two or three strangest of "
        "them.",
    "rejection.sets_heading": "Prediction sets",
    "rejection.sets":
        "A prediction set holds the right label with the promised probability, for pictures of the same kind as those it was "
        "fitted on (split-conformal prediction). The smaller the sets, the more they say.",
    "rejection.empty":
        "An empty set means that no label is as likely as right labels usually are: a doubt, and a miss that the promise "
        "counts in.",
    "rejection.sets_fitted":
        "The sets were fitted on these same pictures, so they keep their promise here by construction; evaluate on others to "
        "see whether it holds.",
    "rejection.caption": "Prediction sets, {split}",
    "rejection.kind.lac": "smallest (LAC)",
    "rejection.kind.raps": "adaptive (RAPS)",
    "rejection.kind.class": "for every class",
    "rejection.promised": "promised",
    "rejection.method": "kind",
    "rejection.measured": "measured",
    "rejection.interval": "95 % interval",
    "rejection.size": "mean size",
    "rejection.without": "empty",
    "rejection.curve": "Risk and coverage",
    "rejection.desc":
        "The error is {least} where only the surest pictures are answered, and {all} where all are.",
    "rejection.axis.x": "answered, %",
    "rejection.axis.y": "error of the answered, %",
    "rejection.mark": "accepted: {share}",
    "rejection.point": "accepted {share}, error of the accepted {risk}",
    # the corruptions
    "corruption.heading": "Corruptions",
    "corruption.figure": "Accuracy and calibration error under corruption",
    "corruption.desc": "{kinds} kinds of corruption, {n} pictures each; the numbers are in the table below.",
    "corruption.read":
        "How the answers hold when pictures get worse: {n} of {of} pictures of the {split}, corrupted in {kinds} "
        "ways at severities {severities} of 5. They are corrupted at the network's input size ({size} px), with "
        "the constants of {constants}.",
    "corruption.mean":
        "Mean accuracy {mean} (95 % interval {low} to {high}), against {clean} on the same pictures as they are; "
        "mean calibration error {ece}, against {clean_ece}.",
    "corruption.plain":
        "The mean is a plain one over kinds and severities, not divided by AlexNet's errors. The temperature is "
        "the one fitted on clean pictures. Frost is drawn, not photographed.",
    "corruption.kind": "corruption",
    "corruption.severity": "severity",
    "corruption.accuracy": "accuracy, %",
    "corruption.ece": "calibration error (ECE), %",
    "corruption.cell": "{kind}, severity {severity}: accuracy {accuracy} ({low} to {high}), ECE {ece}",
    "corruption.clean": "none",
    "corruption.gaussian_noise": "Gaussian noise",
    "corruption.shot_noise": "shot noise",
    "corruption.impulse_noise": "impulse noise",
    "corruption.defocus_blur": "defocus blur",
    "corruption.glass_blur": "glass blur",
    "corruption.motion_blur": "motion blur",
    "corruption.zoom_blur": "zoom blur",
    "corruption.snow": "snow",
    "corruption.frost": "frost",
    "corruption.fog": "fog",
    "corruption.brightness": "brightness",
    "corruption.contrast": "contrast",
    "corruption.elastic_transform": "elastic transform",
    "corruption.pixelate": "pixelate",
    "corruption.jpeg_compression": "JPEG compression",
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
    "few.title": "Four new classes: accuracy on test pictures, %",
    "few.scratch": "from scratch",
    "few.head": "head alone",
    "few.all": "head, then all",
    "few.clean": "clean digits",
    "few.noisy": "noisy digits",
    "few.cifar": "CIFAR-10 photographs",
    "few.shots": "training pictures per class",
    "study.title": "plain networks, residual networks: error, %",
    "study.plain": "plain networks",
    "study.resnet": "residual networks",
    "study.short.plain": "plain",
    "study.short.resnet": "residual",
    "study.lines": "solid: validation · dashed: training",
    "study.layers": "{depth} layers",
    "study.convolution": "convolution",
    "study.gradients": "size of the gradient, trained, {depth} layers",
    "block.title": "the residual block, and its parts in series",
    "block.right": "residual block",
    "block.wrong": "drawn wrongly: in series",
    "block.norm": "norm",
    "block.input": "input",
    "block.convolution": "convolution {n}",
    "block.shortcut": "shortcut",
    "block.output": "output",
    "gradients.title": "size of the gradient, layer by layer",
    "gradients.start": "size of the gradient before training, {depth} layers",
    "gradients.end": "size of the gradient after training, {depth} layers",
    "lesion.title": "accuracy of the network without one of its blocks",
    "lesion.block": "removed block",
    # pictures to decide about
    "review.title": "Which labels of {data} are wrong?",
    "review.title_new": "What to label next, for {model}",
    "review.how":
        "Press Enter to take the proposal, or a key shown on a button. The minus key leaves a picture out, Backspace undoes the "
        "last decision, arrow keys move. This browser keeps your decisions; the button below downloads them as a table.",
    "review.script": "Without JavaScript this page only shows the pictures.",
    "review.use": "Then:",
    "review.decided": "decided",
    "review.undo": "Undo",
    "review.download": "Download {table}",
    "review.given": "Label",
    "review.proposed": "Proposed",
    "review.drop": "leave out",
    "review.other": "another label",
    "review.missing": "This picture cannot be shown: it was moved, changed or removed.",
    "review.alt": "{path}, labelled {label}",
    "review.tab.suspects": "Wrong labels",
    "review.tab.doubtful": "Doubtful",
    "review.tab.duplicates": "Duplicates",
    "review.tab.far": "Far away",
    "review.tab.unlabelled": "Least certain",
    "review.read.suspects":
        "The most doubtful labels first. Where there are several rankings, a picture stands as low as the least suspicious of "
        "them puts it, so the first ones are those that all of them doubt.",
    "review.read.doubtful": "The network was least certain of these. Can the label be told from the picture at all?",
    "review.read.duplicates":
        "Pictures with the same content. Where their labels differ, at least one is wrong; of equal ones, one is enough.",
    "review.read.far": "Pictures that are unlike those that the network was trained on.",
    "review.read.unlabelled":
        "The answers with the lowest probability first: labels for these teach a network more than labels for pictures that it "
        "is certain of.",
    "review.none.suspects": "There is no picture to review.",
    "review.none.doubtful": "There is no further picture with an answer of a network that was not trained on it.",
    "review.none.duplicates": "No two pictures have the same content.",
    "review.none.far": "No picture is unlike those of the training, or this run has no outlier scores.",
    "review.none.unlabelled": "No picture was answered.",
    "review.note.margins":
        "This run kept no margins of its training pictures (an earlier version began it), so only pictures with an answer are "
        "ranked.",
    "review.note.folds":
        "Training pictures are ranked by their margins alone, since no network answered for them that was not trained on them; "
        "train --folds 5 adds such answers.",
    "review.note.gone": "The pictures are no longer in {data}, so this page shows their paths only.",
    "review.reason.folds": "out of fold {answer} {top}, the label {own}",
    "review.reason.val": "validation answer {answer} {top}",
    "review.reason.margin": "mean margin {margin}, largest other class {rival}",
    "review.reason.answer": "the network answers {answers}",
    "review.reason.far": "outlier score {score}, above the threshold of {limit}",
    "review.reason.copy": "same content as {other}, labelled {label}",
    # the page of the data check
    "data.title": "The data check of {data}",
    "data.ok": "nothing that must be fixed",
    "data.errors": "must be fixed: {n}",
    "data.fact.pictures": "pictures",
    "data.fact.classes": "classes",
    "data.fact.error": "errors",
    "data.fact.warning": "warnings",
    "data.fact.note": "notes",
    "data.severity.error": "error",
    "data.severity.warning": "warning",
    "data.severity.note": "note",
    "data.pairs": "Pictures that show the same",
    "data.pairs_read":
        "Those that lie in different splits come first: a network that was trained on one of them has seen the other, and the "
        "score is too high. Within a split they only count twice.",
    "data.no_pairs": "No two pictures show the same, as far as this check looked (--near also finds changed copies).",
    "data.seen": "Pictures that stand out",
    "data.metadata": "What can be guessed without the pictures",
    "data.metadata_read":
        "A decision tree that knows only size, format, bytes and camera of a file names {accuracy} of the labels; always "
        "answering the most frequent class names {majority} ({n} pictures, five-fold cross-validation).",
    "data.asked": "It asks for: {asked}.",
    "data.rest": "Everything else",
    "data.column.severity": "how serious",
    "data.column.kind": "what",
    "data.column.where": "where",
    "data.column.detail": "detail",
    "data.alt": "{key}, labelled {label}",
    "data.gone": "cannot be shown",
    "data.left": "and {n} more: reslab check --json lists them all",
    "data.foot": "Made by ResLab. The page is one file: it loads nothing and sends nothing.",
    "data.kind.duplicate": "duplicate",
    "data.kind.duplicate across splits": "duplicate across splits",
    "data.kind.near duplicate": "near duplicate",
    "data.kind.near duplicate across splits": "near duplicate across splits",
    "data.kind.blurred": "blurred",
    "data.kind.dark": "dark",
    "data.kind.odd size": "odd size",
    "data.kind.odd shape": "odd shape",
    "data.kind.one colour": "one colour",
    "data.kind.almost blank": "almost blank",
    "data.kind.gif": "GIF",
    "data.kind.animation": "animation",
    "data.kind.centre crop": "centre crop",
    "data.kind.label from metadata": "label from metadata",
    "data.kind.one camera": "one camera",
    "data.kind.label in file name": "label in file name",
    "data.kind.conflicting labels": "conflicting labels",
    "data.kind.unreadable": "unreadable",
    "data.kind.exif rotation": "EXIF rotation",
    "data.kind.colour mode": "colour mode",
    "data.kind.imbalance": "imbalance",
    # the course
    "learn.course": "the course",
    "learn.lesson_of": "lesson {number} of {of}",
    "learn.previous": "previous",
    "learn.next": "next",
    "learn.column.lesson": "lesson",
    "learn.column.title": "title",
    "learn.column.exercises": "exercises passed",
    "learn.next_step": "reslab learn {number} opens a lesson, reslab learn start {number}.1 begins its first exercise; more: "
        "reslab learn --help",
    "learn.waiting": "still running; a check may take up to {seconds} seconds",
    "learn.page": "The page, with figures and formulas: reslab learn {lesson}",
    "learn.below": "Below is",
    "learn.hint": "hint {at} of {of}: {hint}",
    "learn.passed": "lesson {number}: {passed} of {all} exercises passed",
    "learn.started": "{file} is yours to complete; then: reslab learn check {number} {file}",
    "learn.exercise": "Lesson {lesson}, exercise {number}: {title}",
    "learn.raised": "{where} raises {kind}: {said}",
    "learn.nameless": "{file} does not define {names}",
    "learn.defines": "it defines {names}",
    "learn.endless": "{file} did not end within {seconds} seconds",
    "learn.endless_hint": "is there a loop without an end, or does the file train a network when it is loaded?",
    "learn.ended": "{file} ended Python before it could be judged (exit code {code})",
}  # fmt: skip

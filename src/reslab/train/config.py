"""What decides a run: one frozen object, made by a recipe, overridden field by field, resolved by `plan`."""

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from reslab.data.augment import BATCH_CHANGES, PICTURE_CHANGES, SETS, parse
from reslab.data.splits import DEFAULT_VAL, MAX_VAL, SplitConfig
from reslab.errors import ResLabError, nearest
from reslab.nn.zoo import configuration
from reslab.pixels.preprocess import STATISTICS, Resize
from reslab.system.bounds import AT_LEAST_ONE, COUNT, POSITIVE, SEED, SHARE, Bound, OneOf
from reslab.train.schedule import ScheduleConfig, Timeline
from reslab.train.settings import check_settings, setting, settings_of
from reslab.words.phrases import Phrase

AUTO = "auto"
NONE = "none"
PRECISIONS = ("float32", "bfloat16", "float16")
LAYOUTS = ("channels-last", "channels-first")
CONVOLUTIONS = ("pytorch", "matmul", "winograd")
BALANCES = ("none", "weights", "sampler", "logit-adjust")
NORMALIZATIONS = (*STATISTICS, "measured", "weights")
MODES = ("head", "last", "all", "gradual")
FRESH = ""
"""No fine-tuning: every layer learns alike."""

OptimizerName = Literal["sgd", "adam", "adamw", "muon"]


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """One optimizer. `lr` is the peak that the schedule scales."""

    name: OptimizerName = "sgd"
    lr: float = setting(
        0.1,
        POSITIVE,
        "Peak learning rate, not scaled by the batch size; auto measures one first, as lr-find does.",
        words={AUTO: AUTO},
    )
    momentum: float = setting(0.9, SHARE)
    """SGD and Muon, in Nesterov's form."""
    rest_lr: float = setting(0.05, POSITIVE)
    """Muon: the peak rate of what it leaves to SGD: norms, biases and the linear layer."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam and AdamW."""
    weight_decay: float = setting(
        5e-4, Bound(), "Weight decay of convolutions and the linear layer (0.0005 in standard)."
    )
    """Norms and biases are left alone (Goyal et al. 2017, section 5.3)."""
    clip_norm: float = setting(0.0, Bound())
    """Greatest norm of the whole gradient; 0 leaves it as it is."""

    def __post_init__(self) -> None:
        if self.name not in get_args(OptimizerName):
            raise ResLabError(f"the optimizer {self.name!r} is unknown", nearest(self.name, get_args(OptimizerName)))
        check_settings(self)


def at_rate(config: OptimConfig, lr: float) -> OptimConfig:
    """The same optimizer at another peak rate; what Muon leaves to SGD keeps its proportion to it."""
    rest = config.rest_lr * lr / config.lr if config.name == "muon" else config.rest_lr
    return replace(config, lr=lr, rest_lr=rest)


_KINDS: dict[str, Any] = {
    "optim": OptimConfig, "schedule": ScheduleConfig, "data_dir": str | None, "group_by": str | None,
    "corrections": str | None, "course": tuple,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a run. `auto`, and 0 where a count is asked for, leave the choice to `plan.resolve`."""

    data: str = "digits"
    """A folder, a CSV/TSV table, an archive or its URL, or a name."""
    data_dir: str | None = setting(
        None, None, "Folder that a named data set is in, or is downloaded to.", group="data", kind=Path
    )
    val: float = setting(
        DEFAULT_VAL, Bound(0, MAX_VAL), "Fraction of the pictures for validation (0.1); none trains on all.", group="data",
        words={NONE: 0.0},
    )  # fmt: skip
    """0 keeps the last weights."""
    split_seed: int = setting(0, replace(SEED, modulo=0), "Decides which picture is in which split (0).", group="data")
    group_by: str | None = setting(
        None, None, "Keep groups in one split: a regular expression on the path, or parent.", group="data"
    )
    folds: int = setting(
        0, COUNT, "Cross-validation: score every picture once, in this many runs, then train on all of them; suggested below "
        "1,000 pictures.", group="folds",
    )  # fmt: skip
    """Nothing is chosen by the pictures that score; what `val` would set aside is dealt out too. 0 does without."""
    fold: int = setting(0, COUNT, "Train and score only this fold of --folds.", group="folds")
    """From 1; 0 is the whole."""
    keep_folds: bool = setting(
        False, None, "Keep the networks of --folds: the model is their ensemble, the mean of their logits, and none is trained "
        "on all pictures.", group="folds",
    )  # fmt: skip
    skip_bad: bool = setting(False, None, "Leave unreadable pictures out.", group="data")
    corrections: str | None = setting(
        None, None, "A table of path,label, such as reslab review downloads, that replaces labels of DATA; with - or no label a "
        "picture is left out.", kind=Path,
    )  # fmt: skip
    """The run folder keeps a copy, which is what resumes and repeats it."""

    recipe: str = setting(
        "standard", None, "A named set of choices: standard, quick, article, paper, cifar10_94, cifar10_10min, cifar100_fast, "
        "cifar10_resnet20.",
    )  # fmt: skip
    model: str = setting(
        AUTO, None, "A network of the zoo; auto takes resnet20 up to 64 px, else resnet18, as far as the time allows, and with "
        "--minutes from scratch on a processor fast_resnet8. See reslab models.",
    )  # fmt: skip
    weights: str = setting(
        AUTO, None, "Where training starts: auto, none, imagenet, cifar10_resnet20, hf:OWNER/NAME[@REVISION] (a ResNet of the "
        "Hugging Face hub), a run, a model file or another library's checkpoint.",
    )  # fmt: skip
    finetune: str = setting(
        AUTO, OneOf((*MODES, AUTO, FRESH)),
        "Which layers of trained weights learn: head, last, all, gradual, or auto, which goes by the number of pictures.",
    )  # fmt: skip
    """Empty where training starts from scratch."""
    start_decay: float = setting(
        0.0, Bound(), "Decay below the head towards the starting weights instead of zero (L2-SP), e.g. 0.01."
    )
    """Li, Grandvalet and Davoine 2018, arXiv:1802.01483."""
    teacher: str = setting(
        NONE, None, "Distil: learn from the outputs of this model (a file, a run, cifar10_resnet20) besides the labels."
    )
    """See `loss.Teacher`."""
    teacher_share: float = setting(0.9, Bound(0, 1), "Weight of the teacher in the loss (0.9).")
    teacher_temperature: float = setting(4.0, POSITIVE)
    balance: str = setting(
        "none", OneOf(BALANCES), "For classes of unequal size: none, weights, sampler or logit-adjust."
    )
    zero_init: bool = True
    """Every block starts as the identity."""
    drop_path: float = setting(
        0.0, SHARE, "Stochastic depth: probability that a step skips the last residual, from 0 to below 1; smaller for those "
        "before it.",
    )  # fmt: skip

    size: int = setting(
        0, Bound(0, 8192, whole=True), "Side of the input in pixels; auto takes the pictures' own up to 64, else up to 224, as "
        "far as the time allows.", group="pictures", words={AUTO: 0},
    )  # fmt: skip
    resize: str = setting(
        "crop", OneOf(get_args(Resize)), "crop keeps the centre, pad the whole picture, stretch ignores the aspect ratio.",
        group="pictures",
    )  # fmt: skip
    normalize: str = setting(
        AUTO, OneOf((*NORMALIZATIONS, AUTO)), "0-1, -1-1, imagenet, measured on the training pictures, or weights: as the "
        "starting weights were trained.", group="pictures",
    )  # fmt: skip
    augment: str = setting(
        "light", None, f"{', '.join(SETS)}; or a list of {', '.join((*PICTURE_CHANGES, *BATCH_CHANGES))}, with commas. "
        "any-way-up is for pictures without an upper side: microscopes, satellites; pixmix mixes with drawn fractals.",
        group="pictures",
    )  # fmt: skip

    epochs: int = setting(0, COUNT, "Passes over the training pictures.")
    batch_size: int = setting(0, COUNT, "Pictures per step.")
    accumulate: int = setting(
        0, COUNT, "Parts that a batch is computed in, for less memory; by default as many as the memory demands."
    )
    """One part after the other; the gradient is that of the whole batch."""
    precision: str = setting(
        AUTO, OneOf((*PRECISIONS, AUTO)),
        "Precision of training: auto, float32, bfloat16 or float16. Scores are always computed in float32.",
    )  # fmt: skip
    layout: str = setting(
        AUTO, OneOf((*LAYOUTS, AUTO)),
        "Memory layout of feature maps: auto, which measures, channels-last or channels-first; last digits differ.",
    )  # fmt: skip
    convolution: str = setting(
        AUTO, OneOf((*CONVOLUTIONS, AUTO)),
        "How 3x3 convolutions are computed in training, on processors: auto, which measures in long runs, pytorch, matmul or "
        "winograd; last digits differ.",
    )  # fmt: skip
    """See `nn.convolution`."""
    minutes: float = setting(0.0, Bound(0, 10**6))
    """Fit the run into this many minutes instead of `epochs`."""
    course: tuple[tuple[int, float], ...] = ()
    """The timeline of an earlier run that is to be followed step by step (`Timeline.breakpoints`)."""
    grow: float = setting(0.0, SHARE)
    """Share of the run that is trained on pictures of three quarters of the side (progressive resizing)."""
    label_smoothing: float = setting(0.0, SHARE, "Share of each target spread over all classes (0.1 in standard).")
    logit_norm: float = setting(
        0.0,
        Bound(0, 100),
        "LogitNorm: train on logits over their norm and this temperature, e.g. 0.04; 0 turns it off.",
    )
    """See `loss.normalized`."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    lr_per_128: bool = True
    """The rate is meant for a batch of 128 and scales with it (Goyal et al. 2017, section 2.1)."""
    find_lr: bool = False
    """Measure the rate before the first step (`range_test`) instead."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    ema: float = setting(0.0, SHARE, "Decay of the moving average of the weights (0.99 in standard); 0 turns it off.")
    seed: int = setting(0, SEED, "Decides weights, order and augmentation; never which picture is in which split.")
    patience: int = setting(
        0, COUNT, "Stop after this many epochs without a better validation score; 0 never stops early."
    )
    log_every: int = setting(100, AT_LEAST_ONE)
    """Steps between two loss lines."""
    save_seconds: float = setting(60.0, Bound(), "Seconds between two saved states within an epoch (60).")
    """One is saved at the end of an epoch in any case. Never changes a result."""
    workers: int = setting(1, Bound(0, 1024, whole=True), "Threads that prepare batches; never changes a result.")

    def __post_init__(self) -> None:
        """Paths become text, numbers of any library Python's own; what cannot be what it is, is refused.

        All before the data are read and PyTorch is imported.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in ("data", "data_dir", "corrections") and isinstance(value, os.PathLike):
                value = os.fspath(value)
            known = type(each.default) if isinstance(each.default, bool | str) else _KINDS.get(each.name, object)
            if not isinstance(value, known):
                raise ResLabError(f"{each.name} of a TrainConfig cannot be {type(value).__name__}: {value!r:.80}")
            object.__setattr__(self, each.name, value)
        if self.data.startswith("~"):
            object.__setattr__(self, "data", os.path.expanduser(self.data))  # noqa: PTH111
        if self.model != AUTO:
            configuration(self.model)
        parse(self.augment)
        check_settings(self)

    @property
    def split(self) -> SplitConfig:
        """How the data are found and split."""
        return SplitConfig(
            self.data_dir, self.val, self.split_seed, self.group_by, self.skip_bad, self.folds, self.fold
        )

    @property
    def cross_validates(self) -> bool:
        """Whether it is the whole of a cross-validation: its folds, and the run on everything."""
        return self.folds > 0 and self.fold == 0

    @property
    def runs(self) -> int:
        """How many times as long as a run on all pictures it takes: K folds of all but a K-th, then one run on everything."""
        return self.folds - self.keep_folds if self.cross_validates else 1


SETTINGS = settings_of(TrainConfig)
"""Every setting of a run by its name in `config.json`, `optim.lr` where it is nested."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from."""

    origin: str
    """`default`, `recipe`, `user`, `measured` or `search`."""
    reason: Phrase | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A resolved run: no `auto` left in `config`."""

    config: TrainConfig
    origins: dict[str, Origin]
    network: dict[str, Any]
    """The zoo's name and the full `ResNetConfig` as plain values."""
    classes: tuple[str, ...]
    steps_per_epoch: int
    changes: tuple[str, ...]
    """The augmentations, resolved."""
    weights_licence: str | None = None
    """Of the weights that it starts from."""
    counts: tuple[int, ...] = ()
    """Training pictures of each class."""
    teacher_digest: str | None = None
    """sha256 of the teacher's file."""
    task: str = "single"
    data_path: str | None = None
    """Where the pictures lay when the run began, whatever the working directory; None for a named set."""
    corrections_digest: str | None = None
    """sha256 of the corrections that changed something (`data.corrections`)."""

    @property
    def total_steps(self) -> int:
        return self.timeline.total

    @property
    def timeline(self) -> Timeline:
        """How the run is to go, if nothing changes it on the way."""
        return (
            Timeline(self.config.course)
            if self.config.course
            else Timeline.straight(self.steps_per_epoch * self.config.epochs)
        )

"""What decides a run: one frozen object, made by a recipe, overridden field by field, resolved by `plan`."""

import os
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from reslab.data.augment import parse
from reslab.errors import ResLabError, nearest
from reslab.model.file import Task
from reslab.nn.zoo import configuration
from reslab.system.bounds import BOUNDS, bounded
from reslab.train.schedule import Course, ScheduleConfig
from reslab.words.phrases import Phrase

AUTO = "auto"
NONE = "none"
PRECISIONS = ("float32", "bfloat16", "float16")
LAYOUTS = ("channels-last", "channels-first")
BALANCES = ("none", "weights", "sampler", "logit-adjust")
MODES = ("head", "last", "all", "gradual")
FRESH = ""
"""No fine-tuning: every layer learns alike."""

OptimizerName = Literal["sgd", "adam", "adamw", "muon"]


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """One optimizer. `lr` is the peak that the schedule scales."""

    name: OptimizerName = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    """SGD and Muon, in Nesterov's form."""
    rest_lr: float = 0.05
    """Muon: the peak rate of what it leaves to SGD: norms, biases and the linear layer."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam and AdamW."""
    weight_decay: float = 5e-4
    """On convolutions and the linear layer; norms and biases are left alone (Goyal et al. 2017, section 5.3)."""
    clip_norm: float = 0.0
    """Greatest norm of the whole gradient; 0 leaves it as it is."""

    def __post_init__(self) -> None:
        if self.name not in get_args(OptimizerName):
            raise ResLabError(f"the optimizer {self.name!r} is unknown", nearest(self.name, get_args(OptimizerName)))
        for name in ("lr", "rest_lr", "momentum", "weight_decay", "clip_norm"):
            object.__setattr__(self, name, bounded(name, getattr(self, name)))


def at_rate(config: OptimConfig, lr: float) -> OptimConfig:
    """The same optimizer at another peak rate; what Muon leaves to SGD keeps its proportion to it."""
    rest = config.rest_lr * lr / config.lr if config.name == "muon" else config.rest_lr
    return replace(config, lr=lr, rest_lr=rest)


_KINDS: dict[str, Any] = {
    "optim": OptimConfig, "schedule": ScheduleConfig, "data_dir": str | None, "group_by": str | None, "course": tuple,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a run. `auto`, and 0 where a count is asked for, leave the choice to `plan.resolve`."""

    data: str = "digits"
    """A folder, a CSV/TSV table, or a name."""
    data_dir: str | None = None
    """Where a named set lies."""
    val: float = 0.1
    """Share of the pictures that validates; 0 trains on all and keeps the last weights."""
    split_seed: int = 0
    group_by: str | None = None
    folds: int = 0
    """Cross-validation: so many runs, each judged on its share of the pictures, then one that trains on all of them.

    Nothing is chosen by the pictures that judge; what `val` would set aside is dealt out too. 0 does without.
    """
    fold: int = 0
    """Which of these runs it is, from 1; 0 is the whole."""
    skip_bad: bool = False
    """Train without the pictures that cannot be read."""

    recipe: str = "standard"
    model: str = AUTO
    weights: str = AUTO
    """Where training starts: `none` for fresh weights, `imagenet`, a packaged name, a model, run or checkpoint."""
    finetune: str = AUTO
    """Which layers of trained weights learn (one of `MODES`); empty where training starts from scratch."""
    start_decay: float = 0.0
    """Pull of the layers below the head towards the weights that training starts from, instead of `optim.weight_decay`
    towards zero (L2-SP: Li, Grandvalet and Davoine 2018, arXiv:1802.01483)."""
    teacher: str = NONE
    """A model file, run or packaged name whose answers are a second target (`loss.Teacher`)."""
    teacher_share: float = 0.9
    teacher_temperature: float = 4.0
    balance: str = "none"
    """What is done about classes of unequal size: one of `BALANCES`."""
    zero_init: bool = True
    """Every block starts as the identity."""
    drop_path: float = 0.0
    """Stochastic depth: probability that a step skips the last block's residual (`ResNetConfig.drop_path`)."""

    size: int = 0
    """Input side in pixels."""
    resize: str = "crop"
    normalize: str = AUTO
    """`0-1`, `-1-1`, `imagenet`, `measured` on the training pictures, or `weights`: as these were trained."""
    augment: str = "light"

    epochs: int = 0
    batch_size: int = 0
    accumulate: int = 0
    """Parts that each batch is divided into, one after the other in memory; the gradient is that of the whole."""
    precision: str = AUTO
    """What is multiplied in training: one of `PRECISIONS`. Judging is always done in float32."""
    layout: str = AUTO
    """How maps lie in memory in training (one of `LAYOUTS`)."""
    minutes: float = 0.0
    """Fit the run into this many minutes instead of `epochs`."""
    course: tuple[tuple[int, float], ...] = ()
    """The course of an earlier run that is to be followed step by step (`Course.knots`)."""
    grow: float = 0.0
    """Share of the run that is trained on pictures of three quarters of the side (progressive resizing)."""
    label_smoothing: float = 0.0
    optim: OptimConfig = field(default_factory=OptimConfig)
    lr_per_128: bool = True
    """The rate is meant for a batch of 128 and scales with it (Goyal et al. 2017, section 2.1)."""
    find_lr: bool = False
    """Measure the rate before the first step (`finder`) instead."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    ema: float = 0.0
    """Decay of the moving average of the weights; 0 does without."""
    seed: int = 0
    patience: int = 0
    """Stop after this many epochs without a better validation score; 0 never stops early."""
    log_every: int = 100
    """Steps between two loss lines."""
    save_seconds: float = 60.0
    """Time between two saved states within an epoch; one is saved at its end in any case. Never changes a result."""
    workers: int = 1
    """Threads that prepare batches. Never changes a result."""

    def __post_init__(self) -> None:
        """Paths become text, numbers of any library Python's own; what cannot be what it is, is refused.

        All before the data are read and PyTorch is imported.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in BOUNDS:
                value = bounded(each.name, value)
            elif each.name in ("data", "data_dir") and isinstance(value, os.PathLike):
                value = os.fspath(value)
            known = type(each.default) if isinstance(each.default, bool | str) else _KINDS.get(each.name, object)
            if not isinstance(value, known):
                raise ResLabError(f"{each.name} of a TrainConfig cannot be {type(value).__name__}: {value!r:.80}")
            object.__setattr__(self, each.name, value)
        if self.data.startswith("~"):
            object.__setattr__(self, "data", os.path.expanduser(self.data))  # noqa: PTH111
        self._refuse_unknown_words()

    def _refuse_unknown_words(self) -> None:
        if self.model != AUTO:
            configuration(self.model)
        parse(self.augment)
        for flag, word, known in (
            ("--balance", self.balance, BALANCES),
            ("--finetune", self.finetune, (*MODES, AUTO, FRESH)),
            ("--precision", self.precision, (*PRECISIONS, AUTO)),
            ("--layout", self.layout, (*LAYOUTS, AUTO)),
        ):
            if word not in known:
                raise ResLabError(f"{flag} {word} is unknown", nearest(word, filter(None, known)))

    @property
    def cross_validates(self) -> bool:
        """Whether it is the whole of a cross-validation: its folds, and the run on everything."""
        return self.folds > 0 and self.fold == 0


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
    task: Task = "single"
    data_path: str | None = None
    """Where the pictures lay when the run began, whatever the working directory; None for a named set."""

    @property
    def total_steps(self) -> int:
        return self.course.total

    @property
    def course(self) -> Course:
        """How the run is to go, if nothing changes it on the way."""
        return (
            Course(self.config.course)
            if self.config.course
            else Course.straight(self.steps_per_epoch * self.config.epochs)
        )

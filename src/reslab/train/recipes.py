"""Recipes: functions that return one frozen config. The command line overrides fields; nothing else does."""

from collections.abc import Callable

from reslab.errors import ResLabError, nearest
from reslab.train.config import TrainConfig
from reslab.train.optim import OptimConfig
from reslab.train.schedule import ScheduleConfig


def standard() -> TrainConfig:
    """A sound start for any data: SGD with Nesterov momentum on a one-cycle rate, light augmentation, smoothed labels.

    CIFAR-10, resnet20, 3 epochs: 78 % of the validation pictures (LOG.md).
    """
    return TrainConfig(
        recipe="standard",
        zero_init=False,  # with the parameter-free shortcuts of CIFAR networks it costs six points in three epochs
        optim=OptimConfig("sgd", lr=0.2, weight_decay=5e-4, clip_norm=5.0),
        schedule=ScheduleConfig("onecycle", warmup=0.25),
        label_smoothing=0.1,
        ema=0.99,
    )


def article() -> TrainConfig:
    """The seed of this project, "ResNet from zero": ResNet-18, Adam at 1e-3, 25 epochs, crop, rotation and flip.

    Batches of 128, plain cross-entropy, a constant rate, pictures in [0, 1], a loss line every 100 steps.
    """
    return TrainConfig(
        recipe="article",
        model="resnet18",
        zero_init=False,
        normalize="0-1",
        augment="crop,rotate,hflip",
        epochs=25,
        batch_size=128,
        optim=OptimConfig("adam", lr=1e-3, weight_decay=0.0),
        lr_per_128=False,
        schedule=ScheduleConfig("constant"),
    )


def paper() -> TrainConfig:
    """He et al. 2015, section 4.2: SGD at 0.1, divided by 10 after a half and three quarters of 64k steps.

    At batch 128 those are 182 epochs of 45,000 pictures; measured normalisation stands for the per-pixel mean.
    """
    return TrainConfig(
        recipe="paper",
        zero_init=False,
        normalize="measured",
        epochs=182,
        batch_size=128,
        optim=OptimConfig("sgd", lr=0.1, weight_decay=1e-4),
        lr_per_128=False,
        schedule=ScheduleConfig("step", milestones=(0.5, 0.75)),
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {"standard": standard, "article": article, "paper": paper}


def recipe(name: str) -> TrainConfig:
    """The config of a recipe; an unknown name raises and offers the nearest one."""
    if name not in RECIPES:
        raise ResLabError(f"there is no recipe {name!r}", nearest(name, RECIPES))
    return RECIPES[name]()

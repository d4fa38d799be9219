"""Recipes: functions that return one frozen config. The command line overrides fields; nothing else does."""

from collections.abc import Callable, Collection
from dataclasses import asdict, replace

from reslab.errors import ResLabError, nearest
from reslab.train.config import OptimConfig, TrainConfig
from reslab.train.schedule import ScheduleConfig
from reslab.train.settings import flat, with_value


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


def quick() -> TrainConfig:
    """From scratch in minutes, at small input sizes: the settings of `cifar10_94` with a narrower network, for any data.

    What it gains over `standard` in equal time is in LOG.md.
    """
    return replace(
        cifar10_94(), recipe="quick", data=TrainConfig().data, model="fast_resnet8", epochs=0, batch_size=128
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


def cifar10_94() -> TrainConfig:
    """CIFAR-10 in twelve epochs: 93.5 % of the test pictures, 94.0 averaged with the mirror image (`--mirror`; LOG.md).

    The methods of Jordan 2024 (arXiv:2404.00498: whitened patches, alternating flip, smoothed labels) and of his Muon.
    """
    return TrainConfig(
        recipe="cifar10_94",
        data="cifar10",
        model="fast_resnet8_wide",
        zero_init=False,
        normalize="measured",
        augment="quick",
        epochs=12,
        batch_size=1000,  # smaller batches turn Muon's equal steps into noise
        optim=OptimConfig("muon", lr=0.24, momentum=0.6, rest_lr=0.05, weight_decay=0.04),
        lr_per_128=False,
        schedule=ScheduleConfig("onecycle"),
        label_smoothing=0.2,
    )


def cifar10_10min() -> TrainConfig:
    """A narrower network for ten minutes of training on any machine: 92.9 % on two cores with AMX (LOG.md)."""
    return replace(cifar10_94(), recipe="cifar10_10min", model="fast_resnet8", epochs=0, minutes=10.0)


def cifar100_fast() -> TrainConfig:
    """CIFAR-100 with the settings of `cifar10_94`: none was tuned on CIFAR-100, and it has not been run on it yet."""
    return replace(cifar10_94(), recipe="cifar100_fast", data="cifar100")


def cifar10_resnet20() -> TrainConfig:
    """The paper's smallest network in a quarter of its 64k steps: 91.4 % of the test pictures, the paper 91.25 (LOG.md)."""
    return TrainConfig(
        recipe="cifar10_resnet20",
        data="cifar10",
        model="resnet20",
        zero_init=False,
        normalize="measured",
        epochs=40,
        batch_size=128,
        optim=OptimConfig("sgd", lr=0.2, weight_decay=5e-4, clip_norm=5.0),
        lr_per_128=False,
        schedule=ScheduleConfig("onecycle", warmup=0.25),
        ema=0.999,
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    made.__name__: made
    for made in (standard, quick, article, paper, cifar10_94, cifar10_10min, cifar100_fast, cifar10_resnet20)
}


def recipe(name: str) -> TrainConfig:
    """The config of a recipe; an unknown name raises and offers the nearest one."""
    if not isinstance(name, str) or name not in RECIPES:
        raise ResLabError(f"there is no recipe {name!r}", nearest(name, RECIPES))
    return RECIPES[name]()


def with_recipe(config: TrainConfig, name: str, user: Collection[str] = ()) -> TrainConfig:
    """What `config` would be if it had begun with another recipe: what was changed since then is kept.

    Args:
        user: settings that the user set, to whatever value.
    """
    before, other = flat(asdict(recipe(config.recipe))), recipe(name)
    for setting, value in flat(asdict(config)).items():
        if setting != "recipe" and (setting in user or value != before[setting]):
            other = with_value(other, setting, value)
    return other

"""The search space: the few settings that matter most and that no rule sets well, each around its default."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from reslab.data.augment import parse
from reslab.errors import ResLabError
from reslab.train.config import MODES, Origin, Plan, at_rate
from reslab.train.start import SCRATCH

_RATE, _DECAY = 5.0, 10.0  # how far from the default, either way
_AUGMENT = ("light", "standard", "strong")
_SMOOTHING = (0.0, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting and its possible values."""

    name: str
    """The field of the config: `optim.lr`."""
    default: Any
    span: tuple[float, float] | None = None
    """Least and greatest value, drawn on a logarithmic scale."""
    options: tuple[Any, ...] = ()
    """Or what there is to choose from."""

    def draw(self, trial: Any) -> Any:
        """A value for an Optuna trial; a number to three digits."""
        if self.span is None:
            return trial.suggest_categorical(self.name, self.options)
        return float(f"{trial.suggest_float(self.name, *self.span, log=True):.3g}")

    def document(self) -> dict[str, Any]:
        """As JSON knows it."""
        return asdict(self)


def parameter_from(document: Mapping[str, Any]) -> Parameter:
    """The inverse of `Parameter.document`."""
    span = document["span"] and tuple(document["span"])
    return Parameter(document["name"], document["default"], span, tuple(document["options"]))


def search_space(plan: Plan, mode: str, mirrored: bool, fixed: Collection[str]) -> tuple[Parameter, ...]:
    """The parameters that are searched for a plan.

    Label smoothing stands for the softness of targets; the moving average of the weights is left to the recipe, since its
    best decay follows from the number of steps.

    Args:
        mode: the default's way of fine-tuning, which may be `head`; `plan` is then that of another mode.
        mirrored: whether a mirror image keeps its label.
        fixed: fields that a person has set: they stay.

    Raises:
        ResLabError: nothing is left to search.
    """
    config = plan.config
    others = tuple(name for name in _AUGMENT if parse(name, mirrored) != plan.changes)
    space = [
        Parameter("optim.lr", config.optim.lr, _around(config.optim.lr, _RATE)),
        Parameter("augment", config.augment, options=(config.augment, *others)),
        Parameter("label_smoothing", config.label_smoothing, options=_with(config.label_smoothing, _SMOOTHING)),
    ]
    if config.optim.weight_decay:  # none stays none
        decay = config.optim.weight_decay
        space.insert(1, Parameter("optim.weight_decay", decay, _around(decay, _DECAY)))
    if config.weights != SCRATCH:
        modes = tuple(name for name in MODES if name != "head")  # the head alone is a default of very few pictures
        space.insert(0, Parameter("finetune", mode, options=_with(mode, modes)))
    space = [parameter for parameter in space if parameter.name not in fixed]
    if not space or (mode == "head" and "finetune" in fixed):
        raise ResLabError(
            "nothing is left to search", "leave some of the options to the search: --lr, --augment, --finetune"
        )
    return tuple(space)


def sample_values(space: Collection[Parameter], trial: Any) -> dict[str, Any]:
    """A value for each parameter; a head that is computed leaves the others nothing to do."""
    values: dict[str, Any] = {}
    for parameter in space:
        values[parameter.name] = parameter.draw(trial)
        if values[parameter.name] == "head":
            break
    return values


def default_values(space: Collection[Parameter]) -> dict[str, Any]:
    """The default of each parameter, likewise."""
    values: dict[str, Any] = {}
    for parameter in space:
        values[parameter.name] = parameter.default
        if parameter.default == "head":
            break
    return values


def with_values(plan: Plan, values: Mapping[str, Any], mirrored: bool, origin: Origin) -> Plan:
    """The plan with these values; everything else, the split and the seed too, stays."""
    config, given = plan.config, dict(values)
    optim = at_rate(config.optim, given.pop("optim.lr", config.optim.lr))
    optim = replace(optim, weight_decay=given.pop("optim.weight_decay", optim.weight_decay))
    config = replace(config, optim=optim, **given)
    changes = parse(config.augment, mirrored)
    if "augment" in given and not mirrored:
        config = replace(config, augment=",".join(changes) or "none")
    if config.finetune == "head":  # it is computed
        config = replace(config, epochs=0)
    origins = plan.origins | dict.fromkeys(values, origin)
    return replace(plan, config=config, changes=changes, origins=origins)


def _around(value: float, factor: float) -> tuple[float, float]:
    return value / factor, value * factor


def _with(value: Any, options: tuple[Any, ...]) -> tuple[Any, ...]:
    """The options, and the default where it is none of them."""
    return options if value in options else (value, *options)

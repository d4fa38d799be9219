"""What a search turns: the few settings that matter most and that no rule sets well, each around the default."""

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
class Dial:
    """One setting and where it may stand."""

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


def dial_from(document: Mapping[str, Any]) -> Dial:
    """The inverse of `Dial.document`."""
    span = document["span"] and tuple(document["span"])
    return Dial(document["name"], document["default"], span, tuple(document["options"]))


def dials_of(plan: Plan, mode: str, mirrored: bool, fixed: Collection[str]) -> tuple[Dial, ...]:
    """The dials of a plan.

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
    dials = [
        Dial("optim.lr", config.optim.lr, _around(config.optim.lr, _RATE)),
        Dial("augment", config.augment, options=(config.augment, *others)),
        Dial("label_smoothing", config.label_smoothing, options=_with(config.label_smoothing, _SMOOTHING)),
    ]
    if config.optim.weight_decay:  # none stays none
        decay = config.optim.weight_decay
        dials.insert(1, Dial("optim.weight_decay", decay, _around(decay, _DECAY)))
    if config.weights != SCRATCH:
        modes = tuple(name for name in MODES if name != "head")  # the head alone is a default of very few pictures
        dials.insert(0, Dial("finetune", mode, options=_with(mode, modes)))
    dials = [dial for dial in dials if dial.name not in fixed]
    if not dials or (mode == "head" and "finetune" in fixed):
        raise ResLabError(
            "nothing is left to search", "leave some of the options to the search: --lr, --augment, --finetune"
        )
    return tuple(dials)


def drawn(dials: Collection[Dial], trial: Any) -> dict[str, Any]:
    """A value for each dial; a head that is computed leaves the others nothing to do."""
    values: dict[str, Any] = {}
    for dial in dials:
        values[dial.name] = dial.draw(trial)
        if values[dial.name] == "head":
            break
    return values


def defaults(dials: Collection[Dial]) -> dict[str, Any]:
    """Where the dials stand before anybody turns them."""
    values: dict[str, Any] = {}
    for dial in dials:
        values[dial.name] = dial.default
        if dial.default == "head":
            break
    return values


def turned(plan: Plan, values: Mapping[str, Any], mirrored: bool, origin: Origin) -> Plan:
    """The plan with its dials at these values; everything else, the split and the seed too, stays."""
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

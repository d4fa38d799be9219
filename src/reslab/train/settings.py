"""A setting is one row: a field of a config with its default, what it may be, its flag and the flag's help.

The options of the command line, the command that repeats a run and the refusals are read from these rows. What a setting is
called in the report is the key `setting.NAME` of `reslab.words`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_type_hints

from reslab.system.bounds import Bound, OneOf

Group = Literal["run", "folds", "pictures", "data"]
"""Which options a flag is listed among."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What is known about a setting besides its default."""

    allowed: Bound | OneOf | None = None
    help: str = ""
    """Of its flag; without it there is no flag, and only recipes and Python choose the value."""
    group: Group = "run"
    words: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What its flag takes in place of a number -> the value that is meant."""
    kind: Any = None
    """The type of its value; by default that of the field."""


def setting(default: Any, *row: Any, **more: Any) -> Any:
    """A field of a config with its row: the arguments after the default are those of `Setting`."""
    return dataclasses.field(default=default, metadata={"row": Setting(*row, **more)})


def flag_of(name: str) -> str:
    """`--lr` for the setting `optim.lr`."""
    return "--" + name.rpartition(".")[2].replace("_", "-")


def check_settings(config: Any) -> None:
    """Refuse values that their rows do not allow; numbers become Python's own.

    Raises:
        ResLabError: a value is refused.
    """
    for field in dataclasses.fields(config):
        if allowed := field.metadata.get("row", Setting()).allowed:
            object.__setattr__(config, field.name, allowed.check(flag_of(field.name), getattr(config, field.name)))


def settings_of(config: type) -> dict[str, Setting]:
    """Every setting of a config by its name, `outer.inner` where configs are nested."""
    found: dict[str, Setting] = {}
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            found |= {f"{field.name}.{inner}": row for inner, row in settings_of(kind).items()}  # type: ignore[arg-type]
            continue
        row = field.metadata.get("row", Setting())
        optional = [option for option in get_args(kind) if option is not type(None)]  # X of `X | None`
        value = row.kind or (optional[0] if type(None) in get_args(kind) else kind)
        found[field.name] = dataclasses.replace(row, kind=value)
    return found


def with_value(config: Any, name: str, value: Any) -> Any:
    """A config with another value of one setting, named as in `settings_of`."""
    outer, _, inner = name.partition(".")
    if inner:
        value = dataclasses.replace(getattr(config, outer), **{inner: value})
    return dataclasses.replace(config, **{outer: value})


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config, nested ones by their dotted names, as `SETTINGS` and `origins` have them."""
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            values |= {f"{name}.{inner}": v for inner, v in value.items()}
        else:
            values[name] = value
    return values

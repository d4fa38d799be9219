"""Options that several verbs share; those that choose a setting of a training are made from its row."""

from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from reslab.data.splits import SplitConfig
from reslab.errors import ResLabError
from reslab.train.config import SETTINGS
from reslab.train.settings import Group, Setting

T = TypeVar("T")

_NAMES = {name.rpartition(".")[2]: name for name, row in SETTINGS.items() if row.help}
"""Option -> the setting that it chooses."""


@dataclass(frozen=True)
class _Options:
    def given(self) -> dict[str, Any]:
        """The settings that the person gave, by their names in the config."""
        values = {
            _NAMES[option]: value for option, value in vars(self).items() if option in _NAMES and value is not None
        }
        plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        return {name: SETTINGS[name].words.get(value, value) for name, value in plain.items()}


def _with_settings(*groups: Group) -> Callable[[type[T]], type[T]]:
    """Add to a class an option for each setting of these groups that has a flag; None stands for not given."""

    def add(kind: type[T]) -> type[T]:
        rows = {option: SETTINGS[name] for option, name in _NAMES.items()}
        added = [(option, _hint(row), None) for group in groups for option, row in rows.items() if row.group == group]
        own = {"__module__": kind.__module__, "__doc__": kind.__doc__}
        made = make_dataclass(kind.__name__, added, bases=(dataclass(frozen=True)(kind),), namespace=own, frozen=True)
        return Parameter(name="*")(made)

    return add


def _hint(row: Setting) -> Any:
    """What cyclopts reads from an option: its type and its line of help."""
    kind = row.kind | Literal[tuple(row.words)] if row.words else row.kind  # pyrefly: ignore[invalid-literal]
    return Annotated[kind | None, Parameter(help=row.help, negative="")]


@_with_settings("run", "folds", "pictures", "data")
class RunOptions(_Options):
    """Everything that decides a training."""

    like: Annotated[Path | None, Parameter(help="Take every choice from an earlier run instead of a recipe.")] = None


@_with_settings("pictures")
class PictureOptions(_Options):
    """What the network sees."""


@_with_settings("data")
class DataOptions(_Options):
    """How the data are found and divided."""

    def split(self) -> SplitConfig:
        """The same as one object."""
        return SplitConfig.recorded(self.given())


RUN_OPTIONS, PICTURE_OPTIONS, DATA_OPTIONS = RunOptions(), PictureOptions(), DataOptions()


def outside_data(out: Path | None, data: str, flag: str = "--out") -> None:
    """Refuse an output inside the data folder, which is never written to."""
    folder = Path(data)
    if out is not None and folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
        raise ResLabError(f"{flag} {out} lies inside {data}, which is never written to", "choose a folder beside it")

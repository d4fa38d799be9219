"""Options for other people's checkpoints."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.engine.base import CheckpointAssumptions
from reslab.errors import ResLabError
from reslab.model.file import is_foreign, refuse_duplicate_classes


@Parameter(name="*")
@dataclass(frozen=True)
class ForeignOptions:
    """What somebody else's checkpoint does not say itself; each guess is said on stderr."""

    network: Annotated[str | None, Parameter(name="--model")] = None
    "Its network, for a .pth, .pt, .th or bare .safetensors; what its tensors look like by default."
    size: int | None = None
    "Side of its input in pixels."
    mean: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None
    "Subtracted from its input in [0, 1], one number per colour; ImageNet's by default."
    std: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None
    "What its input is divided by."
    classes: Path | None = None
    "A text file with its class names, one per line in the order of its answers."

    def assumed(self) -> CheckpointAssumptions:
        """The same for the engine; guesses go to stderr."""
        names = None if self.classes is None else class_names(self.classes)
        return CheckpointAssumptions(self.network, self.size, self.mean, self.std, names, on_message=show.people.print)

    def refuse_for(self, model: Path) -> None:
        """A file that says all this itself is not contradicted."""
        given = [name for name, value in dataclasses.asdict(self).items() if value is not None]
        if given and not is_foreign(model):
            flag = "model" if given[0] == "network" else given[0]
            raise ResLabError(f"--{flag} is for other people's checkpoints; {model} says it itself", "leave it out")


def class_names(path: Path) -> tuple[str, ...]:
    """One per line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ResLabError(f"cannot read the class names in {path}: {error}", "one name per line, UTF-8") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    names = tuple(name for _, name in numbered)
    refuse_duplicate_classes(names, f"{path}: ", [number for number, _ in numbered])
    return names


FOREIGN_OPTIONS = ForeignOptions()

"""Options for checkpoints of other libraries."""

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
    """What a checkpoint of another library does not record; each guess is printed on stderr."""

    network: Annotated[str | None, Parameter(name="--model")] = None
    "Network of a .pth, .pt, .th or bare .safetensors checkpoint; inferred from its tensors by default."
    size: int | None = None
    "Side of the checkpoint's input in pixels."
    mean: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None
    "Mean of the checkpoint's normalisation, for inputs in [0, 1]; ImageNet's by default."
    std: Annotated[tuple[float, float, float] | None, Parameter(negative="")] = None
    "Standard deviation of the checkpoint's normalisation."
    classes: Path | None = None
    "A text file with the checkpoint's class names, one per line in the order of its outputs."

    def assumed(self) -> CheckpointAssumptions:
        """The same for the engine; guesses are printed on stderr."""
        names = None if self.classes is None else class_names(self.classes)
        return CheckpointAssumptions(self.network, self.size, self.mean, self.std, names, on_message=show.people.print)

    def refuse_for(self, model: Path) -> None:
        """Refuse these options for a model file that records them itself."""
        given = [name for name, value in dataclasses.asdict(self).items() if value is not None]
        if given and not is_foreign(model):
            flag = "model" if given[0] == "network" else given[0]
            raise ResLabError(
                f"--{flag} is for checkpoints of other libraries; {model} records it itself", "leave it out"
            )


def class_names(path: Path) -> tuple[str, ...]:
    """The class names in a text file, one per line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ResLabError(f"cannot read the class names in {path}: {error}", "one name per line, UTF-8") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    names = tuple(name for _, name in numbered)
    refuse_duplicate_classes(names, f"{path}: ", [number for number, _ in numbered])
    return names


FOREIGN_OPTIONS = ForeignOptions()

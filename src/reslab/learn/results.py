"""What long runs found: JSON files beside the lessons, each with the command that makes it again."""

from typing import Any

from reslab.errors import ResLabError
from reslab.learn.course import folder
from reslab.system.files import read_json


def result(name: str) -> dict[str, Any]:
    """The document `lessons/results/NAME.json`.

    Raises:
        ResLabError: there is none, or the lessons are not installed.
    """
    file = folder() / "results" / f"{name}.json"
    if not file.is_file():
        raise ResLabError(f"there is no result named {name}", "pip install --force-reinstall 'reslab[train]'")
    return read_json(file)

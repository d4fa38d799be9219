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


def format_comparison(name: str) -> str:
    """A stored comparison of trainings as text: accuracy in percent, and what is gained in points with its 95 % interval."""
    found = result(name)
    counts = f"{found['train']:,} photographs, {found['epochs']} epochs, {len(found['seeds'])} seeds; {found['test']:,} to judge"
    lines = [counts]
    for row in found["rows"]:
        line = f"{row['name']:10} {100 * row['accuracy']:5.1f} %"
        if "gain" in row:
            gain, low, high = (100 * row["gain"][end] for end in ("difference", "low", "high"))
            line += f"  gain {gain:+5.1f}  ({low:+5.1f} to {high:+5.1f})"
        lines.append(line)
    return "\n".join(lines)

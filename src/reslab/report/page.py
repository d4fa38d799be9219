"""A run as one self-contained HTML page."""

from pathlib import Path


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder and give its path."""
    return run / "report.html"

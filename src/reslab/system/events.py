"""Events that a long operation reports while it runs, and the listener that ignores them."""

from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
"""Plain values; `event` says what happened."""
Listener = Callable[[Event], None]


def ignore(event: object) -> None:
    """The listener that does nothing."""

"""What a long piece of work reports while it goes on, and the listener that is given none of it."""

from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
"""Plain values; `event` says what happened."""
Listener = Callable[[Event], None]


def ignore(event: object) -> None:
    """The listener that does nothing."""

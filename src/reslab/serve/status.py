"""What a server says about its processes and its model files, in memory or in a file that its processes share."""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from reslab.system.files import write_atomically


@dataclass(slots=True)
class Status:
    """The processes that answer, and which model files could not be read again."""

    processes: list[int] = field(default_factory=lambda: [os.getpid()])
    restarts: int = 0
    """Processes that ended by themselves and were started again."""
    errors: dict[str, str] = field(default_factory=dict)
    """Model -> why its file, which has changed, is not served; the model before it answers."""

    def itself(self) -> "Status":
        """For a server of one process, which keeps it in memory."""
        return self

    def write(self, path: Path) -> None:
        """For other processes."""
        write_atomically(path, json.dumps(dataclasses.asdict(self)).encode())


def read_status(path: Path) -> Status:
    """What `Status.write` wrote; where it is gone, what this process knows of itself."""
    try:
        return Status(**json.loads(path.read_bytes()))
    except OSError:
        return Status()

"""The table of tasks: name -> task."""

from reslab.errors import ResLabError
from reslab.system.values import shown
from reslab.tasks.multi import Multi
from reslab.tasks.single import Single
from reslab.tasks.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (Single(), Multi())}


def task_named(name: str) -> Task:
    """The task of a name, as files and plans write it.

    Raises:
        ResLabError: there is none.
    """
    if name not in TASKS:
        raise ResLabError(f"task is {shown(name)}, not {' or '.join(TASKS)}")
    return TASKS[name]

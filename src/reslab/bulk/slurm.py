"""A batch script that lets SLURM run the workers: an array of one-core tasks, each with its share of the parts."""

import shlex
import sys
from collections.abc import Sequence

TASKS = 1000
"""An array has no more tasks unless it is asked to: SLURM's own limit, MaxArraySize, is 1001."""

SCRIPT = """#!/bin/bash
# {parts} parts in {tasks} tasks of one core each. Submit it with sbatch; once more, and it does what is missing.
#SBATCH --job-name=reslab-{verb}
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task=1
#SBATCH --requeue
export OMP_NUM_THREADS=1
exec {command} --share "$SLURM_ARRAY_TASK_ID/{tasks}"
"""

_HERE = ("--engine-on", "--processes", "--share")
"""Options that say where the work is done, each with a value."""


def batch_script(words: Sequence[str], parts: int, tasks: int | None) -> str:
    """The script for a command line of this verb.

    Args:
        words: the command line as it was given, without `reslab`.
    """
    tasks = tasks or max(1, min(parts, TASKS))
    command = shlex.join([sys.executable, "-m", "reslab", *_without(words)])
    return SCRIPT.format(verb=words[0], parts=f"{parts:,}", tasks=tasks, last=tasks - 1, command=command)


def _without(words: Sequence[str]) -> list[str]:
    kept, skipped = [], False
    for word in words:
        if skipped or word.partition("=")[0] in _HERE:
            skipped = not skipped and "=" not in word
            continue
        kept.append(word)
    return kept

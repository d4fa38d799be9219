"""`python -m reslab` and the `reslab` command."""

import os
import sys

_SPINS = "10000"


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Threads of an operation that wait for each other should soon give the core away: with GNU's default they spin for
    # so long that one other busy program slows training sevenfold. Read once, when torch is loaded (LOG.md, 2026-11-24).
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    from reslab.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

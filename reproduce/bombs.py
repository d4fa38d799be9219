"""What every file of tests/pixels/bombs.py costs: CPU seconds and memory above the start, each in a process of its own.

python reproduce/bombs.py [WORD…]          only those whose name holds one of the words
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pixels"))

import bombs


def main():
    """Print one line a file, and exit with 1 where one is beyond its budget."""
    chosen = [n for n in bombs.BOMBS if not sys.argv[1:] or any(word in n for word in sys.argv[1:])]
    beyond = 0
    for name in chosen:
        data = bombs.BOMBS[name]()
        reason, seconds, megabytes = bombs.measured(data)
        bad = seconds > bombs.SECONDS or megabytes > bombs.MEGABYTES
        beyond += bad
        print(
            f"{'!' if bad else ' '} {name:42s}{len(data):>12,} B{seconds:7.2f} s{megabytes:6.0f} MB  {reason}",
            flush=True,
        )
    print(f"{len(chosen)} files, {beyond} beyond {bombs.SECONDS} s or {bombs.MEGABYTES} MB")
    sys.exit(beyond > 0)


if __name__ == "__main__":
    main()

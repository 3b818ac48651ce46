"""Where a command writes: results to standard output, everything else to standard error."""

import sys


def say(text: str) -> None:
    """A result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Something that a person should know, and no result."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

"""What a guard is while its parent lives: a program that waits for the parent's end with as little as Python can be.

`python -I -S guard_waiting.py PIPE PARENT COMMAND…` ends when the parent says goodbye: a byte on the pipe, whose other end only the parent
holds. It becomes the command when the parent dies without one; the last argument is then when that was, in seconds of the monotonic clock.
"""

import os
import select
import sys
import time
from contextlib import suppress


def died(pipe: int, parent: int) -> bool:
    """Wait for the parent's end, and say whether it came without a goodbye."""
    os.set_blocking(pipe, False)
    watched = [pipe]
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):  # an old kernel; the pipe alone will do, unless somebody else holds its other end
            watched.append(os.pidfd_open(parent))
    if os.getppid() == parent:
        select.select(watched, [], [])
    try:
        return os.read(pipe, 1) == b""
    except BlockingIOError:
        return True


if __name__ == "__main__" and died(int(sys.argv[1]), int(sys.argv[2])):
    os.execv(sys.argv[3], [*sys.argv[3:], str(time.monotonic())])  # noqa: S606  what the parent told it to become

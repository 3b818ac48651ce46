"""How this process shares its time between work, threads and the garbage collector."""

import gc
import sys

YOUNG = 5_000
"""Objects that may be made before the young ones are looked through; nearly all die by themselves long before."""
TURN = 0.001
"""Seconds that a thread may keep the interpreter while the loop waits for it: a report is rendered beside runs that wait for answers."""


def keep_pace() -> None:
    """Set it, once in a process, when what stays for its life is there: that is never looked through again, which would stop everything."""
    if gc.get_freeze_count():
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
    sys.setswitchinterval(TURN)

"""One event loop per command, and what signals mean in it."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from cli.output import complain

T = TypeVar("T")


def run_async(command: Coroutine[None, None, T]) -> T:
    """Run a command to its end, on uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(command)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(command)


class Signals:
    """SIGINT and SIGTERM: the first one asks, the second one leaves at once."""

    def __init__(self, on_second: Callable[[], str], code: int) -> None:
        self.asked = asyncio.Event()
        self._on_second = on_second
        self._code = code

    def _heard(self) -> None:
        if not self.asked.is_set():
            self.asked.set()
            return
        sys.stdout.flush()
        complain(f"\n{self._on_second()}")
        os._exit(self._code)


@contextmanager
def signals(on_second: Callable[[], str], code: int) -> Iterator[Signals]:
    """Hear both signals until the block ends; `on_second` says what may be left behind when the process leaves at once with `code`."""
    heard = Signals(on_second, code)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, heard._heard)  # noqa: SLF001  the two belong together
    try:
        yield heard
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

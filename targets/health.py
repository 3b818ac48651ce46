"""Health samples. A prober must not disturb what it measures: everything is unary, bounded, and closed when it is answered."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Self

import aiohttp

from messages.checks import GrpcCall, Health, HttpUnlike, ItemsRead, Probe, Question, Role, TcpCheck
from messages.expressions import ExpressionError
from messages.identity import Identity
from targets.command_check import check_command
from targets.grpc_call import GrpcCaller
from targets.grpc_check import check_grpc
from targets.grpc_reflection import CannotBeAsked
from targets.http_check import check_http, open_session
from targets.identity import is_alive
from targets.items_read import check_unlike, read_items
from targets.metrics_check import Found, Scraped, scrape
from targets.polling import until
from targets.promql import query
from targets.role_check import ask_role
from targets.wording import UNKNOWN_NAME, no_answer, of_os_error, shortened, wrong_port

Look = Callable[[], Coroutine[None, None, str]]
"""Says what is wrong; empty for nothing."""
Ask = Callable[[], Coroutine[None, None, "Sample"]]
"""Asks one thing, and says what came of it."""
MARGIN = timedelta(milliseconds=50)
"""Beyond its deadline, for a check that has its own way to meet it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a service's health."""

    ok: bool
    took: timedelta
    check: str = ""
    """Which check failed first: http, grpc, tcp, command or process; empty when all are good."""
    error: str = ""
    asked: bool = True
    """False: nothing could be asked, which says nothing of the service."""


class HealthProber:
    """Asks services for their health; an async context manager. Between two checks nothing is open to any of them."""

    def __init__(self, *, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self._session: aiohttp.ClientSession | None = None
        self._stack = AsyncExitStack()
        self._asking: Counter[Health | Probe] = Counter()

    async def __aenter__(self) -> Self:
        self._session = await self._stack.enter_async_context(open_session())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def check(self, health: Health | Probe, *, deadline: timedelta | None = None) -> Sample:
        """A sample of all its checks, made at once; done with the first that fails. Never raises for a sick target."""
        begin = time.monotonic()
        self._asking[health] += 1
        try:
            check, error = await self._ask(health, health.deadline if deadline is None else deadline)
        finally:
            self._asking[health] -= 1
            if not self._asking[health]:
                del self._asking[health]
        return Sample(ok=not check, took=timedelta(seconds=time.monotonic() - begin), check=check, error=error)

    def asking(self, question: Question, *, deadline: timedelta, shown: int, exact: bool = False) -> Ask:
        """What asks this, each time it is called, over HTTP or gRPC; of a wrong answer so many characters are told.

        `exact`: a good answer on which `expect` cannot be evaluated is not taken for a bad one: nothing was asked.
        """
        if isinstance(question, GrpcCall):
            return partial(_asked, "grpc", partial(GrpcCaller(question).ask, deadline, shown=shown, exact=exact), deadline, shown)
        if isinstance(question, HttpUnlike):
            return partial(_asked, "http", partial(check_unlike, self._opened, question, shown=shown, exact=exact), deadline, shown)
        return partial(_asked, "http", partial(check_http, self._opened, question, shown=shown, exact=exact), deadline, shown)

    async def role(self, role: Role, *, deadline: timedelta) -> str:
        """What the service says that its role is; empty when it does not say."""
        return await ask_role(self._opened, role, deadline, self._environment)

    async def items(self, read: ItemsRead) -> list[str] | str:
        """Which items are there, or why that could not be read."""
        return await read_items(self._opened, read, self._environment)

    async def scrape(self, url: str, *, deadline: timedelta) -> Scraped:
        """The metrics at this address. Never raises for a sick target."""
        return await scrape(self._opened, url, deadline)

    async def query(self, base: str, promql: str, *, deadline: timedelta) -> Found:
        """What a Prometheus gives for an expression at this moment. Never raises for a sick one."""
        return await query(self._opened, base, promql, deadline)

    async def let_go(self, health: Health) -> None:
        """Returns once nothing is open to this target, at most its deadline later. Call it before a stop or a restart."""
        with suppress(TimeoutError):
            async with asyncio.timeout((health.deadline + 2 * MARGIN).total_seconds()):
                await until(lambda: health not in self._asking, poll=0.002)

    async def _ask(self, health: Health | Probe, deadline: timedelta) -> tuple[str, str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_bounded(name, look, deadline)) for name, look in self._checks(health, deadline)]
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                failed = [task.result() for task in tasks if task in done and task.result()[1]]
                if failed:
                    # Cancelled here and not by raising in the group: before Python 3.13 that would break every `asyncio.timeout` around it.
                    for task in pending:
                        task.cancel()
                    return failed[0]
        return "", ""

    def _checks(self, health: Health | Probe, deadline: timedelta) -> Iterator[tuple[str, Look]]:
        if health.http is not None:
            yield "http", partial(check_http, self._opened, health.http)
        if health.grpc is not None:
            yield "grpc", partial(check_grpc, health.grpc, deadline)
        if health.tcp is not None:
            yield "tcp", partial(check_tcp, health.tcp)
        if health.command is not None:
            yield "command", partial(check_command, health.command, deadline, self._environment)

    @property
    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the prober is used outside its `async with`")
        return self._session


def process_sample(identity: Identity | None) -> Sample:
    """The sample of a service that has no health checks: its process is there."""
    alive = identity is not None and is_alive(identity)
    return Sample(ok=alive, took=timedelta(), check="" if alive else "process", error="" if alive else "the process is gone")


async def check_tcp(check: TcpCheck) -> str:
    """What is wrong with connecting; empty when the connection was accepted. It is closed at once."""
    if wrong := wrong_port(check.address):
        return wrong
    host, _, port = check.address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError as error:
        return of_os_error(error)
    except UnicodeError:
        return UNKNOWN_NAME
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""


async def _asked(name: str, look: Look, deadline: timedelta, shown: int) -> Sample:
    begin, asked = time.monotonic(), True
    try:
        _, error = await _bounded(name, look, deadline)
    except (CannotBeAsked, ExpressionError) as why:
        error, asked = shortened(str(why), 100 + shown), False
    return Sample(not error, timedelta(seconds=time.monotonic() - begin), name if error else "", error, asked)


async def _bounded(name: str, look: Look, deadline: timedelta) -> tuple[str, str]:
    # A command and a gRPC call meet the deadline themselves and end what they began.
    margin = MARGIN if name in {"grpc", "command"} else timedelta()
    try:
        async with asyncio.timeout((deadline + margin).total_seconds()):
            return name, await look()
    except TimeoutError:
        return name, no_answer(deadline)

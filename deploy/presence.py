"""Who is there: every host keeps a lease that says what it runs, and anyone can read them."""

import asyncio
import json
import os
import platform
from collections.abc import Callable, Collection, Iterable
from contextlib import aclosing
from datetime import timedelta

import structlog

from bus.errors import BusError
from bus.keys import Keys
from messages.values import Message
from targets.identity import boot_id

LEASE = timedelta(seconds=10)
RENEW = 3.0
"""Seconds between renewals; a change is told at once."""
STOPPING = "stopping"
"""The state of an actor whose host is leaving."""
_LOOK = 0.1
_QUIET = 0.3
"""Seconds of silence after which all leases that exist have been read."""
_LONGEST_LOOK = 1.5
"""Seconds after which they have been read though many hosts renew theirs all the time."""
_log = structlog.get_logger("deploy.presence")


class Presence(Message):
    """One host, as it says itself."""

    host: str
    instance: str
    version: str
    machine: str = ""
    """Hosts of one machine reach each other's processes."""
    http: str | None
    grpc: str | None = None
    actors: dict[str, str]
    checks: dict[str, str]


def this_machine() -> str:
    """Names what this process shares its process ids with."""
    try:
        return f"{boot_id()} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - no path: the name of a namespace
    except OSError:
        return platform.node()


def can_take(mine: Presence, others: Iterable[Presence], near: Collection[str]) -> bool:
    """Whether each actor of a host is ready elsewhere as well, those that must be `near` on the same machine."""
    ready = {(name, other.machine) for other in others for name, state in other.actors.items() if state == "ready"}
    anywhere = {name for name, _ in ready}
    return all((name, mine.machine) in ready if name in near else name in anywhere for name in mine.actors)


async def announce(keys: Keys, key: str, describe: Callable[[], Presence]) -> None:
    """Keep the lease until cancelled, then give it back."""
    revision, told, renew_at = 0, b"", 0.0
    clock = asyncio.get_running_loop().time
    try:
        while True:
            body = describe().model_dump_json().encode()
            if body == told and clock() < renew_at:
                await asyncio.sleep(_LOOK)
                continue
            try:
                renewed = await keys.put_lease(key, body, LEASE, revision) if revision else None
                revision = renewed or await keys.create_lease(key, body, LEASE) or 0
            except BusError as error:
                _log.debug("lease.unrenewed", error=str(error))
            told, renew_at = body, clock() + RENEW
    finally:
        if revision:
            await _give_back(keys, key, revision)


async def who_is_there(keys: Keys) -> list[Presence]:
    """Every host that has a lease now."""
    found: dict[str, Presence] = {}
    clock = asyncio.get_running_loop().time
    end = clock() + _LONGEST_LOOK
    async with aclosing(keys.watch()) as changes:
        while True:
            try:
                async with asyncio.timeout(min(_QUIET, end - clock())):
                    key, value = await anext(changes)
            except (TimeoutError, StopAsyncIteration):
                return sorted(found.values(), key=lambda presence: presence.host)
            found.pop(key, None)
            if value is not None:
                found |= _read(key, value)


def _read(key: str, value: bytes) -> dict[str, Presence]:
    try:
        return {key: Presence.model_validate(json.loads(value))}
    except ValueError:
        _log.debug("lease.unreadable", key=key)
        return {}


async def _give_back(keys: Keys, key: str, revision: int) -> None:
    try:
        async with asyncio.timeout(1):
            await keys.delete(key, revision)
    except (BusError, TimeoutError) as error:
        _log.debug("lease.left", error=str(error))

"""Who is there: every host keeps a lease that says what it runs, and anyone can read them."""

import asyncio
import json
import os
import platform
from collections.abc import Collection, Iterable
from contextlib import aclosing

import structlog

from bus.keys import Keys
from bus.membership import Member
from bus.ownership import AUTO, EVERYTHING, parse_partitions
from targets.identity import boot_id

STOPPING = "stopping"
"""The state of an actor whose host is leaving."""
_QUIET = 0.3
"""Seconds of silence after which all leases that exist have been read."""
_LONGEST_LOOK = 1.5
"""Seconds after which they have been read though many hosts renew theirs all the time."""
_log = structlog.get_logger("deploy.presence")


class Presence(Member):
    """One host, as it says itself."""

    version: str
    http: str | None
    grpc: str | None = None
    actors: dict[str, str]
    checks: dict[str, str]
    partitions: dict[str, str] = {}
    """What it owns, by actor, such as `0-7`."""


def this_machine() -> str:
    """Names what this process shares its process ids with."""
    try:
        return f"{boot_id()} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - no path: the name of a namespace
    except OSError:
        return platform.node()


def stranded(mine: Presence, others: Iterable[Presence], *, near: Collection[str], covered: Collection[str] = ()) -> frozenset[int]:
    """The partitions of a host that nobody would have without it: for one of its actors no other host is ready that asks for them.

    Those that must be `near` count on the same machine only; a `covered` one takes any.
    """
    ready = [(name, other) for other in others for name, state in other.actors.items() if state == "ready" and name in other.offers]
    found = set[int]()
    for actor, owned in mine.partitions.items():
        takers = [other for name, other in ready if name == actor and (actor not in near or other.machine == mine.machine)]
        texts = [AUTO if actor in covered else other.offers[actor] for other in takers]
        found |= _partitions(owned) - frozenset[int]().union(*map(_partitions, texts))
    return frozenset(found)


def _partitions(text: str) -> frozenset[int]:
    """What is owned or asked for: numbers, everything, or nothing."""
    if not text:
        return frozenset()
    numbers = parse_partitions(text)
    return EVERYTHING if numbers is None else numbers


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

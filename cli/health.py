"""`health`: whether NATS answers, and which actors are at work."""

import asyncio
import json as jsonlib
from collections.abc import Iterator

from bus.ownership import as_text, parse_partitions
from bus.subjects import PARTITIONS
from cli.access import Access, Bus, joining
from cli.errors import Exit
from cli.looping import run_async
from cli.output import say
from deploy.host import ACTORS
from deploy.presence import Presence, who_is_there

_MOVING = 1.5
"""Seconds in which partitions that move from one host to another are owned again."""


def health_command(access: Access, *, json: bool) -> int:
    """0 if NATS, JetStream and all five actors are well and every partition has an owner, else 6."""
    return run_async(_health(access, json=json))


async def _health(access: Access, *, json: bool) -> int:
    async with joining(access) as bus:
        hosts = await _settled(bus)
        actors, free = {name: _state(name, hosts) for name in ACTORS}, unowned(hosts)
        well = all(state == "ready" for state in actors.values()) and not free
        if json:
            told = {"status": "healthy" if well else "degraded", "nats": bus.url, "jetstream": "ok", "actors": actors, "unowned": free}
            say(jsonlib.dumps({**told, "hosts": [host.model_dump(mode="json") for host in hosts]}, indent=2))
        else:
            say(f"NATS {bus.url}: ok, JetStream: ok, namespace {bus.namespace}")
            say("\n".join(f"  {name:<15} {state}" for name, state in actors.items()))
            say("\n".join((*(line for host in hosts for line in host_lines(host)), *_unowned_lines(free))))
        if not well and not json:
            missing = [name for name, state in actors.items() if state == "missing"]
            say(f"start what is missing: test-coordinator serve --actors {','.join(missing)} --nats {bus.url}" if missing else "")
    return Exit.PASSED if well else Exit.UNREACHABLE


async def _settled(bus: Bus) -> list[Presence]:
    """Every host; looked for once more when partitions have no owner, which may be those that move just now."""
    hosts = await who_is_there(bus.instances)
    if unowned(hosts):
        await asyncio.sleep(_MOVING)
        hosts = await who_is_there(bus.instances)
    return hosts


def host_lines(host: Presence) -> Iterator[str]:
    """A host, and which partitions of which actors it owns."""
    yield f"  host {host.host} of {host.instance}{f', {host.http}' if host.http else ''}"
    owners: dict[str, list[str]] = {}
    for actor, owned in host.partitions.items():
        owners.setdefault(owned, []).append(actor)
    for owned, actors in owners.items():
        yield f"    {f'partitions {owned}' if owned else 'no partitions'}: {', '.join(actors)}"


def unowned(hosts: list[Presence]) -> dict[str, str]:
    """The partitions that no host owns, for each actor that some host has; empty when all are owned."""
    found: dict[str, str] = {}
    for actor in ACTORS:
        owned = [host.partitions[actor] for host in hosts if actor in host.partitions]
        taken = {partition for text in owned if text for partition in parse_partitions(text) or ()}
        if owned and len(taken) < PARTITIONS:
            found[actor] = as_text(set(range(PARTITIONS)) - taken)
    return found


def _unowned_lines(free: dict[str, str]) -> Iterator[str]:
    for text in dict.fromkeys(free.values()):
        actors = ", ".join(actor for actor in free if free[actor] == text)
        yield f"  nobody owns partitions {text} of {actors}: runs there wait until a host takes them"


def _state(actor: str, hosts: list[Presence]) -> str:
    """The best that any host says of it."""
    states = [host.actors[actor] for host in hosts if actor in host.actors]
    return "ready" if "ready" in states else states[0] if states else "missing"

"""`health`: whether NATS answers, and which actors are at work."""

import json as jsonlib

from cli.access import Access, joining
from cli.errors import Exit
from cli.looping import run_async
from cli.output import say
from deploy.host import ACTORS
from deploy.presence import Presence, who_is_there


def health_command(access: Access, *, json: bool) -> int:
    """0 if NATS, JetStream and all five actors are well, else 6."""
    return run_async(_health(access, json=json))


async def _health(access: Access, *, json: bool) -> int:
    async with joining(access) as bus:
        hosts = await who_is_there(bus.instances)
        actors = {name: _state(name, hosts) for name in ACTORS}
        well = all(state == "ready" for state in actors.values())
        if json:
            told = {"status": "healthy" if well else "degraded", "nats": bus.url, "jetstream": "ok", "actors": actors}
            say(jsonlib.dumps({**told, "hosts": [host.model_dump(mode="json") for host in hosts]}, indent=2))
        else:
            say(f"NATS {bus.url}: ok, JetStream: ok, namespace {bus.namespace}")
            say("\n".join(f"  {name:<15} {state}" for name, state in actors.items()))
            say("\n".join(f"  host {host.host} of {host.instance}{f', {host.http}' if host.http else ''}" for host in hosts))
        if not well and not json:
            missing = [name for name, state in actors.items() if state == "missing"]
            say(f"start what is missing: test-coordinator serve --actors {','.join(missing)} --nats {bus.url}" if missing else "")
    return Exit.PASSED if well else Exit.UNREACHABLE


def _state(actor: str, hosts: list[Presence]) -> str:
    """The best that any host says of it."""
    states = [host.actors[actor] for host in hosts if actor in host.actors]
    return "ready" if "ready" in states else states[0] if states else "missing"

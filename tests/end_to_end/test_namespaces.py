"""Network faults on services that live in network namespaces, from a scenario to what connections meet. Needs the rights for namespaces."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from messages.fault_events import FaultArmed, FaultEffective, FaultGone
from messages.observations import ServiceDown
from messages.verdicts import Verdict
from targets.network.support import supported
from tests.end_to_end.conftest import SERVICE

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena

pytestmark = [pytest.mark.long, pytest.mark.skipif(supported("network_partition") is not None, reason=str(supported("network_partition")))]
PORT = 8080


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Island:
    """A network namespace with an address."""

    name: str
    address: str


Islands = tuple[Island, Island]


def own_net() -> int:
    """A number that no other process of this machine has: that of a new namespace, for a bridge."""
    for number in range(1, 255):
        with suppress(subprocess.CalledProcessError):
            ip("netns", "add", f"tc-e2e-{number}-sw")
            return number
    raise AssertionError("every number is taken")


@pytest.fixture
def islands() -> Iterator[Islands]:
    """Two namespaces, each with an address that the other and this machine reach, over one bridge."""
    net = own_net()
    switch, way, subnet = f"tc-e2e-{net}-sw", f"tc-e2e-{net}", f"10.197.{net}"
    left, right = (Island(f"{way}-{number}", f"{subnet}.{number}") for number in (1, 2))
    try:
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        for port, island in (("p1", left), ("p2", right)):
            ip("netns", "add", island.name)
            ip("-n", island.name, "link", "set", "lo", "up")
            ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", island.name)
            ip("-n", switch, "link", "set", port, "master", "br0", "up")
            ip("-n", island.name, "addr", "add", f"{island.address}/24", "dev", "eth0")
            ip("-n", island.name, "link", "set", "eth0", "up")
        ip("link", "add", way, "type", "veth", "peer", "name", "ctl", "netns", switch)
        ip("-n", switch, "link", "set", "ctl", "master", "br0", "up")
        ip("addr", "add", f"{subnet}.254/24", "dev", way)
        ip("link", "set", way, "up")
        yield left, right
    finally:
        subprocess.run(["ip", "link", "del", way], check=False, capture_output=True)
        for name in (left.name, right.name, switch):  # the one that makes the number ours goes last
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def services(islands: Islands) -> str:
    found = []
    for name, island in zip(("left", "right"), islands, strict=True):
        process = f'{{command: [python, {SERVICE}], namespace: {island.name}, env: {{PORT: "{PORT}", BIND: "0.0.0.0"}}, ready_within: 5s}}'
        health = f'{{http: {{url: "http://{island.address}:{PORT}/health"}}, every: 100ms, deadline: 1s}}'
        found.append(f"{name}: {{driver: {{process: {process}}}, health: {health}}}")
    return ", ".join(found)


async def reaches(island: Island, host: str) -> bool:
    """Whether a connection from a namespace to the other's service is answered."""
    script = (
        f"import socket; s = socket.create_connection(('{host}', {PORT}), 1); s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.recv(9))"
    )
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", island.name, "python3", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await process.communicate()
    return b"HTTP" in out


async def answers(host: str) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.2):
            reader, writer = await asyncio.open_connection(host, PORT)
            with closing(writer):
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                return b"HTTP" in await reader.read()
    return False


async def test_two_sides_are_parted_and_both_stay_reachable_for_others(arena: "Arena", islands: Islands) -> None:
    phases = """[{name: chaos, actions: [{id: part, target: {between: [left, right]}, action: network_partition, for: 5s}],
      assertions: [{id: well, type: health, target: [left, right], within: 20s}]}]"""

    run = await arena.submit(arena.document(phases, services=services(islands)))
    await arena.wait_for(run, FaultEffective, "part")
    during = await reaches(islands[0], islands[1].address), await answers(islands[1].address)
    await arena.wait_for(run, FaultGone, "part")
    after = await reaches(islands[0], islands[1].address)
    ended = await arena.ended(run)

    assert during == (False, True)
    assert after
    assert ended.verdict is Verdict.PASSED, ended
    assert len(ended.events(FaultArmed)) == 1


@pytest.mark.parametrize("action", ["network_drop", "network_reject", "network_latency, parameters: {delay: 700ms}"])
async def test_a_service_in_a_namespace_loses_its_network_and_gets_it_back(arena: "Arena", islands: Islands, action: str) -> None:
    phases = f"""[{{name: chaos, actions: [{{id: cut, target: left, action: {action}, for: 5s}}],
      assertions: [{{id: well, type: health, target: right, throughout: true}},
                   {{id: back, type: recovery, target: left, within: 15s}}]}}]""".replace("700ms}, for", "700ms}, for")

    run = await arena.submit(arena.document(phases, services=services(islands)))
    await arena.wait_for(run, FaultEffective, "cut")
    during = await answers(islands[0].address)
    await arena.wait_for(run, FaultGone, "cut")
    after = await answers(islands[0].address)
    ended = await arena.ended(run)

    assert not during
    assert after
    assert ended.verdict is Verdict.PASSED, ended


async def test_who_shares_the_namespace_of_a_disturbed_service_is_excused_with_it(arena: "Arena", islands: Islands) -> None:
    phases = """[{name: chaos, actions: [{id: cut, target: left, action: network_drop, for: 3s}],
      assertions: [{id: well, type: health, target: right, throughout: true}]}]"""
    both = services(islands)
    twin = both.partition(", right:")[0].replace("left:", "twin:", 1).replace(str(PORT), "8081")

    ended = await arena.run(arena.document(phases, services=f"{both}, {twin}"))

    downs = {line.entity for line in ended.lines if isinstance(line.event, ServiceDown)}
    assert downs >= {"left", "twin"}
    assert ended.verdict is Verdict.PASSED, ended

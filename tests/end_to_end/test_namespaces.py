"""Network faults on services that live in network namespaces, from a scenario to what connections meet. Needs the rights for namespaces."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
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


@pytest.fixture
def islands() -> Iterator[tuple[str, str]]:
    """Two namespaces, each with an address that the other and this machine reach: 10.197.7.1 and 10.197.7.2 over one bridge."""
    names = ("tc-e2e-1", "tc-e2e-2")
    try:
        ip("netns", "add", "tc-e2e-sw")
        ip("-n", "tc-e2e-sw", "link", "add", "br0", "type", "bridge")
        ip("-n", "tc-e2e-sw", "link", "set", "br0", "up")
        for number, name in enumerate(names, start=1):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", "tc-e2e-sw", "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", "tc-e2e-sw", "link", "set", f"p{number}", "master", "br0", "up")
            ip("-n", name, "addr", "add", f"10.197.7.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        ip("link", "add", "tc-e2e-0", "type", "veth", "peer", "name", "ctl", "netns", "tc-e2e-sw")
        ip("-n", "tc-e2e-sw", "link", "set", "ctl", "master", "br0", "up")
        ip("addr", "add", "10.197.7.254/24", "dev", "tc-e2e-0")
        ip("link", "set", "tc-e2e-0", "up")
        yield names
    finally:
        for name in (*names, "tc-e2e-sw"):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", "tc-e2e-0"], check=False, capture_output=True)


def services(islands: tuple[str, str]) -> str:
    found = []
    for number, (name, island) in enumerate(zip(("left", "right"), islands, strict=True), start=1):
        process = f'{{command: [python, {SERVICE}], namespace: {island}, env: {{PORT: "{PORT}", BIND: "0.0.0.0"}}, ready_within: 5s}}'
        health = f'{{http: {{url: "http://10.197.7.{number}:{PORT}/health"}}, every: 100ms, deadline: 500ms}}'
        found.append(f"{name}: {{driver: {{process: {process}}}, health: {health}}}")
    return ", ".join(found)


async def reaches(island: str, host: str) -> bool:
    """Whether a connection from a namespace to the other's service is answered."""
    script = (
        f"import socket; s = socket.create_connection(('{host}', {PORT}), 1); s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); print(s.recv(9))"
    )
    process = await asyncio.create_subprocess_exec(
        "ip", "netns", "exec", island, "python3", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await process.communicate()
    return b"HTTP" in out


async def answers(host: str) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(0.6):
            reader, writer = await asyncio.open_connection(host, PORT)
            with closing(writer):
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                return b"HTTP" in await reader.read()
    return False


async def test_two_sides_are_parted_and_both_stay_reachable_for_others(arena: "Arena", islands: tuple[str, str]) -> None:
    phases = """[{name: chaos, actions: [{id: part, target: {between: [left, right]}, action: network_partition, for: 5s}],
      assertions: [{id: well, type: health, target: [left, right], within: 20s}]}]"""

    run = await arena.submit(arena.document(phases, services=services(islands)))
    await arena.wait_for(run, FaultEffective, "part")
    during = await reaches(islands[0], "10.197.7.2"), await answers("10.197.7.2")
    await arena.wait_for(run, FaultGone, "part")
    after = await reaches(islands[0], "10.197.7.2")
    ended = await arena.ended(run)

    assert during == (False, True)
    assert after
    assert ended.verdict is Verdict.PASSED, ended
    assert len(ended.events(FaultArmed)) == 1


@pytest.mark.parametrize("action", ["network_drop", "network_reject", "network_latency, parameters: {delay: 700ms}"])
async def test_a_service_in_a_namespace_loses_its_network_and_gets_it_back(arena: "Arena", islands: tuple[str, str], action: str) -> None:
    phases = f"""[{{name: chaos, actions: [{{id: cut, target: left, action: {action}, for: 3s}}],
      assertions: [{{id: well, type: health, target: right, throughout: true}},
                   {{id: back, type: recovery, target: left, within: 10s}}]}}]""".replace("700ms}, for", "700ms}, for")

    run = await arena.submit(arena.document(phases, services=services(islands)))
    await arena.wait_for(run, FaultEffective, "cut")
    during = await answers("10.197.7.1")
    await arena.wait_for(run, FaultGone, "cut")
    after = await answers("10.197.7.1")
    ended = await arena.ended(run)

    assert not during
    assert after
    assert ended.verdict is Verdict.PASSED, ended


async def test_who_shares_the_namespace_of_a_disturbed_service_is_excused_with_it(arena: "Arena", islands: tuple[str, str]) -> None:
    phases = """[{name: chaos, actions: [{id: cut, target: left, action: network_drop, for: 3s}],
      assertions: [{id: well, type: health, target: right, throughout: true}]}]"""
    both = services(islands)
    twin = both.partition(", right:")[0].replace("left:", "twin:", 1).replace(str(PORT), "8081")

    ended = await arena.run(arena.document(phases, services=f"{both}, {twin}"))

    downs = {line.entity for line in ended.lines if isinstance(line.event, ServiceDown)}
    assert downs >= {"left", "twin"}
    assert ended.verdict is Verdict.PASSED, ended

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import uvloop
from pydantic import ValidationError

from messages.actions.network import (
    Namespace,
    NetworkDrop,
    NetworkLatency,
    NetworkLoss,
    NetworkPartition,
    NetworkReject,
    NetworkUndo,
)
from targets.group import signal_group
from targets.identity import identify
from targets.network.errors import HostNamespace, NoNamespace
from targets.network.faults import NetworkFaults, Parameters, Place
from targets.network.holding import holders_of
from targets.network.namespaces import inside, namespace_at, namespace_of, path_to
from targets.network.support import supported
from targets.polling import until

RUN = f"test-{os.getpid()}"
SOON = timedelta(seconds=3)
SHORT = timedelta(milliseconds=100)
DELAY = 0.4
LOST = 0.4
"""Seconds after which a connection is not waited for any more."""
UNDISTURBED = 0.9
"""Seconds; when the first packet of a connection is lost, it is sent again after one."""
missing = supported("network_latency")
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))
SERVER = """
import socket, sys, threading
def serve(listener):
    while True:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"hello")
ports = []
for _ in range(2):
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    ports.append(str(listener.getsockname()[1]))
    threading.Thread(target=serve, args=(listener,)).start()
print(*ports, flush=True)
"""
INJECTOR = """
import asyncio, os, sys
from messages.actions.network import NetworkUndo
from targets.network.faults import NetworkFaults
async def main():
    await NetworkFaults(environment=os.environ).inject(NetworkUndo.model_validate_json(sys.argv[1]))
    print("injected", flush=True)
    await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@dataclass(frozen=True)
class Host:
    """A network namespace with an address."""

    namespace: Namespace
    v4: str
    v6: str

    def run(self, *command: str) -> str:
        return subprocess.run(["nsenter", f"--net={self.namespace.path}", *command], check=True, capture_output=True, text=True).stdout

    def greeted(self, address: str, port: int, patience: float = 5) -> float:
        """Seconds until a server at this address has said hello to us.

        Raises:
            OSError: it did not.
        """

        def ask() -> float:
            begin = time.monotonic()
            with socket.create_connection((address, port), timeout=patience) as client:
                assert client.recv(16) == b"hello"
            return time.monotonic() - begin

        return inside(Path(self.namespace.path), ask)

    def reaches(self, address: str, port: int) -> bool:
        """Whether a server at this address says hello to us."""
        try:
            return self.greeted(address, port, patience=UNDISTURBED) > 0
        except OSError:
            return False

    def listening(self) -> socket.socket:
        """A socket for datagrams."""

        def bound() -> socket.socket:
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            datagrams.bind((self.v4, 0))
            datagrams.settimeout(0.3)
            return datagrams

        return inside(Path(self.namespace.path), bound)


@dataclass(frozen=True)
class Net:
    """Two hosts on one wire; the server serves two ports."""

    client: Host
    server: Host
    port: int
    other: int


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def net() -> Iterator[Net]:
    names = [f"chaos-{os.getpid()}-{side}" for side in "ab"]
    with contextlib.ExitStack() as left:
        for name in names:
            ip("netns", "add", name)
            left.callback(ip, "netns", "del", name)
        ip("-n", names[0], "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", names[1])
        for number, name in enumerate(names, start=1):
            ip("-n", name, "addr", "add", f"10.199.0.{number}/24", "dev", "eth0")
            ip("-n", name, "addr", "add", f"fd00:99::{number}/64", "dev", "eth0", "nodad")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "eth0", "up")
        hosts = [
            Host(namespace_at(f"/run/netns/{name}"), f"10.199.0.{number}", f"fd00:99::{number}")
            for number, name in enumerate(names, start=1)
        ]
        argv = ["nsenter", f"--net=/run/netns/{names[1]}", sys.executable, "-c", SERVER]
        server = left.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        left.callback(server.kill)
        assert server.stdout is not None
        net = Net(hosts[0], hosts[1], *map(int, server.stdout.readline().split()))
        while not net.client.reaches(net.server.v6, net.port):
            pass  # each try takes its time
        yield net


@pytest.fixture
async def faults() -> AsyncIterator[NetworkFaults]:
    faults = NetworkFaults(environment=os.environ)
    yield faults
    for left in (*holders_of(f"chaos:{RUN}:f"), *holders_of(f"chaos:{RUN}:p")):
        signal_group(left, signal.SIGKILL)
    await faults.aclose()


async def planned(faults: NetworkFaults, net: Net, parameters: Parameters, host: str = "") -> NetworkUndo:
    path = (host or net.server.v4, net.port, net.client.namespace)
    return await faults.undo_of(parameters, net.server.namespace, run=RUN, fault="f", path=path)


def injected_by_one_that_dies(undo: NetworkUndo) -> None:
    argv = [sys.executable, "-c", INJECTOR, undo.model_dump_json()]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as injector:
        assert injector.stdout is not None
        assert injector.stdout.readline() == b"injected\n"
        injector.kill()


def rules_in(host: Host) -> list[str]:
    return [line for program in ("iptables", "ip6tables") for line in host.run(program, "-S").splitlines() if line.startswith("-A")]


@pytest.mark.parametrize("family", ["v4", "v6"])
async def test_connections_time_out_while_packets_are_dropped(faults: NetworkFaults, net: Net, family: str) -> None:
    host = getattr(net.server, family)
    undo = await planned(faults, net, NetworkDrop(), host)
    assert net.client.greeted(host, net.port) < UNDISTURBED
    assert await faults.effect(undo, SHORT) is None

    await faults.inject(undo)
    with pytest.raises(TimeoutError):
        net.client.greeted(host, net.port, patience=LOST)
    assert await faults.effect(undo, SOON) == f"{host} port {net.port} does not answer"
    assert not await faults.normal(undo)

    await faults.undo(undo)
    assert net.client.greeted(host, net.port) < UNDISTURBED
    assert await faults.normal(undo)


@pytest.mark.parametrize("family", ["v4", "v6"])
async def test_connections_are_refused_while_packets_are_rejected(faults: NetworkFaults, net: Net, family: str) -> None:
    host = getattr(net.server, family)
    undo = await planned(faults, net, NetworkReject(), host)
    assert await faults.effect(undo, SHORT) is None

    await faults.inject(undo)
    with pytest.raises(ConnectionRefusedError):
        net.client.greeted(host, net.port)
    assert await faults.effect(undo, SOON) == f"{host} port {net.port} refuses connections"
    assert not await faults.normal(undo)

    await faults.undo(undo)
    assert net.client.greeted(host, net.port) < UNDISTURBED
    assert await faults.normal(undo)


def test_it_works_with_either_event_loop(net: Net) -> None:
    async def disturb() -> list[str | None]:
        faults = NetworkFaults(environment=os.environ)
        seen = []
        for parameters in (NetworkDrop(), NetworkReject(), NetworkLatency(delay=timedelta(seconds=DELAY))):
            undo = await planned(faults, net, parameters)
            await faults.inject(undo)
            seen.append(await faults.effect(undo, SOON))
            await faults.undo(undo)
            assert await faults.normal(undo)
        await faults.aclose()
        return seen

    assert None not in uvloop.run(disturb())


async def test_only_the_named_port_is_disturbed(faults: NetworkFaults, net: Net) -> None:
    undo = await planned(faults, net, NetworkDrop(port=net.port))
    await faults.inject(undo)

    with pytest.raises(TimeoutError):
        net.client.greeted(net.server.v4, net.port, patience=LOST)
    assert net.client.greeted(net.server.v4, net.other) < UNDISTURBED
    await faults.undo(undo)


async def test_a_service_is_kept_from_a_port_of_its_peer(faults: NetworkFaults, net: Net) -> None:
    parameters = NetworkReject(peers=(net.server.v4,), peer_port=net.port, direction="out")
    undo = await faults.undo_of(parameters, net.client.namespace, run=RUN, fault="f")
    await faults.inject(undo)

    with pytest.raises(ConnectionRefusedError):
        net.client.greeted(net.server.v4, net.port)
    assert net.client.greeted(net.server.v4, net.other) < UNDISTURBED
    assert await faults.effect(undo, SOON) == f"{net.server.v4} port {net.port} refuses connections"
    await faults.undo(undo)
    assert net.client.greeted(net.server.v4, net.port) < UNDISTURBED
    assert await faults.normal(undo)


async def test_a_peer_that_refused_before_cannot_show_that_it_is_refused(faults: NetworkFaults, net: Net) -> None:
    undo = await faults.undo_of(NetworkReject(peers=(net.client.v4,), direction="both"), net.server.namespace, run=RUN, fault="f")
    await faults.inject(undo)
    assert await faults.effect(undo, SHORT) is None

    with pytest.raises(ConnectionRefusedError):
        net.client.greeted(net.server.v4, net.port)
    assert "packets met its rules" in (await faults.effect(undo, SOON) or "")
    await faults.undo(undo)


async def test_about_the_asked_share_of_packets_is_lost(faults: NetworkFaults, net: Net) -> None:
    undo = await planned(faults, net, NetworkLoss(rate=0.3))

    def arrived() -> int:
        with net.server.listening() as there, net.client.listening() as here:
            for number in range(200):
                here.sendto(str(number).encode(), there.getsockname())
            count = 0
            with contextlib.suppress(TimeoutError):
                while there.recv(16):
                    count += 1
            return count

    assert arrived() == 200
    await faults.inject(undo)
    assert 100 <= arrived() <= 175
    assert "connections to" in (await faults.effect(undo, SOON) or "")
    await faults.undo(undo)
    assert arrived() == 200
    assert await faults.normal(undo)


async def test_packets_come_late_by_the_delay(faults: NetworkFaults, net: Net) -> None:
    undo = await planned(faults, net, NetworkLatency(delay=timedelta(seconds=DELAY), jitter=timedelta(seconds=0.02)))
    assert net.client.greeted(net.server.v4, net.port) < DELAY - 0.02
    assert await faults.effect(undo, SHORT) is None

    await faults.inject(undo)
    assert net.client.greeted(net.server.v4, net.port) >= DELAY - 0.021
    assert re.search(r"takes ([3-9]\d\d|\d{4}) ms", await faults.effect(undo, SOON) or "")
    assert not await faults.normal(undo)

    await faults.undo(undo)
    assert net.client.greeted(net.server.v4, net.port) < DELAY - 0.02
    assert await faults.normal(undo)
    assert holders_of(undo.comment) == ()


async def test_a_delay_ends_by_itself_when_nobody_renews_its_lease(net: Net) -> None:
    lease = 1.0
    faults = NetworkFaults(environment=os.environ, lease=timedelta(seconds=lease))
    undo = await planned(faults, net, NetworkLatency(delay=timedelta(seconds=DELAY)))
    await faults.inject(undo)
    begin = time.monotonic()

    def renewed_for_longer() -> bool:
        assert faults.renew(undo)
        return time.monotonic() - begin > 2 * lease

    await until(renewed_for_longer, poll=0.1)
    await until(lambda: not holders_of(undo.comment), poll=0.05)
    assert net.client.greeted(net.server.v4, net.port) < DELAY
    assert not faults.renew(undo)
    await faults.undo(undo)
    await faults.aclose()


@pytest.mark.parametrize("parameters", [NetworkDrop(), NetworkLatency(delay=timedelta(seconds=1))], ids=["drop", "latency"])
async def test_the_undo_works_after_its_injector_was_killed_and_as_often_as_one_likes(
    faults: NetworkFaults, net: Net, parameters: Parameters
) -> None:
    undo = await planned(faults, net, parameters)
    await faults.undo(undo)
    injected_by_one_that_dies(undo)
    with pytest.raises(TimeoutError):
        net.client.greeted(net.server.v4, net.port, patience=LOST)

    again = NetworkUndo.model_validate_json(undo.model_dump_json())
    await faults.undo(again)
    await faults.undo(again)
    assert net.client.greeted(net.server.v4, net.port) < UNDISTURBED
    assert rules_in(net.server) == []
    assert holders_of(undo.comment) == ()


async def test_rules_of_others_and_of_other_faults_stay(faults: NetworkFaults, net: Net) -> None:
    net.server.run("iptables", "-A", "INPUT", "-p", "udp", "--dport", "5", "-m", "comment", "--comment", f"chaos:{RUN}:f2", "-j", "DROP")
    net.server.run("iptables", "-A", "OUTPUT", "-d", "192.0.2.1/32", "-j", "DROP")
    theirs = rules_in(net.server)
    undo = await planned(faults, net, NetworkLoss(rate=0.123456, direction="both", peers=("10.199.0.0/24", "fd00:99::/64")))
    await faults.inject(undo)
    assert len(rules_in(net.server)) == len(theirs) + 4

    await faults.undo(undo)
    assert rules_in(net.server) == theirs


async def test_a_partition_parts_both_ways_and_heals_at_once(faults: NetworkFaults, net: Net) -> None:
    sides = [[Place(host.namespace, (host.v4, host.v6))] for host in (net.client, net.server)]
    undo = await faults.parting(NetworkPartition(), (sides[0], sides[1]), run=RUN, fault="p")
    assert await faults.effect(undo, SHORT) is None

    await faults.inject(undo)
    assert (delivered(net.client, net.server), delivered(net.server, net.client)) == (False, False)
    for host in (net.server.v4, net.server.v6):
        with pytest.raises(TimeoutError):
            net.client.greeted(host, net.port, patience=LOST)
    assert "does not answer" in (await faults.effect(undo, SOON) or "")
    assert not await faults.normal(undo)

    await faults.undo(undo)
    assert (delivered(net.client, net.server), delivered(net.server, net.client)) == (True, True)
    assert net.client.greeted(net.server.v4, net.port) < UNDISTURBED
    assert await faults.normal(undo)
    assert rules_in(net.client) == rules_in(net.server) == []


async def test_a_one_way_partition_loses_only_what_the_first_side_sends(faults: NetworkFaults, net: Net) -> None:
    sides = [[Place(host.namespace, (host.v4, host.v6))] for host in (net.client, net.server)]
    undo = await faults.parting(NetworkPartition(one_way=True), (sides[0], sides[1]), run=RUN, fault="p")

    await faults.inject(undo)
    assert (delivered(net.client, net.server), delivered(net.server, net.client)) == (False, True)
    assert await faults.effect(undo, SOON) is not None
    await faults.undo(undo)
    assert (delivered(net.client, net.server), delivered(net.server, net.client)) == (True, True)


def delivered(sender: Host, receiver: Host) -> bool:
    """Whether a datagram arrives."""
    with sender.listening() as here, receiver.listening() as there:
        here.sendto(b"x", there.getsockname())
        try:
            return there.recv(16) == b"x"
        except TimeoutError:
            return False


async def test_without_a_connection_to_make_the_packets_that_met_the_rules_are_the_effect(faults: NetworkFaults, net: Net) -> None:
    undo = await faults.undo_of(NetworkDrop(port=net.port), net.server.namespace, run=RUN, fault="f")
    await faults.inject(undo)
    assert await faults.effect(undo, SHORT) is None

    with pytest.raises(TimeoutError):
        net.client.greeted(net.server.v4, net.port, patience=LOST)
    assert "packets met its rules" in (await faults.effect(undo, SOON) or "")
    await faults.undo(undo)


async def test_the_machines_own_namespace_is_never_disturbed() -> None:
    ourselves = identify(os.getpid())
    assert ourselves is not None

    with pytest.raises(HostNamespace):
        namespace_of(ourselves)
    with pytest.raises(HostNamespace):
        namespace_at("/proc/self/ns/net")
    with pytest.raises(NoNamespace):
        namespace_at("/run/netns/no-such")


def isolated() -> "subprocess.Popen[bytes]":
    """A process in a namespace without a name."""
    return subprocess.Popen(["unshare", "--net", "sleep", "60"])


async def test_of_a_namespace_that_is_gone_nothing_is_left_to_undo(faults: NetworkFaults) -> None:
    with isolated() as holder:
        await until(lambda: Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n", poll=0.01)
        found = identify(holder.pid)
        assert found is not None
        namespace = namespace_of(found)
        undo = await faults.undo_of(NetworkDrop(), namespace, run=RUN, fault="f")
        await faults.inject(undo)
        holder.kill()
    await until(lambda: path_to(namespace) is None, poll=0.01)

    await faults.undo(undo)
    assert await faults.normal(undo)
    with pytest.raises(NoNamespace):
        await faults.inject(undo)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (NetworkDrop, '{"peers": ["10.0.0.7 -j ACCEPT"]}'),
        (NetworkDrop, '{"port": 65536}'),
        (NetworkDrop, '{"direction": "up"}'),
        (NetworkLoss, '{"rate": 1.5}'),
        (NetworkLoss, '{"rate": 0}'),
        (NetworkLatency, '{"delay": "2m"}'),
        (NetworkLatency, '{"delay": "10ms", "jitter": "20ms"}'),
    ],
)
def test_parameters_out_of_bounds_are_errors(model: type[NetworkDrop], text: str) -> None:
    with pytest.raises(ValidationError):
        model.model_validate_json(text)

"""Network faults that meet a firewall, a busy machine or an injector that dies: nothing of them stays, and nothing else is disturbed."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from actors.chaos_injector.drivers import Done
from actors.chaos_injector.network_faults import NetworkFaults as Driver
from messages.actions.network import Direction, NetworkDrop, NetworkLatency, NetworkPartition, NetworkUndo, Rules
from targets.errors import Unsupported
from targets.network.errors import NetworkFailed
from targets.network.faults import NetworkFaults, Place
from targets.network.filters import RULES_TAG
from targets.network.holding import holders_of
from targets.network.support import supported
from targets.polling import until
from tests.test_targets_network import DELAY, INJECTOR, RUN, Host, Net, faults, net, planned

if TYPE_CHECKING:
    from actors.chaos_injector.drivers import Target

__all__ = ["faults", "net"]
missing = supported("network_latency")
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))
SLOW = """#!/bin/sh
touch "{folder}/begun"
while [ ! -e "{folder}/go" ]; do sleep 0.02; done
exec {program} "$@"
"""


def rules_in(host: Host) -> list[str]:
    tables = ("filter", "mangle")
    programs = ("iptables", "ip6tables")
    told = [host.run(program, "-t", table, "-S") for program in programs for table in tables]
    return [line for text in told for line in text.splitlines() if line.startswith("-A")]


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A folder for the front of PATH: who sets rules waits for a file `go` in it, as for a lock that somebody else has."""
    for name in ("iptables-restore", "ip6tables-restore"):
        program = subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.strip()
        (tmp_path / name).write_text(SLOW.format(folder=tmp_path, program=program))
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_latency_leaves_the_services_own_firewall_as_it_is(faults: NetworkFaults, net: Net, direction: Direction) -> None:
    net.server.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", str(net.other), "-j", "DROP")
    theirs = rules_in(net.server)
    assert not net.client.reaches(net.server.v4, net.other)
    undo = await planned(faults, net, NetworkLatency(delay=timedelta(seconds=DELAY), direction=direction))

    await faults.inject(undo)

    assert net.client.greeted(net.server.v4, net.port, patience=3) >= DELAY - 0.001
    with pytest.raises(TimeoutError):
        net.client.greeted(net.server.v4, net.other, patience=1)
    await faults.undo(undo)
    assert rules_in(net.server) == theirs
    assert await faults.normal(undo)


async def test_the_rules_of_an_undo_that_an_older_version_stored_are_found_where_they_are(faults: NetworkFaults, net: Net) -> None:
    undo = await planned(faults, net, NetworkDrop())
    stored = Rules.model_validate_json(undo.rules[0].model_dump_json(exclude={"table"}))

    assert stored == undo.rules[0]
    assert stored.table == "filter"


async def test_a_side_without_an_address_cannot_be_parted_from_anybody(faults: NetworkFaults, net: Net) -> None:
    known, nowhere = Place(net.server.namespace, (net.server.v4,)), Place(net.client.namespace, ())

    for sides in (([known], [nowhere]), ([nowhere], [known]), ([known, nowhere], [known])):
        with pytest.raises(Unsupported, match="no IP address"):
            await faults.parting(NetworkPartition(), sides, run=RUN, fault="p")


async def test_nothing_of_an_injection_that_was_cancelled_comes_after_its_undo(
    faults: NetworkFaults, net: Net, slow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = await planned(faults, net, NetworkDrop())
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{slow}:{path}")

    async with asyncio.TaskGroup() as tasks:
        injecting = tasks.create_task(faults.inject(undo))
        await until((slow / "begun").exists, poll=0.01)
        monkeypatch.setenv("PATH", path)
        injecting.cancel()
        asyncio.get_running_loop().call_later(0.5, (slow / "go").touch)
        await asyncio.wait({injecting})
        await faults.undo(undo)
    (slow / "go").touch()
    await until(nobody_sets_rules_for(undo), poll=0.01)

    assert injecting.cancelled()
    assert rules_in(net.server) == []


async def test_who_sets_rules_for_an_injector_that_was_killed_is_ended_before_the_undo(faults: NetworkFaults, net: Net, slow: Path) -> None:
    undo = await planned(faults, net, NetworkDrop())
    argv = [sys.executable, "-c", INJECTOR, undo.model_dump_json()]
    env = {**os.environ, "PATH": f"{slow}:{os.environ['PATH']}"}
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as injector:  # noqa: ASYNC220 - it is killed
        await until((slow / "begun").exists, poll=0.01)
        injector.kill()

    await faults.undo(undo)
    (slow / "go").touch()
    await until(nobody_sets_rules_for(undo), poll=0.01)

    assert rules_in(net.server) == []
    assert net.client.reaches(net.server.v4, net.port)


def nobody_sets_rules_for(undo: NetworkUndo) -> Callable[[], bool]:
    """Whoever has our rules at hand, by the environment or by the command line of a wrapper."""
    return lambda: not holders_of(undo.comment, RULES_TAG)


async def test_an_undo_that_is_tried_again_does_not_say_that_the_latency_ended_by_itself(
    faults: NetworkFaults, net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo, target = await planned(faults, net, NetworkLatency(delay=timedelta(seconds=DELAY))), cast("Target", None)
    driver = Driver(os.environ)
    await faults.inject(undo)
    (tmp_path / "iptables-restore").write_text("#!/bin/sh\nexit 4\n")
    (tmp_path / "iptables-restore").chmod(0o755)
    with monkeypatch.context() as busy:
        busy.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(NetworkFailed):
            await driver.undo(undo, target)

    again, once_more = await driver.undo(undo, target), await Driver(os.environ).undo(undo, target)

    assert again == Done()
    assert once_more == Done(found=True)
    assert rules_in(net.server) == []


def test_what_was_missing_once_is_tried_again_and_what_was_there_is_not(tmp_path: Path) -> None:
    script = """
import os
from targets.network.support import supported
path = os.environ["PATH"]
os.environ["PATH"] = os.environ["NOWHERE"]
print(supported("network_drop"))
os.environ["PATH"] = path
print(supported("network_drop"))
os.environ["PATH"] = os.environ["NOWHERE"]
print(supported("network_drop"))
"""
    env = {**os.environ, "NOWHERE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)

    first, second, third = done.stdout.splitlines()
    assert first.startswith("needs nsenter")
    assert (second, third) == ("None", "None")

"""What a system's limits refuse: at loading what is certain, and in the run the rest. And what is never a target at all."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from actors.chaos_injector.drivers import Target
from actors.chaos_injector.network_faults import NetworkFaults
from actors.chaos_injector.off_limits import BUS, OURSELVES, OffLimits, Surroundings, address_of, bus_addresses
from actors.chaos_injector.refusals import refusal
from actors.chaos_injector.volume_faults import VolumeFaults
from bus.server import Server, embedded_server
from messages.events import Recorded, RunEvent
from messages.fault_events import ActionRefused, FaultArmed, FaultGone, FaultInjected, FaultReverted, FaultRevertFailed, ServiceStarted
from messages.identity import Identity
from messages.observations import ServiceDown, ServiceUp
from messages.run_events import ActionRequested, RunAccepted
from messages.scenario import Action, Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Reason
from runs.state import RunState
from scenarios import check_text
from targets.disk import VolumeRefused
from targets.errors import Unsupported
from targets.identity import read_stat
from targets.network.support import supported

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ME = Identity(pid=7, started=1, boot="b")


def described(*limits: tuple[str, Any], **spec: Any) -> System:
    services: dict[str, Any] = {
        name: {"driver": {"process": {"command": ["x"], "namespace": island}}, "health": {"tcp": {"address": f"127.0.0.1:{port}"}}}
        for name, island, port in [("a", None, 11), ("b", None, 12), ("c", None, 13), ("till", "shop", 14), ("safe", "shop", 15)]
    }
    services["bare"] = {"driver": {"process": {"command": ["x"]}}}
    services["far"] = {"driver": {"external": {}}, "chaos": {"http": "http://localhost:8080/chaos"}}
    body = {
        "services": services,
        "links": {"way": {"from": "safe", "to": "a", "port": 11, "env": "A"}, "bus": {"from": "a", "to": "b", "port": 4222, "env": "B"}},
        "volumes": {"files": {"service": "safe", "path": "/srv/files"}},
        "limits": dict(limits),
        **spec,
    }
    return System.model_validate({"metadata": {"name": "s"}, "spec": body}, strict=False)


class Journal:
    """A run of which a test writes the journal."""

    def __init__(self, system: System) -> None:
        self.view = RunState("r")
        self.now = BEGIN
        phases = {"metadata": {"name": "x"}, "spec": {"system": "s", "phases": [{"name": "p"}]}}
        scenario = Scenario.model_validate(phases, strict=False)
        self.write(RunAccepted(key="k", scenario=scenario, system=system, submitted=BEGIN))

    def write(self, *events: RunEvent) -> None:
        for event in events:
            self.now += SECOND / 1000
            sequence = self.view.sequence + 1
            self.view.apply(Recorded(event, "r", 0, "chaos-injector", event.entity, sequence, self.now, f"r.{sequence}"))

    def up(self, *services: str) -> None:
        self.write(*(ServiceUp(service=name, number=1, ago=timedelta(), error_bound=SECOND) for name in services))

    def ask(self, name: str, target: str = "a", action: str = "pause", **options: Any) -> None:
        about = Action.model_validate({"id": name, "target": target, "action": action, **options}, strict=False)
        self.write(ActionRequested(fault_id=name, phase="p", target=target, action=about))

    def arm(self, name: str, target: str = "a") -> None:
        undo = Undo(kind="process.resume", service=target, identity=ME)
        self.write(FaultArmed(fault_id=name, target=target, action="pause", until=BEGIN, undo=undo, before=ME))

    def inject(self, name: str, target: str = "a") -> None:
        self.ask(name, target)
        self.arm(name, target)
        self.write(FaultInjected(fault_id=name, took=SECOND, ago=timedelta()))

    def revert(self, name: str) -> None:
        self.write(FaultReverted(fault_id=name, took=SECOND, ago=timedelta(), by="request"))

    def why(self, name: str, off_limits: OffLimits | None = None) -> str | None:
        """Why the action is refused."""
        found = refusal(self.view, self.view.actions.states[name], able=True, rival=None, off_limits=off_limits or OffLimits())
        assert found is None or found.reason is Reason.REFUSED_LIMIT
        return None if found is None else found.message


def test_without_limits_nothing_is_refused() -> None:
    journal = Journal(described())
    journal.inject("one", "a")
    journal.ask("two", "b", **{"for": "24h"})

    assert journal.why("two") is None


@pytest.mark.parametrize("order", list(permutations(["one", "two", "three"])))
def test_of_faults_requested_together_only_the_first_ones_are_tried_whoever_looks_first(order: tuple[str, ...]) -> None:
    journal = Journal(described(("faults_at_once", 2)))
    for name, target in zip(("one", "two", "three"), "abc", strict=True):
        journal.ask(name, target)

    tried = []
    for name in order:
        if journal.why(name) is None:
            tried.append(name)
            journal.arm(name)
        else:
            journal.write(ActionRefused(action_id=name, reason=Reason.REFUSED_LIMIT, message="x"))

    assert sorted(tried) == ["one", "two"]


def test_a_fault_beyond_the_number_is_told_which_ones_are_active_and_what_would_help() -> None:
    journal = Journal(described(("faults_at_once", 2)))
    journal.inject("one", "a")
    journal.ask("two", "b")
    journal.ask("three", "c")

    assert journal.why("three") == (
        "2 faults are active, one, two, and no more than 2 may be (limits.faults_at_once of the system); "
        "start it when one of them is gone, with `after`, or raise that"
    )


def test_what_was_undone_or_refused_no_longer_counts_and_what_could_not_be_undone_does() -> None:
    journal = Journal(described(("faults_at_once", 1)))
    journal.inject("one", "a")
    journal.revert("one")
    journal.ask("two", "b")
    journal.write(ActionRefused(action_id="two", reason=Reason.NO_TARGET, message="x"))
    journal.ask("three", "c")
    assert journal.why("three") is None

    journal.arm("three", "c")
    journal.write(FaultRevertFailed(fault_id="three", message="x", attempts=5))
    journal.ask("four", "a")

    assert "1 fault is active, three" in str(journal.why("four"))


def test_a_fault_that_is_longer_than_allowed_is_refused_and_one_without_an_end_is_not() -> None:
    journal = Journal(described(("longest", "10m")))
    journal.ask("long", **{"for": "11m"})
    journal.ask("just", "b", **{"for": "10m"})
    journal.ask("open", "c")

    assert journal.why("long") == "a fault of 11m is longer than 10m (limits.longest of the system); let it end sooner, or raise that"
    assert journal.why("just") is None
    assert journal.why("open") is None


@pytest.mark.parametrize(
    ("target", "action", "says"),
    [
        ("safe", "kill", "safe is protected (limits.protected of the system); choose another target"),
        ({"link": "way"}, "latency", "latency on way disturbs safe, which is protected"),
        ({"volume": "files"}, "disk_full", "disk_full on files disturbs safe, which is protected"),
        ("till", "network_drop", "network_drop on till disturbs safe, which is protected"),
        ({"between": ["a", "safe"]}, "partition", "partition on f disturbs safe, which is protected"),
        ("a", "kill", None),
        ({"link": "bus"}, "latency", None),
        ("safe", "start", None),
    ],
)
def test_a_protected_service_is_disturbed_by_nothing(target: Any, action: str, says: str | None) -> None:
    journal = Journal(described(("protected", ["safe"])))
    about = Action.model_validate({"id": "f", "target": target, "action": action}, strict=False)
    journal.write(ActionRequested(fault_id="f", phase="p", target=about.targets[0], action=about))

    why = journal.why("f")

    assert why is None if says is None else says in str(why)


def group(keep: int, *members: str) -> System:
    return described(groups={"g": {"members": members or ("a", "b", "c"), "keep_healthy": keep}})


def test_a_fault_that_leaves_too_few_members_healthy_is_refused_with_what_the_others_are() -> None:
    journal = Journal(group(1))
    journal.up("a", "b")
    journal.inject("one", "b")
    journal.ask("two", "a")

    assert journal.why("two") == (
        "none of g would be left healthy (b is disturbed by one, c was not yet seen healthy), and 1 must be (groups.g.keep_healthy); "
        "wait until the others are healthy, or lower that"
    )
    journal.up("c")
    assert journal.why("two") is None


def test_a_member_whose_checks_fail_is_not_healthy_and_one_without_checks_is_unless_it_is_disturbed() -> None:
    journal = Journal(group(1, "a", "b", "bare"))
    journal.up("a", "b")
    journal.write(ServiceDown(service="b", number=2, ago=timedelta(), error_bound=SECOND, took=SECOND, check="tcp", error="x"))
    journal.ask("f", "a")
    assert journal.why("f") is None

    journal.inject("other", "bare")
    journal.ask("g", "a")

    assert "b is not healthy, bare is disturbed by other" in str(journal.why("g"))


def test_of_two_members_requested_together_one_is_kept() -> None:
    journal = Journal(group(1, "a", "b"))
    journal.up("a", "b")
    journal.ask("one", "a")
    journal.ask("two", "b")

    assert journal.why("one") is None
    assert "a is disturbed by one" in str(journal.why("two"))


def test_a_member_that_was_disturbed_counts_again_when_the_fault_is_gone_or_the_time_to_recover_is_over() -> None:
    journal = Journal(group(1, "a", "b"))
    journal.up("a", "b")
    journal.inject("one", "a")
    journal.revert("one")
    journal.ask("two", "b")
    assert "a is disturbed by one" in str(journal.why("two"))

    journal.now += timedelta(minutes=1)
    journal.ask("three", "b")
    assert journal.why("three") is None

    journal = Journal(group(1, "a", "b"))
    journal.up("a", "b")
    journal.inject("one", "a")
    journal.revert("one")
    journal.write(FaultGone(fault_id="one", restored_by="undo", ago=timedelta()))
    journal.ask("two", "b")
    assert journal.why("two") is None


def test_a_fault_on_no_member_of_a_group_that_is_unwell_is_done() -> None:
    journal = Journal(group(2, "a", "b"))
    journal.ask("f", "c")

    assert journal.why("f") is None


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "[::1]", "::", "::ffff:127.0.0.1", ""]
)
def test_the_names_of_this_machine_are_one_host(host: str) -> None:
    assert address_of(host, 4222) == ("localhost", 4222)


def test_the_bus_is_every_server_that_the_url_names() -> None:
    told = "nats://me:pass@127.0.0.1, tls://[2001:db8:0::1]:5222,bus.example:4223"

    assert bus_addresses(told) == {("localhost", 4222), ("2001:db8::1", 5222), ("bus.example", 4223)}


@pytest.mark.parametrize(
    ("target", "action", "says"),
    [
        ({"link": "bus"}, "latency", f"bus leads to 127.0.0.1:4222, which is {BUS}; choose another link"),
        ({"between": ["a", "b"]}, "partition", f"bus leads to 127.0.0.1:4222, which is {BUS}; choose another link"),
        ("far", "kill", f"far is {OURSELVES}; choose another target"),
        ("far", "start", f"far is {OURSELVES}; choose another target"),
        ("c", "kill", f"c is {BUS}; choose another target"),
        ("a", "kill", f"a is {OURSELVES}; choose another target"),
        ("bare", "kill", f"bare is {BUS}; choose another target"),
        ("b", "kill", None),
    ],
)
def test_the_bus_and_the_coordinator_are_never_targets(target: Any, action: str, says: str | None) -> None:
    journal = Journal(described())
    server, mine = Identity(pid=9, started=9, boot="b"), ME
    journal.write(ServiceStarted(service="a", number=1, identity=mine), ServiceStarted(service="bare", number=1, identity=server))
    about = Action.model_validate({"id": "f", "target": target, "action": action}, strict=False)
    journal.write(ActionRequested(fault_id="f", phase="p", target=about.targets[0], action=about))
    bus = bus_addresses("nats://localhost,nats://localhost:13")
    ours = frozenset({address_of("0.0.0.0", 8080)})

    assert journal.why("f", OffLimits(bus, ours, frozenset({mine}), frozenset({server}))) == says


async def test_the_server_of_this_process_this_process_and_those_that_it_came_from_are_off_limits(server: Server) -> None:
    mine, parent, bus = read_stat(os.getpid()), read_stat(os.getppid()), read_stat(server.pid)
    sleeper = await asyncio.create_subprocess_exec("sleep", "9")
    other = read_stat(sleeper.pid)
    around = Surroundings(server.url, lambda: ["http://127.0.0.1:8080", "127.0.0.1:15080"])
    found = await around.off_limits(described())
    sleeper.kill()
    await sleeper.wait()

    assert None not in {mine, parent, bus, other}
    service = described().spec.services["bare"]
    told = [found.of(service, stat.identity) for stat in (mine, parent, bus, other) if stat is not None]
    assert told == [OURSELVES, OURSELVES, BUS, None]
    assert found.at("localhost", int(server.url.rpartition(":")[2])) == BUS
    assert found.at("::1", 8080) == found.at("0.0.0.0", 15080) == OURSELVES


async def test_packets_of_a_service_in_the_namespace_of_the_coordinator_are_left_alone() -> None:
    mine = read_stat(os.getpid())
    about = Action.model_validate({"id": "f", "target": "bare", "action": "network_drop"}, strict=False)
    request = ActionRequested(fault_id="f", phase="p", target="bare", action=about)
    if supported("network_drop") is not None:
        pytest.skip("packets cannot be told apart here")

    with pytest.raises(Unsupported, match="bare has no network namespace of its own"):
        await NetworkFaults({}).plan(Target("r", request, described(), None, lambda _: mine.identity if mine is not None else None))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a file system of its own, and in it the streams' folder on another one."""
    folders = [tmp_path / "state", tmp_path / "state" / "jetstream"]
    for folder in folders:
        folder.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", "size=8m", "chaos-test", str(folder)]
        mounted = subprocess.run(argv, capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            pytest.skip(f"needs the right to mount: {mounted.stderr.strip()}")
    yield folders[0]
    for folder in reversed(folders):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_no_volume_on_the_file_system_of_the_state_folder_or_of_the_servers_streams_is_filled(state: Path) -> None:
    async with embedded_server(state) as server:
        faults = VolumeFaults((state,))
        for shared in (state, server.store):
            volume = shared / "volume"
            volume.mkdir()
            system = described(volumes={"files": {"service": "a", "path": str(volume)}})
            about = Action.model_validate({"id": "f", "target": {"volume": "files"}, "action": "disk_full"}, strict=False)
            request = ActionRequested(fault_id="f", phase="p", target="files", action=about)

            with pytest.raises(VolumeRefused, match=f"is on the same file system as {shared};"):
                await faults.plan(Target("r", request, system, None, lambda _: None))

            assert list(volume.iterdir()) == []


SYSTEM = """
apiVersion: chaos.trading/v1
kind: System
metadata: {name: mall}
spec:
  services:
    a: {aliases: [first], driver: {process: {command: [x]}}, chaos: {http: "http://127.0.0.1:1/c"}}
    b: {driver: {process: {command: [x]}}}
    c: {driver: {process: {command: [x]}}}
    safe: {aliases: [vault], driver: {process: {command: [x], namespace: shop}}}
    till: {driver: {process: {command: [x], namespace: shop}}}
  links: {way: {from: safe, to: a, port: 1, listen: 2}, road: {from: a, to: b, port: 3, listen: 4}}
  volumes: {files: {service: safe, path: /srv/files}}
  groups: {db: {members: [a, b, c], keep_healthy: 2}, mixed: {members: [a, safe]}, kept: {members: [vault]}}
  limits: {faults_at_once: 2, longest: 10m, protected: [vault]}
"""


def told(text: str) -> list[str]:
    return [f"{f.line}:{f.column}: {f.what}; {f.right}" for f in check_text(text, file="f.yaml", systems={})]


def place(text: str, part: str) -> str:
    before = text[: text.index(part)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def test_limits_with_names_that_exist_are_read() -> None:
    assert told(SYSTEM) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("protected: [vault]", "protected: [§vualt]", "the system has no service 'vualt'"),
        ("protected: [vault]", "protected: [safe, §vault]", "'safe' stands here twice; name each once"),
        ("keep_healthy: 2", "keep_healthy: §4", "4 members cannot stay healthy where there are 3; from 0 to 3"),
        ("keep_healthy: 2", "keep_healthy: §-1", "-1 is too small; at least 0"),
        ("faults_at_once: 2", "faults_at_once: §0", "0 is too small; at least 1"),
        ("longest: 10m", "longest: §0s", "no fault could last at all; give it a duration"),
        ("longest: 10m", "§longst: 10m", "unknown key 'longst'; did you mean 'longest'?"),
    ],
)
def test_limits_that_cannot_be_held_are_told_with_their_place(old: str, new: str, says: str) -> None:
    text = SYSTEM.replace(old, new)

    found = told(text.replace("§", ""))

    assert len(found) == 1, found
    assert found[0].startswith(f"{place(text, '§')}: {says}"), found


def within(actions: str, duration: str = "30m", rest: str = "") -> str:
    scenario = f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: x}}
spec:
  system: mall
  timeout: 3h
  phases:
    - name: p
      duration: {duration}
      {rest}
      actions: {actions}
"""
    return f"{scenario}---{SYSTEM}"


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (
            "{target: §safe, action: kill, for: 5s}",
            "'safe' is protected in the system, and never disturbed; choose another target, or take it",
        ),
        ("{target: §vault, action: kill, for: 5s}", "'safe' is protected in the system"),
        ("{target: §[b, vault], action: restart}", "'safe' is protected in the system"),
        ("{target: §{group: mixed}, action: restart}", "'safe' is protected in the system"),
        (
            "{target: §{link: way}, action: latency, parameters: {delay: 1ms}, for: 5s}",
            "latency on 'way' disturbs 'safe', which is protected",
        ),
        ("{target: §{volume: files}, action: disk_full, for: 5s}", "disk_full on 'files' disturbs 'safe', which is protected"),
        ("{target: §till, action: network_drop, for: 5s}", "network_drop on 'till' disturbs 'safe', which is protected"),
        ("{target: §{between: [a, safe]}, action: partition, for: 5s}", "partition disturbs 'safe', which is protected"),
        ("{target: §{group: mixed, pick: 2}, action: restart}", "'safe' is protected in the system"),
        ("{target: §{group: kept, where: 'up'}, action: restart}", "'safe' is protected in the system"),
        ("{target: §{group: kept, pick: 50%}, action: restart}", "'safe' is protected in the system"),
        ("{target: a, action: pause, for: §11m}", "a fault of 11m is longer than the 10m that the system allows; at most 10m, or raise"),
        ("§{target: a, action: pause}", "a fault to the phase's end, 30m, is longer than the 10m that the system allows; add for: 10m"),
        ("§{target: a, action: pause, delay: 19m}", "a fault to the phase's end, 11m, is longer than the 10m that the system allows"),
        ("{target: §[a, b, till], action: pause, for: 5s}", "3 faults at once are more than the 2 that the system allows; add at_once: 2"),
        ("{target: §{of: [a, b, c, till], pick: 75%}, action: pause, for: 5s}", "3 faults at once are more than the 2"),
        (
            "{target: §[a, b], action: pause, for: 5s}",
            "1 of the group 'db' would be left healthy, and its `keep_healthy` is 2; choose fewer",
        ),
        ("{target: §{group: db}, at_once: 2, action: pause, for: 5s}", "1 of the group 'db' would be left healthy, and its `keep_healthy`"),
        (
            "{target: §{group: db, pick: 2}, action: pause, for: 5s}",
            "1 of the group 'db' would be left healthy, and its `keep_healthy` is 2",
        ),
    ],
)
def test_what_is_certainly_beyond_the_limits_is_told_at_loading(action: str, says: str) -> None:
    text = within(f"[{action}]")

    found = told(text.replace("§", ""))

    assert len(found) == 1, found
    assert found[0].startswith(f"{place(text, '§')}: {says}"), found


@pytest.mark.parametrize(
    "action",
    [
        "{target: a, action: pause, for: 10m}",
        "{target: a, action: pause, delay: 20m}",
        "{target: a, action: restart}",
        "{target: {link: road}, action: latency, parameters: {delay: 1ms}, for: 5s}",
        "{target: {group: mixed, pick: 1}, action: restart}",
        "{target: {group: mixed, where: 'up'}, action: restart}",
        "{target: {group: mixed, pick: 100%}, action: restart}",
        "{target: {of: [a, till, safe], pick: 75%}, action: pause, for: 5s}",
        "{target: {group: db}, at_once: 1, action: pause, for: 5s}",
        "{target: {group: db, where: 'up'}, action: pause, for: 5s}",
        "{target: {of: [a, c, till], pick: 2}, action: pause, for: 5s}",
        "{target: {group: db}, action: restart}",
        "{id: x, target: a, action: restart}, {target: b, action: pause, after: x}",
    ],
)
def test_what_may_be_within_the_limits_is_left_to_the_run(action: str) -> None:
    assert told(within(f"[{action}]")) == []


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("{target: §safe, action: kill, for: 5s}", "'safe' is protected in the system"),
        ("{target: §{group: kept}, action: kill, for: 5s}", "'safe' is protected in the system"),
        ("{target: [b, c], action: kill, for: §11m}", "a fault of 11m is longer than the 10m that the system allows"),
    ],
)
def test_a_random_plan_draws_from_nothing_that_is_beyond_the_limits(choice: str, says: str) -> None:
    text = within("[]", rest=f"random: {{every: 1m, among: [{choice}]}}")

    found = told(text.replace("§", ""))

    assert len(found) == 1, found
    assert found[0].startswith(f"{place(text, '§')}: {says}"), found

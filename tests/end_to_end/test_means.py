"""Every means of disturbing a target, from a scenario to what is measured from outside, and back. Real processes, all five actors."""

import asyncio
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from messages.fault_events import FaultArmed, FaultEffective, FaultGone, FaultReverted, ServiceStarted
from messages.link_events import LinksOpened
from messages.run_events import ActionRequested, PhaseStarted, TargetResolved
from messages.verdicts import Reason, Verdict
from targets.limits import supported

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long
HEALTHY = "{id: well, type: health, target: back, throughout: true}"


async def round_trip(address: str) -> float:
    """Seconds for one request over this address; infinite when there is no answer within a second."""
    host, port = address.split(":")
    begin = time.monotonic()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(host, int(port))
            with closing(writer):
                writer.write(b"GET /health HTTP/1.0\r\n\r\n")
                answer = await reader.read()
            return time.monotonic() - begin if answer else float("inf")
    return float("inf")


def two(arena: "Arena") -> str:
    back = arena.service("back")
    port = arena.ports["back"]
    return f"{back}, {arena.service('front', UPSTREAM=f'http://127.0.0.1:{port}/')}"


def link(arena: "Arena") -> str:
    return f"links: {{way: {{from: front, to: back, port: {arena.ports['back']}, env: UPSTREAM}}}}"


def moments(ended: "Ended") -> list[str]:
    return [line.event.type_name() for line in ended.lines if line.entity == "slow" and line.event.type_name().startswith("fault.")]


async def test_latency_on_a_link_is_there_from_effective_to_gone_and_the_service_is_told_the_links_address(arena: "Arena") -> None:
    phases = f"""[{{name: chaos, actions: [{{id: slow, target: {{link: way}}, action: latency, parameters: {{delay: 200ms}}, for: 6s}}],
      assertions: [{HEALTHY}]}}]"""
    services = two(arena)

    run = await arena.submit(arena.document(phases, services=services, system=link(arena)))
    opened = (await arena.wait_for(run, LinksOpened)).event
    front = (await arena.wait_for(run, ServiceStarted, "front")).event
    assert isinstance(opened, LinksOpened)
    assert isinstance(front, ServiceStarted)
    await arena.wait_for(run, PhaseStarted, "settle")
    environ = Path(f"/proc/{front.identity.pid}/environ").read_bytes()
    before = await round_trip(opened.addresses["way"])
    await arena.wait_for(run, FaultEffective, "slow")
    during = await round_trip(opened.addresses["way"])
    await arena.wait_for(run, FaultGone, "slow")
    after = await round_trip(opened.addresses["way"])
    ended = await arena.ended(run)

    assert ended.verdict is Verdict.PASSED, ended
    assert f"UPSTREAM=http://{opened.addresses['way']}/".encode() in environ
    assert before < 0.4
    assert during >= 0.4
    assert after < 0.4
    assert moments(ended) == ["fault.armed", "fault.injected", "fault.effective", "fault.reverted", "fault.gone"]
    assert not Path(f"/proc/{opened.identity.pid}").exists()


async def test_a_partition_is_one_fault_that_cuts_every_link_between_its_sides(arena: "Arena") -> None:
    phases = f"""[{{name: chaos, actions: [{{id: part, target: {{between: [front, back]}}, action: partition, for: 4s}}],
      assertions: [{HEALTHY}]}}]"""
    services = two(arena)
    system = f"{link(arena).removesuffix('}')}, other: {{from: back, to: front, port: {arena.ports['front']}, env: OTHER}}}}"

    run = await arena.submit(arena.document(phases, services=services, system=system))
    opened = (await arena.wait_for(run, LinksOpened)).event
    assert isinstance(opened, LinksOpened)
    await arena.wait_for(run, FaultEffective, "part")
    during = [await round_trip(address) for address in opened.addresses.values()]
    await arena.wait_for(run, FaultGone, "part")
    after = [await round_trip(address) for address in opened.addresses.values()]
    ended = await arena.ended(run)

    assert ended.verdict is Verdict.PASSED, ended
    assert during == [float("inf")] * 2
    assert max(after) < 1
    assert len(ended.events(FaultArmed)) == 1


async def test_a_second_fault_on_a_link_of_a_partition_is_refused(arena: "Arena") -> None:
    phases = f"""[{{name: chaos, duration: 1500ms, actions: [
        {{id: part, target: {{between: [front, back]}}, action: partition}},
        {{id: late, target: {{link: way}}, action: latency, parameters: {{delay: 10ms}}, delay: 500ms}}],
      assertions: [{HEALTHY}]}}]"""
    services = two(arena)
    text = arena.document(phases, services=services, system=link(arena))

    with pytest.raises(AssertionError, match="same time"):
        await arena.submit(text)


async def test_a_rolling_restart_takes_one_after_the_other(arena: "Arena") -> None:
    services = ", ".join(arena.service(name) for name in ("a", "b", "c"))
    phases = """[{name: chaos, actions: [{id: roll, target: {group: all-of-them}, action: restart, at_once: 1, settle: 200ms}],
      assertions: [{id: back, type: health, target: [a, b, c], within: 5s}]}]"""

    ended = await arena.run(arena.document(phases, services=services, system="groups: {all-of-them: {members: [a, b, c]}}"))

    gone = {line.entity: line for line in ended.events(FaultGone)}
    asked = {line.entity: line for line in ended.events(ActionRequested)}
    assert ended.verdict is Verdict.PASSED, ended
    assert list(asked) == ["roll-a", "roll-b", "roll-c"]
    for earlier, later in (("roll-a", "roll-b"), ("roll-b", "roll-c")):
        assert (asked[later].at - gone[earlier].at).total_seconds() >= 0.19


async def test_one_of_a_group_is_picked_and_the_choice_is_an_event(arena: "Arena") -> None:
    services = ", ".join(arena.service(name) for name in ("a", "b", "c"))
    phases = """[{name: chaos, actions: [{id: one, target: {group: trio, where: "up && name != 'a'", pick: 1}, action: restart}],
      assertions: [{id: back, type: health, target: [a, b, c], within: 5s}]}]"""

    ended = await arena.run(arena.document(phases, services=services, system="groups: {trio: {members: [a, b, c]}}"))

    (resolved,) = ended.events(TargetResolved)
    (asked,) = ended.events(ActionRequested)
    assert ended.verdict is Verdict.PASSED, ended
    assert isinstance(resolved.event, TargetResolved)
    assert isinstance(asked.event, ActionRequested)
    assert resolved.event.candidates == ("a", "b", "c")
    assert resolved.event.chosen == (asked.event.target,)
    assert asked.event.target in {"b", "c"}
    assert asked.entity == "one"


async def test_no_service_that_fits_is_inconclusive(arena: "Arena") -> None:
    phases = """[{name: chaos, actions: [{id: none, target: {of: [one], where: "name == 'two'"}, action: restart}],
      assertions: [{id: back, type: health, target: one, within: 5s}]}]"""

    ended = await arena.run(arena.document(phases))

    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.NO_TARGET)


async def test_file_descriptors_are_limited_and_given_back(arena: "Arena") -> None:
    phases = """[{name: chaos, actions: [{id: scarce, target: one, action: limit_fds, parameters: {free: 0}, for: 500ms}],
      assertions: [{id: back, type: health, target: one, within: 5s}]}]"""

    run = await arena.submit(arena.document(phases))
    started = (await arena.wait_for(run, ServiceStarted, "one")).event
    assert isinstance(started, ServiceStarted)
    before = resource.prlimit(started.identity.pid, resource.RLIMIT_NOFILE)
    await arena.wait_for(run, FaultEffective, "scarce")
    during = resource.prlimit(started.identity.pid, resource.RLIMIT_NOFILE)
    await arena.wait_for(run, FaultReverted, "scarce")
    after = resource.prlimit(started.identity.pid, resource.RLIMIT_NOFILE)
    ended = await arena.ended(run)

    assert ended.verdict is Verdict.PASSED, ended
    assert during[0] < 100 < before[0] == after[0]


@pytest.mark.skipif(supported("cpu") is not None, reason=str(supported("cpu")))
async def test_cpu_time_is_limited(arena: "Arena") -> None:
    phases = """[{name: chaos, actions: [{id: slow, target: one, action: limit_cpu, parameters: {cores: 0.1}, for: 2s}],
      assertions: [{id: back, type: health, target: one, within: 5s}]}]"""

    ended = await arena.run(arena.document(phases, services=arena.service("one", BUSY="1")))

    assert ended.verdict is Verdict.PASSED, ended
    (effective,) = ended.events(FaultEffective)
    assert isinstance(effective.event, FaultEffective)
    assert "of 0.1 cores" in effective.event.how


async def test_a_full_disk_is_refused_where_the_coordinator_itself_lives(arena: "Arena") -> None:
    phases = """[{name: chaos, actions: [{id: full, target: {volume: data}, action: disk_full, for: 500ms}],
      assertions: [{id: back, type: health, target: one, within: 5s}]}]"""
    folder = arena.folder / "data"
    folder.mkdir()

    ended = await arena.run(arena.document(phases, system=f"volumes: {{data: {{service: one, path: {folder}}}}}"))

    assert ended.verdict is Verdict.INCONCLUSIVE
    assert ended.events(FaultArmed) == []
    assert list(folder.iterdir()) == []


async def test_a_one_way_partition_loses_what_the_first_side_sends(arena: "Arena") -> None:
    phases = f"""[{{name: chaos, assertions: [{HEALTHY}], actions: [
        {{id: part, target: {{between: [back, front]}}, action: partition, parameters: {{one_way: true}}, for: 3s}}]}}]"""
    services = two(arena)

    run = await arena.submit(arena.document(phases, services=services, system=link(arena)))
    opened = (await arena.wait_for(run, LinksOpened)).event
    assert isinstance(opened, LinksOpened)
    await arena.wait_for(run, FaultEffective, "part")
    during = await round_trip(opened.addresses["way"])
    ended = await arena.ended(run)

    assert ended.verdict is Verdict.PASSED, ended
    assert during == float("inf")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_volume_is_filled_and_freed(arena: "Arena", small_disk: Path) -> None:
    phases = """[{name: chaos, actions: [{id: full, target: {volume: data}, action: disk_full, for: 2s}],
      assertions: [{id: back, type: health, target: one, within: 5s}]}]"""

    run = await arena.submit(arena.document(phases, system=f"volumes: {{data: {{service: one, path: {small_disk}}}}}"))
    await arena.wait_for(run, FaultEffective, "full")
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "mine").write_bytes(bytes(100_000))
    await arena.wait_for(run, FaultGone, "full")
    (small_disk / "mine").write_bytes(bytes(100_000))
    ended = await arena.ended(run)

    assert ended.verdict is Verdict.PASSED, ended

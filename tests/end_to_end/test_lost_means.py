"""Our own means die under a run: what comes of that is never held against the system, and never taken for a proof."""

import os
import signal
from typing import TYPE_CHECKING

import pytest

from messages.fault_events import ActionFailed, FaultEffective, FaultGone, FaultReverted, FaultRevertFailed
from messages.link_events import LinksLost, LinksOpened
from messages.run_events import PhaseStarted
from messages.verdicts import Reason, Verdict
from targets.group import signal_group
from targets.network.holding import holders_of
from targets.network.support import supported
from tests.end_to_end.test_means import HEALTHY, link, two
from tests.end_to_end.test_namespaces import Islands, islands
from tests.end_to_end.test_namespaces import services as in_islands
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena

__all__ = ["islands"]
pytestmark = pytest.mark.long
missing = supported("network_latency")


async def test_a_run_whose_proxy_dies_is_inconclusive_though_the_system_broke_over_it(arena: "Arena") -> None:
    way = free_port()
    services = two(arena).replace(f"{arena.ports['front']}/health", f"{way}/health")
    system = link(arena).replace("env: UPSTREAM", f"env: UPSTREAM, listen: {way}")
    phases = """[{name: calm, duration: 3s, assertions: [{id: well, type: health, target: front, throughout: true}]}]"""

    run = await arena.submit(arena.document(phases, services=services, system=system))
    opened = (await arena.wait_for(run, LinksOpened)).event
    assert isinstance(opened, LinksOpened)
    await arena.wait_for(run, PhaseStarted, "calm")
    os.kill(opened.identity.pid, signal.SIGKILL)
    ended = await arena.ended(run)

    (lost,) = ended.events(LinksLost)
    assert lost.event == LinksLost(number=1, code=-9, message="")
    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.GAP), ended
    assert ended.judged("well").verdict is Verdict.INCONCLUSIVE
    assert not (arena.folder.parent / "links" / run).exists()


async def test_a_run_that_ends_well_tells_of_no_lost_links_and_leaves_no_secret(arena: "Arena") -> None:
    phases = f"[{{name: calm, duration: 300ms, assertions: [{HEALTHY}]}}]"
    services = two(arena)

    run = await arena.submit(arena.document(phases, services=services, system=link(arena)))
    await arena.wait_for(run, PhaseStarted, "calm")
    secret = (arena.folder.parent / "links" / run / "proxy.json").exists()
    ended = await arena.ended(run)

    assert secret
    assert ended.verdict is Verdict.PASSED, ended
    assert ended.events(LinksLost) == []
    assert not (arena.folder.parent / "links" / run).exists()


async def test_an_undo_that_cannot_reach_a_proxy_that_lives_on_is_no_undo(arena: "Arena") -> None:
    phases = f"""[{{name: chaos, assertions: [{HEALTHY}], actions: [
        {{id: slow, target: {{link: way}}, action: latency, parameters: {{delay: 100ms}}, for: 4s}}]}}]"""
    services = two(arena)

    run = await arena.submit(arena.document(phases, services=services, system=link(arena)))
    await arena.wait_for(run, FaultEffective, "slow")
    (arena.folder.parent / "links" / run).rename(arena.folder / "elsewhere")
    ended = await arena.ended(run)

    assert ended.events(FaultReverted) == []
    assert len(ended.events(FaultRevertFailed)) == 1
    assert (ended.verdict, ended.reason) == (Verdict.UNSAFE, Reason.REVERT_FAILED), ended


@pytest.mark.skipif(missing is not None, reason=str(missing))
@pytest.mark.parametrize(("span", "by"), [("2s", "request"), ("20s", "itself")])
async def test_latency_whose_holder_dies_is_over_and_proves_nothing(arena: "Arena", islands: Islands, span: str, by: str) -> None:
    phases = f"""[{{name: chaos, actions: [{{id: late, target: left, action: network_latency, parameters: {{delay: 300ms}}, for: {span}}}],
      assertions: [{{id: well, type: health, target: right, throughout: true}}]}}]"""

    run = await arena.submit(arena.document(phases, services=in_islands(islands)))
    await arena.wait_for(run, FaultEffective, "late")
    for holder in holders_of(f"chaos:{run}:late"):
        signal_group(holder, signal.SIGKILL)
    ended = await arena.ended(run)

    (reverted,), (gone,), (failed,) = (ended.events(kind) for kind in (FaultReverted, FaultGone, ActionFailed))
    assert isinstance(reverted.event, FaultReverted)
    assert isinstance(gone.event, FaultGone)
    assert isinstance(failed.event, ActionFailed)
    assert (reverted.event.by, reverted.event.found_undone, gone.event.restored_by) == (by, True, "itself")
    assert "ended by itself" in failed.event.message
    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.NO_EFFECT), ended

"""A fault beyond the limits of its system is refused when it is injected, and the run says so."""

from typing import TYPE_CHECKING

import pytest

from messages.fault_events import ActionRefused, FaultGone, FaultInjected
from messages.verdicts import Reason, Verdict

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena, Ended

pytestmark = pytest.mark.long


async def two_together(arena: "Arena", system: str) -> "Ended":
    """Two faults on two services that are requested at the same time."""
    phases = (
        """[{name: chaos, actions: [{id: one, target: left, action: pause, for: 4s}, {id: two, target: right, action: pause, for: 4s}]}]"""
    )
    rest = "  assertions: [{id: well, type: health, target: right, throughout: true}]"
    services = f"{arena.service('left')}, {arena.service('right')}"
    return await arena.run(arena.document(phases, services=services, rest=rest, system=system))


def assert_only_the_second_was_refused(ended: "Ended", message: str) -> None:
    (refused,) = [line.event for line in ended.events(ActionRefused)]
    assert isinstance(refused, ActionRefused)
    assert (refused.action_id, refused.reason, refused.message) == ("two", Reason.REFUSED_LIMIT, message)
    assert (ended.verdict, ended.reason) == (Verdict.INCONCLUSIVE, Reason.REFUSED_LIMIT), ended
    assert [line.entity for line in ended.events(FaultInjected)] == ["one"]
    assert [line.entity for line in ended.events(FaultGone)] == ["one"]


async def test_of_two_faults_that_are_requested_together_the_second_is_one_too_many(arena: "Arena") -> None:
    ended = await two_together(arena, "limits: {faults_at_once: 1}")

    message = "1 fault is active, one, and no more than 1 may be (limits.faults_at_once of the system); "
    assert_only_the_second_was_refused(ended, f"{message}start it when one of them is gone, with `after`, or raise that")


async def test_of_two_members_of_a_group_that_are_to_be_disturbed_together_one_is_kept_healthy(arena: "Arena") -> None:
    ended = await two_together(arena, "groups: {pair: {members: [left, right], keep_healthy: 1}}")

    message = "none of pair would be left healthy (left is disturbed by one), and 1 must be (groups.pair.keep_healthy); "
    assert_only_the_second_was_refused(ended, f"{message}wait until the others are healthy, or lower that")


async def test_a_link_that_leads_to_the_bus_of_the_coordinator_is_not_disturbed(arena: "Arena") -> None:
    port = int(arena.url.rpartition(":")[2])
    phases = "[{name: chaos, actions: [{id: slow, target: {link: way}, action: latency, parameters: {delay: 10ms}, for: 1s}]}]"
    rest = "  assertions: [{id: well, type: health, target: one, throughout: true}]"
    services = f"{arena.service('one')}, bus: {{driver: {{external: {{}}}}}}"
    links = f"links: {{way: {{from: one, to: bus, port: {port}, env: BUS}}}}"
    ended = await arena.run(arena.document(phases, services=services, rest=rest, system=links))

    (refused,) = [line.event for line in ended.events(ActionRefused)]
    assert isinstance(refused, ActionRefused)
    told = f"way leads to 127.0.0.1:{port}, which is the bus that the coordinator itself runs on; choose another link"
    assert (refused.reason, refused.message) == (Reason.REFUSED_LIMIT, told)
    assert ended.verdict is Verdict.INCONCLUSIVE
    assert ended.events(FaultInjected) == []

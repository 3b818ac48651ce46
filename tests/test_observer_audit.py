"""The observer tells the audit trail: on a real stream, and to a real audit correlator."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from actors.observer.announcing import cloud_event
from actors.observer.view import ObserverView
from bus import event_publishing
from bus.cancelling import end
from bus.clock import ServerClock
from bus.connection import Connection
from bus.event_publishing import EventPublisher
from bus.journal import Journal
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from messages.audit_events import AuditFed, AuditLinked, FaultPublished
from messages.events import Recorded, RunEvent
from messages.fault_events import FaultGone, FaultInjected, FaultReverted, FaultRevertFailed
from messages.ids import trace_id_of, traceparent_of
from messages.judgements import ReportPublished
from messages.run_events import ActionRequested, RunAccepted, RunFinished
from messages.scenario import Action
from messages.verdicts import Verdict
from targets.audit_correlator import AuditCorrelator
from tests.ports import free_port
from tests.test_audit_correlator import Process
from tests.test_ecosystem import eventually
from tests.test_observer import NAMESPACE, PARTITION, RUN, Stage
from tests.test_reports import SCENARIO, SYSTEM, at

ZERO, SECRET = timedelta(), 'pa"ss\\word'
INJECTED = FaultInjected(fault_id="halt", took=ZERO, ago=ZERO)
REVERTED = FaultReverted(fault_id="halt", took=ZERO, ago=ZERO, by="request")
FINISHED = RunFinished(verdict=Verdict.FAILED, reason=None, message="m", cause=None, hint=None, position=1)
STARTED_ON, ENDED_ON = (f"trading.events.test-coordinator.chaos_injection_{moment}" for moment in ("started", "ended"))
ACTION = Action.model_validate({"id": "halt", "target": "engine", "action": "pause", "for": "3s"})


@pytest.fixture
async def stage(connection: Connection) -> AsyncIterator[Stage]:
    await ensure_topology(connection.js, NAMESPACE)
    journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
    await journal.last_sequence()
    stage = Stage(connection, journal)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(journal.follow(0, stage.deliver).run())
        yield stage
        await end([task])


@pytest.fixture
async def correlator(tmp_path: Path) -> AsyncIterator[Process]:
    process = Process(tmp_path)
    await eventually(process.healthy)
    yield process
    process.stop()


async def ask_for_fault(stage: Stage) -> None:
    await stage.write(ActionRequested(fault_id="halt", phase="chaos", target="engine", action=ACTION))


async def inject(stage: Stage, event: RunEvent) -> None:
    """Write an event of the chaos-injector."""
    await stage.journal.write(PARTITION, RUN, "chaos-injector", event, None, None)


async def published(stage: Stage) -> list[dict[str, Any]]:
    """Our events in the stream of the system, in order."""
    found = []
    for sequence in range(1, (await stage.connection.js.stream_info("AUDIT-trading")).state.last_seq + 1):
        message = await stage.connection.js.get_msg("AUDIT-trading", sequence)
        found.append({"subject": message.subject, **json.loads(message.data or b"")})
    return found


async def test_start_and_end_of_a_fault_are_published_as_cloud_events_and_the_journal_says_where(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin()
        await ask_for_fault(stage)
        await inject(stage, INJECTED)
        started = await stage.until(FaultPublished)
        await inject(stage, REVERTED)
        await inject(stage, FaultGone(fault_id="halt", restored_by="undo", ago=ZERO))
        ended = await stage.until(FaultPublished, lambda line: line.event.moment == "ended")

    first, second = await published(stage)
    assert (first["subject"], second["subject"]) == (STARTED_ON, ENDED_ON)
    assert {name: first[name] for name in ("specversion", "id", "source", "type", "correlationid", "traceid", "traceparent")} == {
        "specversion": "1.0",
        "id": f"{RUN}.halt.started",
        "source": "test-coordinator",
        "type": "chaos_injection_started",
        "correlationid": f"scenario-s-{RUN}",
        "traceid": trace_id_of(traceparent_of(RUN, None)),
        "traceparent": traceparent_of(RUN, None),
    }
    (injected,) = stage.found(FaultInjected)
    told = {"run": RUN, "scenario": "s", "system": "trading", "fault": "halt", "target": "engine", "action": "pause", "phase": "chaos"}
    assert first["data"] == told | {"parameters": {}, "injected": injected.at.isoformat().replace("+00:00", "Z")}
    assert first["time"] == first["data"]["injected"]
    assert second["data"]["by"] == "request"
    assert second["data"]["lasted"] == (stage.found(FaultReverted)[0].at - injected.at).total_seconds()
    assert [(line.event.stream, line.event.sequence, line.event.error) for line in (started, ended)] == [
        ("AUDIT-trading", 1, ""),
        ("AUDIT-trading", 2, ""),
    ]


async def test_an_observer_that_takes_over_tells_what_is_not_told_and_nothing_twice(stage: Stage) -> None:
    async with stage.observer():
        await stage.begin()
        await ask_for_fault(stage)
        await inject(stage, INJECTED)
        await stage.until(FaultPublished)
    await inject(stage, REVERTED)
    # The one before had published this, and died before the journal said so.
    view = ObserverView(RUN)
    for line in stage.lines:
        view.apply(line)
    await eventually(lambda: _ready(stage, view))
    await EventPublisher(stage.connection).publish(ENDED_ON, cloud_event(view, "halt", "ended", ()))
    async with stage.observer():
        ended = await stage.until(FaultPublished, lambda line: line.event.moment == "ended")

    assert [event["id"] for event in await published(stage)] == [f"{RUN}.halt.started", f"{RUN}.halt.ended"]
    assert ended.event.sequence == 2
    assert len(stage.found(FaultPublished)) == 2


async def _ready(stage: Stage, view: ObserverView) -> bool:
    for line in stage.lines:
        if line.sequence > view.state.sequence:
            view.apply(line)
    return view.state.actions.states["halt"].reverted is not None


async def test_a_fault_that_ends_after_the_report_is_told_to_have_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.runtime._LINGER", 0.02)
    monkeypatch.setattr("bus.runtime._REPORTED", 0.02)
    async with stage.observer():
        await stage.begin()
        await ask_for_fault(stage)
        await inject(stage, INJECTED)
        await stage.until(FaultPublished)
        await inject(stage, FaultRevertFailed(fault_id="halt", message="it does not answer", attempts=3))
        await stage.write(FINISHED)
        await stage.journal.write(PARTITION, RUN, "reporter", ReportPublished(artefacts=()), None, None)
        await asyncio.sleep(0.5)  # so that the run would have been dropped
        await inject(stage, FaultReverted(fault_id="halt", took=ZERO, ago=ZERO, by="lease"))
        ended = await stage.until(FaultPublished, lambda line: line.event.moment == "ended")

    assert (await published(stage))[-1]["data"]["by"] == "lease"
    assert ended.event.error == ""


async def test_a_stream_that_is_away_for_a_while_gets_the_event_when_it_is_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, publish = asyncio.Event(), stage.connection.js.publish

    async def watched(subject: str, *args: Any, **words: Any) -> Any:
        try:
            return await publish(subject, *args, **words)
        finally:
            if subject == STARTED_ON:
                tried.set()

    monkeypatch.setattr(stage.connection.js, "publish", watched)
    async with stage.observer():
        await stage.begin()
        await stage.connection.js.update_stream(name="AUDIT-trading", subjects=["elsewhere"])
        await ask_for_fault(stage)
        await inject(stage, INJECTED)
        await tried.wait()
        assert not stage.found(FaultPublished)
        await stage.connection.js.update_stream(name="AUDIT-trading", subjects=["trading.events.>"])
        told = await stage.until(FaultPublished)

    assert (told.event.stream, told.event.error) == ("AUDIT-trading", "")


async def test_a_stream_that_does_not_take_it_at_last_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_publishing, "ATTEMPTS", 2)
    async with stage.observer():
        await stage.begin()
        await stage.connection.js.update_stream(name="AUDIT-trading", subjects=["elsewhere"])
        await ask_for_fault(stage)
        await inject(stage, INJECTED)
        told = await stage.until(FaultPublished)

    assert told.event.error.startswith(f"no stream has taken the event on {STARTED_ON}: ")
    assert (told.event.stream, told.event.sequence) == ("", 0)


async def test_a_correlator_holds_the_run_and_its_fault_and_is_told_that_start_and_end_belong_together(
    stage: Stage, correlator: Process
) -> None:
    async with AuditCorrelator(correlator.url) as told, stage.observer(told):
        await stage.begin()
        await ask_for_fault(stage)
        await inject(stage, INJECTED)
        await inject(stage, REVERTED)
        linked = await stage.until(AuditLinked)
        await stage.write(FINISHED)
        await stage.until(AuditFed, lambda line: (line.event.about, line.event.moment) == ("run", "ended"))

    fed, held = [line.event for line in stage.found(AuditFed)], list(reversed(await correlator.held()))
    assert [(event.about, event.moment, event.outcome) for event in fed] == [
        ("run", "started", "stored"),
        ("halt", "started", "stored"),
        ("halt", "ended", "stored"),
        ("run", "ended", "stored"),
    ]
    assert [event.stored_id for event in fed] == [event["id"] for event in held]
    messages = [dict(parse_qsl(event["metadata"]["message"])) for event in held]
    assert [message["id"] for message in messages] == [event.id for event in fed]
    assert {message["run"] for message in messages} == {RUN}
    assert messages[2]["by"] == "request"
    assert messages[3]["verdict"] == "failed"
    assert linked.event.error == ""


async def test_a_correlator_that_is_away_is_told_of_in_the_journal_and_holds_up_nothing(stage: Stage) -> None:
    async with AuditCorrelator(f"http://127.0.0.1:{free_port()}") as away, stage.observer(away):
        await stage.begin()
        await ask_for_fault(stage)
        await inject(stage, INJECTED)
        await stage.until(FaultPublished)
        fed = await stage.until(AuditFed, lambda line: line.event.about == "halt")

    assert fed.event.outcome == "unreachable"
    assert "connection refused" in fed.event.error


def test_no_secret_leaves_with_the_parameters_of_a_fault() -> None:
    action = Action.model_validate({"id": "halt", "target": "engine", "action": "latency", "parameters": {"to": [f"x{SECRET}y"], "n": 1}})
    lines = (ActionRequested(fault_id="halt", phase="chaos", target="engine", action=action), INJECTED)
    view = ObserverView(RUN)
    for number, event in enumerate((accepted(), *lines), 1):
        view.apply(Recorded(event, RUN, 0, "a", event.entity, number, at(number), ""))

    told = cloud_event(view, "halt", "started", (SECRET,))

    assert told["data"]["parameters"] == {"to": ["x***y"], "n": 1}
    assert SECRET not in json.dumps(told)


def accepted() -> RunEvent:
    return RunAccepted(key="k", scenario=SCENARIO, system=SYSTEM, submitted=at(0))

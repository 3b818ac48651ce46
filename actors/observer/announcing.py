"""What the audit trail of a system is told of a run and of its faults, as CloudEvents 1.0 and as fields of text. Pure."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from actors.observer.view import ObserverView
from messages.audit_events import SOURCE, TYPES, Moment, event_id
from messages.ids import trace_id_of, traceparent_of
from runs.faults import ActionState
from targets.secrets import hidden

Data = dict[str, Any]
"""Of an event; JSON values."""
RUN_TYPES: Mapping[Moment, str] = {"started": "scenario_started", "ended": "scenario_finished"}
"""What an audit correlator is told of the run itself."""


def moments_of(view: ObserverView, fault: str) -> Iterator[Moment]:
    """The moments of a fault that have come. What was never injected is no fault."""
    state = view.state.actions.faults().get(fault)
    if state is not None and state.injected is not None:
        yield "started"
        if ended_of(state) is not None:
            yield "ended"


def ended_of(state: ActionState) -> datetime | None:
    """When a fault was undone; of one whose undo failed, when it was seen to be gone."""
    return state.reverted or state.gone


def cloud_event(view: ObserverView, fault: str, moment: Moment, secrets: tuple[str, ...]) -> Data:
    """The event of a moment that has come. `traceparent` is that of the distributed tracing extension of CloudEvents."""
    state, parent = view.state.actions.states[fault], traceparent_of(view.state.id, view.traceparent)
    at = state.injected if moment == "started" else ended_of(state)
    return {
        "specversion": "1.0",
        "id": event_id(view.state.id, fault, moment),
        "source": SOURCE,
        "type": TYPES[moment],
        "time": _text(at),
        "correlationid": correlation_of(view),
        "traceid": trace_id_of(parent),
        "traceparent": parent,
        "datacontenttype": "application/json",
        "data": fault_data(view, state, moment, secrets),
    }


def correlation_of(view: ObserverView) -> str:
    """What all events of a run have in common, and no other run: `scenario-<name>-<run>`."""
    return f"scenario-{view.state.scenario.name}-{view.state.id}"


def fault_data(view: ObserverView, state: ActionState, moment: Moment, secrets: tuple[str, ...]) -> Data:
    """What is told of a fault: whom it disturbs, how and since when; of its end also how it was undone, and the seconds that it lasted."""
    request = state.request
    data = _run_data(view) | {
        "fault": request.fault_id,
        "target": request.target,
        "action": request.action.action,
        "phase": request.phase,
        "parameters": _without(request.action.parameters, secrets),
        "injected": _text(state.injected),
    }
    ended = ended_of(state)
    if moment == "ended" and ended is not None and state.injected is not None:
        lasted = max(ended - state.injected, timedelta())
        data |= {"ended": _text(ended), "by": _undone_by(state), "lasted": lasted.total_seconds()}
    return data


def fields_of(view: ObserverView, about: str, moment: Moment, secrets: tuple[str, ...]) -> dict[str, str]:
    """What an audit correlator is told, as text: of a fault, or of the run."""
    told = {"id": event_id(view.state.id, about, moment), "correlationid": correlation_of(view)}
    fault = view.state.actions.states.get(about)
    data = _run_data(view) | _verdict(view, moment) if fault is None else fault_data(view, fault, moment, secrets)
    return told | {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}


def _run_data(view: ObserverView) -> Data:
    return {"run": view.state.id, "scenario": view.state.scenario.name, "system": view.state.system.name}


def _verdict(view: ObserverView, moment: Moment) -> Data:
    finished = view.state.finished
    rehearsal = {"rehearsal": True} if view.state.rehearsal else {}
    if moment == "started" or finished is None:
        return {"at": _text(view.state.started), **rehearsal}
    reason = {"reason": finished.reason.value} if finished.reason else {}
    return {"at": _text(view.state.finished_at), "verdict": finished.verdict.value, **reason, **rehearsal}


def _undone_by(state: ActionState) -> str:
    return state.reverted_by or (state.gone_event.restored_by if state.gone_event else "")


def _text(instant: datetime | None) -> str:
    return instant.isoformat().replace("+00:00", "Z") if instant is not None else ""


def _without(value: Any, secrets: tuple[str, ...]) -> Any:
    """The value with no secret in its texts."""
    match value:
        case str():
            return hidden(value, secrets)
        case dict():
            return {name: _without(inner, secrets) for name, inner in value.items()}
        case list() | tuple():
            return [_without(inner, secrets) for inner in value]
        case _:
            return value

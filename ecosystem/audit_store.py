"""What an audit correlator stores of what it is told over REST, with the traps of the real one."""

import json
import re
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ecosystem.clock import now
from ecosystem.errors import BodyError, StoreError

KEPT = 5_000
NEWEST = 500
"""Events of a service that are given at most."""
OF_TRACE, LABELS = 1000, 100
HOUR = 3600.0
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": HOUR}


def seconds_of(text: str) -> float:
    """The seconds of a Go duration, such as 1h30m; an hour if there is none.

    Raises: BodyError.
    """
    parts = _PART.findall(text)
    if text and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise BodyError([f"time_window: {text!r} is no duration"])
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if text else HOUR


@dataclass(frozen=True, slots=True)
class Stored:
    """An event, and when it came by the monotonic clock."""

    at: float
    event: dict[str, Any]


class AuditStore:
    """The newest events. `service` is the name under which all are stored, whoever told of them."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._events: deque[Stored] = deque(maxlen=KEPT)
        self._links: list[dict[str, Any]] = []

    def add(self, event_type: str, source: str, message: str) -> None:
        """Store an event. Ids and time are the store's own; nothing is escaped.

        Raises: StoreError, if what comes of that is no JSON.
        """
        text = '{"source": "' + source + '", "message": "' + message + '"}'
        try:
            metadata = json.loads(text)
        except ValueError as error:
            raise StoreError("failed to store audit event: invalid input syntax for type json") from error
        at = now()
        event = {
            "id": str(uuid.uuid4()),
            "trace_id": uuid.uuid4().hex,
            "span_id": uuid.uuid4().hex[:16],
            "service_name": self._service,
            "event_type": event_type,
            "timestamp": at,
            "duration": 0,
            "status": "pending",
            "metadata": metadata,
            "tags": [event_type, source],
            "correlated_to": [],
            "created_at": at,
            "updated_at": at,
        }
        self._events.append(Stored(time.monotonic(), event))

    def link(self, source: str, target: str, kind: str, confidence: float) -> None:
        """Store that two events belong together.

        Raises: StoreError, if one of them is not there.
        """
        known = {stored.event["id"] for stored in self._events}
        if missing := {source, target} - known:
            raise StoreError(f"failed to create correlation: no audit event {', '.join(sorted(missing))}")
        self._links.append({"source_event_id": source, "target_event_id": target, "correlation_type": kind, "confidence": confidence})

    def of_service(self, service: str, event_type: str, window: float) -> list[dict[str, Any]]:
        """The newest events of a service, the newest first; of any type if none is given."""
        found = [event for event in self._since(window) if event["service_name"] == service and event_type in {"", event["event_type"]}]
        return found[:NEWEST]

    def of_trace(self, trace: str) -> list[dict[str, Any]]:
        """The events of a trace, in order."""
        return [stored.event for stored in self._events if stored.event["trace_id"] == trace][:OF_TRACE]

    def labels(self) -> list[str]:
        """What is called correlations: labels of the last hour's newest hundred events, whatever window was asked for."""
        events = list(self._since(HOUR))[:LABELS]
        of_traces = [f"trace-{event['trace_id']}-1-events" for event in events]
        together = [f"service-{self._service}-{len(events)}-events", f"temporal-group-0-{len(events)}-events"] if events else []
        return of_traces + together

    def _since(self, window: float) -> Iterator[dict[str, Any]]:
        since = time.monotonic() - window
        return (stored.event for stored in reversed(self._events) if stored.at >= since)

"""Audit events: CloudEvents 1.0 in structured JSON, and the NATS subject that each travels on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SUBJECT_ROOT = "trading.events"


@dataclass(frozen=True, slots=True)
class Event:
    """One fact that a service tells the world. Who repeats it repeats its id."""

    id: str
    source: str
    type: str
    time: str
    data: Mapping[str, Any]
    traceid: str | None = None
    correlationid: str | None = None

    @property
    def subject(self) -> str:
        """`trading.events.<service>.<type>`; the type keeps its dots."""
        return f"{SUBJECT_ROOT}.{self.source}.{self.type}"

    def encoded(self) -> str:
        """One line of JSON without tabs (CloudEvents 1.0, structured mode)."""
        document: dict[str, Any] = {"specversion": "1.0", "id": self.id, "source": self.source, "type": self.type, "time": self.time}
        if self.traceid:
            document["traceid"] = self.traceid
        if self.correlationid:
            document["correlationid"] = self.correlationid
        document["datacontenttype"] = "application/json"
        document["data"] = self.data
        return json.dumps(document, separators=(",", ":"))


def decode_event(text: str | bytes) -> Event | None:
    """The event in a message, None for anything else: what others publish must not stop a listener."""
    try:
        document = json.loads(text)
        return Event(
            id=str(document["id"]),
            source=str(document["source"]),
            type=str(document["type"]),
            time=str(document.get("time", "")),
            data=document["data"] if isinstance(document.get("data"), dict) else {},
            traceid=document.get("traceid"),
            correlationid=document.get("correlationid"),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None

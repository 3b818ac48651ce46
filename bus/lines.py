"""What a stored message is as a line of a journal."""

import structlog
from pydantic import ValidationError

from bus.actor import TimerDue, Unreadable
from bus.reading import Stored
from bus.subjects import Subjects
from messages.catalogue import decode
from messages.events import Recorded, RunEvent

_log = structlog.get_logger()


def line_of(subjects: Subjects, stored: Stored, *, unreadable: bool = False) -> Recorded[RunEvent] | None:
    """The journal line of a message. One that this version cannot read is logged, and None (or `Unreadable`, if that is asked for)."""
    address = subjects.read(stored.subject)
    if address is None:
        return None
    event: RunEvent | None
    if address.kind == "due":
        event = TimerDue(name=address.entity, body=stored.data, reach=address.type)
    else:
        event = _decode(address.type, stored) or (Unreadable() if unreadable else None)
    if event is None:
        return None
    return Recorded(
        event=event,
        run=address.run,
        partition=address.partition,
        actor=address.actor,
        entity=address.entity,
        sequence=stored.sequence,
        at=stored.at,
        id=stored.headers.get("Nats-Msg-Id", ""),
        traceparent=stored.headers.get("traceparent"),
    )


def _decode(type_name: str, stored: Stored) -> RunEvent | None:
    for candidate in (type_name, type_name.rpartition(".")[0]):
        try:
            event = decode(candidate, stored.data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            what = f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
            _log.error("journal.unreadable", subject=stored.subject, sequence=stored.sequence, error=what)
            return None
        if event is not None:
            return event
    _log.warning("journal.unknown", subject=stored.subject, sequence=stored.sequence)
    return None

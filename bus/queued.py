"""Scenarios that were submitted and that no host has taken up yet."""

from collections.abc import Collection
from dataclasses import dataclass

import nats.errors
from nats.js.errors import NotFoundError

from bus.errors import NoAnswer
from bus.intake import FILE, SYSTEM
from bus.journal import Journal
from bus.topology import Names


@dataclass(frozen=True, slots=True)
class Queued:
    """A scenario that waits to become a run."""

    file: str
    system: str
    """The one that was asked for, else the key: the system's name, unless the publisher chose another."""


async def queued(journal: Journal, runs: Collection[str]) -> dict[str, Queued]:
    """Those of these runs whose scenario waits in its stream; the others became a run, were rejected, or were never published.

    Raises:
        NoAnswer: the bus does not answer.
    """
    stream, js = Names(journal.subjects.namespace).scenarios, journal.connection.js
    found, sequence = dict[str, Queued](), 0
    try:
        while len(found) < len(runs):
            message = await js.get_msg(stream, seq=sequence + 1, subject=">", next=True)
            headers, sequence = message.headers or {}, message.seq or 0
            run, key = headers.get("Nats-Msg-Id", ""), (message.subject or "").rpartition(".")[2]
            if run in runs:
                found[run] = Queued(headers.get(FILE) or "scenario", headers.get(SYSTEM) or key)
    except NotFoundError:
        pass
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise NoAnswer("read what was submitted") from error
    return found

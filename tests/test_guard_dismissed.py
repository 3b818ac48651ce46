"""The last that a run does: it sends its guard away, or leaves it, and ends with its own exit code in any case."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from nats.errors import NoRespondersError

from bus.clock import ServerClock
from bus.connection import Connection
from bus.errors import NoAnswer
from bus.journal import Journal
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from cli.guard import dismiss
from deploy.guarding import Guard


class Deaf(Journal):
    """One whose server fails in some way."""

    error: Exception | None = None

    async def runs_with(self, actor: str, entity: str, type_name: str) -> dict[str, int]:
        if self.error is not None:
            raise self.error
        return await super().runs_with(actor, entity, type_name)


@pytest.fixture
def guard() -> Iterator[tuple[Guard, int]]:
    """A guard, and where it reads whether it is dismissed."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with subprocess.Popen(["true"]) as process:
        yield Guard(process, writing), reading
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("error", [NoRespondersError(), NoAnswer("ask"), TimeoutError(), ValueError("no JSON"), None])
async def test_a_guard_stays_when_nobody_can_say_what_is_open(
    connection: Connection, guard: tuple[Guard, int], error: Exception | None
) -> None:
    await ensure_topology(connection.js, "ns")
    journal = Deaf(connection, Subjects("ns"), Names("ns").runs, ServerClock())
    journal.error = error

    await dismiss(guard[0], connection, journal)

    os.write(guard[0]._pipe, b".")
    assert os.read(guard[1], 9) == (b"\n." if error is None else b".")

"""A host that dies, or lets another die, at one line of the journal: the command line, with a trap around each write.

Each line of its input is a host to be, which it forks, since it has loaded already what all of them need; it answers with the pid.
Before the services of a run are given up it asks them how they stand, and leaves the answer beside the trap, as `standing-<run>`.

The trap is a file: {"when": "before"|"after", "id": the line's id in its run, "pid": who is killed with -9}. It springs once. An id without
its ordinal means the first line of that kind.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import cli.serve  # noqa: F401 - what each host would load when it starts
from bus.journal import Guard, Journal
from cli.main import main
from messages.events import RunEvent, evidence_id
from messages.run_events import ServicesReleaseRequested
from tests.crash.standing import look

_write = Journal.write


async def _trapped(
    self: Journal, partition: int, run: str, actor: str, event: RunEvent, guard: Guard | None, traceparent: str | None
) -> int:
    mine = evidence_id(actor, event)
    if isinstance(event, ServicesReleaseRequested):
        await _ask(run)
    _spring("before", mine)
    sequence = await _write(self, partition, run, actor, event, guard, traceparent)
    _spring("after", mine)
    return sequence


async def _ask(run: str) -> None:
    """Of several answers the first is kept: the services are there until this line is stored."""
    place = _trap().with_name(f"standing-{run}")
    if not place.exists():
        draft = place.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(await look(run, Path(os.environ["STATE_DIR"]) / "links")))
        draft.replace(place)


def _spring(when: str, line: str) -> None:
    try:
        trap = json.loads(_trap().read_text())
    except (OSError, ValueError):
        return
    if trap["when"] == when and trap["id"] in {line, line.rpartition(".")[0]}:
        _trap().unlink()
        with suppress(ProcessLookupError):
            os.kill(trap["pid"], signal.SIGKILL)


def _trap() -> Path:
    return Path(os.environ["CRASH_TRAP"])


def _bear() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever ended is gone at once
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            _live(**json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _live(arguments: list[str], environment: dict[str, str], log: str) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ |= environment
    for number, file in enumerate((os.devnull, log, log)):
        os.dup2(os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), number)
    sys.argv[1:] = arguments
    main()
    sys.exit()


if __name__ == "__main__":
    Journal.write = _trapped  # type: ignore[method-assign]
    _bear()

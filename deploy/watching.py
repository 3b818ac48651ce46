"""What a host's actors write, seen from beside them: each line once, with its run as it is then, and who wrote it."""

from collections import OrderedDict, deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

import structlog

from bus.actor import TimerDue
from bus.clock import ServerClock
from bus.journal import Line
from messages.ids import traceparent_of
from messages.judgements import ReportPublished
from messages.run_events import RunAccepted
from runs.state import RunState

_log = structlog.get_logger("deploy.watching")
KEPT = 100
"""How many reported runs are remembered, for what comes late."""
_UNREAD = 10_000
"""How many lines may be written here before they are read, as while the reader is away."""


class Whose(Enum):
    """Who wrote a line."""

    OURS = "ours"
    """This process."""
    BEFORE = "before"
    """An actor that works here, before this process did: this one in an earlier life, perhaps."""
    OTHERS = "others"


@dataclass(slots=True)
class Watched:
    """A run, and the trace that it belongs to."""

    state: RunState
    traceparent: str
    position: int = 0


class Listener(Protocol):
    """Somebody who wants to know what happens in runs. May not block; what it raises is only logged."""

    def recorded(self, line: Line, run: Watched, whose: Whose) -> None:
        """A line was stored; the run knows it already."""

    def forgotten(self, run: str) -> None:
        """Nothing more is told about this run."""


class Watch:
    """Is fed from the reader that feeds the actors, so that it costs no consumer, and told by its journal what is written here."""

    def __init__(self, actors: Collection[str], listeners: Sequence[Listener]) -> None:
        self.actors = frozenset(actors)
        self._listeners = tuple(listeners)
        self._runs: dict[str, Watched] = {}
        self._reported: deque[str] = deque()
        self._sending: set[str] = set()
        self._held: dict[str, Line] = {}
        """Lines that were read before it is known whether they were written here."""
        self._written: OrderedDict[str, None] = OrderedDict()
        """Ids of lines that were written here and not read yet."""
        self._born = 0
        self._clock = ServerClock()

    def begin(self, after: int, clock: ServerClock) -> None:
        """This process writes only behind this sequence."""
        self._born, self._clock = after, clock

    def now(self) -> datetime:
        """The server's time."""
        return self._clock.now()

    def states(self) -> Iterator[RunState]:
        """Every run that is remembered."""
        return (run.state for run in self._runs.values())

    def sending(self, identity: str) -> None:
        """A line with this id is being written here."""
        self._sending.add(identity)

    def settled(self, identity: str, *, ours: bool) -> None:
        """It is stored, and whether that was our doing; or it is not."""
        self._sending.discard(identity)
        line = self._held.pop(identity, None)
        if line is not None:
            self._tell(line, Whose.OURS if ours else Whose.OTHERS)
        elif ours:
            self._written[identity] = None
            while len(self._written) > _UNREAD:
                self._written.popitem(last=False)

    def deliver(self, line: Line) -> None:
        """Take in the next line of any run."""
        run = self._runs.get(line.run)
        if run is None and isinstance(line.event, RunAccepted):
            run = self._runs[line.run] = Watched(RunState(line.run), traceparent_of(line.run, line.traceparent))
        if run is None or line.sequence <= run.position or isinstance(line.event, TimerDue):
            return
        run.position = line.sequence
        run.state.apply(line)
        if line.id in self._sending:
            self._held[line.id] = line
        elif line.id in self._written:
            del self._written[line.id]
            self._tell(line, Whose.OURS)
        else:
            before = line.sequence <= self._born and line.actor in self.actors
            self._tell(line, Whose.BEFORE if before else Whose.OTHERS)
        if isinstance(line.event, ReportPublished):
            self._forget_later(line.run)

    def _tell(self, line: Line, whose: Whose) -> None:
        run = self._runs.get(line.run)
        if run is None:
            return
        for listener in self._listeners:
            try:
                listener.recorded(line, run, whose)
            except Exception:  # noqa: BLE001 - the border around those who only watch: what they raise must not stop who works
                _log.exception("listener.failed", run=line.run, message=line.event.type_name())

    def _forget_later(self, run: str) -> None:
        self._reported.append(run)
        while len(self._reported) > KEPT:
            oldest = self._reported.popleft()
            if self._runs.pop(oldest, None) is not None:
                for listener in self._listeners:
                    listener.forgotten(oldest)

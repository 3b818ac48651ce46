"""The journal of one run, and schedulers that read and write it as the bus lets them: late, one event at a time, each write guarded."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from actors.scheduler.decide import decide, start
from actors.scheduler.decision import Decision
from messages.control import Hold
from messages.events import Recorded, RunEvent, evidence_id
from messages.run_events import RunAccepted, RunFinished, SubmitRequested
from messages.scenario import Scenario
from messages.system import System
from runs.state import RunState
from tests.scheduler_model.invariants import check_decision

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
ENOUGH = 60
"""Decisions in a row, without news of anybody else, after which a scheduler is going round in circles."""


class Journal:
    """What is stored of one run, the time, and who holds all runs."""

    def __init__(self, scenario: Scenario, system: System) -> None:
        self.now = BEGIN
        self.lines: list[Recorded[RunEvent]] = []
        self.stored: dict[str, int] = {}
        """The sequence of each fact, by its id."""
        self.written = 0
        """The newest sequence of the scheduler's."""
        self.state = RunState("r")
        """A fold that knows every line."""
        self.hold: Hold | None = None
        self.unsaid: frozenset[str] = frozenset()
        """Types of which nobody says anything of his own accord."""
        self.add("control", SubmitRequested(principal="me"))
        self.add("scheduler", RunAccepted(key="k", scenario=scenario, system=system, submitted=BEGIN))

    def add(self, actor: str, event: RunEvent) -> int:
        """Store an event, a millisecond after the one before."""
        self.now += MS
        sequence = len(self.lines) + 1
        line = Recorded(event, "r", 0, actor, event.entity, sequence, self.now, f"r.{evidence_id(actor, event)}")
        self.lines.append(line)
        self.stored.setdefault(line.evidence, sequence)
        self.state.apply(line)
        if actor == "scheduler":
            self.written = sequence
        return sequence

    def tell(self, actor: str, event: RunEvent) -> bool:
        """Store what another actor says, once; whether it was news."""
        if evidence_id(actor, event) in self.stored:
            return False
        self.add(actor, event)
        return True

    def fold(self) -> RunState:
        """The run's state, from the first line."""
        state = RunState("r")
        for line in self.lines:
            state.apply(line)
        return state


@dataclass
class Owner:
    """A scheduler that has the run, or believes it."""

    journal: Journal
    skew: timedelta
    state: RunState = field(default_factory=lambda: RunState("r"))
    position: int = 0
    """The newest line that its fold knows."""
    written: int = 0
    """The newest line of the scheduler's, whoever wrote it, that it knows."""
    pending: list[RunEvent] = field(default_factory=list)
    """What it has decided and not stored yet."""
    hold: Hold | None = None
    wake: datetime | None = None

    def read(self, behind: int = 0) -> None:
        """Fold the journal, except for so many lines at its end. What is decided is stored first."""
        for line in self.journal.lines[self.position : max(len(self.journal.lines) - behind, self.position)]:
            self.state.apply(line)
            self.position = line.sequence
            self.written = max(self.written, line.sequence if line.actor == "scheduler" else 0)
        self.hold = self.journal.hold

    def crash(self) -> None:
        """Die, and come back with nothing but the journal."""
        self.state, self.position, self.written, self.pending, self.wake = RunState("r"), 0, 0, [], None

    def decide(self) -> bool:
        """Decide once; whether there is something to store."""
        now = self.journal.now + self.skew
        decision = decide(self.state, now, self.hold)
        again = decide(self.state, now, self.hold)
        assert decision == again, "the same journal gives another decision"
        if decision.wants_system and self.hold is None:
            decision = Decision(start(self.state), decision.wakes)
        check_decision(self.journal.lines[: self.position], decision.events, self.hold)
        self.pending, self.wake = list(decision.events), decision.wake
        return bool(self.pending)

    def store(self, *, acknowledged: bool = True) -> None:
        """Store the next event. Where the answer is lost it is stored again; where another was first, nothing more of the decision is."""
        event = self.pending.pop(0)
        known = self.journal.stored.get(evidence_id("scheduler", event))
        if known is None and not self._may_write(event):
            self.pending.clear()
            self.read()
            return
        sequence = self.journal.add("scheduler", event) if known is None else known
        if acknowledged:
            self.written = max(self.written, sequence)
        else:
            self.pending.insert(0, event)
        if not self.pending:
            self.read(len(self.journal.lines) - sequence)

    def _may_write(self, event: RunEvent) -> bool:
        if isinstance(event, RunFinished):
            return self.position == len(self.journal.lines)
        return self.written == self.journal.written

    def turn(self) -> None:
        """Store what is pending, read all, and go on until there is nothing to decide."""
        for _ in range(ENOUGH):
            while self.pending:
                self.store()
            self.read()
            if not self.decide():
                return
        raise AssertionError([line.evidence for line in self.journal.lines[-20:]])

"""Why a run stands still, who asked for it, and what was said about it since, as a fold."""

from dataclasses import dataclass
from datetime import datetime

from messages.control_events import (
    ApproveRequested,
    ControlRequested,
    PauseRequested,
    RejectRequested,
    ReleaseRequested,
    ResolveRequested,
    ResumeRequested,
)
from messages.events import Recorded, RunEvent
from messages.pause_events import GateClosed, GateOpened, RunPausing, RunResumed
from messages.rehearsal_events import FaultRehearsalEnded
from messages.run_events import RunAborting, UndoRequested
from runs.pauses import Pauses


@dataclass
class GateState:
    """A gate that was opened, and what was said to it."""

    asked: GateOpened
    opened: datetime
    answer: ApproveRequested | RejectRequested | None = None
    """The first one of somebody who may."""
    closed: GateClosed | None = None

    def may_answer(self, principal: str) -> bool:
        """Whether it listens to this principal."""
        return not self.asked.approve or principal in self.asked.approve


class Standing:
    """A fold of the pauses, holds and gates of a run, and of every request for them."""

    def __init__(self) -> None:
        self.pauses = Pauses()
        self.halts = Pauses()
        """Without the gates: a gate's own time goes on while it waits, but not while somebody has halted the run."""
        self.paused: RunPausing | None = None
        """Why it stands still now; a gate is apart from that."""
        self.times_paused = 0
        self.wanted: PauseRequested | None = None
        """Somebody wants it to stand still."""
        self.let_go: str | None = None
        """Who last let it go on."""
        self.gates: dict[str, GateState] = {}
        self.cut: dict[str, RunPausing] = {}
        """The faults that were undone for a pause, and for which."""
        self.resolved: list[ResolveRequested] = []
        self.last_request = 0
        """The sequence of the newest request; 0: there was none."""

    @property
    def gate(self) -> GateState | None:
        """The gate that waits."""
        return next((gate for gate in self.gates.values() if gate.closed is None), None)

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event of a run that is not finished."""
        event, at = recorded.event, recorded.at
        match event:
            case ControlRequested():
                self.note(recorded)
                self._ask(event)
            case RunPausing():
                self.paused, self.times_paused, self.let_go = event, self.times_paused + 1, None
                self.pauses.begin("pause", at)
                self.halts.begin("pause", at)
            case RunResumed():
                self.paused = None
                self.pauses.end("pause", at)
                self.halts.end("pause", at)
            case UndoRequested() | FaultRehearsalEnded() if event.why == "pause" and self.paused is not None:
                self.cut.setdefault(event.fault_id, self.paused)
            case GateOpened() | GateClosed():
                self._move(event, at)
            case RunAborting():
                self.paused = self.wanted = None
                self.pauses.end_all(at)
                self.halts.end_all(at)

    def gate_ends(self, gate: GateState) -> datetime | None:
        """When a gate has waited for long enough; None while the run is halted, and nobody can know."""
        return self.halts.later(gate.opened, gate.asked.until - gate.opened)

    def note(self, recorded: Recorded[RunEvent]) -> None:
        """Take in what may come after the end, too."""
        if isinstance(recorded.event, ControlRequested):
            self.last_request = recorded.sequence
        if isinstance(recorded.event, ResolveRequested):
            self.resolved.append(recorded.event)

    def is_resolved(self, what: str) -> bool:
        """Whether somebody has put this right."""
        return any(event.fault in {None, what} for event in self.resolved)

    def words(self) -> str:
        """What it stands still for; empty when it does not."""
        if self.paused is not None:
            return pausing_words(self.paused)
        return gate_words(self.gate.asked) if self.gate is not None else ""

    def _ask(self, event: ControlRequested) -> None:
        match event:
            case PauseRequested():
                self.wanted = self.wanted or event
            case ResumeRequested():
                self.wanted, self.let_go = None, event.principal
            case ReleaseRequested():
                self.let_go = event.principal
            case ApproveRequested() | RejectRequested():
                gate = self.gates.get(event.phase)
                if gate is not None and gate.closed is None and gate.answer is None and gate.may_answer(event.principal):
                    gate.answer = event

    def _move(self, event: GateOpened | GateClosed, at: datetime) -> None:
        gate = self.gates.get(event.phase)
        if isinstance(event, GateOpened):
            self.gates[event.phase] = gate or GateState(event, at)
            self.pauses.begin("gate", at)
        elif gate is not None:
            gate.closed = event
            self.pauses.end("gate", at)


def gate_words(asked: GateOpened) -> str:
    """What a gate asks, and whom."""
    who = f", which {' or '.join(asked.approve)} may answer" if asked.approve else ""
    return f"the gate of {asked.phase}{who}: {asked.ask}"


def pausing_words(pausing: RunPausing) -> str:
    """Who made a run stand still, and why."""
    note = f": {pausing.note}" if pausing.note else ""
    return f"{'paused' if pausing.why == 'pause' else 'held'} by {pausing.by}{note}"

"""What people asked of a run, when it stood still, and who took it over: the fold that a report tells it from."""

from dataclasses import dataclass, field
from datetime import datetime

from messages.control_events import AbortRequested, ControlRequested, NotedRequest, ResolveRequested
from messages.events import Recorded, RunEvent
from messages.fault_events import OwnerChanged
from messages.pause_events import GateClosed, GateOpened, RunPausing, RunResumed
from messages.run_events import RunAborting, RunFinished
from runs.report_control import ControlEntry, Gate, OwnerChange, Pause
from runs.report_values import between


@dataclass
class Levers:
    """A fold of what people asked, of what stood still, and of who took over."""

    control: list[ControlEntry] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    owners: list[OwnerChange] = field(default_factory=list)
    _spoke: dict[str, datetime] = field(default_factory=dict)

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        event, at = recorded.event, recorded.at
        match event:
            case ControlRequested():
                self.control.append(_entry(event, recorded))
            case RunPausing():
                self.pauses.append(Pause(why=event.why, by=event.by, note=event.note, start=at))
            case RunResumed():
                self._go_on(at, event.by)
            case GateOpened():
                self.gates.append(Gate(phase=event.phase, ask=event.ask, approve=event.approve, opened=at, until=event.until))
            case GateClosed():
                self._close(event, at)
            case RunAborting() | RunFinished():
                self._go_on(at, None)
            case OwnerChanged():
                silent = between(self._spoke.get(recorded.actor), at)
                host = OwnerChange(actor=recorded.actor, host=event.host, instance=event.instance, timestamp=at, silent=silent)
                self.owners.append(host)
            case _:
                pass
        self._spoke[recorded.actor] = at

    def until(self, last: datetime | None) -> tuple[Pause, ...]:
        """The pauses, the length of one that lasts counted to here."""
        return tuple(p if p.end or last is None else p.model_copy(update={"duration": between(p.start, last)}) for p in self.pauses)

    def _go_on(self, at: datetime, by: str | None) -> None:
        if self.pauses and self.pauses[-1].end is None:
            lasting = self.pauses[-1]
            self.pauses[-1] = lasting.model_copy(update={"end": at, "duration": between(lasting.start, at), "resumed_by": by})

    def _close(self, event: GateClosed, at: datetime) -> None:
        for index, gate in enumerate(self.gates):
            if gate.phase == event.phase and gate.closed is None:
                answer = {"closed": at, "waited": between(gate.opened, at), "outcome": event.outcome, "by": event.by, "note": event.note}
                self.gates[index] = gate.model_copy(update=answer)


def _entry(event: ControlRequested, recorded: Recorded[RunEvent]) -> ControlEntry:
    return ControlEntry(
        timestamp=recorded.at,
        principal=event.principal,
        asked=event.type_name().removeprefix("run.").removesuffix(".requested"),
        note=event.message if isinstance(event, AbortRequested) else event.note if isinstance(event, NotedRequest) else "",
        fault=event.fault if isinstance(event, ResolveRequested) else None,
        id=recorded.evidence,
    )

"""The workloads of a run: which process each is, and whether it ended before it was told to."""

from dataclasses import dataclass

from messages.events import Recorded, RunEvent
from messages.fault_events import WorkloadDied, WorkloadStarted, WorkloadStopped
from messages.identity import Identity


@dataclass
class WorkloadState:
    """A workload that this run has started."""

    identity: Identity
    starts: int
    output: str
    running: bool = True
    died: WorkloadDied | None = None
    evidence: str = ""
    """The id of the event that says how it died."""
    errors: str = ""
    """The file that holds its standard error."""


class Workloads(dict[str, WorkloadState]):
    """A fold: each workload that was started, as it is now."""

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next event."""
        match recorded.event:
            case WorkloadStarted() as event:
                self[event.workload] = WorkloadState(event.identity, event.number, event.output, errors=event.errors)
            case WorkloadStopped() as event if event.workload in self:
                self[event.workload].running = False
            case WorkloadDied() as event if event.workload in self:
                state = self[event.workload]
                state.running, state.died, state.evidence = False, event, recorded.evidence

"""A claim's window that was opened, and what was said of it, as a fold."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from messages.claims import Claim
from messages.events import Recorded, RunEvent
from messages.judgements import AssertionJudged
from messages.run_events import AssertionExpired
from messages.verdicts import Control, Reason, Verdict
from runs.rehearsals import Role, control_of

Mode = Literal["claim", "settle", "steady", "recover"]


@dataclass
class AssertionState:
    """A claim's window that was opened, and what was said of it."""

    id: str
    claim: Claim
    mode: Mode
    phase: str | None
    opened: datetime
    verdict: Verdict | None = None
    reason: Reason | None = None
    message: str = ""
    evidence: tuple[str, ...] = ()
    measured: dict[str, timedelta | int | str] = field(default_factory=dict)
    judged_at: datetime | None = None
    judged_by: str = ""
    """The id of the event that said it."""
    role: Role | None = None
    """What it is to a rehearsal; None where the run is none, and of the steady state."""

    @property
    def control(self) -> Control | None:
        """What its judgement means in a rehearsal, if it is about a fault."""
        return control_of(self.role, self.verdict)

    @property
    def failed(self) -> bool:
        """It does not hold, and nothing says that it should not."""
        return self.verdict is Verdict.FAILED and self.control is None

    def judge(self, recorded: Recorded[RunEvent]) -> None:
        """Take in what was said of it; the first counts."""
        event = recorded.event
        if self.verdict is not None or not isinstance(event, AssertionJudged | AssertionExpired):
            return
        self.verdict = event.verdict if isinstance(event, AssertionJudged) else Verdict.INCONCLUSIVE
        self.reason, self.message = event.reason, event.message
        self.judged_at, self.judged_by = recorded.at, recorded.evidence
        if isinstance(event, AssertionJudged):
            self.evidence, self.measured = event.evidence, dict(event.measured)

"""What the validator says of a claim, and what the reporter published."""

from pydantic import Field

from messages.events import RunEvent
from messages.values import Duration, Message, Token
from messages.verdicts import Control, Reason, Verdict


class AssertionJudged(RunEvent):
    """A claim was judged. Of this and `assertion.expired` the first stored counts. Emitted by the validator."""

    EVENT = "assertion.judged.v1"
    ACTORS = ("validator",)

    assertion: Token
    verdict: Verdict
    reason: Reason | None
    message: str
    evidence: tuple[str, ...]
    """Ids of the observations that it rests on."""
    measured: dict[str, Duration | int | str] = Field(default={})
    """Figures behind the message."""
    control: Control | None = None
    """What it means in a rehearsal, if it is about a fault."""

    @property
    def entity(self) -> str:
        return self.assertion


class Artefact(Message):
    """One file of a report, in the object store."""

    format: str
    name: str
    size: int
    sha256: str


class ReportPublished(RunEvent):
    """The report of a finished run is in the object store. Emitted by the reporter."""

    EVENT = "report.published.v1"
    ACTORS = ("reporter",)

    artefacts: tuple[Artefact, ...]

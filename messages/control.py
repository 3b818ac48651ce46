"""What is asked of the control service, and what it answers. Bodies are JSON."""

from typing import Annotated, Literal

from pydantic import Field

from messages.values import Instant, Message, Token
from messages.verdicts import Reason, Verdict


class Finding(Message):
    """One mistake in a document."""

    file: str
    line: int
    column: int
    what: str
    right: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: {self.what}"
        return f"{place}; {self.right}" if self.right else place


class SubmitRequest(Message):
    """Run (`submit`) or only check (`validate`) a scenario."""

    document: str
    """YAML or JSON text; may hold several documents."""
    file: str = "scenario.yaml"
    """What the findings call it."""
    system: str | None = None
    """Instead of the system that the scenario names."""
    variables: dict[str, str] = Field(default={})
    """Variables of the scenario, or parameters of the template."""
    speed: Annotated[float, Field(gt=0)] = 1.0
    """How many times as fast as written."""
    key: Token | None = None
    """Runs of one key start in order; by default the system's name."""


class SubmitReply(Message):
    """The run's id, or every mistake."""

    run_id: str | None = None
    scenario: str = ""
    findings: tuple[Finding, ...] = ()


class RunRequest(Message):
    """Something about one run (`abort`, `rerun`, `status`, `report`), or about all (`status`, `list` without one)."""

    run_id: Token | None = None
    message: str = ""


class RunSummary(Message):
    """One run in a list."""

    run_id: str
    scenario: str
    system: str
    verdict: Verdict | None
    """None while it runs."""
    reason: Reason | None = None
    stage: str = ""
    """waiting, starting, settle, a phase's name, finally, recover, stopping, finished."""
    started: Instant | None = None
    finished: Instant | None = None
    tags: tuple[str, ...] = ()
    """The scenario's."""


class RunsReply(Message):
    """Runs, the newest first; or why not."""

    runs: tuple[RunSummary, ...] = ()
    error: str | None = None


class Done(Message):
    """It was taken down in the journal; or why not."""

    run_id: str
    error: str | None = None


class Rejected(Message):
    """A scenario that could not be accepted, on `<ns>.rejected.<key>`."""

    subject: str
    """What it was published on."""
    sequence: int
    run_id: str | None
    reason: Literal["invalid", "unroutable", "too_large"]
    findings: tuple[Finding, ...]

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
    rehearse: bool = False
    """Do all but the faults."""
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


class LeverRequest(Message):
    """Something for one run (`pause`, `resume`, `approve`, `reject`, `resolve`) or for all (`hold`, `release`, `revert-all`)."""

    run_id: Token | None = None
    note: str = ""
    fault: Token | None = None
    """The one that `resolve` is about; None: all that is left."""


HOLD = "=hold"
"""The key of the hold, beside those of the systems: no system has this name."""


class Hold(Message):
    """No run starts and no fault happens in the namespace. What the key holds while it lasts."""

    principal: str
    note: str
    since: Instant


class RunSummary(Message):
    """One run in a list."""

    run_id: str
    scenario: str
    system: str
    verdict: Verdict | None
    """None while it runs."""
    reason: Reason | None = None
    stage: str = ""
    """submitted (nobody has taken it up), waiting, starting, settle, a phase's name, finally, recover, paused, gate (a phase waits at it),
    stopping, finished."""
    started: Instant | None = None
    finished: Instant | None = None
    tags: tuple[str, ...] = ()
    """The scenario's."""
    rehearsal: bool = False
    """Nothing is disturbed in it."""
    waits_for: str = ""
    """Why it does not go on, in words, when it stands still: the run ahead, who paused or holds it, what a gate asks."""
    left: tuple[str, ...] = ()
    """What could not be undone and nobody has put right: faults by their ids, and `services` for processes that may still run."""


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

"""What came of a run, and in what it differs from one in which nobody died."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bus.journal import Line
from messages.fault_events import ActionOutcome, FaultEvent, OwnerChanged, ServiceStopped
from messages.judgements import AssertionJudged, ReportPublished
from messages.run_events import AssertionExpired, RunFinished
from messages.verdicts import Reason, Verdict
from tests.crash.standing import Standing

AS_OFTEN = (FaultEvent, ActionOutcome, ServiceStopped)
"""What is done to targets: as often with a process killed as without. How often a service begins, it says itself."""
GAP = f"{Verdict.INCONCLUSIVE} ({Reason.GAP})"
"""What may come of a claim, and of the run, when the one that was killed is the observer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    verdict: str
    """With its reason, if it has one."""
    message: str
    judged: dict[str, str]
    """What was said of each claim, with its reason if it has one; of several the first stored."""
    done: Counter[str]
    """The moments of each fault, the outcome of each action, the end of each service, as the journal has them."""
    starts: dict[str, int]
    """How often each service began, by its own word."""
    standing: Standing
    """How the targets stood when all faults were over and the services were to be stopped, by their own word."""
    left: tuple[str, ...]
    """What of it still runs when it is over."""
    finished: int
    reports: int
    lines: tuple[str, ...] = field(repr=False)
    sprung: bool = True

    def differs(self, reference: "Outcome", victim: str) -> str:
        """In what it differs from a run in which nobody died; empty if in nothing that matters."""
        excused = {GAP} if victim == "observer" else set[str]()
        told = []
        if self.verdict not in {reference.verdict, *excused}:
            told.append(f"{self.verdict} ({self.message}) for {reference.verdict}")
        told += [f"{claim}: {mine} for {theirs}" for claim, mine, theirs in _unlike(self.judged, reference.judged) if mine not in excused]
        for what, here, there in (("done", self.done, reference.done), ("starts", self.starts, reference.starts)):
            told += [f"{what} {key}: {mine} for {theirs}" for key, mine, theirs in _unlike(here, there)]
        told += [f"stands {name}: {mine} for {theirs}" for name, mine, theirs in _unlike(self.standing, reference.standing)]
        if self.left:
            told.append(f"left {', '.join(self.left)}")
        if (self.finished, self.reports) != (1, 1):
            told.append(f"{self.finished} ends, {self.reports} reports")
        return "; ".join(told)


def outcome_of(lines: Sequence[Line], *, starts: dict[str, int], standing: Standing, left: tuple[str, ...], sprung: bool) -> Outcome:
    """What the journal says, beside what the targets say."""
    ends = [line.event for line in lines if isinstance(line.event, RunFinished)]
    judged: dict[str, str] = {}
    for line in lines:
        if isinstance(line.event, AssertionJudged):
            judged.setdefault(line.entity, _said(line.event.verdict, line.event.reason))
        elif isinstance(line.event, AssertionExpired):
            judged.setdefault(line.entity, _said(Verdict.INCONCLUSIVE, line.event.reason))
    return Outcome(
        verdict=_said(ends[0].verdict, ends[0].reason) if ends else "no end",
        message=ends[0].message if ends else "",
        judged=judged,
        done=Counter(f"{line.entity} {line.event.type_name()}" for line in lines if isinstance(line.event, AS_OFTEN)),
        starts=starts,
        standing=standing,
        left=left,
        finished=len(ends),
        reports=sum(isinstance(line.event, ReportPublished) for line in lines),
        lines=tuple(line.evidence for line in lines if not isinstance(line.event, OwnerChanged)),
        sprung=sprung,
    )


def _said(verdict: Verdict, reason: Reason | None) -> str:
    return str(verdict) if reason is None else f"{verdict} ({reason})"


def _unlike(mine: Mapping[str, object], theirs: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    for key in sorted({*mine, *theirs}):
        if mine.get(key) != theirs.get(key):
            yield key, mine.get(key, "nothing"), theirs.get(key, "nothing")

"""The samples of a probe or a workload in a window: what they are together, or why they are none to judge by."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from messages.claims.claim import Claim, Problem, Scope, nearest
from messages.claims.history import History, Judgement, Window, inconclusive
from messages.claims.measured import Measured, Timings, together
from messages.values import brief, format_duration
from messages.verdicts import Reason


def samples(history: History, window: Window, source: str, where: str) -> Timings | Judgement:
    """What the probe or workload of a claim has measured in a window that is over, if nobody looked away for too long."""
    known, opens, closes = history.measured, window.opens, window.closes
    if known is None or opens is None or closes is None:
        return inconclusive(Reason.NO_SAMPLES, f"nothing is known of {source} in {where}")
    found = together(known.within(opens, closes))
    unseen, allowed = known.unseen(opens, closes), longest_gap(history, known)
    if unseen > allowed and (found.count or known.gaps):
        return not_looked_at(source, unseen, where, allowed, *found.evidence)
    return found


def longest_gap(history: History, known: Measured) -> timedelta:
    """How long nobody may have looked."""
    return max(history.max_gap, 2 * (known.every or timedelta()))


def not_looked_at(source: str, unseen: timedelta, where: str, allowed: timedelta, *evidence: str) -> Judgement:
    """Why nothing can be said: nobody looked for so long."""
    told = f"{source} was not looked at for {brief(unseen)} of {where}, at most {format_duration(allowed)} may be missing"
    return inconclusive(Reason.GAP, told, *evidence)


def emptiness(opens: datetime | None, closes: datetime | None) -> Judgement | None:
    """What is said of a window that has no inside."""
    if opens is not None and closes is not None and closes <= opens:
        return inconclusive(Reason.NO_SAMPLES, "the window ended before it opened")
    return None


def source_problems(probe: str | None, workload: str | None, scope: Scope) -> Iterator[Problem]:
    """Which of the probe and the workload that a claim names does not exist."""
    for key, name, known in (("probe", probe, scope.probes), ("workload", workload, scope.workloads)):
        if name is not None and known is not None and name not in known:
            yield Problem((key,), f"the system has no {key} {name!r}", nearest(name, known))


def comparable_problems(claim: Claim, compare: str | None, scope: Scope) -> list[Problem]:
    """What is wrong if no phase can be over before the claim's window opens."""
    if compare is None or claim.during is not None or claim.after is not None or scope.phase is not None:
        return []
    return [Problem(("compare",), "the window begins with the run, so no phase is over before it", "add `during` or `after`")]

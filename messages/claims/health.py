"""`health`: services are healthy at the window's end, within a time, or throughout; also the usual steady state."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from messages.claims.claim import Claim, Problem, Scope, Targets, as_tuple, target_problems
from messages.claims.history import History, Judgement, ServiceHistory, Transition, failed, inconclusive, passed
from messages.claims.spans import Span, covers, earliest, free, length
from messages.values import brief, format_duration
from messages.verdicts import Reason

CURE = "the targets were disturbed all of the time; drop `except`, or widen the window"


class HealthClaim(Claim):
    """The targets pass all of their health checks: at the window's end, `within` a time, or `throughout`."""

    FIGURES = {"took": "seconds"}

    type: Literal["health"]
    target: Targets
    """A service, a list of them, or `all`."""
    except_: Literal["disturbed"] | None = Field(default=None, alias="except")
    """`disturbed`: a fault's target is excused while the fault is on it."""

    @property
    def follows_health(self) -> bool:
        return True

    @property
    def asks_for_something(self) -> bool:
        """To be sick all the time takes a fault; to be healthy does not."""
        return self.never

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        if opens is None:
            return None
        if closes is not None and closes < opens:
            return inconclusive(Reason.NO_SAMPLES, "the window ended before it opened")
        if self.never:
            return self._judge_never(history, opens)
        if self.throughout:
            return self._judge_throughout(history, opens)
        return self._judge_end(history) if self.within is None else self._judge_within(history, opens)

    def judge_stable(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        if opens is None:
            return None
        for start, end in self._healthy(history, opens, closes):
            held = start + history.stable
            if held <= end and all(history.service(n).unsampled(start, held) <= history.max_gap for n in as_tuple(self.target)):
                told = f"{_names(self.target)} healthy after {brief(start - opens)}, stable since"
                return passed(told, *self._newest(history, end))
        if closes is None or not history.probes_passed(closes):
            return None
        if sick := self._sick(history, closes):
            return failed(f"not healthy: {_causes(history, sick, closes)}", *self._newest(history, closes))
        if blind := self._blind(history, opens, closes) or self._unknown(history, closes):
            return _unseen(history, blind)
        return failed(f"not healthy for {format_duration(history.stable)} without break", *self._newest(history, closes))

    def _judge_end(self, history: History) -> Judgement | None:
        closes = history.window.closes
        if closes is None or not history.probes_passed(closes):
            return None
        asked = [n for n in as_tuple(self.target) if not covers(self._excuses(history, n), closes, closes)]
        if not asked:
            return inconclusive(Reason.NO_SAMPLES, CURE)
        if sick := [n for n in self._sick(history, closes) if n in asked]:
            return failed(f"not healthy at the end: {_causes(history, sick, closes)}", *self._newest(history, closes))
        if unknown := [n for n in self._unknown(history, closes) if n in asked]:
            return inconclusive(Reason.NO_SAMPLES, f"no health samples near the window's end: {', '.join(unknown)}")
        return passed(f"{_names(tuple(asked))} healthy at the end", *self._newest(history, closes))

    def _judge_within(self, history: History, opens: datetime) -> Judgement | None:
        closes = history.window.closes
        for start, _ in self._healthy(history, opens, closes):
            took = start - opens
            return passed(f"{_names(self.target)} healthy after {brief(took)}", *self._newest(history, start), took=took)
        if closes is None or not history.probes_passed(closes):
            return None
        if blind := self._blind(history, opens, closes):
            return _unseen(history, blind)
        sick = self._sick(history, closes)
        if not sick and (unknown := self._unknown(history, closes)):
            return _unseen(history, unknown)
        return failed(f"not healthy within {brief(closes - opens)}: {_causes(history, sick, closes)}", *self._newest(history, closes))

    def _judge_never(self, history: History, opens: datetime) -> Judgement | None:
        closes = history.window.closes
        for start, _ in self._healthy(history, opens, closes):
            return failed(f"{_names(self.target)} healthy, and must never be", *self._newest(history, start))
        if closes is None or not history.probes_passed(closes):
            return None
        if blind := self._blind(history, opens, closes) or self._unknown(history, closes):
            return _unseen(history, blind)
        return passed(f"{_names(self.target)} never healthy", *self._newest(history, closes))

    def _judge_throughout(self, history: History, opens: datetime) -> Judgement | None:
        closes = history.window.closes
        for name in as_tuple(self.target):
            broken = self._first_unexcused(history, name, opens, closes)
            if broken is not None:
                why = f": {broken.error}" if broken.error else ""
                return failed(f"{name} was down {brief(broken.at - opens)} into the window{why}", broken.evidence)
        if closes is None or not history.probes_passed(closes):
            return None
        return self._judge_unbroken(history, opens, closes)

    def _judge_unbroken(self, history: History, opens: datetime, closes: datetime) -> Judgement:
        """None was down without an excuse; whether each was looked at, all of the time in which it had none.

        What is left between excuses may be too short for a sample; then one from shortly before says how it was.
        """
        looked_at, excused = [], []
        for name in as_tuple(self.target):
            service, excuses = history.service(name), self._excuses(history, name)
            spans = free(excuses, opens, closes)
            if any(service.unsampled(*span) > history.max_gap for span in spans):
                return _unseen(history, [name])
            before = history.max_gap if excuses else timedelta()
            if service.up_at(closes) is not None and any(service.within(start - before, end) for start, end in spans):
                looked_at.append(name)
            elif not excuses or length(spans) > history.max_gap:
                return inconclusive(Reason.NO_SAMPLES, f"no health samples of {name} within the window")
            excused += [name] if excuses else []
        if not looked_at and not history.steady:
            return inconclusive(Reason.NO_SAMPLES, CURE)
        note = f" ({', '.join(excused)} excused while disturbed)" if excused else ""
        return passed(f"{_names(self.target)} healthy throughout{note}", *self._newest(history, closes))

    def _first_unexcused(self, history: History, name: str, opens: datetime, closes: datetime | None) -> Transition | None:
        """The first time it was down in the window without an excuse. A sample that was in flight at an edge belongs to what came after."""
        transitions = history.service(name).transitions
        for index, transition in enumerate(transitions):
            if transition.up:
                continue
            up = next((t for t in transitions[index + 1 :] if t.up), None)
            if (up is not None and up.at <= opens) or (closes is not None and transition.seen >= closes):
                continue
            start = max(transition.seen, opens)
            end = earliest(up.at - up.error_bound if up else None, closes, history.probes_until)
            if not covers(self._excuses(history, name), start, history.service(name).sick_until(start, end or start)):
                return transition
        return None

    def _healthy(self, history: History, start: datetime, end: datetime | None) -> Iterator[Span]:
        """The spans in which all targets were healthy, each from when all had been seen so; as far as has been looked."""
        until = earliest(end, history.probes_until)
        services = [history.service(name) for name in as_tuple(self.target)]
        if history.probes_until is None or until is None or until < start or not services:
            return
        for opened, closed in _all_up(services, start, until):
            seen = [_first_good(service, opened, closed) for service in services]
            known = [moment for moment in seen if moment is not None]
            if len(known) == len(seen):
                yield max(known), closed

    def _blind(self, history: History, start: datetime, end: datetime) -> list[str]:
        """The targets that were not looked at for too long."""
        return [
            n
            for n in as_tuple(self.target)
            if history.service(n).unsampled(start, end) > history.max_gap or not _looked(history.service(n), start, end)
        ]

    def _sick(self, history: History, instant: datetime) -> list[str]:
        return [n for n in as_tuple(self.target) if _fresh(history, n, instant) and _state(history.service(n), instant) is False]

    def _unknown(self, history: History, instant: datetime) -> list[str]:
        return [n for n in as_tuple(self.target) if not _fresh(history, n, instant) or _state(history.service(n), instant) is None]

    def _excuses(self, history: History, name: str) -> tuple[tuple[datetime, datetime | None], ...]:
        return history.excused.get(name, ()) if self.except_ else ()

    def _newest(self, history: History, instant: datetime) -> tuple[str, ...]:
        found = []
        for name in as_tuple(self.target):
            service = history.service(name)
            found += [t.evidence for t in service.transitions if t.at <= instant][-1:]
            found += [s.evidence for s in service.samples if s.start <= instant][-1:]
        return tuple(found)

    def summary(self) -> str:
        how = f"within {format_duration(self.within)}" if self.within is not None else "throughout" if self.throughout else "at the end"
        return self.description or f"{_names(self.target)} {'never healthy' if self.never else f'healthy {how}'}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from target_problems("target", self.target, scope)
        if self.except_ and (self.never or self.within is not None):
            yield Problem(
                ("except",), "`except` excuses from being healthy throughout or at the end", "use throughout: true, or take it out"
            )


def _all_up(services: list[ServiceHistory], start: datetime, end: datetime) -> Iterator[Span]:
    """The spans in which none was known to be down, nor unknown."""
    opened = None
    for moment in (start, *sorted({t.at for service in services for t in service.transitions if start < t.at <= end})):
        up = all(service.up_at(moment) for service in services)
        if up and opened is None:
            opened = moment
        elif not up and opened is not None:
            yield opened, moment
            opened = None
    if opened is not None:
        yield opened, end


def _first_good(service: ServiceHistory, start: datetime, end: datetime) -> datetime | None:
    """The first instant of the span at which it was seen healthy. Of samples that failed in part, those that were good may lie outside."""
    changed = (t.at for t in service.transitions if t.up and start <= t.at <= end)
    good = (s for s in service.samples if s.ok > 0 and (s.failed == 0 or (s.start >= start and s.end <= end)))
    sampled = (max(s.start, start) for s in good if s.end > start and s.start <= end)
    return earliest(next(changed, None), next(sampled, None))


def _looked(service: ServiceHistory, start: datetime, end: datetime) -> bool:
    """Whether anything was seen of it in the span."""
    return bool(service.within(start, end)) or any(start <= t.at <= end for t in service.transitions)


def _fresh(history: History, name: str, instant: datetime) -> bool:
    """Whether it was looked at shortly before."""
    return bool(history.service(name).within(instant - history.max_gap, instant))


def _state(service: ServiceHistory, instant: datetime) -> bool | None:
    """Whether it was up by what had been seen until then; None when nothing had."""
    known = [t.up for t in service.transitions if t.seen <= instant]
    return known[-1] if known else None


def _unseen(history: History, names: list[str]) -> Judgement:
    longest = format_duration(history.max_gap)
    return inconclusive(Reason.GAP, f"no health samples of {', '.join(names)}, or none for more than {longest}, within the window")


def _causes(history: History, names: list[str], instant: datetime) -> str:
    told = []
    for name in names:
        error = next((t.error for t in reversed(history.service(name).transitions) if t.at <= instant and not t.up), None)
        told.append(f"{name} ({error})" if error else name)
    return ", ".join(told) or "not all at once"


def _names(targets: Targets) -> str:
    names = as_tuple(targets)
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} services"

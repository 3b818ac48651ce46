"""`role`: so many members of a group play a role, such as one leader: at the window's end, within a time, or throughout."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from pydantic import Field

from messages.claims.claim import Claim, Problem, Scope, nearest
from messages.claims.history import History, Judgement, failed, inconclusive, passed
from messages.values import Token, brief, format_duration
from messages.verdicts import Reason


@dataclass(frozen=True, slots=True)
class _Moment:
    """What is known of the members in a span in which nothing changes."""

    start: datetime
    end: datetime
    having: tuple[str, ...]
    """Who surely has the role."""
    changing: tuple[str, ...]
    """Who got or lost it just then."""
    unknown: tuple[str, ...]

    @property
    def middle(self) -> datetime:
        return self.start + (self.end - self.start) / 2


class RoleClaim(Claim):
    """So many members of a group say that they have this role: at the window's end, `within` a time, or `throughout`.

    Each member is asked at its own interval (`role.every` of the service), so what is shorter may not be seen. Who says nothing is not
    known to be without the role; at the end and `within` a time it is, while its health checks fail.
    """

    FIGURES = {"took": "seconds", "having": "count"}

    type: Literal["role"]
    group: Token
    """A group of the system, whose members have `role`."""
    role: str = Field(min_length=1)
    """The role that is counted, as the services say it."""
    exactly: int | None = Field(default=None, ge=0)
    """So many must have it."""
    at_least: int | None = Field(default=None, ge=1)
    """No fewer may have it."""
    at_most: int | None = Field(default=None, ge=0)
    """No more may have it."""

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        if opens is None:
            return None
        if closes is not None and closes <= opens:
            return inconclusive(Reason.NO_SAMPLES, "the window ended before it opened")
        over = closes is not None and history.probes_passed(closes)
        if over and not any(role.said for role in history.roles.values()):
            return inconclusive(Reason.NO_SAMPLES, f"no member of {self.group} has said its role; see `role` of the services")
        if self.throughout:
            return self._judge_throughout(history, opens, over=over)
        if self.within is not None:
            return self._judge_within(history, opens, over=over)
        return self._judge_end(history, closes) if over and closes is not None else None

    def _judge_throughout(self, history: History, opens: datetime, *, over: bool) -> Judgement | None:
        moments = list(self._moments(history, opens))
        for moment in moments if over or self.may_pass_early(history) else ():
            if not self._may_hold(len(moment.having), len(moment.changing) + len(moment.unknown)):
                return failed(f"{self._told(moment)} {brief(moment.start - opens)} into the window{self._bounds(history)}",
                    *self._evidence(history, moment), having=len(moment.having))  # fmt: skip
        if not over:
            return None
        for moment in moments:
            if not self._held(moment):
                told = f"nobody knows the role of {', '.join(moment.unknown)} {brief(moment.start - opens)} into the window"
                lasted = f"for {brief(moment.end - moment.start)}; {self._told(moment)}"
                return inconclusive(Reason.GAP, f"{told}, {lasted}; look at why it did not say", *self._evidence(history, moment))
        evidence = [name for moment in moments for name in self._evidence(history, moment)]
        return passed(f"{self._wanted} of {self.group} throughout{self._bounds(history)}", *evidence)

    def _judge_within(self, history: History, opens: datetime, *, over: bool) -> Judgement | None:
        moments = list(self._moments(history, opens))
        for moment in moments if over or self.may_pass_early(history) else ():
            if self._surely_holds(moment):
                took = moment.start - opens
                told = f"{self._told(moment)} after {brief(took)}{self._bounds(history)}"
                return passed(told, *self._evidence(history, moment), took=took, having=len(moment.having))
        if not over or not moments:
            return None
        doubtful = next((m for m in reversed(moments) if m.unknown and self._may_hold(len(m.having), len(m.unknown))), None)
        if doubtful is not None:
            return self._unknown(history, doubtful)
        last = moments[-1]
        told = f"{self._told(last)} at the end, and it was not {self._wanted} within {brief(last.end - opens)}"
        return failed(told, *self._evidence(history, last), having=len(last.having))

    def _judge_end(self, history: History, closes: datetime) -> Judgement:
        last = self._moment(history, closes, closes)
        evidence, having = self._evidence(history, last), len(last.having)
        if self._surely_holds(last):
            return passed(f"{self._told(last)} at the end", *evidence, having=having)
        if not self._may_hold(having, len(last.changing) + len(last.unknown)):
            return failed(f"{self._told(last)} at the end, {self._wanted} wanted", *evidence, having=having)
        return self._unknown(history, last)

    def _unknown(self, history: History, moment: _Moment) -> Judgement:
        names = ", ".join(moment.unknown or moment.changing)
        told = f"nobody knows the role of {names}" if moment.unknown else f"the role of {names} changed just then"
        return inconclusive(Reason.GAP, f"{told}; {self._told(moment)}; give it more time to say", *self._evidence(history, moment))

    def _moments(self, history: History, opens: datetime) -> Iterator[_Moment]:
        """The window, as far as roles were looked at, cut wherever something changes."""
        ends = [instant for instant in (history.window.closes, history.probes_until) if instant is not None]
        if history.probes_until is None or min(ends) <= opens:
            return
        cuts = {cut for role in history.roles.values() for cut in role.moments()}
        if not self.throughout:
            cuts |= {change.at for name in history.roles for change in history.service(name).transitions}
        edges = sorted({opens, min(ends), *(cut for cut in cuts if opens < cut < min(ends))})
        for start, end in pairwise(edges):
            yield self._moment(history, start, end)

    def _moment(self, history: History, start: datetime, end: datetime) -> _Moment:
        having: list[str] = []
        changing: list[str] = []
        unknown: list[str] = []
        instant = start + (end - start) / 2
        for name, role in history.roles.items():
            roles = role.at(instant, history.max_gap)
            if roles is None:
                if self.throughout or history.service(name).up_at(instant) is not False:
                    unknown.append(name)
            elif self.role in roles:
                (having if len(roles) == 1 else changing).append(name)
        return _Moment(start, end, tuple(having), tuple(changing), tuple(unknown))

    def _fits(self, count: int) -> bool:
        fewest, most = (self.at_least, self.at_most) if self.exactly is None else (self.exactly, self.exactly)
        return (fewest is None or count >= fewest) and (most is None or count <= most)

    def _may_hold(self, having: int, more: int) -> bool:
        return any(self._fits(count) for count in range(having, having + more + 1))

    def _surely_holds(self, moment: _Moment) -> bool:
        more = len(moment.changing) + len(moment.unknown)
        return all(self._fits(len(moment.having) + extra) for extra in range(more + 1))

    def _held(self, moment: _Moment) -> bool:
        """Whether it held whatever the unknown are; of those that changed just then nobody can say when, so they may have fitted."""
        counts = range(len(moment.having), len(moment.having) + len(moment.changing) + 1)
        return any(all(self._fits(count + extra) for extra in range(len(moment.unknown) + 1)) for count in counts)

    def _evidence(self, history: History, moment: _Moment) -> tuple[str, ...]:
        """What each member had said last; of who is down, that it is."""
        found = [role.evidence(moment.middle) for role in history.roles.values()]
        for name in () if self.throughout else history.roles:
            health = [t for t in history.service(name).transitions if t.at <= moment.middle]
            found += [health[-1].evidence] if health and not health[-1].up else []
        return tuple(found)

    def _told(self, moment: _Moment) -> str:
        verb = "was" if len(moment.having) < 2 else "were"
        return f"{' and '.join(moment.having) or 'no member'} {verb} {self.role}{' at once' if len(moment.having) > 1 else ''}"

    def _bounds(self, history: History) -> str:
        every = max((role.every for role in history.roles.values()), default=timedelta())
        return f" (each was asked every {format_duration(every)})"

    @property
    def _wanted(self) -> str:
        limits = (("exactly", self.exactly), ("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{word} {count}" for word, count in limits if count is not None) + f" {self.role}"

    def summary(self) -> str:
        how = f"within {format_duration(self.within)}" if self.within is not None else "throughout" if self.throughout else "at the end"
        return self.description or f"{self._wanted} in {self.group} {how}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if scope.groups is not None and self.group not in scope.groups:
            yield Problem(("group",), f"the system has no group {self.group!r}", nearest(self.group, scope.groups))
        elif scope.groups is not None:
            silent = [name for name, says in scope.groups[self.group].items() if not says]
            if silent:
                yield Problem(("group",), f"{', '.join(silent)} of {self.group} cannot be asked", "give the services `role` in the system")
        yield from self._limit_problems(scope)
        if self.never:
            yield Problem((), "a number of members is there or not", "turn the limit round, and write throughout: true")

    def _limit_problems(self, scope: Scope) -> Iterator[Problem]:
        least, most = self.at_least, self.at_most
        if self.exactly is None and least is None and most is None:
            yield Problem((), "the claim has no limit", "add exactly, at_least or at_most")
        if self.exactly is not None and (least is not None or most is not None):
            yield Problem(("exactly",), "`exactly` says it all", "keep it alone")
        if least is not None and most is not None and least > most:
            yield Problem(("at_most",), f"no number is at least {least} and at most {most}", "turn them round")
        size = len(scope.groups[self.group]) if scope.groups is not None and self.group in scope.groups else None
        for key, count in (("exactly", self.exactly), ("at_least", least)):
            if size is not None and count is not None and count > size:
                yield Problem((key,), f"{self.group} has {size} members", f"at most {size}")

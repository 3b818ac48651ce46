"""What every claim has in common: its words in the language, what it follows, and how its judge is asked."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, NamedTuple

from messages.audit_events import PREFIX, SOURCE, TYPES
from messages.claims.history import MOMENTS, History, Judgement, inconclusive
from messages.expressions import Bindings, ExpressionError, compiled
from messages.histogram import Histogram
from messages.observations import KeyCounts, Match
from messages.values import Document, Duration, Token
from messages.verdicts import Reason

KEPT = 20
"""How many matches a summary names."""
REMEMBERED = 200_000
"""How many of the newest events a tally knows again when they are delivered twice."""
Unit = Literal["seconds", "count", "share", "number"]
"""Of a figure, as an expression has it; a share is from 0 to 1."""


class ServiceEvent(NamedTuple):
    """A CloudEvent of the system, as the stream holds it. `bindings` has it as `event`."""

    id: str
    type: str
    source: str
    sequence: int
    at: datetime
    bindings: Bindings

    @property
    def attributes(self) -> Mapping[str, Any]:
        """All that the event says, `data` among it."""
        found = self.bindings.values["event"]
        return found if isinstance(found, dict) else {}

    @property
    def ours(self) -> bool:
        """Whether it is of our making, and no evidence that the system said anything."""
        return self.source == SOURCE

    def matched(self, key: str | None = None) -> Match:
        """The event as a match with this key."""
        return Match(id=self.id, type=self.type, source=self.source, sequence=self.sequence, at=self.at, key=key)


class Tally:
    """Counts matches one by one, the same CloudEvent (source and id) once; what it says goes into the journal."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], None] = {}
        self.count = 0
        self.first: Match | None = None
        self.last: Match | None = None
        self._kept: list[Match] = []

    def see(self, match: Match, *, in_grace: bool = False) -> None:
        """Take in the next match, in stream order. `in_grace`: it lies after the window, in the claim's grace."""
        identity = (match.source, match.id)
        if identity in self._known:
            return
        self._known[identity] = None
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        self.take(match, in_grace=in_grace)

    def take(self, match: Match, *, in_grace: bool) -> None:
        """Count a match that was not delivered before."""
        del in_grace
        self.count += 1
        self.first = self.first or match
        self.last = match
        if len(self._kept) < KEPT:
            self._kept.append(match)

    @property
    def kept(self) -> tuple[Match, ...]:
        """The matches worth naming, at most 20."""
        return tuple(self._kept)

    @property
    def keys(self) -> KeyCounts | None:
        """What became of each key, for a claim that follows keys."""
        return None

    @property
    def values(self) -> Histogram | None:
        """The durations that were read, for a claim about them."""
        return None


class Found(NamedTuple):
    """That an event matches, and the key that it has for the claim."""

    key: str | None = None


KEYLESS = Found()


class Matcher:
    """Finds the service events that a claim is about. Matches every event of the types it names."""

    types: frozenset[str] | None = None
    """The only event types it can match; None: any."""
    where = ""
    """The expression by which it finds them, if it has one."""

    @property
    def asks_for_ours(self) -> bool:
        """Whether it is about our own events too: only if it names their source or their types."""
        named = self.types is not None and not self.types.isdisjoint(TYPES.values())
        return named or SOURCE in self.where or PREFIX in self.where

    def match(self, event: ServiceEvent) -> Found | None:  # noqa: ARG002 - those that name more than types look at it
        """What it is a match with, or None.

        Raises:
            ExpressionError: the claim's expression cannot be evaluated on this event.
        """
        return KEYLESS

    def tally(self) -> Tally:
        """A fresh count."""
        return Tally()


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a document: where (keys and indexes below the item), what, and what would be right."""

    path: tuple[str | int, ...]
    what: str
    right: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that a claim may use."""

    services: Mapping[str, frozenset[str]]
    """Each service, and the names it goes by in events (its own among them)."""
    faults: Mapping[str, tuple[str, str]]
    """Each fault's id, its target and its action."""
    phase: str | None
    """The phase that the claim stands in; None for one over the whole run."""
    earlier: tuple[str, ...] | None = None
    """The phases that are over before the claim's window may open; here and below None is: not known."""
    probes: Collection[str] | None = None
    workloads: Collection[str] | None = None
    metrics: Collection[str] | None = None
    """Services that have a metrics endpoint."""
    groups: Mapping[str, Mapping[str, bool]] | None = None
    """Each group's members, and whether each can be asked for its role."""
    prometheus: bool | None = None
    """Whether the system has a Prometheus."""
    traces: bool | None = None
    """Whether the observer receives the system's spans."""
    logs: Collection[str] | None = None
    """Services whose output is kept: those that are processes."""
    events: bool | None = None
    """Whether the system has event streams."""
    rules: Collection[str] | None = None
    """The correlation rules of the system."""
    phases: Collection[str] | None = None
    claims: "Mapping[str, Claim | None] | None" = None
    """Every claim of the scenario by its id; one that cannot be read is None."""


class Claim(Document):
    """Something that must be true of the system in a window of time."""

    FIGURES: ClassVar[Mapping[str, Unit]] = {}
    """What its judgement may measure; an expression may ask for it."""

    id: Token = "unnamed"
    """Unique in the scenario. Made from the type and the place when left out."""
    type: str
    description: str = ""
    on_fail: Literal["continue", "stop", "abort"] = "stop"
    """What happens to the run when the claim fails. Whatever it is, the verdict is failed."""
    within: Duration | None = None
    """It must become true in this time from the window's opening."""
    throughout: bool = False
    """It must be true all through the window."""
    never: bool = False
    """It must not become true in the window."""
    during: str | None = None
    """Only while this fault had its effect: from effective to gone."""
    after: str | None = None
    """Only after this fault was gone, or after a moment of it (`ID.effective`)."""
    before: str | None = None
    """Only before a moment of this fault (`ID.injected`)."""
    grace: Duration = timedelta()
    """How much longer to wait for what belongs to the window."""
    without_fault: Literal["holds", "fails"] | None = None
    """What `run --rehearse` is to find: `fails` if it needs the fault that it is about, `holds` if it is true without it too. By default
    what asks that something happens while there is a fault needs it, and what bounds damage holds."""

    @property
    def asks_for_something(self) -> bool:
        """Whether it claims that something happens, so that it fails where nothing does. Else it bounds what may happen."""
        return self.within is not None and not self.never

    @property
    def follows_events(self) -> bool:
        """Whether the observer has to match service events for it."""
        return False

    @property
    def follows_health(self) -> bool:
        """Whether it needs the services' health."""
        return False

    @property
    def takes_grace(self) -> bool:
        """Whether what belongs to its window may come after it."""
        return self.follows_events

    def faults_named(self) -> Iterator[str]:
        """The ids of the faults that the claim is about."""
        for reference in (self.during, self.after, self.before):
            if reference is not None:
                yield reference.partition(".")[0]

    def matcher(self, services: Mapping[str, frozenset[str]]) -> Matcher | None:
        """What finds its events; `services` gives the names that each service goes by in events."""
        del services
        return None

    def judge(self, history: History) -> Judgement | None:
        """What the history says of the claim; None while it cannot be said yet."""
        raise NotImplementedError

    def judge_stable(self, history: History) -> Judgement | None:
        """Whether it held without break for `history.stable` before the window closed: what settle and recover ask."""
        del history
        return inconclusive(Reason.JUDGE_ERROR, f"a claim of type {self.type} has no state that could be stable")

    def may_pass_early(self, history: History) -> bool:
        """Whether a pass may be said before the window's end: not while the moment of a fault may yet turn out to have ended it."""
        during = [self.during if "." in self.during else f"{self.during}.gone"] if self.during else []
        ends = [*([self.before] if self.before else []), *during]
        if self.within is None:
            return history.window.closes is not None or not ends
        return all(_has_come(history, reference) for reference in ends)

    def summary(self) -> str:
        """The claim in a few words."""
        return self.description or self.type

    def problems(self, scope: Scope) -> Iterator[Problem]:
        """What is wrong with the claim in this scope."""
        for word in ("during", "after", "before"):
            reference = getattr(self, word)
            if reference is not None:
                yield from _reference_problems(word, reference, scope)
        if sum((self.within is not None, self.throughout, self.never)) > 1:
            yield Problem((), "`within`, `throughout` and `never` exclude each other", "keep one of them")
        if self.grace and not self.takes_grace:
            yield Problem(("grace",), f"a claim of type {self.type} waits for no events, so it has no grace", "take it out")


def _has_come(history: History, reference: str) -> bool:
    """Whether it is known when this moment of a fault was."""
    name, _, moment = reference.partition(".")
    fault = history.faults.get(name)
    return fault is not None and getattr(fault, moment or "requested") is not None


def _reference_problems(word: str, reference: str, scope: Scope) -> Iterator[Problem]:
    fault, dot, moment = reference.partition(".")
    if fault not in scope.faults:
        yield Problem((word,), f"there is no fault with the id {fault!r}", nearest(fault, scope.faults))
    if dot and moment not in MOMENTS:
        yield Problem((word,), f"{moment!r} is not a moment of a fault", nearest(moment, MOMENTS))
    if dot and word == "during":
        yield Problem((word,), "`during` takes a fault, not a moment of one", f"during: {fault}")


def nearest(word: str, known: Any) -> str:
    """What would be right: the nearest of the known words, or all of them when few."""
    import difflib

    names = sorted(str(name) for name in known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return "there are none here"
    return "known: " + ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def expression_problems(key: str, source: str, *variables: str) -> Iterator[Problem]:
    """What is wrong with an expression over these variables (`event` if none are given): it does not compile, or names others."""
    known = variables or ("event",)
    try:
        unknown = compiled(source).unknown(frozenset(known))
    except ExpressionError as error:
        yield Problem((key,), f"not an expression that can be used: {error}", _like(variables))
    else:
        for name in sorted(unknown):
            yield Problem((key,), f"there is no variable {name!r} in this expression", nearest(name, known))


def _like(variables: tuple[str, ...]) -> str:
    return f"CEL over {', '.join(variables)}" if variables else "CEL, like event.type == 'order.filled'"


ONE_OF_THEM = "one-of-them"
"""What the target of a fault is called as long as it is one of several services, and which one is not chosen."""
Targets = Token | tuple[Token, ...]
"""A service's name, or several; `all` is every service of the system."""


def as_tuple(targets: Targets) -> tuple[str, ...]:
    """The names, however they were written."""
    return (targets,) if isinstance(targets, str) else targets


def target_problems(key: str, targets: Targets, scope: Scope) -> Iterator[Problem]:
    """Which of the targets do not exist."""
    if not targets:
        yield Problem((key,), "there is no target, so nothing would be asked", nearest("", scope.services))
    for name in as_tuple(targets):
        if name not in scope.services:
            yield Problem((key,), f"the system has no service {name!r}", nearest(name, scope.services))

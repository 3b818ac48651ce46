"""What the observer records for claims that look by themselves: answers over HTTP and gRPC, metrics, logs, spans, and what is there."""

import math
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, PlainSerializer

from messages.events import RunEvent
from messages.observations import OBSERVER, Summary
from messages.values import Instant, Message, Token

_NO_NUMBERS = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}


def _read_value(value: Any) -> Any:
    return _NO_NUMBERS.get(value, value) if isinstance(value, str) else value


def _written_value(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


Value = Annotated[float, BeforeValidator(_read_value), PlainSerializer(_written_value, when_used="json")]
"""A value of a series. JSON has no NaN and no infinity: they are written as Prometheus writes them."""


class AnswerSeen(RunEvent):
    """What an http or grpc claim asks for was answered as expected or not, for the first time or again. Emitted by the observer."""

    EVENT = "answer.seen.v1"
    ACTORS = OBSERVER

    assertion: Token
    number: int
    """Counts the changes that this claim has met in this run, from 1."""
    ok: bool
    """The answer was as expected."""
    ago: timedelta
    """To publishing: from the end of the first good answer, or from the intended start of the first bad one."""
    error_bound: timedelta
    """It may have changed this much earlier: the claim's interval."""
    took: timedelta
    """How long that answer took."""
    got: str = ""
    """What came instead of what was expected: the status and the first 200 characters, or why there was no answer."""
    asked: bool = True
    """False: it could not be asked at all (a method that is not there, a request that does not fit), and `got` says why."""

    @property
    def entity(self) -> str:
        return self.assertion

    @property
    def ordinal(self) -> int:
        return self.number


class MetricSampled(RunEvent):
    """A metrics endpoint was scraped, or a Prometheus asked, for a claim. Emitted by the observer.

    That is while the claim, or what it is compared with, is open.
    """

    EVENT = "metric.sampled.v1"
    ACTORS = OBSERVER
    GUARDED: ClassVar[bool] = False

    assertion: Token
    at: Instant
    """When the scrape was due."""
    took: timedelta
    series: dict[str, Value] = {}
    """The series that the claim names, at most 50, as the endpoint writes them, or those that its PromQL gives, and their values."""
    beyond: int = 0
    """How many more series it names."""
    error: str = ""
    """Why there was no answer that can be read; then there are no series."""

    @property
    def entity(self) -> str:
        return self.assertion

    @property
    def ordinal(self) -> int:
        return round(self.at.timestamp() * 1_000_000)


class LogMatched(Summary):
    """What a claim matched of the lines of a log that were read in [start, end). Emitted by the observer while the claim is open.

    One span follows the other: about a second each, up to ten while nothing is written. Where there is none, nobody read.
    """

    EVENT = "log.matched.v1"

    assertion: Token
    lines: int
    """Lines of any kind. One counts as written when it is read, some 100 ms later."""
    count: int
    """Those that matched."""
    first: Instant | None = None
    """When the first of those was read."""
    last: Instant | None = None
    late: bool = False
    """Nobody had read for a while: the lines were written in the span, and nobody can say when."""
    errors: int = 0
    """Lines on which the claim's expression could not be evaluated: no match."""
    error: str = ""
    """The first such error."""
    samples: tuple[str, ...] = ()
    """The first matches, at most 3 and 300 characters of each, without the system's secrets."""
    through: int = 0
    """Bytes of the log that were read by then."""

    @property
    def entity(self) -> str:
        return self.assertion


class KeysListed(RunEvent):
    """What the answers to an http claim listed in the phase that later ones are to be unlike. Emitted by the observer after it, once."""

    EVENT = "keys.listed.v1"
    ACTORS = OBSERVER

    assertion: Token
    start: Instant
    """When the first answer that could be read was asked for."""
    end: Instant
    """And the last."""
    answers: int
    """How many could be read."""
    keys: tuple[str, ...] = ()
    """At most 1000."""
    beyond: int = 0
    """How many more there were."""
    error: str = ""
    """Why the last that could not be read could not."""

    @property
    def entity(self) -> str:
        return self.assertion


class TraceMatched(Summary):
    """What a claim matched of the spans of services that were received in [start, end). Emitted by the observer while the claim is open.

    One follows the other: about a second each, up to ten while nothing comes. Where there is none, nobody listened.
    """

    EVENT = "trace.matched.v1"

    assertion: Token
    spans: int
    """Spans of any kind, each once."""
    count: int
    """Those that matched. One whose parent is asked for counts when both were received."""
    first: Instant | None = None
    """When the first of those was received."""
    last: Instant | None = None
    errors: int = 0
    """Spans on which an expression of the claim could not be evaluated: no match."""
    error: str = ""
    """The first such error."""
    given_up: int = 0
    """Spans of which nobody knows whether they match: the parent that is asked for was not received in 10 s."""
    waiting: int = 0
    """Those that came before the end and whose parent may still be received."""
    refused: int = 0
    """Requests that could not be read, whatever spans were in them."""
    keys: tuple[str, ...] = ()
    """The keys of those that matched, each once and at most 100, for a claim that has one."""
    beyond: int = 0
    """Matches whose keys are not told, since there are too many."""
    samples: tuple[str, ...] = ()
    """The first matches in words, at most 3 and 300 characters of each, without the system's secrets."""

    @property
    def entity(self) -> str:
        return self.assertion


class Named(Message):
    """Ids of one kind."""

    count: int = 0
    ids: tuple[str, ...] = ()
    """At most 100 of them."""


class SetRead(RunEvent):
    """What was tried was compared with what is there, for a claim whose window has ended. Emitted by the observer, once."""

    EVENT = "set.read.v1"
    ACTORS = OBSERVER

    assertion: Token
    at: Instant
    """When the reading began: what was acknowledged before must be there."""
    took: timedelta
    attempts: int = 1
    tried: int = 0
    """Different ids that operations had."""
    acknowledged: int = 0
    """Those that were ok before the reading began."""
    failed: int = 0
    """Those that did not take effect, by what the workload says."""
    unknown: int = 0
    """The others: of these nobody knows, or they ended after the reading had begun."""
    found: int = 0
    """Different items that are there."""
    recovered: int = 0
    """Unknown ones that are there."""
    lost: Named = Named()
    """Acknowledged, and not there."""
    unexpected: Named = Named()
    """There, and never tried, or failed."""
    duplicated: Named = Named()
    """There more than once."""
    unreadable: int = 0
    """Lines of the workload that are no operations with an id."""
    error: str = ""
    """Why it could not be compared; then nothing is counted."""
    final: bool = False
    """That would be so however often it is read: there are too many ids, or ids that are too long."""

    @property
    def entity(self) -> str:
        return self.assertion

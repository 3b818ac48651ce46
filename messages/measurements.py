"""What the observer records for claims that ask by themselves: answers over HTTP, and metrics."""

from datetime import timedelta
from typing import ClassVar

from messages.events import RunEvent
from messages.observations import OBSERVER
from messages.values import Instant, Token


class AnswerSeen(RunEvent):
    """What an http claim asks for was answered as expected or not, for the first time or again. Emitted by the observer."""

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

    @property
    def entity(self) -> str:
        return self.assertion

    @property
    def ordinal(self) -> int:
        return self.number


class MetricSampled(RunEvent):
    """A metrics endpoint was scraped for a claim. Emitted by the observer while the claim, or what it is compared with, is open."""

    EVENT = "metric.sampled.v1"
    ACTORS = OBSERVER
    GUARDED: ClassVar[bool] = False

    assertion: Token
    at: Instant
    """When the scrape was due."""
    took: timedelta
    series: dict[str, float] = {}
    """The series that the claim names, at most 50, as the endpoint writes them, and their values."""
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

"""Correlation rules: how the events of a system hang together, as its System document says."""

from typing import Annotated

from pydantic import Field, StringConstraints

from messages.values import Document, Duration, Token

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Occurrence(Document):
    """Which events a side of a rule is about."""

    service: Text
    """Whose events: a service, or `test-coordinator` for our own `chaos_injection_started` and `chaos_injection_ended` of each fault."""
    type: Text | tuple[Text, ...]
    """Their type, or one of several."""
    where: str | None = None
    """CEL over `event`, if not all of them."""

    @property
    def types(self) -> tuple[str, ...]:
        """The types that it names."""
        return (self.type,) if isinstance(self.type, str) else self.type


class Rule(Document):
    """What is expected to follow from what."""

    name: Token
    description: str = ""
    trigger: Occurrence
    effect: Occurrence
    max_delay: Duration
    """From the trigger to the effect, by their stored times."""
    min_confidence: Share = 0.7
    """What is less sure is no effect."""


class Correlation(Document):
    """How the events of the system hang together."""

    rules: tuple[Rule, ...] = ()
    key: str | None = None
    """CEL over `event`: the business key that runs through what belongs together, such as an order's id; by default its `correlationid`."""
    ends: tuple[Text, ...] = ()
    """Types of events after which nothing more is to come of a key. Without them nobody can say which keys are still open."""
    ordinary: tuple[Text, ...] = ()
    """Types of events that need no explanation, even if none came before the first fault."""

"""Spans in the words of expressions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Malformed(ValueError):
    """The request holds no spans that can be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was received. Texts and maps that are too long are cut."""

    name: str
    service: str
    kind: str
    duration: float
    """Seconds, by the service's clock."""
    status: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty of a root."""
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """What no other span has."""
        return self.trace_id + self.span_id

    @property
    def parent(self) -> str:
        """The identity of its parent."""
        return self.trace_id + self.parent_id

    def told(self, parent: Mapping[str, str] | None) -> dict[str, Any]:
        """What expressions see; without a `parent` where none is given."""
        told = {name: getattr(self, name) for name in self.__slots__}
        known = {} if parent is None else {"parent": parent}
        return {**told, **known, "error": self.status == "error"}

"""How long many things took: an exponential histogram, small, and exact when merged."""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Self

from messages.values import Message

SCALE = 4
"""Buckets grow by 2 ** (2 ** -SCALE): a quantile is off by 5 % at most (OpenTelemetry's exponential histogram, scale 4)."""
_GROWTH = 2.0 ** (2.0**-SCALE)
_UNIT = 1e-6
LEAST = 0
"""The bucket of what took a microsecond or less."""


class Histogram(Message):
    """Counts of spans by bucket: bucket i holds what took more than 1 µs * growth ** (i - 1) and at most 1 µs * growth ** i."""

    counts: dict[int, int] = {}

    @classmethod
    def of(cls, spans: Iterable[timedelta]) -> Self:
        """The histogram of these spans."""
        counts: dict[int, int] = {}
        for span in spans:
            bucket = bucket_of(span)
            counts[bucket] = counts.get(bucket, 0) + 1
        return cls(counts=dict(sorted(counts.items())))

    @property
    def count(self) -> int:
        """How many spans are in it."""
        return sum(self.counts.values())

    def merged(self, *others: "Histogram") -> "Histogram":
        """All of them together."""
        counts = dict(self.counts)
        for other in others:
            for bucket, count in other.counts.items():
                counts[bucket] = counts.get(bucket, 0) + count
        return Histogram(counts=dict(sorted(counts.items())))

    def quantile(self, share: float) -> timedelta | None:
        """The span that this share (0 to 1) of all does not exceed, as the upper edge of its bucket; None when it is empty."""
        return self.nth(rank_of(share, self.count))

    def nth(self, number: int) -> timedelta | None:
        """The upper edge of the bucket of the span that is so many from the shortest (1); None when there are fewer."""
        left = number
        for bucket, count in sorted(self.counts.items()):
            left -= count
            if left <= 0:
                return edge_of(bucket)
        return None


def rank_of(share: float, count: int) -> int:
    """The number, from 1, of the one among so many that this share does not exceed."""
    return max(1, math.ceil(round(share * count, 9)))


def bucket_of(span: timedelta) -> int:
    """The bucket that a span falls into."""
    seconds = span.total_seconds()
    return LEAST if seconds <= _UNIT else math.ceil(math.log(seconds / _UNIT, _GROWTH) - 1e-9)


def edge_of(bucket: int) -> timedelta:
    """The longest span of a bucket."""
    return timedelta(seconds=_UNIT * _GROWTH**bucket)

"""An open-loop rate: what is due depends on the clock alone, never on how fast anything was answered."""

import math

BURST = 0.2
"""Seconds of the rate that may be made up for at once after a pause; the rest is skipped."""


class Pace:
    """How much is due now, for a rate per second."""

    def __init__(self, rate: float, start: float) -> None:
        self._rate = rate
        self._start = start
        self._counted = 0
        self._most = math.ceil(rate * BURST)

    def due(self, instant: float) -> tuple[int, int]:
        """How many to do now and how many to skip, at an instant of the clock that gave `start`."""
        due = int((instant - self._start) * self._rate) - self._counted
        self._counted += due
        return min(due, self._most), max(0, due - self._most)

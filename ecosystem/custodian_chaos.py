"""What can be done to the custodian, and what each of it changes."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from ecosystem.bodies import Body
from ecosystem.chaos import Injections
from ecosystem.chaos_api import Reader
from ecosystem.settlement_times import BANK_TYPES, TYPES

DEFAULT = 300.0
LONGEST = 72 * 3600.0
SETTLEMENT_CHAOS = ("delay-settlements", "reject-transfers", "simulate-bank-holiday", "partial-settlement-failure", "multi-sig-delays")


@dataclass(frozen=True)
class Delay:
    """Settlements of these types take longer by `seconds`."""

    types: Collection[str]
    seconds: float


@dataclass(frozen=True)
class Holiday:
    """Settlements of these types wait for its end."""

    types: Collection[str]


@dataclass(frozen=True)
class Approvals:
    """Large settlements take `multiplier` times as long."""

    multiplier: float
    least: Decimal
    """From this amount on."""


@dataclass(frozen=True)
class Failure:
    """A share of the settlements ends half done."""

    types: Collection[str]
    rate: float
    error: str


@dataclass(frozen=True)
class NoTransfers:
    """A share of the transfers is rejected, and what would be settled by one fails."""

    types: Collection[str]
    rate: float
    reason: str


@dataclass(frozen=True)
class Offline:
    """Nothing is answered and nothing is settled."""

    message: str


def _delay(body: Body) -> tuple[Delay, float]:
    stem = "delay_duration" if body.has("delay_duration") else "delay"
    types = body.texts("settlement_types", "settlement_type", default=TYPES, allowed=TYPES)
    return Delay(types, body.seconds(stem, least=0.001, most=LONGEST)), _duration(body)


def _holiday(body: Body) -> tuple[Holiday, float]:
    return Holiday(body.texts("affected_types", default=BANK_TYPES, allowed=TYPES)), _duration(body)


def _approvals(body: Body) -> tuple[Approvals, float]:
    least = Decimal(str(body.number("min_amount", 0, least=0, most=1e12)))
    return Approvals(body.number("delay_multiplier", least=1, most=1000), least), _duration(body)


def _failure(body: Body) -> tuple[Failure, float]:
    types = body.texts("settlement_type", "settlement_types", default=TYPES, allowed=TYPES)
    return Failure(types, body.number("failure_rate", least=0, most=1), body.text("error", "settlement_failed")), _duration(body)


def _no_transfers(body: Body) -> tuple[NoTransfers, float]:
    types = body.texts("settlement_types", "transfer_types", default=TYPES[1:], allowed=TYPES)
    rate = body.number("rejection_rate", 1.0, least=0, most=1)
    return NoTransfers(types, rate, body.text("reason", "transfer_rejected")), _duration(body)


def _offline(body: Body) -> tuple[Offline, float]:
    return Offline(body.text("error_message", "custodian_unavailable")), _duration(body)


def _duration(body: Body) -> float:
    return body.seconds("duration", DEFAULT, least=0.01, most=LONGEST)


READERS: dict[str, Reader] = {
    "delay-settlements": _delay,
    "reject-transfers": _no_transfers,
    "simulate-bank-holiday": _holiday,
    "partial-settlement-failure": _failure,
    "multi-sig-delays": _approvals,
    "custodian-offline": _offline,
}
"""By the last part of the path."""


class CustodianChaos:
    """What the active injections mean for a settlement or a request."""

    def __init__(self, injections: Injections) -> None:
        self._injections = injections

    def refusal(self) -> str:
        """The error message for a request, empty if it is served."""
        return next((each.message for each in self._injections.of(Offline)), "")

    def seconds(self, kind: str, amount: Decimal, natural: float) -> float:
        """How long a settlement takes that takes `natural` seconds otherwise; infinite: it waits for the end of something."""
        if self._injections.of(Offline) or any(kind in each.types for each in self._injections.of(Holiday)):
            return float("inf")
        slow = natural
        for approvals in self._injections.of(Approvals):
            slow *= approvals.multiplier if amount >= approvals.least else 1.0
        return slow + sum(each.seconds for each in self._injections.of(Delay) if kind in each.types)

    def failure(self, kind: str) -> str:
        """Why a settlement that is due now fails, empty if it does not."""
        for failure in self._injections.of(Failure):
            if kind in failure.types and random.random() < failure.rate:
                return failure.error
        return self.transfer_refusal(kind)

    def transfer_refusal(self, kind: str) -> str:
        """Why a transfer is rejected, empty if it is not."""
        for refused in self._injections.of(NoTransfers):
            if kind in refused.types and random.random() < refused.rate:
                return refused.reason
        return ""

"""What the calls of chaos APIs are told: the fields of their bodies. A time is a number in the field's unit, or text like 5m."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from messages.actions.spec import Parameters
from messages.values import DURATION_HINT, parse_duration


def _unit(seconds: float) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        return parse_duration(value) / timedelta(seconds=seconds) if isinstance(value, str) else value

    return read


def _schema(unit: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["number", "string"], "description": f"{unit}, or text: {DURATION_HINT}"})


Milliseconds = Annotated[float, BeforeValidator(_unit(0.001)), Field(ge=0), _schema("milliseconds")]
Seconds = Annotated[float, BeforeValidator(_unit(1)), Field(ge=0), _schema("seconds")]
Minutes = Annotated[float, BeforeValidator(_unit(60)), Field(ge=0), _schema("minutes")]
Hours = Annotated[float, BeforeValidator(_unit(3600)), Field(ge=0), _schema("hours")]
Share = Annotated[float, Field(ge=0, le=1)]
Texts = str | tuple[str, ...] | None


class Bounded(Parameters):
    """Disturbs for a time."""

    duration_s: Seconds | None = None
    """How long; by default as long as the action's `for`."""


class InjectLatency(Bounded):
    """Answers come late."""

    delay_ms: Milliseconds
    operations: Texts = None
    operation: str | None = None
    affected_accounts: Texts = None


class RejectOrders(Bounded):
    """A share of the orders is rejected."""

    rejection_rate: Share
    reason: str | None = None


class Unavailable(Bounded):
    """It answers with an error."""

    error_message: str | None = None


class ManipulateSpreads(Bounded):
    """Bid and ask lie further apart."""

    multiplier: Annotated[float, Field(ge=1, le=100)]
    symbols: Texts = None


class ReduceLiquidity(Bounded):
    """Less can be bought and sold at once."""

    reduction_factor: Annotated[float, Field(ge=0.01, le=0.99)]
    symbols: Texts = None
    symbol: str | None = None


class PartialFills(Bounded):
    """A share of the orders is filled in part."""

    intensity: Share | None = None
    fill_ratio: Annotated[float, Field(ge=0.01, le=0.99)] | None = None


class Intensity(Bounded):
    """How strong it is, from 0 to 1."""

    intensity: Share | None = None


class DelaySettlements(Bounded):
    """Settlements are late."""

    settlement_types: Texts = None
    delay_hours: Hours | None = None
    delay_duration: str | None = None


class RejectTransfers(Bounded):
    """A share of the transfers is rejected."""

    settlement_types: Texts = None
    rejection_rate: Share | None = None
    reason: str | None = None


class BankHoliday(Parameters):
    """Settlements by banks wait for its end."""

    duration_hours: Hours | None = None
    affected_types: Texts = None


class SettlementFailure(Bounded):
    """A share of the settlements ends half done."""

    settlement_type: Texts = None
    failure_rate: Share
    error: str | None = None


class MultiSigDelays(Bounded):
    """Large settlements take longer."""

    delay_multiplier: Annotated[float, Field(ge=1, le=1000)]
    min_amount: Annotated[float, Field(ge=0)] | None = None


class PriceShock(Parameters):
    """A price jumps and comes back."""

    symbol: str | None = None
    shock_percentage: Annotated[float, Field(ge=-25, le=25)]
    duration_seconds: Seconds | None = None
    pattern: Literal["sudden_drop", "sudden_spike"] | None = None
    recovery_time_seconds: Seconds


class StablecoinDepeg(Parameters):
    """A stable coin drifts from its peg, gradually."""

    symbol: str | None = None
    target_deviation: Annotated[float, Field(ge=-0.1, le=0.1)]
    duration_hours: Hours
    hold_hours: Hours | None = None
    recovery_hours: Hours | None = None
    pattern: Literal["gradual_linear"] | None = None
    volatility_increase: Annotated[float, Field(ge=1, le=20)] | None = None


class GradualDivergence(Parameters):
    """Two prices drift apart."""

    base_symbol: str | None = None
    target_symbol: str | None = None
    max_spread_bps: Annotated[float, Field(ge=-2500, le=2500)]
    buildup_hours: Hours
    sustain_hours: Hours | None = None
    recovery_hours: Hours | None = None


class FeedDisruption(Parameters):
    """Prices are lost or late on their way."""

    source: str | None = None
    packet_loss_percentage: Annotated[float, Field(ge=0, le=100)] | None = None
    latency_ms: Milliseconds | None = None
    duration_seconds: Seconds | None = None
    affect_symbols: Texts = None


class CorrelationBreak(Parameters):
    """Two prices no longer move together."""

    base_symbol: str | None = None
    target_symbol: str | None = None
    correlation: Annotated[float, Field(ge=-1, le=1)] | None = None
    duration_seconds: Seconds | None = None


class VolatilitySpike(Parameters):
    """A price moves more than usual."""

    symbol: str | None = None
    volatility_multiplier: Annotated[float, Field(ge=1, le=50)]
    duration_hours: Hours | None = None
    pattern: Literal["random_walk"] | None = None
    preserve_trend: bool | None = None


class MarketCrash(Parameters):
    """Prices fall together."""

    crash_percentage: Annotated[float, Field(ge=-25, le=25)]
    crash_duration_minutes: Minutes
    hold_minutes: Minutes | None = None
    symbols: Texts = None
    correlation_increase: Share | None = None
    volume_spike_multiplier: Annotated[float, Field(ge=1, le=100)] | None = None
    recovery_pattern: Literal["slow_bounce", "v_shaped", "none"] | None = None


class Strategy(Bounded):
    """A trading strategy."""

    strategy: str
    config: dict[str, Any] | None = None


class Remedy(Parameters):
    """What is to be as before."""

    symbols: Texts = None
    symbol: str | None = None
    settlement_types: Texts = None
    id: str | None = None
    target_price: float | None = None
    recovery_seconds: Seconds | None = None

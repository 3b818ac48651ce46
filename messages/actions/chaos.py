"""What a service can be asked to do to itself, through a chaos API of its own: one HTTP call an action, its name in kebab-case."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from messages.actions.spec import ActionSpec, Parameters
from messages.values import DURATION_HINT, Message, Token, parse_duration

Way = Literal["POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class ChaosSpec(ActionSpec):
    """An action that is one call of a chaos API."""

    path: str = ""
    """Below the API's base."""
    method: Way = "POST"
    lasts: str = ""
    """The field of the body that says how long it lasts: what the action's `for` fills when it is not given."""
    ended_by: str = ""
    """The path of the call that ends it, with the same `strategy`; when empty it is ended by its id, or by clear-all."""


class ChaosUndo(Message):
    """Ends what an action started on a service's chaos API."""

    kind: Literal["chaos.clear"] = "chaos.clear"
    service: Token
    base: str
    """Where the API begins."""
    action: Token
    known: tuple[str, ...] = ()
    """Ids of the same type that were active before: those are not ours."""
    strategy: str | None = None
    """The strategy that was started, if it is one."""


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


class Strategy(Parameters):
    """A trading strategy."""

    strategy: str
    config: dict[str, Any] | None = None


class Remedy(Parameters):
    """What is to be as before."""

    symbols: Texts = None
    symbol: str | None = None
    settlement_types: Texts = None
    id: str | None = None


def _does(summary: str, name: str, parameters: type[Parameters], *, lasts: str = "") -> dict[str, ActionSpec]:
    path = name.removeprefix("exchange_").replace("_", "-")
    return {name: ChaosSpec(summary, fault=True, means="chaos", parameters=parameters, path=path, lasts=lasts)}


def _ends(summary: str, name: str, *, path: str | None = None, method: Way = "POST") -> dict[str, ActionSpec]:
    there = name.replace("_", "-") if path is None else path
    return {name: ChaosSpec(summary, fault=False, means="chaos", parameters=Remedy, path=there, method=method)}


_S, _SECONDS, _HOURS = "duration_s", "duration_seconds", "duration_hours"

CHAOS_ACTIONS: dict[str, ActionSpec] = {
    **_does("The exchange answers late.", "inject_latency", InjectLatency, lasts=_S),
    **_does("The exchange rejects a share of the orders.", "reject_orders", RejectOrders, lasts=_S),
    **_does("The exchange answers with an error.", "simulate_downtime", Unavailable, lasts=_S),
    **_does("The exchange's bid and ask lie further apart.", "manipulate_spreads", ManipulateSpreads, lasts=_S),
    **_does("Less can be bought and sold on the exchange at once.", "reduce_liquidity", ReduceLiquidity, lasts=_S),
    **_does("The exchange fills a share of the orders in part.", "partial_fills", PartialFills, lasts=_S),
    **_does("The exchange answers late, by an intensity.", "exchange_latency", Intensity, lasts=_S),
    **_does("The exchange fails a share of the requests.", "downtime", Intensity, lasts=_S),
    **_does("The exchange rejects a share of the orders, by an intensity.", "order_rejection", Intensity, lasts=_S),
    **_does("The custodian settles late.", "delay_settlements", DelaySettlements, lasts=_S),
    **_does("The custodian rejects a share of the transfers.", "reject_transfers", RejectTransfers, lasts=_S),
    **_does("The custodian waits for the banks.", "simulate_bank_holiday", BankHoliday, lasts=_HOURS),
    **_does("The custodian leaves a share of the settlements half done.", "partial_settlement_failure", SettlementFailure, lasts=_S),
    **_does("The custodian's large settlements take longer.", "multi_sig_delays", MultiSigDelays, lasts=_S),
    **_does("The custodian answers nothing and settles nothing.", "custodian_offline", Unavailable, lasts=_S),
    **_does("A price jumps, and comes back.", "price_shock", PriceShock, lasts=_SECONDS),
    **_does("A stable coin drifts from its peg.", "stablecoin_depeg", StablecoinDepeg),
    **_does("Two prices drift apart.", "gradual_divergence", GradualDivergence),
    **_does("Prices are lost or late on their way.", "feed_disruption", FeedDisruption, lasts=_SECONDS),
    **_does("Two prices no longer move together.", "correlation_break", CorrelationBreak, lasts=_SECONDS),
    **_does("A price moves more than usual.", "volatility_spike", VolatilitySpike, lasts=_HOURS),
    **_does("Prices fall together.", "market_crash", MarketCrash),
    "start_strategy": ChaosSpec(
        "The trading engine starts a strategy that misbehaves.",
        fault=True,
        means="chaos",
        parameters=Strategy,
        path="start",
        ended_by="stop",
    ),
    "stop_strategy": ChaosSpec("The trading engine stops a strategy.", fault=False, means="chaos", parameters=Strategy, path="stop"),
    **_ends("As much can be bought and sold as before.", "restore_liquidity"),
    **_ends("Prices go back to where they were.", "price_recovery"),
    **_ends("Settlements take their usual time again.", "resume_normal_settlement"),
    **_ends("All that the chaos API of the service does is ended.", "clear_chaos", path="clear-all", method="DELETE"),
    **_ends("All that the chaos API of the service does is ended.", "clear_all_chaos", path="clear-all", method="DELETE"),
    **_ends("One thing that the chaos API does is ended, by its `id`.", "stop_scenario", path="stop-scenario", method="DELETE"),
}
"""The calls of the exchange, the custodian, the market data and the trading engine."""

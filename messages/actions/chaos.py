"""What a service can be asked to do to itself, through a chaos API of its own: one HTTP call an action, its name in kebab-case."""

from dataclasses import dataclass
from typing import Literal

from messages.actions.chaos_parameters import (
    BankHoliday,
    CorrelationBreak,
    DelaySettlements,
    FeedDisruption,
    GradualDivergence,
    InjectLatency,
    Intensity,
    ManipulateSpreads,
    MarketCrash,
    MultiSigDelays,
    PartialFills,
    PriceShock,
    ReduceLiquidity,
    RejectOrders,
    RejectTransfers,
    Remedy,
    SettlementFailure,
    StablecoinDepeg,
    Strategy,
    Unavailable,
    VolatilitySpike,
)
from messages.actions.spec import ActionSpec, Parameters
from messages.identity import Identity
from messages.values import Message, Token

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
    """Ids that were active before: those are not ours."""
    strategy: str | None = None
    """The strategy that was started, if it is one."""
    lists: bool = True
    """The API says what is active."""
    identity: Identity | None = None
    """The process that disturbs itself, if it is one of this machine: what it does ends with it."""


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
        lasts=_S,
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

"""What the original documents expect, as words of the trading vocabulary: one for each type and expectation that is known."""

from scenarios.vocabulary import Word, library_vocabularies

VOCABULARY = "trading"
EXPECTATIONS: dict[tuple[str, str], str] = {
    ("system_health", "all_services_healthy"): "all_services_healthy",
    ("exchange_health", "healthy"): "exchange_healthy",
    ("system_recovery", "normal_operations"): "normal_operations",
    ("system_stabilization", "normal_operations"): "normal_operations",
    ("risk_alert", "alert_generated"): "alert_generated",
    ("risk_alert", "correlation_breach_alert"): "correlation_breach_alert",
    ("alert_resolution", "alerts_cleared"): "alerts_cleared",
    ("trading_adaptation", "strategy_adjusts"): "strategy_adjusts",
    ("trading_performance", "degraded_execution"): "degraded_execution",
    ("trading_impact", "degraded_performance"): "degraded_performance",
    ("strategy_active", "arbitrage_running"): "arbitrage_running",
    ("price_divergence", "usdt_depegged"): "usdt_depegged",
    ("price_recovery", "usdt_repeg"): "usdt_repeg",
    ("arbitrage_opportunity", "increased_activity"): "increased_activity",
    ("liquidity_crisis", "wider_spreads"): "wider_spreads",
    ("position_limits", "limits_breached"): "limits_breached",
    ("emergency_procedures", "risk_escalation"): "risk_escalation",
    ("performance_recovery", "normal_operations"): "execution_normal",
    ("performance_recovery", "strategy_performance_normalized"): "strategy_performance_normalized",
    ("audit_correlation", "events_correlated"): "events_correlated",
}
"""By type and expectation, the word that says it."""
TYPES = frozenset(kind for kind, _ in EXPECTATIONS)
BREACHES = frozenset(
    pair for pair, word in EXPECTATIONS.items() if word in {"alert_generated", "correlation_breach_alert", "limits_breached"}
)
"""What says that a limit is breached, and that the risk system says so."""


def word_of(pair: tuple[str, str]) -> Word:
    """The word for a known type and expectation."""
    return library_vocabularies()[VOCABULARY].words[EXPECTATIONS[pair]]

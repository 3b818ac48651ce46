"""The alerts of the risk monitor: each is raised once and cleared once."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ecosystem.clock import now
from ecosystem.metrics import Metrics

RELAX = 0.9
"""An alert is cleared when its value is below this share of its threshold."""
ESCALATE_FROM = 3
"""So many alerts at once are an escalation."""


@dataclass(frozen=True)
class Limit:
    """What is watched: a value of one thing against a threshold."""

    type: str
    metric: str
    threshold: float
    severity: str = "high"


@dataclass(frozen=True)
class Alert:
    """A limit that is exceeded."""

    id: str
    limit: Limit
    about: Mapping[str, str]
    value: float
    raised_at: str
    raised: float

    def described(self) -> dict[str, object]:
        subject = " ".join(self.about.values())
        told: dict[str, object] = {"alert_id": self.id, "alert_type": self.limit.type, "severity": self.limit.severity}
        message = f"{self.limit.metric} {subject} is {self.value:g}, limit {self.limit.threshold:g}".replace("  ", " ")
        told |= {"metric": self.limit.metric, "current_value": round(self.value, 6), "threshold_value": self.limit.threshold}
        return told | {"message": message, **self.about}


class Alerts:
    """The active ones."""

    def __init__(self, metrics: Metrics, tell: Callable[[str, Mapping[str, object]], None]) -> None:
        self._tell = tell
        self._active: dict[tuple[str, str, str], Alert] = {}
        self._generated = metrics.gauge("risk_alert_generated", "Alerts raised since the start", "severity", "breach_type")
        self._compliance = metrics.gauge("risk_compliance_status", "1 while no limit is exceeded")
        self._utilization = metrics.gauge("risk_limit_utilization", "Value as a share of its limit", "limit", "subject")
        self._compliance.set(1)

    def check(self, limit: Limit, value: float, about: Mapping[str, str] | None = None) -> None:
        """Raises an alert beyond the limit, clears it below."""
        about = about or {}
        subject = " ".join(about.values())
        key = (limit.type, limit.metric, subject)
        self._utilization.labels(limit.metric, subject).set(round(value / limit.threshold, 4) if limit.threshold else 0.0)
        if key in self._active:
            if value <= limit.threshold * RELAX:
                self._clear(self._active.pop(key))
        elif value > limit.threshold:
            self._raise(key, Alert(f"alert-{secrets.token_hex(6)}", limit, about, value, now(), _clock()))

    def described(self) -> list[dict[str, object]]:
        """As the API shows them, oldest first."""
        return [
            each.described() | {"metric_name": each.limit.metric, "timestamp": each.raised_at, "status": "active"}
            for each in self._active.values()
        ]

    def _raise(self, key: tuple[str, str, str], alert: Alert) -> None:
        self._active[key] = alert
        self._generated.labels(alert.limit.severity, alert.limit.type).inc()
        self._compliance.set(0)
        self._tell("risk.alert_generated", alert.described())
        if alert.limit.severity == "critical" or len(self._active) == ESCALATE_FROM:
            self._tell("risk.escalated", {"alert_id": alert.id, "alert_type": alert.limit.type, "active_alerts": len(self._active)})

    def _clear(self, alert: Alert) -> None:
        self._compliance.set(0 if self._active else 1)
        told = {"alert_id": alert.id, "alert_type": alert.limit.type, "metric": alert.limit.metric, **alert.about}
        self._tell("risk.alert_cleared", told | {"active_for": round(_clock() - alert.raised, 3)})


def _clock() -> float:
    return asyncio.get_running_loop().time()

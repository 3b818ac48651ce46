"""The claims of the language. One module a type: its words, what it follows, and its judge, a pure function over a history.

To add a type: write its module, and name its class in `AnyClaim`.
"""

from typing import Annotated

from pydantic import Field

from messages.claims.audit import AuditClaim
from messages.claims.claim import Claim, Matcher, Problem, Scope, ServiceEvent, Tally, nearest
from messages.claims.continuity import ContinuityClaim
from messages.claims.event import EventClaim
from messages.claims.health import HealthClaim
from messages.claims.history import FaultHistory, History, Judgement, Sampled, ServiceHistory, Transition, Window, inconclusive
from messages.claims.http import HttpClaim
from messages.claims.latency import LatencyClaim
from messages.claims.measured import Measured, MeasuredSpan, Scrape
from messages.claims.metric import MetricClaim
from messages.claims.recovery import RecoveryClaim, summary_of
from messages.claims.unsupported import UnsupportedClaim

AnyClaim = Annotated[
    AuditClaim | ContinuityClaim | EventClaim | HealthClaim | HttpClaim | LatencyClaim | MetricClaim | RecoveryClaim | UnsupportedClaim,
    Field(discriminator="type"),
]

__all__ = [
    "AnyClaim",
    "AuditClaim",
    "Claim",
    "ContinuityClaim",
    "EventClaim",
    "FaultHistory",
    "HealthClaim",
    "History",
    "HttpClaim",
    "Judgement",
    "LatencyClaim",
    "Matcher",
    "Measured",
    "MeasuredSpan",
    "MetricClaim",
    "Problem",
    "RecoveryClaim",
    "Sampled",
    "Scope",
    "Scrape",
    "ServiceEvent",
    "ServiceHistory",
    "Tally",
    "Transition",
    "UnsupportedClaim",
    "Window",
    "inconclusive",
    "nearest",
    "summary_of",
]

"""The claims of the language. One module a type: its words, what it follows, and its judge, a pure function over a history.

To add a type: write its module, and name its class in `AnyClaim`.
"""

from typing import Annotated, get_args

from pydantic import Field

from messages.claims.answered import AnsweredClaim
from messages.claims.audit import AuditClaim
from messages.claims.claim import Claim, Matcher, Problem, Scope, ServiceEvent, Tally, nearest
from messages.claims.continuity import ContinuityClaim
from messages.claims.correlation import CorrelationClaim
from messages.claims.event import EventClaim
from messages.claims.expression import ExpressionClaim
from messages.claims.grpc import GrpcClaim
from messages.claims.health import HealthClaim
from messages.claims.history import (
    ClaimHistory,
    FaultHistory,
    History,
    Judgement,
    Sampled,
    ServiceHistory,
    Transition,
    Window,
    inconclusive,
)
from messages.claims.http import HttpClaim
from messages.claims.latency import LatencyClaim
from messages.claims.log import LogClaim
from messages.claims.measured import Logged, Measured, MeasuredSpan, Scrape, Traced
from messages.claims.metric import MetricClaim
from messages.claims.outage import OutageClaim
from messages.claims.outages import SuccessSpan
from messages.claims.recovery import RecoveryClaim, summary_of
from messages.claims.role import RoleClaim
from messages.claims.roles import RoleHistory, RoleSaid
from messages.claims.sets import SetClaim
from messages.claims.slo import SloClaim
from messages.claims.trace import TraceClaim
from messages.claims.unsupported import UnsupportedClaim

AnyClaim = Annotated[
    AuditClaim
    | ContinuityClaim
    | CorrelationClaim
    | EventClaim
    | ExpressionClaim
    | GrpcClaim
    | HealthClaim
    | HttpClaim
    | LatencyClaim
    | LogClaim
    | MetricClaim
    | OutageClaim
    | RecoveryClaim
    | RoleClaim
    | SetClaim
    | SloClaim
    | TraceClaim
    | UnsupportedClaim,
    Field(discriminator="type"),
]


def claim_types() -> tuple[type[Claim], ...]:
    """The class of each type of claim."""
    return get_args(get_args(AnyClaim)[0])


__all__ = [
    "AnsweredClaim",
    "AnyClaim",
    "AuditClaim",
    "Claim",
    "ClaimHistory",
    "ContinuityClaim",
    "CorrelationClaim",
    "EventClaim",
    "ExpressionClaim",
    "FaultHistory",
    "GrpcClaim",
    "HealthClaim",
    "History",
    "HttpClaim",
    "Judgement",
    "LatencyClaim",
    "LogClaim",
    "Logged",
    "Matcher",
    "Measured",
    "MeasuredSpan",
    "MetricClaim",
    "OutageClaim",
    "Problem",
    "RecoveryClaim",
    "RoleClaim",
    "RoleHistory",
    "RoleSaid",
    "Sampled",
    "Scope",
    "Scrape",
    "ServiceEvent",
    "ServiceHistory",
    "SetClaim",
    "SloClaim",
    "SuccessSpan",
    "Tally",
    "TraceClaim",
    "Traced",
    "Transition",
    "UnsupportedClaim",
    "Window",
    "claim_types",
    "inconclusive",
    "nearest",
    "summary_of",
]

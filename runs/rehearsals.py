"""What a rehearsal, a run without its faults, says of each claim. It controls the scenario and not the system. Pure."""

from typing import Literal

from messages.claims import Claim, ExpressionClaim, RecoveryClaim
from messages.scenario import Scenario
from messages.verdicts import Control, Verdict

Role = Literal["bound", "effect", "recovery"]
"""What a claim is to a rehearsal: it bounds damage and must hold without a fault too; it tells what a fault brings about, and must not;
or it is about the recovery from a fault, or about what a fault was, of which there is nothing to be said then."""

WORDS: dict[Control, str] = {
    "vacuous": "passed without the fault that it is about, so it proves nothing of it",
    "needs_fault": "does not hold without its fault, as it should not",
    "control": "cannot be judged without its fault",
}
"""What is found, in words that stand behind the claim's name."""
_UNTOUCHED = {"", "requested", "injected"}
"""Moments before which a fault can have brought nothing about; the empty one is what a bare id in `before` means."""


def role_of(scenario: Scenario, claim: Claim, phase: str | None) -> Role:
    """What a claim of the scenario is to its rehearsal; `phase` is the one that it stands in."""
    if isinstance(claim, RecoveryClaim):
        return "recovery"
    if isinstance(claim, ExpressionClaim) and _hangs_on_fault(scenario, claim):
        return "recovery"
    if claim.without_fault is not None:
        return "effect" if claim.without_fault == "fails" else "bound"
    return "effect" if claim.asks_for_something and _is_about_fault(scenario, claim, phase) else "bound"


def control_of(role: Role | None, verdict: Verdict | None) -> Control | None:
    """What a judgement in a rehearsal means; None: what it always means. Outside of a rehearsal there is no role."""
    if verdict is None or role in {None, "bound"}:
        return None
    if role == "recovery":
        return "control"
    return {Verdict.PASSED: "vacuous", Verdict.FAILED: "needs_fault"}.get(verdict)  # type: ignore[return-value]


def _hangs_on_fault(scenario: Scenario, claim: ExpressionClaim) -> bool:
    """Whether it asks about a fault, or about a claim of which a rehearsal says something else than a run."""
    known = scenario.claims()
    named = (known[name] for name in claim.claims_named() if name in known)
    return bool(claim.faults_asked()) or any(role_of(scenario, *one) != "bound" for one in named)


def _is_about_fault(scenario: Scenario, claim: Claim, phase: str | None) -> bool:
    """Whether what it asks for may be a fault's doing: it names one, or its phase has some; what is over before one is not."""
    if claim.before is not None and claim.during is None and claim.after is None:
        return claim.before.partition(".")[2] not in _UNTOUCHED
    if any(True for _ in claim.faults_named()):
        return True
    return any(action.spec.fault for part in scenario.spec.phases if part.name == phase for action in part.actions)

"""`recovery`: after a fault its target is healthy again in time, and it is measured how long that took."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from messages.claims.claim import ONE_OF_THEM, Claim, Problem, Scope, nearest, target_problems
from messages.claims.history import FaultHistory, History, Judgement, ServiceHistory, Transition, Window, failed, inconclusive, passed
from messages.values import Duration, Token, brief, format_duration
from messages.verdicts import Reason

PROBED = timedelta(milliseconds=50)
"""How often the injector looks whether a fault's target is normal again."""
LATE = timedelta(seconds=1)
"""How late an undo may be without being blamed for a late recovery."""
STAYS_DOWN = ("stop", "kill")
"""Actions that leave their target down, so that a claim must say who brought it back."""
_MOMENT = timedelta(microseconds=1)


class RecoveryClaim(Claim):
    """The fault's target passes its health checks again within this time from the start of the driver's call."""

    FIGURES = {"took": "seconds", "error_bound": "seconds"}

    type: Literal["recovery"]
    target: Token | None = None
    """The service that recovers; by default the one that the fault is on, which of a live target is known when it is chosen."""
    of: Token = ""
    """The fault's id. May be left out when there is one fault on the target."""
    within: Duration
    by: Literal["itself", "undo", "any"] | None = None
    """Who brought it back; must be said for stop and kill, which leave the target down."""

    @property
    def follows_health(self) -> bool:
        return True

    def faults_named(self) -> Iterator[str]:
        yield from super().faults_named()
        if self.of:
            yield self.of

    def judge(self, history: History) -> Judgement | None:
        fault = history.faults.get(self.of)
        if fault is None:
            return None
        if self.target is None:
            return self.model_copy(update={"target": fault.target}).judge(history)
        if fault.refused is not None:
            return inconclusive(Reason.NO_EFFECT, f"{self.of} was never injected: {fault.refused}", fault.evidence.get("refused", ""))
        if fault.effect_missed or (fault.effective is None and fault.gone is not None):
            return inconclusive(Reason.NO_EFFECT, f"{self.of} had no effect that could be seen", fault.evidence.get("injected", ""))
        if fault.called is None or fault.effective is None:
            return None
        latest = max(fault.called, fault.called_by or fault.called)
        return self._judge_time(history, fault, Effect(fault.called, fault.effective, latest + self.within, latest - fault.called))

    @property
    def _whom(self) -> str:
        return self.target or ""

    def _judge_time(self, history: History, fault: FaultHistory, effect: "Effect") -> Judgement | None:
        service = history.service(self._whom)
        base: tuple[str, ...] = (fault.evidence.get("injected", ""), fault.evidence.get("effective", ""))
        down = _death(service, fault, effect)
        if down is not None:
            up = next((t for t in service.transitions if t.up and t.at > max(down.at, effect.called)), None)
            recovered = Recovered(up.at if up else None, down.error_bound, (*base, down.evidence, up.evidence if up else ""))
            if up is not None and fault.gone is not None and down.seen <= fault.gone < up.at <= fault.gone + up.error_bound:
                evidence = (*base, down.evidence, fault.evidence.get("gone", ""), up.evidence)
                recovered = Recovered(fault.gone, PROBED, evidence)  # the first sample after it was good: only the interval is coarse
            return self._judge_moment(history, fault, effect, recovered)
        looked = effect.deadline if fault.gone is None else min(max(effect.deadline, fault.gone), fault.gone + history.max_gap)
        if fault.gone is not None and fault.gone - PROBED > effect.deadline:
            late = Recovered(fault.gone, PROBED, (*base, fault.evidence.get("gone", "")))
            return self._judge_moment(history, fault, effect, late)
        if not history.probes_passed(looked):
            return None
        seen = service.within(effect.effective, looked + _MOMENT)
        if service.samples and not seen:
            return inconclusive(Reason.GAP, f"{self._whom} was not watched when {self.of} was gone", *base)
        if not any(s.ok for s in seen):
            return inconclusive(Reason.NO_SAMPLES, f"{self._whom} was never seen healthy after {self.of}", *base)
        evidence = (*base, fault.evidence.get("gone", ""), *(s.evidence for s in seen[-1:]))
        return self._judge_moment(history, fault, effect, Recovered(fault.gone, PROBED, evidence))

    def _judge_moment(self, history: History, fault: FaultHistory, effect: "Effect", recovered: "Recovered") -> Judgement | None:
        moment, bound, evidence = recovered.at, recovered.error_bound, recovered.evidence
        if moment is None or moment > effect.deadline:
            return self._judge_late(history, fault, effect, recovered)
        wrong = self._restored_wrongly(fault)
        if wrong is None:
            return None
        span, bound = max(moment - effect.called, timedelta()), bound + effect.unsure
        told = f"{self._whom} recovered in {brief(span)} (±{brief(bound)})"
        if wrong:
            return failed(f"{told}, but {wrong}", *evidence, took=span, error_bound=bound)
        if span > self.within:
            why = f"an injector died in the call, which began up to {brief(effect.unsure)} later"
            return inconclusive(Reason.GAP, f"{told}, at most {format_duration(self.within)} allowed; {why}", *evidence)
        return passed(f"{told}, at most {format_duration(self.within)} allowed", *evidence, took=span, error_bound=bound)

    def _judge_late(self, history: History, fault: FaultHistory, effect: "Effect", recovered: "Recovered") -> Judgement | None:
        """It was not healthy in time, if somebody has looked."""
        if not history.probes_passed(effect.deadline):
            return None
        if fault.due is not None and fault.due + LATE < effect.deadline and not fault.undone_by(fault.due + LATE):
            return self._judge_late_undo(fault, effect, recovered.evidence)
        if history.service(self._whom).unsampled(effect.called, effect.deadline) > history.max_gap:
            told = f"{self._whom} was not watched all the time in which it should have recovered"
            return inconclusive(Reason.GAP, told, *recovered.evidence)
        took = brief(recovered.at - effect.called) if recovered.at else f"more than {format_duration(self.within)}"
        told = f"{self._whom} needed {took} to recover, at most {format_duration(self.within)} allowed"
        return failed(told, *recovered.evidence)

    def _judge_late_undo(self, fault: FaultHistory, effect: "Effect", evidence: tuple[str, ...]) -> Judgement | None:
        """It was late because we were: that says nothing of the target. While the undo is awaited nothing is said."""
        if fault.reverted is None or fault.due is None:
            return None
        late = brief(fault.reverted - fault.due)
        told = f"{self.of} was undone {late} after its time, so {self._whom} could not recover by {brief(effect.deadline - effect.called)}"
        return inconclusive(Reason.GAP, told, *evidence)

    def _restored_wrongly(self, fault: FaultHistory) -> str | None:
        """What is wrong with who restored it: nothing (an empty text), or None while it is not known."""
        if self.by in {None, "any"}:
            return ""
        if fault.restored_by is None:
            return None
        return "" if fault.restored_by == self.by else f"it was brought back by {fault.restored_by}, not by {self.by}"

    def window(self, fault: FaultHistory | None) -> Window:
        """From the request of its fault to `within` after the start of the driver's call."""
        if fault is None or fault.requested is None:
            return Window()
        called = fault.called_by or fault.called
        return Window(fault.requested, called + self.within if called else None)

    def summary(self) -> str:
        return self.description or f"{self.target or 'its target'} recovers from {self.of} within {format_duration(self.within)}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if self.target is not None:
            yield from target_problems("target", self.target, scope)
        if self.without_fault is not None:
            yield Problem(("without_fault",), "without its fault there is nothing to recover from", "take it out")
        for word in ("during", "after", "before"):
            if getattr(self, word) is not None:
                yield Problem((word,), "a recovery claim counts from its own fault", "name the fault with `of`")
        yield from self._fault_problems(scope)

    def _fault_problems(self, scope: Scope) -> Iterator[Problem]:
        mine = [name for name, (target, _) in scope.faults.items() if target == self.target]
        if not self.of and self.target is None:
            yield Problem(("of",), "the claim names neither a fault nor its target", "add of: and the fault's id")
        elif not self.of:
            right = f"write of: {mine[0]}" if mine else "add an action with this target"
            yield Problem(("of",), f"there are {len(mine)} faults on {self.target!r}, so the claim must name one", right)
        elif self.of not in scope.faults:
            yield Problem(("of",), f"there is no fault with the id {self.of!r}", nearest(self.of, scope.faults))
        else:
            yield from self._target_problems(scope, *scope.faults[self.of])

    def _target_problems(self, scope: Scope, target: str, action: str) -> Iterator[Problem]:
        """Whether the target is the service that the fault is on; where it is on none, which recovers must be said."""
        if self.target is None and target not in {ONE_OF_THEM, *scope.services}:
            yield Problem((), f"{self.of!r} is on no service, so the claim must say which one recovers", "add target: and a service")
        elif self.target is not None and target in scope.services and target != self.target:
            mine = [name for name, (other, _) in scope.faults.items() if other == self.target]
            yield Problem(("of",), f"{self.of!r} is a fault on {target!r}", nearest(self.target, mine))
        elif self.target is not None and target == ONE_OF_THEM:
            what = f"nobody knows before which service {self.of!r} will be on"
            yield Problem(("target",), what, "take `target` out: it is the one that is picked")
        elif action in STAYS_DOWN and self.by is None:
            right = "add by: undo, by: itself or by: any"
            yield Problem(("by",), f"{action} leaves the target down, so the claim must say who brings it back", right)


@dataclass(frozen=True, slots=True)
class Effect:
    """What the fault did when: the earliest start of the driver's call, the effect seen, and the latest time to be healthy again."""

    called: datetime
    effective: datetime
    deadline: datetime
    unsure: timedelta
    """How much later than `called` the call may have begun."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """When the target was healthy again (None: not yet), how exactly that is known, and from what."""

    at: datetime | None
    error_bound: timedelta
    evidence: tuple[str, ...]


def _death(service: ServiceHistory, fault: FaultHistory, effect: Effect) -> Transition | None:
    """The failed sample that the target has to recover from, if one fell into its death.

    Down when the effect was seen, it is that one. Else the first one after, up to the first sample that may follow on `gone`. So a
    sample that failed or was good before the effect was there (draining, in flight) decides nothing.
    """
    before = [t for t in service.transitions if t.at <= effect.effective]
    if before and not before[-1].up:
        return before[-1]
    after = next((t for t in service.transitions if not t.up and t.at > effect.effective), None)
    late = after is not None and fault.gone is not None and after.at > fault.gone + after.error_bound
    return None if late else after


def summary_of(claim: Claim, targets: Mapping[str, str]) -> str:
    """The claim in a few words. A recovery that leaves its target out names the one that its fault has in `targets`."""
    if isinstance(claim, RecoveryClaim) and claim.target is None and targets.get(claim.of, ONE_OF_THEM) != ONE_OF_THEM:
        return claim.model_copy(update={"target": targets[claim.of]}).summary()
    return claim.summary()

"""`expression`: a condition over what the other claims and the run itself have found."""

from collections.abc import Iterator, Mapping
from itertools import count
from textwrap import shorten
from typing import Literal

from messages.claims.claim import Claim, Problem, Scope, expression_problems, nearest
from messages.claims.found import FAULT_FIELDS, PHASE_FIELDS, ROOTS, TEXTS, Found, of_claim, of_fault, of_phase
from messages.claims.history import MOMENTS, ClaimHistory, FaultHistory, History, Judgement, Window, failed, inconclusive, passed
from messages.expression_names import Named, named_in
from messages.expressions import Bindings, ExpressionError, compiled
from messages.verdicts import Reason, Verdict

RIGHT = "name each with one of its values, like claims['no-order-lost'].verdict, faults.kill.lasted or phases.chaos.duration"
SHOWN = 200
"""Characters of an expression that a message repeats."""
_PROVEN = {Verdict.PASSED, Verdict.FAILED}
Values = dict[str, dict[str, Found]]
"""What an expression is evaluated over: each map, by name."""


class ExpressionClaim(Claim):
    """A condition over what the other claims and the run itself have found: the place to compare two claims with each other.

    It is judged when its window has closed and all that it names is known: its claims are judged, its faults gone, its phases over.
    All numbers have a point (`2.0`). Spans are in seconds, shares from 0 to 1, moments in seconds from the first phase's start. Each name
    is written out, as `claims.back.took` or `claims['no-order-lost'].verdict`. A claim has its `verdict`, `'passed'` or `'failed'`, and
    what it measured; not all of it is there each time: `took` needs a `within` that was kept.
    A fault has `target`, `action`, `restored_by`, its moments `requested`, `injected`, `effective`, `reverted` and `gone`,
    `effective_after` (from the driver's call) and `lasted` (from effective to gone). A phase has `started`, `finished` and `duration`.
    Where a claim is inconclusive or was never tested, a fault had no effect or a value is not there, it is inconclusive.
    Its numbers are taken as written, whatever `--speed` is.
    """

    type: Literal["expression"]
    expect: str
    """CEL over `claims`, `faults` and `phases`. It names at least one claim or fault."""

    def named(self, root: str) -> tuple[Named, ...]:
        """The values that it asks for in one of the maps."""
        return tuple(one for one in named_in(self.expect, ROOTS) if one.root == root)

    def claims_named(self) -> tuple[str, ...]:
        """The ids of the claims that it asks about."""
        return tuple(dict.fromkeys(one.name for one in self.named("claims")))

    def faults_asked(self) -> tuple[str, ...]:
        """The ids of the faults that it asks about."""
        return tuple(dict.fromkeys(one.name for one in self.named("faults")))

    def faults_named(self) -> Iterator[str]:
        yield from super().faults_named()
        yield from self.faults_asked()

    def judge(self, history: History) -> Judgement | None:
        if history.window.opens is None or history.window.closes is None or self._waits(history):
            return None
        evidence, unknown = tuple(self._evidence(history)), next(self._unknown(history), None)
        if unknown is not None:
            return inconclusive(*unknown, *evidence)
        values = self._values(history)
        told = ", ".join(_told(one, values) for one in named_in(self.expect, ROOTS))
        try:
            holds = compiled(self.expect).holds(Bindings(dict(values)))
        except ExpressionError as error:
            return inconclusive(Reason.JUDGE_ERROR, f"it cannot be evaluated, {error}: {told}", *evidence)
        return passed(told, *evidence) if holds else failed(f"not {shorten(self.expect, SHOWN, placeholder='…')}: {told}", *evidence)

    def _waits(self, history: History) -> bool:
        """Whether something that it names may still become known."""
        claims = (history.claims.get(name, ClaimHistory()) for name in self.claims_named())
        faults = (history.faults.get(name) for name in self.faults_asked())
        phases = (history.phases.get(one.name, Window()) for one in self.named("phases"))
        return (
            any(claim.verdict is None and not claim.never for claim in claims)
            or any(fault is None or not (_is_vain(fault) or fault.gone is not None or history.over) for fault in faults)
            or any(phase.closes is None and not history.over for phase in phases)
        )

    def _unknown(self, history: History) -> Iterator[tuple[Reason, str]]:
        """Why nobody can say, of each thing that it names."""
        for name in self.claims_named():
            claim = history.claims[name]
            if claim.verdict is None:
                yield Reason.PHASE_CUT, f"{name} was never tested: its window did not open"
            elif claim.rehearsed:
                yield Reason.NO_EFFECT, f"{name} is about a fault that was only rehearsed"
            elif claim.verdict not in _PROVEN:
                yield claim.reason or Reason.JUDGE_ERROR, f"{name} is {claim.verdict}"
        for name in self.faults_asked():
            fault = history.faults[name]
            if fault.refused is not None:
                yield Reason.NO_EFFECT, f"{name} was never injected: {fault.refused}"
            elif fault.effect_missed or fault.effective is None:
                yield Reason.NO_EFFECT, f"{name} had no effect that could be seen, or ended before it was told to"
            elif fault.gone is None:
                yield Reason.GAP, f"{name} was not seen to be gone before the recovery was over"
        for one in self.named("phases"):
            if history.phases.get(one.name, Window()).closes is None:
                yield Reason.PHASE_CUT, f"the phase {one.name} was not over"

    def _evidence(self, history: History) -> Iterator[str]:
        for name in self.claims_named():
            yield from history.claims[name].evidence
        for name in self.faults_asked():
            evidence = history.faults[name].evidence
            yield from (evidence[moment] for moment in ("refused", *MOMENTS) if moment in evidence)

    def _values(self, history: History) -> Values:
        start = min((phase.opens for phase in history.phases.values() if phase.opens is not None), default=None)
        phases = {one.name: history.phases[one.name] for one in self.named("phases")}
        return {
            "claims": {name: of_claim(history.claims[name]) for name in self.claims_named()},
            "faults": {name: of_fault(history.faults[name], start) for name in self.faults_asked()},
            "phases": {name: of_phase(phase, start) for name, phase in phases.items()},
        }

    def summary(self) -> str:
        return self.description or shorten(self.expect, SHOWN, placeholder="…")

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if self.within is not None or self.never or self.throughout:
            what = "an expression is judged once, when its window has closed and all that it names is known"
            yield Problem((), what, "take `within`, `throughout` and `never` out")
        wrong = tuple(expression_problems("expect", self.expect, *ROOTS)) or tuple(_naming_problems(self.expect))
        yield from wrong or self._name_problems(scope)
        if not wrong and self.without_fault is not None and self.faults_asked():
            yield Problem(("without_fault",), "without the faults that it names there is nothing to judge", "take it out")

    def _name_problems(self, scope: Scope) -> Iterator[Problem]:
        wrong = [problem for one in named_in(self.expect, ROOTS) if (problem := self._name_problem(one, scope)) is not None]
        yield from wrong
        if not wrong:
            yield from self._type_problems()

    def _name_problem(self, one: Named, scope: Scope) -> Problem | None:
        if scope.claims is None:
            return None
        if one.root == "claims":
            return self._claim_problem(one, scope.claims)
        known, fields = (scope.faults, FAULT_FIELDS) if one.root == "faults" else (scope.phases or (), PHASE_FIELDS)
        kind = "fault" if one.root == "faults" else "phase"
        if one.name not in known:
            return Problem(("expect",), f"there is no {kind} {one.name!r}", nearest(one.name, known))
        return None if one.field in fields else _field_problem(one, f"a {kind}", fields)

    def _claim_problem(self, one: Named, claims: Mapping[str, Claim | None]) -> Problem | None:
        if one.name not in claims:
            return Problem(("expect",), f"there is no claim with the id {one.name!r}", nearest(one.name, {*claims} - {self.id}))
        if self.id in _named_from(one.name, claims):
            return Problem(("expect",), f"{self.id!r} waits for itself", "let it name claims that do not name it")
        claim = claims[one.name]
        fields = ("verdict", *claim.FIGURES) if claim is not None else (one.field,)
        return None if one.field in fields else _field_problem(one, f"the {claim.type if claim else ''} claim {one.name!r}", fields)

    def _type_problems(self) -> Iterator[Problem]:
        """Whether it is true or false of values like those that it will be about; other mistakes depend on what these are."""
        values: Values = {root: {} for root in ROOTS}
        for number, one in zip(count(1), named_in(self.expect, ROOTS), strict=False):
            sample = "passed" if one.field in TEXTS else 2.0**number
            values[one.root].setdefault(one.name, {})[one.field] = sample
        try:
            value = compiled(self.expect).evaluate(Bindings(dict(values)))
        except ExpressionError as error:
            if isinstance(error.__cause__, TypeError):
                told = str(error).partition(". ")[0]
                yield Problem(("expect",), f"its values do not go together: {told}", "numbers have a point here, like 2.0")
            return
        if not isinstance(value, bool):
            yield Problem(("expect",), f"it gives {type(value).__name__}, not true or false", "compare it with something")


def _naming_problems(expect: str) -> Iterator[Problem]:
    """What is wrong with how an expression names things, whatever there is."""
    try:
        named = named_in(expect, ROOTS)
    except ExpressionError as error:
        yield Problem(("expect",), str(error), RIGHT)
        return
    if all(one.root == "phases" for one in named):
        yield Problem(("expect",), "it names no claim and no fault, so it proves nothing", RIGHT)


def _field_problem(one: Named, whose: str, fields: tuple[str, ...]) -> Problem:
    return Problem(("expect",), f"{whose} has no {one.field!r}", nearest(one.field, fields))


def _named_from(start: str, claims: Mapping[str, Claim | None]) -> set[str]:
    """The claim, those that it names, those that these name, and so on."""
    found, left = set[str](), [start]
    while left:
        name = left.pop()
        claim = claims.get(name)
        if name not in found and isinstance(claim, ExpressionClaim) and not tuple(_naming_problems(claim.expect)):
            left.extend(claim.claims_named())
        found.add(name)
    return found


def _is_vain(fault: FaultHistory) -> bool:
    """Whether it has brought nothing about, and will not."""
    return fault.refused is not None or fault.effect_missed


def _told(one: Named, values: Values) -> str:
    """A value in words."""
    value = values[one.root][one.name].get(one.field, "not there")
    return f"{one} is {value:.6g}" if isinstance(value, float) else f"{one} is {value}"

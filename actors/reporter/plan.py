"""The plan beside what happened: each stage's actions, how long it was to last and how long it did."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from actors.reporter.standing import answered
from messages.scenario import Action, Gate, Phase
from runs.report import Report
from runs.report_model import Choice, PhaseReport
from runs.report_values import readable


@dataclass(frozen=True, slots=True)
class Step:
    """One planned action on one target, and what became of it."""

    id: str
    planned: str
    happened: str
    good: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the run, planned and real."""

    phase: PhaseReport
    description: str
    planned: str
    steps: tuple[Step, ...]


def stages(report: Report) -> list[Stage]:
    """Every stage in order, those never reached among them."""
    document = report.scenario.document
    phases = {p.name: p for p in document.spec.phases} if document else {}
    finally_ = document.spec.finally_ if document else ()
    return [_stage(report, p, phases.get(p.phase_name), finally_ if p.kind == "finally" else ()) for p in report.execution.phases]


def _stage(report: Report, real: PhaseReport, phase: Phase | None, finally_: tuple[Action, ...]) -> Stage:
    actions = phase.actions if phase is not None else finally_
    if phase is None:
        planned = {"settle": "until steady", "recover": "until steady again"}.get(real.kind, "")
    else:
        planned = readable(phase.duration) if phase.duration else "until its actions are done"
    steps = tuple(step for action in actions for step in _steps(report, real, action))
    gate = (_gate(report, phase, phase.gate),) if phase is not None and phase.gate is not None else ()
    return Stage(real, phase.description if phase else "", planned, (*gate, *steps))


def _gate(report: Report, phase: Phase, gate: Gate) -> Step:
    told = f"asks{' ' + ' or '.join(gate.approve) if gate.approve else ''}: “{gate.ask}”"
    found = next((g for g in report.gates if g.phase == phase.name), None)
    if found is None:
        return Step("gate", told, "not reached", good=False)
    return Step("gate", told, answered(found) if found.closed else "not answered", good=found.outcome == "approved")


def _steps(report: Report, real: PhaseReport, action: Action) -> Iterator[Step]:
    when = f"after {action.after}" if action.after else ""
    when += f" + {readable(action.delay)}" if action.delay > timedelta() else ""
    lasts = f"for {readable(action.for_)}" if action.for_ else ""
    told = ", ".join(part for part in (f"{action.action} {target_text(action)}", when.strip(), lasts) if part)
    choice = next((c for c in report.execution.choices if c.action == action.id), None)
    if choice is not None:
        yield Step(action.id, f"chosen among {', '.join(choice.candidates) or 'none'}", _chosen(choice), good=bool(choice.chosen))
    for name in action.faults(choice.chosen if choice is not None else None):
        yield _step(report, real, name, told)


def _chosen(choice: Choice) -> str:
    told = [f"{name} ({choice.values[name]})" if choice.values.get(name) else name for name in choice.chosen]
    spared = f"; {', '.join(choice.protected)} protected" if choice.protected else ""
    return f"{', '.join(told) or 'none of them'}, seed {choice.seed}{spared}"


def _step(report: Report, real: PhaseReport, name: str, told: str) -> Step:
    done = next((a for a in real.actions if a.id == name), None)
    fault = next((f for f in report.faults if f.id == name), None)
    if done is None:
        return Step(name, told, "not reached", good=False)
    at = f"+{(done.requested - real.start).total_seconds():.2f}s" if real.start else ""
    if done.error is not None:
        return Step(name, told, f"{at} {fault.status if fault else 'failed'}: {done.error}", good=False)
    took = f", {fault.time_to_recover.text} to normal" if fault and fault.time_to_recover else ""
    return Step(name, told, f"{at} {fault.status if fault else 'done' if done.success else 'asked for'}{took}", good=True)


def target_text(action: Action) -> str:
    """The target as the scenario writes it, in one line."""
    target = action.target
    if isinstance(target, str):
        return target
    if isinstance(target, tuple):
        return ", ".join(target)
    told = target.model_dump(exclude_none=True, mode="json")
    return ", ".join(f"{name} {' / '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in told.items())

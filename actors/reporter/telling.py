"""What every rendering tells first: what was disturbed and what became of it, and the figures of the run."""

from collections.abc import Iterator
from dataclasses import dataclass

from actors.reporter.standing import resolution
from actors.reporter.wording import figure, share, signed
from runs.report import Report
from runs.report_effects import FaultReport
from runs.report_findings import AssertionDetail
from runs.report_values import Outcome, Span

ORDER: tuple[Outcome, ...] = ("failed", "vacuous", "inconclusive", "not_judged", "not_reached", "control", "needs_fault", "passed")
"""The outcomes, those to look at first."""
MARKS = {
    "passed": "✓",
    "failed": "✗",
    "inconclusive": "?",
    "not_reached": "-",
    "not_judged": "-",
    "vacuous": "∅",
    "needs_fault": "✓",
    "control": "-",
    "aborted": "■",
    "unsafe": "!",
    "none": "…",
}
"""A sign for each outcome and verdict, so that none is told by its colour alone."""
SHOWN: tuple[Outcome, ...] = ("failed", "vacuous", "inconclusive")
"""The outcomes that somebody has to look at."""
REHEARSAL = " in rehearsal, without its faults"
_WORDS = {"stop": "stopped", "kill": "killed", "pause": "paused", "restart": "restarted"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure of the run."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


def facts(report: Report) -> Iterator[Fact]:
    """The figures of the first screen."""
    yield _passed(report)
    yield _recovery(report)
    yield _down(report)
    yield _events(report)
    took, stages = report.execution.duration, sum(1 for p in report.execution.phases if p.start)
    yield Fact("Duration", took.text if took else "—", f"{stages} stage{'s' if stages != 1 else ''}")


def _passed(report: Report) -> Fact:
    results = report.validation_results
    if not results.total_assertions:
        return Fact("Assertions", "none", "the scenario claims nothing", "warn")
    counts = (
        ("failed", results.failed_assertions),
        ("inconclusive", results.inconclusive_assertions),
        ("not reached", results.not_reached_assertions),
        ("not judged", results.not_judged_assertions),
        ("vacuous", results.vacuous_assertions),
    )
    rest = (("need their fault", results.needs_fault_assertions), ("not to be judged without one", results.control_assertions))
    told = ", ".join(f"{count} {word}" for word, count in counts if count)
    tone = "bad" if results.failed_assertions else "warn" if told else "good"
    told = ", ".join((*filter(None, (told,)), *(f"{count} {word}" for word, count in rest if count)))
    return Fact("Assertions", f"{results.passed_assertions} / {results.total_assertions}", told or "passed", tone)


def _recovery(report: Report) -> Fact:
    worst = max(report.system_impact.recovery_times.items(), key=lambda item: item[1].seconds, default=None)
    if worst is None:
        return Fact("Recovery", "—", "none measured")
    slowest = next((f for f in report.faults if f.target == worst[0] and f.time_to_recover == worst[1]), None)
    if slowest is None:
        return Fact("Recovery", worst[1].text, worst[0])
    if held(slowest) and slowest.undo_to_recover is not None:
        return Fact("Recovery", worst[1].text, f"{slowest.target}, {slowest.undo_to_recover.text} after the undo")
    return Fact("Recovery", worst[1].text, f"{slowest.target}{' ±' + slowest.error_bound.text if slowest.error_bound else ''}")


def _down(report: Report) -> Fact:
    services = report.system_impact.services
    down = max(services, key=lambda s: s.downtime.seconds, default=None)
    if down is not None and down.downtimes:
        return Fact("Longest down", down.downtime.text, f"{down.service}, healthy {share(down.availability or 0)}")
    looked = any(s.availability is not None for s in services)
    return Fact("Longest down", "0s" if looked else "—", "no service was seen down" if looked else "no service was watched")


def _events(report: Report) -> Fact:
    rate, events = report.system_impact.throughput, report.metrics.service_events
    if rate is None or rate.change_percent is None:
        return Fact("Service events", figure(events.total), f"{len(events.by_type)} types")
    change = signed(f"{rate.change_percent:+.0f} %")
    return Fact("Events while disturbed", change, f"{figure(rate.before)}/s before, {figure(rate.during)}/s during")


def what(fault: FaultReport) -> str:
    """A fault in its own words: `latency engine-to-exchange, delay 100ms`."""
    told = "".join(f", {name.replace('_', ' ')} {value}" for name, value in fault.parameters.items())
    return f"{fault.action} {fault.target}{told}{', for ' + fault.lasts.text if fault.lasts else ''}"


def became(fault: FaultReport) -> str:
    """What became of a fault, after its target's name."""
    if fault.requested is None:
        return "was not reached"
    if fault.rehearsed is not None:
        return f"was not disturbed: {_WORDS.get(fault.action, _kind(fault))} only in rehearsal, in phase {fault.phase}"
    if fault.injected is None:
        return f"was not disturbed: {fault.error}" if fault.error else "was not disturbed"
    done = _WORDS.get(fault.action)
    told = [f"was {done} in phase {fault.phase}" if done else f"had {_kind(fault)} in phase {fault.phase}"]
    if fault.effective is not None and fault.time_to_effect is not None:
        told.append(f"effective after {fault.time_to_effect.text} ({fault.effect})")
    else:
        told.append("but no effect was seen")
    if fault.time_to_recover is not None:
        told.append(_recovered(fault, fault.time_to_recover))
    elif fault.status == "not undone":
        told.append(f"and could not be undone: {fault.error}")
    elif fault.effective is not None:
        told.append("and was not seen to recover")
    return ", ".join(told)


def _kind(fault: FaultReport) -> str:
    told = " ".join(fault.parameters.values())
    return f"{fault.action.replace('_', ' ')}{' (' + told + ')' if told else ''}"


def _recovered(fault: FaultReport, took: Span) -> str:
    bound = f" (±{fault.error_bound.text})" if fault.error_bound else ""
    well = "healthy" if fault.kind == "service" else "normal"
    if held(fault) and fault.undo_to_recover is not None:
        return f"{well} again {fault.undo_to_recover.text}{bound} after the undo, {took.text} in all"
    by = {"itself": ", by itself", "undo": ", by the undo", "operator": ", by an operator"}.get(fault.restored_by or "", "")
    return f"{well} again after {took.text}{bound}{by}"


def held(fault: FaultReport) -> bool:
    """Whether it was the undo that let its target recover."""
    return fault.restored_by == "undo" and fault.reverted_by != "itself"


def unsafe(report: Report) -> list[tuple[str, str]]:
    """What may still be disturbed, and what to do about it."""
    left = [f for f in report.faults if f.status == "not undone"]
    return [(f"{f.id}: {what(f)} could not be undone: {f.error}", _repair(report, f)) for f in left]


def put_right(report: Report) -> bool:
    """Whether somebody has resolved all that was left."""
    left = [f for f in report.faults if f.status == "not undone"]
    return bool(left) and all(resolution(report, f.id) for f in left)


def _repair(report: Report, fault: FaultReport) -> str:
    done = resolution(report, fault.id)
    if done is not None:
        return f"nothing any more, {done.principal} resolved it{': ' + done.note if done.note else ''}"
    return fault.repair or f"Undo it on {fault.target} by hand"


def verdict_words(report: Report) -> str:
    """The verdict, and of a rehearsal that it is one."""
    return f"{report.verdict.verdict or 'no verdict'}{REHEARSAL if report.metadata.rehearsal else ''}"


def scope(detail: AssertionDetail) -> str:
    """What kind of claim it is, and over what."""
    return f"{detail.type}, {'phase ' + detail.phase if detail.phase else 'whole run'}"


def ordered(report: Report) -> list[AssertionDetail]:
    """The claims, those to look at first."""
    return sorted(report.validation_results.assertion_details, key=lambda d: ORDER.index(d.outcome))


def closer(report: Report) -> list[tuple[str, str]]:
    """Commands with which to look closer, each with what it gives."""
    run = report.metadata.run_id
    return [
        (f"test-coordinator report {run} --format text", "this report in the terminal"),
        (f"test-coordinator report {run} --format markdown", "for a comment on a pull request"),
        (f"test-coordinator report {run} --format json | jq .evidence", "every fact that a judgement rests on"),
        (f"test-coordinator report {run} --format json | jq '.timeline[] | [.offset, .text]' -c", "everything that happened, in order"),
    ]

"""A report as one page of HTML: no script, nothing from elsewhere, every value escaped."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from actors.reporter.drawing import both
from actors.reporter.wording import clock, figure, offset, printable, stamp
from runs.report import Report
from runs.report_effects import FaultReport
from runs.report_findings import AssertionDetail, Evidence
from runs.report_values import Span

LONGEST = 2_000
"""How many lines of the time line a page lists; report.json has all."""
_ORDER = ("failed", "inconclusive", "not_judged", "not_reached", "passed")
_WORDS = {"stop": "stopped", "kill": "killed", "pause": "paused", "restart": "restarted"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure of the first screen."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


def page(report: Report) -> bytes:
    """The page."""
    zero = report.execution.start or report.execution.accepted
    html = _template().render(
        r=report,
        advice=[a for a in report.recommendations if a.text != report.verdict.hint],
        since=lambda instant: offset((instant - zero).total_seconds()) if instant and zero else "",
        facts=list(_facts(report)),
        disturbed=[(f, _disturbed(f)) for f in report.faults],
        assertions=sorted(report.validation_results.assertion_details, key=lambda d: _ORDER.index(d.outcome)),
        drawings=both(report),
        timeline=report.timeline[:LONGEST],
        left_out=max(len(report.timeline) - LONGEST, 0),
        evidence=lambda ids: _evidence(report, ids),
        claim=_claim,
    )
    return html.encode()


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("actors.reporter", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": clock, "stamp": stamp, "offset": offset, "figure": figure, "words": _words}
    return environment.get_template("report.html")


def _clean(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _words(value: str) -> str:
    return value.replace("_", " ")


def _facts(report: Report) -> Iterator[Fact]:
    results, impact = report.validation_results, report.system_impact
    told = ", ".join(
        f"{count} {word}"
        for word, count in (
            ("failed", results.failed_assertions),
            ("inconclusive", results.inconclusive_assertions),
            ("not reached", results.not_reached_assertions),
            ("not judged", results.not_judged_assertions),
        )
        if count
    )
    tone = "bad" if results.failed_assertions else "warn" if told else "good" if results.total_assertions else ""
    yield Fact("Assertions", f"{results.passed_assertions} / {results.total_assertions}", told or "passed", tone)
    worst = max(impact.recovery_times.items(), key=lambda item: item[1].seconds, default=None)
    slowest = next((f for f in report.faults if worst and f.target == worst[0] and f.time_to_recover == worst[1]), None)
    yield Fact("Recovery", worst[1].text if worst else "—", _recovery_note(slowest) if slowest else "none measured")
    down = max(impact.services, key=lambda s: s.downtime.seconds, default=None)
    if down is not None and down.downtimes:
        yield Fact("Longest down", down.downtime.text, f"{down.service}, healthy {down.availability or 0:.1%}")
    else:
        looked = any(s.availability is not None for s in impact.services)
        yield Fact("Longest down", "0s" if looked else "—", "no service was seen down" if looked else "no service was watched")
    rate = impact.throughput
    if rate is not None and rate.change_percent is not None:
        yield Fact(
            "Events while disturbed", f"{rate.change_percent:+.0f} %", f"{figure(rate.before)}/s before, {figure(rate.during)}/s during"
        )
    else:
        yield Fact("Service events", figure(report.metrics.service_events.total), f"{len(report.metrics.service_events.by_type)} types")
    took = report.execution.duration
    yield Fact("Duration", took.text if took else "—", f"{sum(1 for p in report.execution.phases if p.start)} stages")


def _recovery_note(fault: FaultReport) -> str:
    if _held(fault) and fault.undo_to_recover is not None:
        return f"{fault.target}, {fault.undo_to_recover.text} after the undo"
    return f"{fault.target}{' ±' + fault.error_bound.text if fault.error_bound else ''}"


def _disturbed(fault: FaultReport) -> str:
    """What became of a fault, in a sentence."""
    if fault.requested is None:
        return "was not reached"
    if fault.injected is None:
        return f"was not injected: {fault.error}" if fault.error else "was not injected"
    told = [f"was {_WORDS.get(fault.action, fault.action)} in phase {fault.phase}"]
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


def _recovered(fault: FaultReport, took: Span) -> str:
    bound = f" (±{fault.error_bound.text})" if fault.error_bound else ""
    if _held(fault) and fault.undo_to_recover is not None:
        return f"healthy again {fault.undo_to_recover.text}{bound} after the undo, {took.text} in all"
    by = {"itself": ", by itself", "undo": ", by the undo", "operator": ", by an operator"}.get(fault.restored_by or "", "")
    return f"healthy again after {took.text}{bound}{by}"


def _held(fault: FaultReport) -> bool:
    """Whether it was the undo that let its target recover."""
    return fault.restored_by == "undo" and fault.reverted_by != "itself"


def _evidence(report: Report, ids: tuple[str, ...]) -> list[tuple[str, Evidence]]:
    return [(name, report.evidence.get(name, Evidence(event=name))) for name in ids]


def _claim(detail: AssertionDetail) -> str:
    return f"{detail.type}, {'phase ' + detail.phase if detail.phase else 'whole run'}"

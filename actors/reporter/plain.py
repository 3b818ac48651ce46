"""A report as text for a terminal without colours, 100 columns wide."""

import textwrap
from collections.abc import Iterator

from actors.reporter import announced, telling
from actors.reporter.standing import deeds, stills
from actors.reporter.strip import LEGEND, NAMES, strips
from actors.reporter.wording import offset, printable
from runs.report import Report
from runs.report_audit import AuditTrail
from runs.report_findings import AssertionDetail

WIDTH = 100
_EVIDENCE = 5
"""How many facts a claim that did not pass shows."""
_ODD = 20


def plain(report: Report) -> bytes:
    """The text."""
    lines = [line for part in _parts(report) for line in part]
    return printable("\n".join(line.rstrip() for line in lines).strip("\n") + "\n").encode()


def brief(report: Report) -> str:
    """The verdict, the time line and the claims: what a terminal shows of a run that is over."""
    parts = (_first(report), _line(report), _claims(report, evidence=False), _unexpected(report), _people(report))
    return printable("\n".join(line.rstrip() for part in parts for line in part).strip("\n"))


def _parts(report: Report) -> Iterator[Iterator[str]]:
    yield _first(report)
    yield _advice(report)
    yield _line(report)
    yield _claims(report, evidence=True)
    yield _steady(report)
    yield _unexpected(report)
    yield _faults(report)
    yield _audit(report)
    yield _people(report)
    yield _closer(report)


def _first(report: Report) -> Iterator[str]:
    verdict = report.verdict
    word = (verdict.verdict or "no verdict").upper() + (telling.REHEARSAL if report.metadata.rehearsal else "")
    reason = f" ({verdict.reason})" if verdict.reason else ""
    yield f"{telling.MARKS[verdict.verdict or 'none']} {word}{reason}  {report.metadata.scenario} on {report.metadata.system}"
    yield f"  run {report.metadata.run_id}{', trace ' + report.metadata.trace_id if report.metadata.trace_id else ''}"
    yield ""
    yield from _wrapped(verdict.message, "  ")
    if verdict.hint:
        yield from _wrapped(verdict.hint, "  ")
    for what, repair in telling.unsafe(report):
        yield from _wrapped(f"! {what}. To do: {repair}", "  ")
    yield ""
    for fault in report.faults[:12]:
        yield from _wrapped(f"◆ {fault.target} {telling.became(fault)}", "  ")
    for fact in telling.facts(report):
        yield f"  {fact.label:<24} {fact.value:<10} {fact.note}"


def _advice(report: Report) -> Iterator[str]:
    found = [a for a in report.recommendations if a.text != report.verdict.hint]
    if found:
        yield from _heading("What to do")
    for advice in found:
        yield from _wrapped(f"- {advice.text}{' (' + ', '.join(advice.about) + ')' if advice.about else ''}", "  ")


def _line(report: Report) -> Iterator[str]:
    columns = WIDTH - NAMES - 12
    found = strips(report, columns)
    if not found:
        return
    took = report.execution.duration
    yield from _heading("Time line")
    yield from (str(strip) for strip in found)
    if took is not None:
        yield f"{'':<{NAMES}} 0s{took.text:>{columns - 2}}"
    yield f"{'':<{NAMES}} {LEGEND}"
    for told in stills(report):
        yield from _wrapped(f"░ {told}", "  ")


def _claims(report: Report, *, evidence: bool) -> Iterator[str]:
    results = report.validation_results
    yield from _heading(f"Assertions: {results.passed_assertions} of {results.total_assertions} passed")
    for detail in telling.ordered(report):
        word = f" {detail.outcome.upper()}" if detail.outcome == "vacuous" else ""
        yield from _wrapped(f"{telling.MARKS[detail.outcome]}{word} {detail.id}: {detail.summary} ({telling.scope(detail)})", "")
        yield from _wrapped(detail.message, "    ")
        if evidence and detail.outcome in telling.SHOWN:
            yield from _evidence(report, detail)


def _evidence(report: Report, detail: AssertionDetail) -> Iterator[str]:
    for name in detail.evidence[:_EVIDENCE]:
        fact = report.evidence.get(name)
        yield from _wrapped(f"- {fact.text if fact and fact.text else 'not in the journal at hand'} [{name}]", "    ")
    if len(detail.evidence) > _EVIDENCE:
        yield f"    and {len(detail.evidence) - _EVIDENCE} more"


def _steady(report: Report) -> Iterator[str]:
    yield from _heading(f"Steady state: {report.steady_state.outcome.replace('_', ' ')}")
    yield from _wrapped(report.steady_state.message, "  ")


def _unexpected(report: Report) -> Iterator[str]:
    found = report.validation_results.unexpected_behaviors
    if not found:
        return
    zero = report.execution.start or report.execution.accepted
    yield from _heading("Unexpected")
    for odd in found[:_ODD]:
        at = offset((odd.timestamp - zero).total_seconds()) if odd.timestamp and zero else ""
        yield from _wrapped(f"{at:>10}  {odd.kind}: {odd.text}", "")
    if len(found) > _ODD:
        yield f"  and {len(found) - _ODD} more in the JSON report"


def _faults(report: Report) -> Iterator[str]:
    if not report.faults:
        return
    yield from _heading("Faults")
    for fault in report.faults:
        times = [(name, span) for name, span in (("to effect", fault.time_to_effect), ("to recover", fault.time_to_recover)) if span]
        told = "".join(f", {span.text} {name}" for name, span in times)
        by = f", restored by {fault.restored_by}" if fault.restored_by else ""
        yield from _wrapped(f"{fault.id}: {telling.what(fault)}: {fault.status}{told}{by}{': ' + fault.error if fault.error else ''}", "  ")


def _audit(report: Report) -> Iterator[str]:
    trail, told = report.audit, announced.told(report)
    if trail is not None or told:
        yield from _heading("Audit trail")
    if trail is not None:
        yield from _trail(trail)
    for one in told:
        yield from _wrapped(one, "  ")


def _trail(trail: AuditTrail) -> Iterator[str]:
    yield from _wrapped(trail.summary, "  ")
    for fault in trail.faults:
        yield f"  {fault.fault}"
        for told in fault.answers:
            yield from _wrapped(f"{told.question} {told.answer}", "    ")
    for odd in trail.unexplained[:_ODD]:
        yield from _wrapped(f"unexplained: {odd.text}{f' ({odd.count} times)' if odd.what == 'event' and odd.count > 1 else ''}", "  ")
    if trail.unexplained_count > _ODD:
        yield f"  and {trail.unexplained_count - _ODD} more in the JSON report"


def _people(report: Report) -> Iterator[str]:
    found = deeds(report)
    if not found:
        return
    zero = report.execution.start or report.execution.accepted
    yield from _heading("Who did what")
    for deed in found[:_ODD]:
        at = offset((deed.at - zero).total_seconds()) if zero else ""
        yield from _wrapped(f"{at:>10}  {deed.who} {deed.what}{': ' + deed.note if deed.note else ''}", "")
    if len(found) > _ODD:
        yield f"  and {len(found) - _ODD} more in the JSON report"


def _closer(report: Report) -> Iterator[str]:
    yield from _heading("Look closer")
    for command, gives in telling.closer(report):
        yield f"  {command}"
        yield f"      {gives}"


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield text
    yield "─" * min(len(text), WIDTH)


def _wrapped(text: str, indent: str) -> Iterator[str]:
    flat = " ".join(text.replace("`", "").split("\n"))
    yield from textwrap.wrap(flat, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=True) or [""]

"""A report as Markdown that fits a comment on a pull request."""

import re
from collections.abc import Iterator, Sequence

from actors.reporter import announced, telling
from actors.reporter.standing import deeds, stills
from actors.reporter.strip import LEGEND, strips
from actors.reporter.wording import offset, printable
from runs.report import Report
from runs.report_audit import AuditTrail
from runs.report_findings import AssertionDetail

LIMIT = 65_536
"""What a comment may have at most, in characters (GitHub's bound)."""
_SIGNS = {
    "passed": "✅",
    "failed": "❌",
    "inconclusive": "❔",
    "not_reached": "⚪",
    "not_judged": "⚪",
    "vacuous": "🫥",
    "needs_fault": "✅",
    "control": "⚪",
    "aborted": "🛑",
    "unsafe": "🚨",
    "none": "⏳",
}
_ROWS = 60
"""How many claims or faults a table lists."""
_FACTS = 5
_TEXT = 300
"""How long a cell may be."""


def markdown(report: Report) -> bytes:
    """The text: what matters first, and as much of the rest as there is room for."""
    left, kept = LIMIT - 200, list[str]()
    for part in _parts(report):
        text = printable("\n".join(part))
        if not text:
            continue
        if len(text) + 2 > left:
            kept.append("_The rest did not fit into a comment; the HTML report has it._")
            break
        left -= len(text) + 2
        kept.append(text)
    return ("\n\n".join(kept) + "\n").encode()


def _parts(report: Report) -> Iterator[list[str]]:
    yield list(_first(report))
    yield list(_claims(report))
    yield list(_faults(report))
    yield list(_advice(report))
    yield list(_line(report))
    for detail in telling.ordered(report):
        if detail.outcome in telling.SHOWN:
            yield list(_detail(report, detail))
    yield list(_unexpected(report))
    yield list(_audit(report))
    yield list(_people(report))
    yield list(_about(report))


def _first(report: Report) -> Iterator[str]:
    verdict = report.verdict
    word = telling.verdict_words(report)
    reason = f" ({verdict.reason.replace('_', ' ')})" if verdict.reason else ""
    yield f"## {_SIGNS[verdict.verdict or 'none']} {_text(report.metadata.scenario)}: {word}{reason}"
    yield ""
    yield f"**{_text(verdict.message)}**"
    if verdict.hint:
        yield f"<br>{_text(verdict.hint)}"
    for what, repair in telling.unsafe(report):
        yield f"\n> [!CAUTION]\n> {_text(what)}<br>**To do:** {_text(repair)}"
    yield ""
    yield " · ".join(f"{fact.label} **{_text(fact.value)}** {_text(fact.note)}".rstrip() for fact in telling.facts(report))


def _claims(report: Report) -> Iterator[str]:
    found = telling.ordered(report)
    rows = [(f"{_SIGNS[d.outcome]} {d.outcome.replace('_', ' ')}", f"{_code(d.id)}<br>{_text(d.summary)}", _text(d.message)) for d in found]
    yield from _table(("", "Assertion", "What was seen"), rows)
    steady = report.steady_state
    yield ""
    yield f"Steady state: {_SIGNS[steady.outcome]} {_text(steady.message)}"


def _faults(report: Report) -> Iterator[str]:
    rows = [(_code(f.id), _text(telling.what(f)), f"{_text(f.target)} {_text(telling.became(f))}") for f in report.faults]
    yield from _table(("Fault", "What", "What became of it"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows[:_ROWS]:
        yield f"| {' | '.join(row)} |"
    if len(rows) > _ROWS:
        yield f"\nand {len(rows) - _ROWS} more"


def _advice(report: Report) -> Iterator[str]:
    for advice in report.recommendations:
        if advice.text != report.verdict.hint:
            yield f"- {_text(advice.text)}{' (' + _text(', '.join(advice.about)) + ')' if advice.about else ''}"


def _line(report: Report) -> Iterator[str]:
    found = strips(report, 72)
    if found:
        drawn = ["```text", *(str(strip).replace("`", "'") for strip in found), "", LEGEND, "```"]
        yield from _folded("Time line", [*drawn, *(f"- {_text(told)}" for told in stills(report))])


def _detail(report: Report, detail: AssertionDetail) -> Iterator[str]:
    lines = [_text(detail.message), ""]
    for name, value in detail.measured.items():
        lines.append(f"- {name.replace('_', ' ')}: {_text(str(value) if isinstance(value, int | str) else value.text)}")
    for name in detail.evidence[:20]:
        fact = report.evidence.get(name)
        lines.append(f"- {_text(fact.text) if fact and fact.text else 'not in the journal at hand'} ({_code(name)})")
        lines += [f"  - {_code(m.type)} from {_text(m.source)}, id {_code(m.id)}" for m in (fact.matches[:_FACTS] if fact else ())]
    if len(detail.evidence) > 20:
        lines.append(f"- and {len(detail.evidence) - 20} more")
    yield from _folded(f"{_SIGNS[detail.outcome]} Evidence of {_text(detail.id)}", lines)


def _unexpected(report: Report) -> Iterator[str]:
    found, zero = report.validation_results.unexpected_behaviors, report.execution.start or report.execution.accepted
    if not found:
        return
    told = [
        f"- {offset((u.timestamp - zero).total_seconds()) if u.timestamp and zero else ''} **{u.kind}** {_text(u.text)}"
        for u in found[:_ROWS]
    ]
    yield from _folded(f"Unexpected ({len(found)})", told)


def _audit(report: Report) -> Iterator[str]:
    trail, told = report.audit, [f"- {_text(one)}" for one in announced.told(report)[:_ROWS]]
    if trail is not None:
        told = [*_trail(trail), "", *told]
    if told:
        yield from _folded("Audit trail", told)


def _trail(trail: AuditTrail) -> Iterator[str]:
    yield _text(trail.summary)
    for fault in trail.faults:
        yield from ("", f"{_code(fault.fault)}", "")
        yield from (f"- **{_text(each.question)}** {_text(each.answer)}" for each in fault.answers)
    if trail.unexplained:
        yield from ("", "Unexplained", "")
    yield from (
        f"- {_text(odd.text)}{f' ({odd.count} times)' if odd.what == 'event' and odd.count > 1 else ''}" for odd in trail.unexplained
    )


def _people(report: Report) -> Iterator[str]:
    found, zero = deeds(report), report.execution.start or report.execution.accepted
    if not found:
        return
    told = []
    for deed in found[:_ROWS]:
        at = offset((deed.at - zero).total_seconds()) if zero else ""
        told.append(f"- {at} **{_text(deed.who)}** {_text(deed.what)}{': ' + _text(deed.note) if deed.note else ''}")
    yield from _folded(f"Who did what ({len(found)})", told)


def _about(report: Report) -> Iterator[str]:
    about, took = report.metadata, report.execution.duration
    told = [f"- run {_code(about.run_id)}", f"- system {_text(about.system)}"]
    told += [f"- trace {_code(about.trace_id)}"] if about.trace_id else []
    told += [f"- took {took.text}"] if took else []
    told += [f"- {_code(command)}: {gives}" for command, gives in telling.closer(report)]
    yield from _folded("Run", told)


def _folded(summary: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"<details><summary>{summary}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"


def _text(text: str) -> str:
    """Text of which nothing is markup, in one line; code between back-ticks stays code."""
    flat = " ".join(text.split())
    flat = flat if len(flat) <= _TEXT else flat[: _TEXT - 1] + "…"
    parts = flat.split("`")
    return "".join(_code(part) if number % 2 and number < len(parts) - 1 else _escaped(part) for number, part in enumerate(parts))


def _escaped(text: str) -> str:
    escaped = re.sub(r"([\\*_\[\]~#|])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    return re.sub(r"@(?=\w)", "@\u200b", escaped)


def _code(text: str) -> str:
    """The text as code: back-ticks cannot end it, and bars not a cell."""
    return f"`{' '.join(text.replace('`', chr(39)).split())[:_TEXT]}`".replace("|", "\\|") if text.strip() else ""

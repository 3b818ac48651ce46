"""Who did what: the times in which a run stood still, as sentences, and what people and hosts did, as rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from runs.report import Report
from runs.report_control import ControlEntry, Gate, OwnerChange, Pause

_ASKED = {
    "submit": "submitted it",
    "abort": "asked to end it",
    "pause": "asked for a pause",
    "resume": "let it go on",
    "approve": "approved",
    "reject": "rejected",
    "release": "lifted the hold",
    "resolve": "resolved what was left",
}
SIGNS = {"abort": "■", "pause": "‖", "resume": "▸", "release": "▸", "approve": "✓", "reject": "✗", "resolve": "✓"}
"""A sign for what was asked for."""
_ANSWERS = {"approved": "✓", "rejected": "✗", "expired": "✗", "dropped": "■"}
"""A sign for what a gate came to."""


@dataclass(frozen=True, slots=True)
class Deed:
    """A row: when who did what, and why."""

    at: datetime
    who: str
    what: str
    note: str = ""


def stills(report: Report) -> list[str]:
    """Every time in which the run stood still, in order."""
    told = [(p.start, paused(p)) for p in report.pauses] + [(g.opened, asked(g)) for g in report.gates]
    return [text for _, text in sorted(told, key=lambda one: one[0])]


def paused(pause: Pause) -> str:
    """`paused by alice (look at the logs) for 5.2s, resumed by bob`."""
    word = "paused" if pause.why == "pause" else "held"
    note = f" ({pause.note})" if pause.note else ""
    lasted = f" for {pause.duration.text}" if pause.duration else ""
    if pause.end is None:
        return f"{word} by {pause.by}{note}{lasted}, and not resumed"
    return f"{word} by {pause.by}{note}{lasted}, {f'resumed by {pause.resumed_by}' if pause.resumed_by else 'then ended'}"


def asked(gate: Gate) -> str:
    """`gate before chaos: "Looks fine?": approved by alice after 4s (go)`."""
    question = f"gate before {gate.phase}: “{gate.ask}”"
    if gate.closed is None:
        who = f" by {' or '.join(gate.approve)}" if gate.approve else ""
        return f"{question} was not answered{who}"
    after = f" after {gate.waited.text}" if gate.waited else ""
    return f"{question} {answered(gate)}{after}{f' ({gate.note})' if gate.note else ''}"


def answered(gate: Gate) -> str:
    """What the gate came to, and by whom."""
    if gate.outcome == "expired":
        return "not answered in time"
    return f"dropped, since {gate.by} stopped the run" if gate.outcome == "dropped" else f"{gate.outcome} by {gate.by}"


def sign(gate: Gate) -> str:
    """What the gate came to, as a sign."""
    return _ANSWERS.get(gate.outcome or "", "?")


def owned(change: OwnerChange) -> str:
    """`chaos-injector was taken over by host-7`."""
    silent = f", {change.silent.text} after its last event" if change.silent else ""
    return f"{change.actor} was taken over by {change.host}{silent}"


def deeds(report: Report) -> list[Deed]:
    """What people asked and which hosts took over, in order; nothing of a run that was only submitted."""
    if not report.owners and all(entry.asked == "submit" for entry in report.control):
        return []
    return sorted(_deeds(report), key=lambda deed: deed.at)


def _deeds(report: Report) -> Iterator[Deed]:
    for entry in report.control:
        yield Deed(entry.timestamp, entry.principal, did(entry), entry.note)
    for change in report.owners:
        silent = f"{change.silent.text} after its last event" if change.silent else ""
        yield Deed(change.timestamp, change.host, f"took over the {change.actor}", silent)


def resolution(report: Report, fault: str) -> ControlEntry | None:
    """Who said that what this fault left is in order again."""
    return next((entry for entry in report.control if entry.asked == "resolve" and entry.fault in {None, fault}), None)


def did(entry: ControlEntry) -> str:
    """What was asked for, after the principal's name."""
    told = _ASKED.get(entry.asked, f"asked for {entry.asked}")
    return f"resolved {entry.fault}" if entry.fault else told

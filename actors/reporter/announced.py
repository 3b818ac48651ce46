"""What was told outside of the journal, as sentences."""

from collections.abc import Iterator

from messages.audit_events import RUN, Fed
from runs.report import Report
from runs.report_announced import Correlator, Feeding, Publication

_WORDS: dict[Fed, str] = {
    "stored": "stored and read back",
    "dropped": "dropped",
    "unproven": "not known to be stored",
    "refused": "refused",
    "unreachable": "not delivered, as it could not be reached",
}


def told(report: Report) -> list[str]:
    """What is on the event stream and what an audit correlator holds; nothing of a run of which nothing was told."""
    return list(_told(report))


def _told(report: Report) -> Iterator[str]:
    if report.announced is None:
        return
    published = report.announced.published
    if published:
        good = [p for p in published if not p.error]
        yield f"Event stream: {len(good)} of {len(published)} starts and ends of faults published{_where(good)}"
    yield from (f"Event stream: that {p.fault} {p.moment} is not there: {p.error}" for p in published if p.error)
    if report.announced.correlator is not None:
        yield from _correlator(report.announced.correlator)


def _where(good: list[Publication]) -> str:
    streams = sorted({p.stream for p in good})
    return f" in {', '.join(streams)}" if streams else ""


def _correlator(found: Correlator) -> Iterator[str]:
    parts = ", ".join(f"{count} {_WORDS[outcome]}" for outcome, count in found.outcomes.items())
    links = f"; {found.links} start{'s' if found.links != 1 else ''} linked with their ends" if found.links else ""
    yield f"Audit correlator: told of {found.sent} event{'s' if found.sent != 1 else ''}: {parts}{links}"
    why: dict[str, list[Feeding]] = {}
    for event in found.events:
        if event.error:
            why.setdefault(event.error, []).append(event)
    for error, events in why.items():
        yield f"Audit correlator: {', '.join(_moment(event) for event in events)}: {error}"
    for fault, error in found.unlinked.items():
        yield f"Audit correlator: start and end of {fault} are not linked: {error}"


def _moment(event: Feeding) -> str:
    return f"{'the run' if event.about == RUN else event.about} {event.moment}"

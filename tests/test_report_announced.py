"""What a report says of what was told outside of the journal: on the event stream, and to an audit correlator."""

import html
import re

import pytest

from actors.reporter import announced, render
from messages.audit_events import AuditFed, AuditLinked, FaultPublished, Moment
from messages.events import RunEvent
from runs.report import Report
from tests.test_report_levers import with_lines
from tests.test_reports import JOURNALS, report_of

FORMATS = ("text", "markdown", "html", "junit", "json")
DROPPED = "it answered 201 and does not hold it (its data_adapter is unavailable)"


def published(moment: Moment, error: str = "", fault: str = "restart") -> FaultPublished:
    where = {"stream": "", "sequence": 0} if error else {"stream": "AUDIT-trading", "sequence": 17}
    return FaultPublished.model_validate(
        {"fault_id": fault, "moment": moment, "id": f"r.{fault}.{moment}", "subject": "s", "error": error, **where}
    )


def fed(about: str, moment: Moment, outcome: str = "stored", error: str = "") -> AuditFed:
    stored = "7f" if outcome == "stored" else ""
    return AuditFed.model_validate(
        {"about": about, "moment": moment, "id": f"r.{about}.{moment}", "outcome": outcome, "stored_id": stored, "error": error}
    )


def report(*moments: tuple[float, RunEvent]) -> Report:
    return report_of(with_lines(JOURNALS["passed"], *moments))


def words(rendered: bytes) -> str:
    """The text of a rendering, without markup and line breaks."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", rendered.decode())).replace("\\_", "_").replace("\\", "")
    return " ".join(text.split())


ALL = tuple((14.0, published(moment, fault=fault)) for fault in ("restart", "halt") for moment in ("started", "ended"))


@pytest.mark.parametrize("format_", FORMATS[:-1])
def test_every_format_says_what_was_told_and_what_is_stored(format_: str) -> None:
    told = report(*ALL, (14.1, fed("run", "started")), (14.2, fed("restart", "started")), (14.3, AuditLinked(fault_id="restart")))

    found = words(render(told, format_))

    assert "Event stream: 4 of 4 starts and ends of faults published in AUDIT-trading" in found
    assert "Audit correlator: told of 2 events: 2 stored and read back; 1 start linked with their ends" in found


@pytest.mark.parametrize("format_", FORMATS[:-1])
def test_every_format_says_what_was_dropped_or_could_not_be_told(format_: str) -> None:
    told = report(
        (14.0, published("started")),
        (14.1, published("ended", "no stream has taken the event")),
        (14.2, fed("run", "started", "dropped", DROPPED)),
        (14.3, fed("restart", "started", "unreachable", "connection refused")),
    )

    found = words(render(told, format_))

    assert "Event stream: 1 of 4 starts and ends of faults published" in found
    assert "that restart ended is not there: no stream has taken the event" in found
    assert "that halt started is not there: the event stream had not acknowledged it" in found
    assert "told of 2 events: 1 dropped, 1 not delivered, as it could not be reached" in found
    assert f"Audit correlator: the run started: {DROPPED}" in found
    assert "Audit correlator: restart started: connection refused" in found


def test_what_could_not_be_told_is_unexpected_and_the_verdict_is_the_same() -> None:
    without, told = report(), report((14.1, published("ended", "nobody took it")), (14.2, fed("run", "started", "dropped", DROPPED)))

    odd = [each for each in told.validation_results.unexpected_behaviors if each.kind == "audit"]

    assert [each.text for each in odd] == [
        "that restart ended was not published: nobody took it",
        f"the audit correlator was told that the run started: dropped: {DROPPED}",
    ]
    assert told.verdict == without.verdict
    assert told.recommendations == without.recommendations


def test_what_was_told_as_it_should_be_is_no_part_of_the_story() -> None:
    without, told = report(), report(*ALL, (14.1, fed("run", "started")))

    assert [line.text for line in told.timeline] == [line.text for line in without.timeline]


def test_what_is_told_after_the_end_of_the_run_is_in_the_report() -> None:
    told = report((14.1, fed("run", "started")), (1000.0, fed("run", "ended")))

    assert told.announced is not None
    assert told.announced.correlator is not None
    assert [(event.about, event.moment) for event in told.announced.correlator.events] == [("run", "started"), ("run", "ended")]


def test_a_run_of_which_nothing_was_told_says_nothing_of_it() -> None:
    assert announced.told(report()) == []

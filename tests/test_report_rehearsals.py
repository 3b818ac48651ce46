"""What everything that is shown of a rehearsal says: that it is one, and which of its claims are vacuous."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from actors.reporter import FORMATS, render
from actors.summaries import summary_of
from cli.listing import as_json
from cli.narrating import narrate
from cli.picture import draw
from cli.progress import Progress
from cli.standing import parts
from messages.events import RunEvent
from messages.fault_events import FaultEvent
from messages.judgements import AssertionJudged
from messages.observations import ServiceDown, ServiceUp
from messages.rehearsal_events import FaultRehearsalEnded, FaultRehearsed
from messages.run_events import ActionRequested, AssertionOpened, RunAccepted, RunFinished, UndoRequested
from messages.scenario import Scenario
from messages.verdicts import HINTS, Reason, Verdict
from runs.rehearsals import WORDS
from runs.report import Report
from runs.verdict import verdict_of
from tests.test_reports import SCENARIO, Line, at, passed, report_of

TEXT = SCENARIO.model_dump_json(by_alias=True, exclude_defaults=True).replace('"id":"flow"', '"id":"flow","without_fault":"fails"')
DOCUMENT = Scenario.model_validate_json(TEXT)


def rehearsal() -> list[Line]:
    """The journal of the run that passed, as if it had been rehearsed: `flow` would pass without the faults."""
    lines: list[Line] = []
    for line in passed():
        event = _rehearsed(line.event)
        if event is not None:
            lines.append(replace(line, event=event, actor="scheduler" if isinstance(event, FaultRehearsed) else line.actor))
    for name in ("restart", "halt"):
        (begun,) = [line for line in lines if isinstance(line.event, FaultRehearsed) and line.entity == name]
        index = next(n for n, line in enumerate(lines) if line.at >= at(17 if name == "halt" else 9.8))
        ended = FaultRehearsalEnded(fault_id=name, why="for")
        lines.insert(index, replace(begun, event=ended, at=lines[index].at))
    lines = [replace(line, sequence=4100 + 3 * number) for number, line in enumerate(lines)]
    progress = Progress(lines[0].run)
    for line in lines[:-1]:
        progress.apply(line)
    found = verdict_of(progress.state)
    end = RunFinished(
        verdict=found.verdict, reason=found.reason, message=found.message, cause=found.cause, hint=found.hint, position=lines[-2].sequence
    )
    return [*lines[:-1], replace(lines[-1], event=end)]


def _rehearsed(event: RunEvent) -> RunEvent | None:  # noqa: PLR0911  one per event
    match event:
        case RunAccepted():
            return event.model_copy(update={"rehearsal": True, "scenario": DOCUMENT})
        case ActionRequested():
            return FaultRehearsed(fault_id=event.fault_id, phase=event.phase, target=event.target, action=event.action)
        case AssertionOpened(assertion="flow"):
            return event.model_copy(update={"claim": DOCUMENT.claims()["flow"][0]})
        case AssertionJudged(assertion="flow"):
            return event.model_copy(update={"control": "vacuous"})
        case AssertionJudged(assertion="recovery"):
            words = {"verdict": Verdict.INCONCLUSIVE, "reason": Reason.NO_EFFECT, "message": "restart was never injected", "evidence": ()}
            return event.model_copy(update={**words, "measured": {}, "control": "control"})
        case FaultEvent() | UndoRequested():
            return None
        case ServiceDown() | ServiceUp() if event.number > 1:
            return None
        case _:
            return event


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return rehearsal()


@pytest.fixture(scope="module")
def report(lines: list[Line]) -> Report:
    return report_of(lines)


def test_the_report_says_that_it_is_of_a_rehearsal_and_what_of_each_claim(report: Report) -> None:
    results = report.validation_results

    assert report.metadata.rehearsal
    assert (report.verdict.verdict, report.verdict.reason, report.verdict.hint) == (
        Verdict.INCONCLUSIVE,
        Reason.VACUOUS,
        HINTS[Reason.VACUOUS],
    )
    assert {d.id: d.outcome for d in results.assertion_details} == {
        "flow": "vacuous",
        "recovery": "control",
        "orders": "passed",
        "no-breach": "passed",
    }
    assert (results.vacuous_assertions, results.control_assertions, results.passed_assertions) == (1, 1, 2)
    assert not next(d for d in results.assertion_details if d.id == "flow").passed
    assert [r.reason for r in report.recommendations] == [Reason.VACUOUS]


def test_no_fault_of_it_was_injected_or_had_an_effect(report: Report) -> None:
    assert [f.status for f in report.faults] == ["rehearsed", "rehearsed"]
    for fault in report.faults:
        assert fault.rehearsed is not None
        assert (fault.armed, fault.called, fault.injected, fault.effective, fault.gone, fault.excused) == (None,) * 6
    assert report.metrics.faults.injected == report.metrics.faults.effective == 0
    assert [action.success for phase in report.execution.phases for action in phase.actions] == [None, None]


@pytest.mark.parametrize("style", sorted(FORMATS))
def test_every_format_says_rehearsal_and_vacuous(report: Report, style: str) -> None:
    told = render(report, style).decode().lower()

    assert "rehears" in told
    assert "vacuous" in told
    assert WORDS["vacuous"] in told


def test_a_vacuous_claim_is_an_error_of_junit_and_what_cannot_be_judged_is_skipped(report: Report) -> None:
    suite = ET.fromstring(render(report, "junit"))[0]  # noqa: S314  our own report
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    errors = [error.get("type") for error in suite.iter("error")]

    assert cases == {"flow": ["error"], "recovery": ["skipped"], "orders": [], "no-breach": [], "steady-state": []}
    assert errors == ["vacuous"]
    assert {p.get("name"): p.get("value") for p in suite.iter("property")}["rehearsal"] == "true"


def test_the_page_opens_what_is_vacuous_and_draws_what_was_rehearsed_as_such(report: Report) -> None:
    page = render(report, "html").decode()

    assert '<details class="item vacuous" id="a-flow" open>' in page
    assert 'class="life rehearsed"' in page
    assert "armed to gone" not in page.partition("<figcaption")[2].partition("</figcaption>")[0]


def test_a_report_of_a_real_run_says_nothing_of_it() -> None:
    real = report_of(passed())

    assert not real.metadata.rehearsal
    assert b"rehears" not in render(real, "text") + render(real, "markdown") + render(real, "junit")


def test_lists_and_status_say_that_a_run_is_a_rehearsal(lines: list[Line]) -> None:
    progress = Progress(lines[0].run)
    for line in lines[:-1]:
        progress.apply(line)
    summary = summary_of(progress.state)
    console = Console(width=160, record=True)
    for part in parts([summary], [], None):
        console.print(part)

    assert as_json(summary)["rehearsal"] is True
    assert "restart-during-trading (rehearsal)" in console.export_text()


def test_the_live_view_says_so_too_and_marks_the_claim(lines: list[Line]) -> None:
    progress = Progress(lines[0].run)
    for line in lines[:-1]:
        progress.apply(line)
    console = Console(width=220, record=True)
    console.print(draw(progress, at(23), width=220))
    picture = console.export_text()

    assert "rehearsal: no fault happens" in picture
    assert "∅ vacuous flow" in picture
    assert "? inconclusive so far" in picture
    assert "restart: restart trading-engine  its rehearsal is over" in picture
    assert progress.counts()["assertions"] == {
        "total": 4,
        "passed": 2,
        "failed": 0,
        "inconclusive": 0,
        "unjudged": 0,
        "not_reached": 0,
        "vacuous": 1,
        "needs_fault": 0,
        "control": 1,
    }
    assert json.dumps(progress.counts()["faults"]) == '{"total": 2, "effective": 0, "gone": 0, "rehearsed": 2}'


def test_the_lines_of_a_run_say_it_as_it_happens(lines: list[Line]) -> None:
    told = [text for line in lines if (text := narrate(line)) is not None]

    assert any("a rehearsal" in text for text in told)
    assert any(text.startswith("restart: restart trading-engine (rehearsed") for text in told)
    assert any(text.startswith("∅ vacuous flow: passed without") for text in told)

"""What a report says of people and hosts: pauses, holds, gates, requests, and who took over."""

import json
import re
from dataclasses import replace

import pytest

from actors.reporter import render
from actors.reporter.plan import stages
from cli.health import host_lines
from deploy.presence import Presence
from messages.control_events import (
    AbortRequested,
    ApproveRequested,
    PauseRequested,
    ReleaseRequested,
    ResolveRequested,
    ResumeRequested,
)
from messages.events import RunEvent
from messages.fault_events import OwnerChanged
from messages.pause_events import GateClosed, GateOpened, RunPausing, RunResumed
from messages.run_events import PhaseStarted, RunAborting
from messages.scenario import Gate
from messages.verdicts import Reason
from runs.report import Report
from tests.test_reports import JOURNALS, Line, Tape, at, begun, report_of, settled

NOTE = "look at the <b>logs</b>"
GATE = GateOpened(phase="chaos", ask="Do the dashboards look fine?", approve=("alice", "bob"), until=at(1800))
MOMENTS: tuple[tuple[float, RunEvent], ...] = (
    (7.0, GATE),
    (8.5, ApproveRequested(principal="bob", note="all green", number=2, phase="chaos")),
    (8.6, GateClosed(phase="chaos", outcome="approved", by="bob", note="all green")),
    (10.4, PauseRequested(principal="alice", note=NOTE, number=3)),
    (10.5, RunPausing(by="alice", why="pause", note=NOTE)),
    (13.5, ResumeRequested(principal="bob", number=4)),
    (13.51, RunResumed(by="bob")),
    (18.0, RunPausing(by="carol", why="hold", note="incident 4711", number=2)),
    (18.5, ReleaseRequested(principal="carol", number=5)),
    (18.6, RunResumed(by="carol", number=2)),
)
TAKEN = OwnerChanged(host="worker-2", instance="test-coordinator-Chaos2", sequence=4)


def with_lines(lines: list[Line], *moments: tuple[float, RunEvent], actor: str | None = None) -> list[Line]:
    """The journal with more lines in it, after those of the same instant."""
    tape = Tape()
    for second, event in moments:
        tape.add(second, event)
    more = [replace(line, actor=actor or line.actor) for line in tape.lines]
    ordered = sorted([*lines, *more], key=lambda line: line.at)
    return [replace(line, sequence=4100 + 3 * n) for n, line in enumerate(ordered)]


@pytest.fixture(scope="module")
def told() -> Report:
    lines = with_lines(JOURNALS["passed"], *MOMENTS)
    return report_of(with_lines(lines, (15.2, TAKEN), actor="chaos-injector"))


def test_a_report_has_every_request_pause_gate_and_owner(told: Report) -> None:
    found = json.loads(render(told, "json"))

    assert [(c["principal"], c["asked"], c["note"]) for c in found["control"]] == [
        ("alice", "submit", ""),
        ("bob", "approve", "all green"),
        ("alice", "pause", NOTE),
        ("bob", "resume", ""),
        ("carol", "release", ""),
    ]
    assert [(p["why"], p["by"], p["duration"]["text"], p["resumed_by"]) for p in found["pauses"]] == [
        ("pause", "alice", "3.01s", "bob"),
        ("hold", "carol", "600ms", "carol"),
    ]
    assert [(g["phase"], g["outcome"], g["by"], g["waited"]["text"]) for g in found["gates"]] == [("chaos", "approved", "bob", "1.6s")]
    (owner,) = found["owners"]
    assert (owner["actor"], owner["host"], owner["instance"]) == ("chaos-injector", "worker-2", "test-coordinator-Chaos2")
    assert 0 < owner["silent"]["seconds"] < 8


@pytest.mark.parametrize("format_", ["html", "text", "markdown", "junit"])
def test_every_rendering_says_why_it_stood_still_and_who_did_what(told: Report, format_: str) -> None:
    text = " ".join(render(told, format_).decode().split()).replace("&lt;", "<").replace("&gt;", ">").replace("\u200b", "")

    for part in (
        "gate before chaos: “Do the dashboards look fine?” approved by bob after 1.6s (all green)",
        f"paused by alice ({NOTE}) for 3.01s, resumed by bob",
        "held by carol (incident 4711) for 600ms, resumed by carol",
    ):
        assert part in text
    assert "took over the chaos-injector" in text
    assert "lifted the hold" in text


@pytest.mark.parametrize(("moments", "became"), [((), "not reached"), (MOMENTS[:1], "not answered"), (MOMENTS[:3], "approved by bob")])
def test_the_plan_has_the_gate_and_what_came_of_it(moments: tuple[tuple[float, RunEvent], ...], became: str) -> None:
    report = report_of(with_lines(JOURNALS["passed"], *moments))
    assert report.scenario.document is not None
    phases = report.scenario.document.spec.phases
    asking = tuple(p.model_copy(update={"gate": Gate(ask="Fine?", approve=("alice", "bob"))} if p.name == "chaos" else {}) for p in phases)
    spec = report.scenario.document.spec.model_copy(update={"phases": asking})
    document = report.scenario.document.model_copy(update={"spec": spec})

    found = stages(report.model_copy(update={"scenario": report.scenario.model_copy(update={"document": document})}))

    (step,) = [step for stage in found for step in stage.steps if step.id == "gate"]
    assert (step.planned, step.happened) == ("asks alice or bob: “Fine?”", became)


def test_the_time_line_shows_where_the_run_stood_still_in_both_widths(told: Report) -> None:
    page = render(told, "html").decode()

    stood = re.findall(r'<g class="still (\w+)"><title>(.*?)</title>', page)
    assert [kind for kind, _ in stood] == ["paused", "paused", "gate"] * 2
    assert page.count(">✓ bob</text>") == 1, "the narrow one has room for the sign alone"
    assert NOTE not in page
    assert page.count('class="mark person"') == 2 * 4


def test_the_text_shows_it_in_letters_and_fits_100_columns(told: Report) -> None:
    lines = render(told, "text").decode().splitlines()

    stood, gate = (
        next(line for line in lines if line.startswith("stood still")),
        next(line for line in lines if line.startswith("gate chaos")),
    )
    assert stood.count("░") in range(8, 13)
    assert gate.index("░") < stood.index("░")
    assert gate.endswith("approved")
    assert all(len(line) <= 100 for line in lines if not line.startswith("  test-coordinator"))


def test_a_run_that_was_only_submitted_has_no_table_of_people() -> None:
    page = render(report_of(JOURNALS["passed"]), "html").decode()

    assert 'id="people"' not in page
    assert "stood still" not in page


def test_a_pause_ends_with_the_abort_and_one_that_lasts_is_counted_to_the_last_line() -> None:
    tape = settled(begun())
    tape.add(5, RunPausing(by="alice", why="pause"))
    tape.add(7, AbortRequested(principal="bob", message="enough"))
    lasting = report_of(tape.sorted())
    tape.add(7.1, RunAborting(reason=Reason.CANCELLED, by="bob", message="enough"))
    ended = report_of(tape.sorted())

    assert (lasting.pauses[0].end, lasting.pauses[0].duration and lasting.pauses[0].duration.text) == (None, "2s")
    assert (ended.pauses[0].end, ended.pauses[0].resumed_by) == (at(7.1), None)
    assert "paused by alice for 2.1s, then ended" in render(ended, "text").decode()
    assert "bob asked to end it: enough" in render(ended, "text").decode()


@pytest.mark.parametrize(
    ("closed", "words"),
    [
        (GateClosed(phase="chaos", outcome="expired", by="gate"), "not answered in time after 5s"),
        (GateClosed(phase="chaos", outcome="rejected", by="alice", note="no"), "rejected by alice after 5s (no)"),
        (GateClosed(phase="chaos", outcome="dropped", by="timeout"), "dropped, since timeout stopped the run after 5s"),
        (PhaseStarted(phase="other", kind="phase"), "was not answered by alice or bob"),
    ],
)
def test_a_gate_says_what_came_of_it(closed: RunEvent, words: str) -> None:
    tape = settled(begun())
    tape.add(5, GATE)
    tape.add(10, closed)

    assert words in " ".join(render(report_of(tape.sorted()), "text").decode().split())


def test_what_was_resolved_after_the_end_is_told_instead_of_what_to_do() -> None:
    done = ResolveRequested(principal="dan", note="resumed by hand", number=2)
    before, after = report_of(JOURNALS["unsafe"]), report_of(with_lines(JOURNALS["unsafe"], (99, done)))

    text = " ".join(render(after, "text").decode().split())
    assert "dan resolved it: resumed by hand" not in render(before, "text").decode()
    assert "nothing any more, dan resolved it: resumed by hand" in text
    assert after.verdict == before.verdict


def test_health_says_which_partitions_a_host_owns() -> None:
    owned = {"scheduler": "0-7", "chaos-injector": "0-7", "reporter": "0-15", "observer": ""}
    host = Presence(host="h1", instance="tc-1", version="1", http="http://h:1", actors={}, checks={}, partitions=owned)

    assert list(host_lines(host)) == [
        "  host h1 of tc-1, http://h:1",
        "    partitions 0-7: scheduler, chaos-injector",
        "    partitions 0-15: reporter",
        "    no partitions: observer",
    ]
    assert list(host_lines(host.model_copy(update={"partitions": {}, "http": None}))) == ["  host h1 of tc-1"]

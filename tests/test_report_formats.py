"""What a report says in each of its formats beyond the verdict: series, choices, links, what to do, and that every format is bounded."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest

from actors.reporter import FORMATS, STORED, brief, render
from actors.reporter.wording import printable
from messages.claims import RecoveryClaim
from messages.fault_events import FaultArmed, FaultInjected, WorkloadDied
from messages.histogram import Histogram
from messages.identity import Identity
from messages.judgements import AssertionJudged
from messages.observations import EventCounted, EventMatched, EvidenceStored, Match, OperationsSeen, ProbeSummary
from messages.run_events import ActionRequested, PhaseStarted, RunAccepted, RunStarted, TargetResolved
from messages.scenario import Scenario
from messages.system import System
from messages.undo import Undo
from messages.verdicts import Verdict
from runs.report import Report, ReportFold
from tests.test_reports import JOURNALS, MS, RUN, ZERO, Line, Tape, at, begun, ended, long_run, recovered, report_of, settled

TRACE = "efbda77e111abafb7a1d6e110faf653b"


def with_trace(lines: list[Line], parent: str) -> list[Line]:
    return [replace(line, traceparent=parent) for line in lines]


LINKED = System.model_validate_json("""{"metadata": {"name": "pair"}, "spec": {
    "services": {"engine": {"driver": {"external": {}}}, "exchange": {"driver": {"external": {}}}},
    "links": {"engine-to-exchange": {"from": "engine", "to": "exchange", "port": 18081, "env": "EXCHANGE_URL"}}}}""")
SLOW = Scenario.model_validate_json("""{"metadata": {"name": "slow"}, "spec": {"system": "pair", "phases": [
    {"name": "chaos", "duration": "10s", "actions": [
      {"id": "lag", "target": {"link": "engine-to-exchange"}, "action": "latency", "parameters": {"delay": "100ms"}, "for": "5s"},
      {"id": "one", "target": {"of": ["engine", "exchange"], "pick": 1}, "action": "pause", "for": "2s"}]}]}}""")


def slowed() -> Report:
    """A link is slowed, a service is chosen, and probes and a workload say how that was."""
    tape = Tape()
    tape.add(-0.1, RunAccepted(key="pair", scenario=SLOW, system=LINKED, submitted=at(-0.2)))
    tape.add(0, RunStarted(), PhaseStarted(phase="chaos", kind="phase", bound=timedelta(seconds=10)))
    lag, one = SLOW.spec.phases[0].actions
    tape.add(1, ActionRequested(fault_id="lag", phase="chaos", target="engine-to-exchange", action=lag))
    undo = Undo(kind="process.resume", service="engine")
    tape.add(1.1, FaultArmed(fault_id="lag", target="engine-to-exchange", action="latency", until=at(11), undo=undo))
    tape.add(1.2, FaultInjected(fault_id="lag", took=MS, ago=ZERO))
    tape.add(2, TargetResolved(action_id="one", candidates=("engine", "exchange"), seed="7", chosen=("exchange",)))
    tape.add(2.1, ActionRequested(fault_id="one", phase="chaos", target="exchange", action=one))
    for second in range(1, 9):
        slow = 1 < second < 6
        latency = Histogram.of([(110 if slow else 10) * MS] * 50)
        summary = ProbeSummary(
            probe="quote", start=at(second), end=at(second + 1), count=50, ok=50, failed=0, missed=0, slowest=120 * MS, latency=latency
        )
        tape.add(second + 1.1, summary)
        ok, bad = (40, 8) if slow else (50, 0)
        seen = OperationsSeen(workload="writers", start=at(second), end=at(second + 1), ok=ok, failed=bad, unknown=2)
        tape.add(second + 1.2, seen)
    return report_of(tape.sorted())


def test_what_is_kept_at_the_end_is_json_html_and_junit() -> None:
    assert STORED == ("json", "html", "junit")
    assert set(FORMATS) == {*STORED, "markdown", "text"}


def test_the_trace_of_the_run_is_on_the_page() -> None:
    report = report_of(with_trace(JOURNALS["passed"], f"00-{TRACE}-befb327c13dfc101-01"))

    assert report.metadata.trace_id == TRACE
    assert all(TRACE in render(report, format_).decode() for format_ in ("html", "markdown", "text", "json"))


@pytest.mark.parametrize("parent", ["", "nonsense", f"00-{'0' * 32}-befb327c13dfc101-01"])
def test_what_is_no_trace_is_none(parent: str) -> None:
    assert report_of(with_trace(JOURNALS["passed"], parent)).metadata.trace_id is None


def test_a_fault_on_a_link_is_in_the_lane_of_who_connects() -> None:
    report = slowed()
    page = render(report, "html").decode()

    lag = next(f for f in report.faults if f.id == "lag")
    assert (lag.kind, lag.disturbs, lag.parameters) == ("link", ("engine",), {"delay": "100ms"})
    assert "engine-to-exchange: latency 100ms" in page
    assert report.system_impact.services_affected == ("engine", "exchange")


def test_what_was_chosen_is_told_with_its_candidates_and_seed() -> None:
    report = slowed()

    assert [(c.action, c.chosen, c.seed) for c in report.execution.choices] == [("one", ("exchange",), "7")]
    assert [(f.id, f.target) for f in report.faults] == [("lag", "engine-to-exchange"), ("one", "exchange")]
    assert "chosen among engine, exchange" in render(report, "html").decode()


def test_latencies_are_quantiles_of_merged_histograms_over_time_and_by_stage() -> None:
    quote = slowed().metrics.probes["quote"]

    assert [round(p.p99 or 0, 2) for p in quote.series] == pytest.approx([0.01, 0.11, 0.11, 0.11, 0.11, 0.01, 0.01, 0.01], abs=0.006)
    assert quote.p50 is not None
    assert quote.p50.seconds == pytest.approx(0.01, rel=0.06) or quote.p50.seconds == pytest.approx(0.11, rel=0.06)
    (stage,) = slowed().metrics.stages
    assert stage.probes["quote"].p99 == pytest.approx(0.11, rel=0.06)


def test_a_workloads_operations_are_counted_and_drawn() -> None:
    report = slowed()
    page = render(report, "html").decode()

    writers = report.metrics.workloads["writers"]
    assert (writers.ok, writers.failed, writers.unknown) == (8 * 50 - 4 * 10, 32, 16)
    assert "writers operations" in page
    figures = json.loads(re.findall(r'id="readout">(.*?)</script>', page)[0])
    failed = next(s for s in figures["series"] if s["name"] == "writers operations" and s["kind"] == "failed")
    assert [value for _, _, value in failed["points"]] == [0, 8, 8, 8, 8, 0, 0, 0], "each kind by itself, though they are drawn stacked"


@pytest.mark.parametrize("format_", ["text", "markdown"])
def test_operations_that_were_not_done_are_told_apart_from_good_ones_in_letters(format_: str) -> None:
    rows = {line[:22].strip(): line[22:] for line in render(slowed(), format_).decode().splitlines()}

    good, failed, unknown = rows["writers ok"], rows["failed"], rows["unknown"]
    assert (failed.split()[-1], unknown.split()[-1]) == ("32", "16")
    begin, end = failed.index("✗"), failed.rindex("✗")
    assert set(failed[begin:end]) == {"✗"}
    assert max(good[begin + 1 : end]) < good[end + 2] == "█", "there are fewer good ones where some failed"
    assert unknown.index("?") < begin < end < unknown.rindex("?")


def test_what_a_claim_says_in_its_own_words_is_in_what_junit_shows() -> None:
    report = report_of(JOURNALS["failed"])
    results = report.validation_results
    details = tuple(d.model_copy(update={"description": "nothing is lost"}) for d in results.assertion_details)
    told = report.model_copy(update={"validation_results": results.model_copy(update={"assertion_details": details})})

    root = ET.fromstring(render(told, "junit"))  # noqa: S314 - our own bytes

    shown = {case.attrib["name"]: [f.attrib["message"] for f in case.iter("failure")] for case in root.iter("testcase")}
    broken = [d for d in details if d.outcome == "failed"]
    assert broken
    assert [shown[d.id] for d in broken] == [[printable(f"nothing is lost: {d.message}")] for d in broken]


def test_a_recovery_that_leaves_its_target_out_is_told_with_the_service_that_its_fault_is_on() -> None:
    spec = SLOW.spec.model_copy(update={"assertions": (RecoveryClaim(id="back", type="recovery", of="one", within=timedelta(seconds=5)),)})
    tape = Tape()
    tape.add(0, RunAccepted(key="pair", scenario=SLOW.model_copy(update={"spec": spec}), system=LINKED, submitted=at(-0.2)))
    before = report_of(tape.sorted()).validation_results.assertion_details
    tape.add(2, ActionRequested(fault_id="one", phase="chaos", target="exchange", action=SLOW.spec.phases[0].actions[1]))
    after = report_of(tape.sorted()).validation_results.assertion_details

    assert [d.summary for d in (*before, *after)] == ["its target recovers from one within 5s", "exchange recovers from one within 5s"]


def test_a_workload_that_died_is_unexpected() -> None:
    tape = settled(begun())
    tape.add(5, WorkloadDied(workload="writers", number=1, code=-9, message="killed"))

    (odd,) = report_of(tape.sorted()).validation_results.unexpected_behaviors

    assert (odd.kind, odd.text) == ("workload died", "workload writers ended by itself with -9: killed")


def test_an_unsafe_run_says_what_to_do_by_hand() -> None:
    undo = Undo(kind="process.resume", service="exchange-simulator", identity=Identity(pid=4711, started=1, boot="b"))
    lines = [
        replace(line, event=line.event.model_copy(update={"undo": undo})) if isinstance(line.event, FaultArmed) else line
        for line in JOURNALS["unsafe"]
    ]

    report = report_of(lines)

    assert all("kill -CONT 4711" in render(report, format_).decode() for format_ in ("html", "markdown", "text"))


def test_a_claims_window_and_samples_are_told_and_bounded() -> None:
    tape = settled(begun())
    kept = tuple(Match(id=f"e-{n}", type="order.filled", source="x", sequence=n, at=at(3)) for n in range(200))
    event = EventMatched(
        assertion="flow", number=1, opens=at(2.7), closes=at(9), until=at(9), through=1, final=True, count=100_000, seen=100_000, kept=kept
    )
    tape.add(7.9, event)
    tape.add(8, event.model_copy(update={"number": 2}))
    tape.add(8.1, EvidenceStored(stage="baseline", name="run/baseline.jsonl", size=9, sha256="ab", matches=100_000))
    evidence = ("observer.flow.event.matched.1", "observer.flow.event.matched.2")
    judged = AssertionJudged(assertion="flow", verdict=Verdict.PASSED, reason=None, message="enough", evidence=evidence)
    tape.add(8.65, judged)
    report = report_of(ended(recovered(tape), 23, Verdict.PASSED, None, "all passed", None))
    page = render(report, "html").decode()

    detail = next(d for d in report.validation_results.assertion_details if d.id == "flow")
    assert (detail.opened, detail.closes) == (at(2.7), None)
    assert page.count('data-l="Id"') == 50
    assert "50 of 100\u202f000 service events" in page
    assert report.journal.stored[0].matches == 100_000


def test_rates_are_told_by_stage() -> None:
    stages = {s.stage: s for s in report_of(JOURNALS["passed"]).metrics.stages}

    assert list(stages) == ["settle", "baseline", "chaos", "recover"]
    assert stages["chaos"].rates["order.submitted"] < stages["baseline"].rates["order.submitted"]
    assert "Service events per second, by stage" in render(report_of(JOURNALS["passed"]), "html").decode()


@pytest.mark.parametrize("name", JOURNALS)
def test_the_text_fits_100_columns_and_says_why(name: str) -> None:
    report = report_of(JOURNALS[name])
    text = render(report, "text").decode()

    commands = [command for command in text.splitlines() if command.startswith("  test-coordinator")]
    assert all(len(line) <= 100 for line in text.splitlines() if line not in commands)
    assert " ".join(report.verdict.message.split()) in " ".join(text.split())
    assert brief(report).splitlines()[0] == text.splitlines()[0]


@pytest.mark.parametrize("name", JOURNALS)
def test_nothing_in_a_comment_is_markup_of_a_service(name: str) -> None:
    text = render(report_of(JOURNALS[name]), "markdown").decode()

    plain = re.sub(r"`[^`\n]*`", "", re.sub(r"```text.*?```", "", text, flags=re.DOTALL))
    assert set(re.findall(r"</?[a-z!]+", plain)) <= {"<details", "</details", "<summary", "</summary", "<br"}
    assert all(line.count("|") - line.count("\\|") == 4 for line in text.splitlines() if line.startswith("| ") and "<details" not in line)
    assert text.count("<details>") == text.count("</details>")


def test_a_long_report_still_fits_a_comment_and_a_page_three_megabytes() -> None:
    fold = ReportFold(RUN)
    for line in long_run(3000, 2500):
        fold.apply(line)
    report = fold.report()
    detail = report.validation_results.assertion_details[0]
    many = tuple(detail.model_copy(update={"id": f"c-{n}", "outcome": "failed", "message": "m" * 3_000}) for n in range(300))
    report = report.model_copy(update={"validation_results": report.validation_results.model_copy(update={"assertion_details": many})})

    assert len(render(report, "markdown").decode()) <= 65_536
    assert len(render(report, "html")) <= 3_000_000


def test_the_page_is_well_formed_markup_inside_its_drawings() -> None:
    for lines in JOURNALS.values():
        page = render(report_of(lines), "html").decode()
        for drawing in re.findall(r"<svg class=\"line.*?</svg>", page, flags=re.DOTALL):
            ET.fromstring(drawing)  # noqa: S314 - our own bytes


def test_a_burst_while_services_start_does_not_flatten_the_charts() -> None:
    tape = settled(begun())
    tape.add(1.2, EventCounted(start=at(0.2), end=at(1.2), types={"order.filled": 90_000, "price.updated": 1_000}))
    for second in range(3, 9):
        tape.add(second + 1, EventCounted(start=at(second), end=at(second + 1), types={"order.filled": 100, "price.updated": 90}))
    page = render(report_of(tape.sorted()), "html").decode()

    assert "90000" in page, "the figure itself is told"
    assert ">100/s<" in page
    assert ">90\u202f000/s<" not in page

"""A report as JUnit XML: what build servers show. Fits Jenkins' schema and Ant's."""

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from actors.reporter import announced
from actors.reporter.standing import deeds, stills
from actors.reporter.telling import SHOWN, verdict_words
from actors.reporter.wording import printable
from messages.verdicts import Reason
from runs.report import Report
from runs.report_findings import AssertionDetail
from runs.report_values import Outcome


def junit(report: Report) -> bytes:
    """One suite for the run: a case for each assertion, one for the steady state, and `run` for what none of them shows."""
    cases = [_assertion(report, detail) for detail in report.validation_results.assertion_details]
    cases.append(_steady(report))
    if _unexplained(report):
        cases.append(_run(report))
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", _suite(report, cases))
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report).items():
        ET.SubElement(properties, "property", {"name": name, "value": printable(value)})
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = printable(_told(report))
    ET.SubElement(suite, "system-err")
    ET.indent(suites)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode").encode() + b"\n"


def _suite(report: Report, cases: list[ET.Element]) -> dict[str, str]:
    execution = report.execution
    began = execution.start or execution.accepted or report.journal.first
    return {
        "id": "0",
        "package": printable(report.metadata.system),
        "name": printable(report.metadata.scenario),
        "hostname": "localhost",
        "timestamp": (began or datetime.fromtimestamp(0, UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "tests": str(len(cases)),
        "failures": str(_having(cases, "failure")),
        "errors": str(_having(cases, "error")),
        "skipped": str(_having(cases, "skipped")),
        "time": _seconds(execution.duration.seconds if execution.duration else 0.0),
    }


def _properties(report: Report) -> dict[str, str]:
    verdict = report.verdict
    return {
        "run_id": report.metadata.run_id,
        "scenario": report.metadata.scenario,
        "system": report.metadata.system,
        "verdict": verdict.verdict.value if verdict.verdict else "none",
        "reason": verdict.reason.value if verdict.reason else "",
        "principal": report.execution.principal,
        "position": str(report.journal.position),
        **({"rehearsal": "true"} if report.metadata.rehearsal else {}),
    }


def _assertion(report: Report, detail: AssertionDetail) -> ET.Element:
    place = f"{report.metadata.scenario}.{detail.phase or 'run'}"
    took = (detail.timestamp - detail.opened).total_seconds() if detail.timestamp and detail.opened else 0.0
    case = _case(detail.id, place, took)
    says = f"{detail.description}: {detail.message}" if detail.description else detail.message
    body = "\n".join((detail.summary, detail.message, *(f"evidence: {e}" for e in detail.evidence)))
    reason = Reason.VACUOUS if detail.outcome == "vacuous" else detail.reason
    _mark(case, detail.outcome, reason.value if reason else "claim_failed", says, body)
    return case


def _steady(report: Report) -> ET.Element:
    steady = report.steady_state
    case = _case("steady-state", f"{report.metadata.scenario}.steady-state", 0.0)
    body = "\n".join((steady.message, *(f"{p.part} {p.claim}: {p.outcome}: {p.message}" for p in steady.parts)))
    _mark(case, steady.outcome, steady.reason.value if steady.reason else "claim_failed", steady.message, body)
    return case


def _run(report: Report) -> ET.Element:
    verdict = report.verdict
    case = _case("run", report.metadata.scenario, 0.0)
    reason = verdict.reason.value if verdict.reason else "unfinished"
    told = "\n".join(text for text in (verdict.message, verdict.hint, f"decided by {verdict.cause}" if verdict.cause else None) if text)
    _add(case, "error", reason, verdict.message, told)
    return case


def _unexplained(report: Report) -> bool:
    """Whether the run has not passed for a reason that no case shows."""
    verdict = report.verdict
    if verdict.verdict is None or verdict.verdict.exit_code in {4, 5}:
        return True
    if verdict.exit_code == 0:
        return False
    shown = {d.reason for d in report.validation_results.assertion_details if d.outcome in SHOWN}
    shown |= {Reason.VACUOUS for d in report.validation_results.assertion_details if d.outcome == "vacuous"}
    if report.steady_state.outcome in SHOWN:
        shown.add(report.steady_state.reason)
    return verdict.reason not in shown


def _case(name: str, place: str, seconds: float) -> ET.Element:
    return ET.Element("testcase", {"name": printable(name), "classname": printable(place), "time": _seconds(seconds)})


def _mark(case: ET.Element, outcome: Outcome, reason: str, message: str, body: str) -> None:
    match outcome:
        case "failed":
            _add(case, "failure", reason, message, body)
        case "inconclusive" | "vacuous":
            _add(case, "error", reason, message, body)
        case "not_reached" | "not_judged" | "control":
            ET.SubElement(case, "skipped")
        case "passed" | "needs_fault":
            pass


def _add(case: ET.Element, tag: str, reason: str, message: str, body: str) -> None:
    ET.SubElement(case, tag, {"type": printable(reason), "message": printable(message)}).text = printable(body)


def _having(cases: list[ET.Element], tag: str) -> int:
    return sum(1 for case in cases if case.find(tag) is not None)


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.0):.3f}"


def _told(report: Report) -> str:
    lines = [f"{verdict_words(report)}: {report.verdict.message}"]
    lines += [f"{service} recovered in {took.text}" for service, took in report.system_impact.recovery_times.items()]
    lines += stills(report)
    lines += [f"{d.who} {d.what}{': ' + d.note if d.note else ''}" for d in deeds(report)]
    lines += announced.told(report)
    lines += [f"{r.text}" for r in report.recommendations]
    return "\n".join(lines)

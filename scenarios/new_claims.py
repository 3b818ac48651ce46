"""Claims for a run that is over: those of a file, in the place of its scenario's own."""

import json
from typing import Any

from messages.claims import nearest
from messages.scenario import Scenario
from messages.system import System
from scenarios.asserting import expand, words_for
from scenarios.errors import DocumentErrors, finding, shown
from scenarios.loader import as_text, prepare
from scenarios.naming import name_everything
from scenarios.nodes import Path
from scenarios.reading import read
from scenarios.scenario_checks import check_scenario, is_bounded
from scenarios.selections import Names
from scenarios.sheet import Sheet
from scenarios.systems import RUNNABLE, kind_of, sheets
from scenarios.timing import check_times
from scenarios.vocabulary import library_vocabularies
from scenarios.wording import check_structure

RIGHT = "give `assertions`, a list of claims, or a scenario that has some"


def with_claims(text: str, *, file: str, scenario: Scenario, system: System) -> Scenario:
    """A run's scenario with the claims of a text: a list under `assertions`, or a scenario's own, each in the phase of its name.

    Raises:
        DocumentErrors: every mistake in the text; names of faults, phases, services and probes are those of the run.
    """
    reading = read(text, file)
    sheet = next((s for s in sheets(reading.documents, file, reading.findings) if _has_claims(s)), None)
    if reading.findings or sheet is None:
        raise DocumentErrors(reading.findings or [finding(file, (1, 1), "there are no claims in the text", RIGHT)])
    _graft(sheet, json.loads(as_text(scenario)))
    found = _checked(sheet, system) if not sheet.findings else None
    if found is None or sheet.findings:
        raise DocumentErrors(sheet.findings)
    return found


def _is_list(sheet: Sheet) -> bool:
    return isinstance(sheet.data, dict) and "kind" not in sheet.data and "assertions" in sheet.data


def _has_claims(sheet: Sheet) -> bool:
    return _is_list(sheet) or kind_of(sheet) in RUNNABLE


def _graft(sheet: Sheet, run: dict[str, Any]) -> None:
    """Put the run's scenario into the sheet, with the claims that stand there."""
    for phase in run["spec"]["phases"]:
        phase.pop("assertions", None)
    run["spec"].pop("assertions", None)
    if _is_list(sheet):
        for key in sheet.data.keys() - {"assertions"}:
            sheet.add((key,), f"unknown key {shown(key)}", "a list of claims stands under `assertions` alone", at_key=True)
        claims: Any = sheet.data["assertions"]
        origin: Path = ("assertions",)
    else:
        prepare(sheet, {})
        _take_phases(sheet, run)
        claims, origin = sheet.spec.get("assertions"), ("spec", "assertions")
    sheet.data = run
    if claims is not None:
        run["spec"]["assertions"] = claims
        sheet.moved(("spec", "assertions"), origin)
    if not any("assertions" in part for part in (run["spec"], *run["spec"]["phases"])):
        sheet.add((), "there are no claims in the text", RIGHT)


def _take_phases(sheet: Sheet, run: dict[str, Any]) -> None:
    """The claims of phases, each to the phase of its name."""
    known = {phase["name"]: index for index, phase in enumerate(run["spec"]["phases"])}
    phases = sheet.spec.get("phases")
    for index, phase in enumerate(phases if isinstance(phases, list) else ()):
        if not isinstance(phase, dict) or not phase.get("assertions"):
            continue
        name = phase.get("name")
        if name not in known:
            sheet.add(("spec", "phases", index, "name"), f"the run has no phase {shown(name)}", nearest(str(name)[:80], known))
            continue
        run["spec"]["phases"][known[name]]["assertions"] = phase["assertions"]
        sheet.moved(("spec", "phases", known[name], "assertions"), ("spec", "phases", index, "assertions"))


def _checked(sheet: Sheet, system: System) -> Scenario | None:
    if is_bounded(sheet):
        words, complete = words_for(sheet, system.spec.vocabulary, {}, library_vocabularies())
        expand(sheet, words, complete=complete)
        name_everything(sheet, Names.of(system))
        good = check_structure(sheet, Scenario)
        sheet.settle()
        check_scenario(sheet, system)
        check_times(sheet)
        if good and not sheet.findings:
            return Scenario.model_validate_json(json.dumps(sheet.data))
    return None

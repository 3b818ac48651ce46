"""Systems: checked, completed with what is usual, and loaded from a directory."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from messages.claims import nearest
from messages.control import Finding
from messages.system import System
from scenarios.errors import DocumentErrors, finding, shown
from scenarios.nodes import Node, Scalar
from scenarios.reading import MAX_BYTES, decode, read
from scenarios.sheet import Sheet
from scenarios.substitution import refuse_variables
from scenarios.system_checks import check_system
from scenarios.wording import check_structure

SUFFIXES = (".yaml", ".yml", ".json")
KINDS = ("Scenario", "System", "Template", "Assertions")
RUNNABLE = ("Scenario", "Template")
"""What can be run; a template needs its parameters."""
_MENTIONS = re.compile(r"kind[\"']?\s*:\s*[\"']?System")


def system_of(sheet: Sheet) -> System | None:
    """The system of a document, complete; None when it has mistakes, which the sheet then holds."""
    refuse_variables(sheet)
    sheet.settle()
    good = check_structure(sheet, System)
    sheet.settle()
    check_system(sheet)
    return complete(System.model_validate_json(json.dumps(sheet.data))) if good and not sheet.findings else None


def complete(system: System) -> System:
    """The system with the usual steady state if it names none."""
    state = system.spec.steady_state
    if state.claims:
        return system
    spec = system.spec.model_copy(update={"steady_state": state.model_copy(update={"claims": system.steady_claims()})})
    return system.model_copy(update={"spec": spec})


def finished(system: System) -> System:
    """A system that was made by whatever means, as if it had been loaded.

    Raises:
        DocumentErrors: it has mistakes; they have no place in a text.
    """
    sheet = Sheet(f"system {system.name}", Scalar((1, 1)))
    sheet.data = system.model_dump(mode="json", by_alias=True)
    found = system_of(sheet)
    if found is None:
        raise DocumentErrors(sheet.findings)
    return found


def load_systems(directory: Path) -> dict[str, System]:
    """Every system in the *.yaml, *.yml and *.json files of a directory, by name. Other documents there are left alone.

    Raises:
        DocumentErrors: the directory cannot be read, a system in it has mistakes, or two have one name.
    """
    found: dict[str, System] = {}
    findings: list[Finding] = []
    if not directory.is_dir():
        raise DocumentErrors([finding(str(directory), (1, 1), "there is no such directory", "name one that holds systems")])
    for file in sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and path.is_file()):
        for sheet in _system_sheets(file, findings):
            system = system_of(sheet)
            findings += sheet.findings
            if system is not None and system.name in found:
                findings.append(
                    finding(str(file), sheet.place(("metadata", "name")), f"a second system {system.name!r}", "names must differ")
                )
            elif system is not None:
                found[system.name] = system
    if findings:
        raise DocumentErrors(findings)
    return found


def _system_sheets(file: Path, findings: list[Finding]) -> Iterable[Sheet]:
    text = read_file(file, findings)
    reading = read(text, str(file))
    if text and reading.findings and _MENTIONS.search(text):
        findings += reading.findings
    return [sheet for sheet in sheets(reading.documents, str(file), reading.findings) if kind_of(sheet) == "System"]


def read_file(file: Path, findings: list[Finding]) -> str:
    """The text of a file; an empty one if it cannot be read, which is noted."""
    try:
        with file.open("rb") as stream:
            text, wrong = decode(stream.read(MAX_BYTES + 1), str(file))
    except OSError as error:
        text, wrong = "", finding(str(file), (1, 1), f"the file cannot be read: {error.strerror}")
    findings += [wrong] if wrong is not None else []
    return text


def sheets(documents: Iterable[Node], file: str, known: Iterable[Finding]) -> list[Sheet]:
    """The documents, each ready to be checked."""
    known = tuple(known)
    return [Sheet(file, document, known) for document in documents]


def kind_of(sheet: Sheet) -> str | None:
    """Whether it is a Scenario, a System, a Template or, with a note, none of them."""
    data = sheet.data
    if not isinstance(data, dict):
        sheet.add((), f"a document is keys and values, not {shown(data)}", "start with kind: Scenario")
        return None
    kind = data.get("kind")
    if kind in KINDS:
        return str(kind)
    if "kind" not in data:
        sheet.add((), "'kind' is missing", "add kind: Scenario or kind: System")
    else:
        sheet.add(("kind",), f"unknown kind {shown(kind)}", nearest(str(kind)[:80], KINDS))
    return None

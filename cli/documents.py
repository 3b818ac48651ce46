"""The documents that a command names: a scenario, and the systems that it may run against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.errors import CliError
from messages.claims import nearest
from messages.control import Finding, SubmitRequest
from messages.system import System
from scenarios.errors import DocumentErrors
from scenarios.library import find_scenario, library_directory
from scenarios.loader import Resolved, resolve
from scenarios.reading import read
from scenarios.systems import kind_of, load_systems, read_file, sheets, system_of
from scenarios.vocabulary import ASSERTIONS, Assertions, assertions_in, assertions_of, load_vocabularies


@dataclass(frozen=True)
class Documents:
    """A scenario's text, the system that was asked for instead of its own, and all systems that are known here."""

    text: str
    file: str
    system: str | None
    systems: Mapping[str, System] = field(default_factory=dict)
    system_text: str = ""
    """The text of the file that `--system` named."""
    variables: Mapping[str, str] = field(default_factory=dict)
    speed: float = 1.0
    vocabularies: Mapping[str, Assertions] | None = None
    """All Assertions documents that are known here; None for those of the library."""
    rehearse: bool = False
    """All but the faults."""

    def resolved(self, seed: int = 0) -> Resolved:
        """Scenario and system with nothing left to look up; random plans without a seed are drawn with this one.

        Raises:
            DocumentErrors: every mistake, if there is any.
        """
        return resolve(
            self.text,
            file=self.file,
            systems=self.systems,
            vocabularies=self.vocabularies,
            system=self.system,
            variables=dict(self.variables),
            allow_systems=True,
            seed=seed,
            speed=self.speed,
        )

    def request(self, *, with_system: bool) -> SubmitRequest:
        """To hand them to a coordinator, the system's file with them if the coordinator does not have it."""
        document = f"{self.text}\n---\n{self.system_text}" if with_system and self.system_text else self.text
        return SubmitRequest(
            document=document,
            file=self.file,
            system=self.system,
            variables=dict(self.variables),
            speed=self.speed,
            rehearse=self.rehearse,
        )


def load(scenario: str, system: str | None, systems: Path | None, variables: Mapping[str, str], speed: float = 1.0) -> Documents:
    """Read what a command line names.

    Raises:
        DocumentErrors: a file cannot be read, or a system has mistakes.
    """
    text, file = find_scenario(scenario)
    known, words = load_systems(systems or library_directory()), load_vocabularies(systems or library_directory())
    if system is None or not looks_like_file(system):
        return Documents(text, file, system, known, variables=variables, speed=speed, vocabularies=words)
    own, system_text = load_system_file(Path(system))
    words |= assertions_in(system_text, system, [])
    return Documents(text, file, own.name, {**known, own.name: own}, system_text, variables, speed, words)


def systems_of(system: str | None, systems: Path | None) -> dict[str, System]:
    """The systems that a command asks about: the one that was named (by its name or its file), or all that are known here.

    Raises:
        DocumentErrors: a system has mistakes.
        CliError: there is none of that name.
    """
    if system is not None and looks_like_file(system):
        own, _ = load_system_file(Path(system))
        return {own.name: own}
    known = load_systems(systems or library_directory())
    if system is None:
        return known
    if system not in known:
        raise CliError(f"there is no system {system!r} here", nearest(system, known))
    return {system: known[system]}


def looks_like_file(system: str) -> bool:
    """Whether `--system` names a file rather than a system."""
    return "/" in system or system.endswith((".yaml", ".yml", ".json"))


def load_system_file(file: Path) -> tuple[System, str]:
    """The one system of a file, and the file's text.

    Raises:
        DocumentErrors: it cannot be read, has mistakes, or holds none or several systems.
    """
    findings: list[Finding] = []
    text = read_file(file, findings)
    reading = read(text, str(file))
    found: list[System] = []
    findings += reading.findings
    for sheet in sheets(reading.documents, str(file), reading.findings):
        kind = kind_of(sheet)
        if kind == "System" and (system := system_of(sheet)) is not None:
            found.append(system)
        elif kind == ASSERTIONS:
            assertions_of(sheet)
        findings += sheet.findings
    if not findings and len(found) != 1:
        right = "--system names a file with one document of kind: System"
        findings.append(Finding(file=str(file), line=1, column=1, what=f"the file holds {len(found)} systems", right=right))
    if findings:
        raise DocumentErrors(findings)
    return found[0], text

"""`validate`: every mistake in some documents."""

import json as jsonlib
from pathlib import Path

from cli.documents import load_system_file, looks_like_file
from cli.errors import Exit
from cli.output import say
from messages.control import Finding
from scenarios.errors import DocumentErrors
from scenarios.library import find_scenario, library_directory
from scenarios.loader import check_text
from scenarios.systems import load_systems
from scenarios.vocabulary import assertions_in, load_vocabularies


def validate_command(files: list[str], system: str | None, systems: Path | None, variables: dict[str, str], *, json: bool) -> int:
    """Print every mistake of every file; exit 2 if there is any."""
    known, words = load_systems(systems or library_directory()), load_vocabularies(systems or library_directory())
    if system is not None and looks_like_file(system):
        own, text = load_system_file(Path(system))
        words |= assertions_in(text, system, [])
        known, system = {**known, own.name: own}, own.name
    findings: list[Finding] = []
    for name in files:
        try:
            text, file = find_scenario(name)
        except DocumentErrors as errors:
            found = errors.findings
        else:
            found = check_text(text, file=file, systems=known, vocabularies=words, system=system, variables=variables)
        findings += found
        if not json:
            say("\n".join(str(finding) for finding in found) if found else f"{name}: valid")
    if json:
        told = [finding.model_dump(mode="json") for finding in findings]
        say(jsonlib.dumps({"valid": not findings, "findings": told}, indent=2, ensure_ascii=False))
    return Exit.INVALID if findings else Exit.PASSED

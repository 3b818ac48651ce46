"""From a text to a scenario and its system with everything resolved, or to every mistake in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from messages.claims import nearest
from messages.control import Finding
from messages.scenario import Scenario
from messages.system import System
from scenarios.asserting import expand, words_for
from scenarios.drawing import draw_plans
from scenarios.errors import DocumentErrors, finding, in_order, shown
from scenarios.naming import name_everything
from scenarios.original import is_original, take_go_placeholders, translate
from scenarios.parts import texts
from scenarios.reading import read
from scenarios.scaling import scale
from scenarios.scenario_checks import check_scenario, is_bounded
from scenarios.selections import Names
from scenarios.sheet import Sheet
from scenarios.substitution import substitute
from scenarios.systems import RUNNABLE, finished, kind_of, sheets, system_of
from scenarios.templates import TEMPLATE, record, take_parameters
from scenarios.timing import check_times
from scenarios.variables import take_variables
from scenarios.vocabulary import ASSERTIONS, Assertions, assertions_of, library_vocabularies
from scenarios.wording import check_structure

MAX_RESOLVED = 900 * 1024
"""Bytes of JSON that a scenario and its system may have together."""


@dataclass(frozen=True)
class Resolved:
    """A scenario and its system: nothing in them is left to look up, compute or name."""

    scenario: Scenario
    system: System
    seed: int | None = None
    """With what random plans were drawn that name no seed; None if there are none."""


def resolve(  # noqa: PLR0913  a scenario, and each thing that it may be told
    text: str,
    *,
    file: str,
    systems: Mapping[str, System],
    vocabularies: Mapping[str, Assertions] | None = None,
    system: str | None = None,
    variables: Mapping[str, str] | None = None,
    allow_systems: bool = False,
    seed: int = 0,
    speed: float = 1.0,
) -> Resolved:
    """The scenario of a text with its system: by the name in `system`, else the one that the scenario names.

    With `allow_systems` a System in the text comes before those in `systems`. Random plans that name no seed are drawn with `seed`.
    `variables` are also the parameters of a template. The times of a scenario are divided by `speed`.
    Words are those of the documents in the text, and of `vocabularies` (by default the library's) that the system or the scenario names.

    Raises:
        DocumentErrors: the text has mistakes, all of which are named.
    """
    loading = _Loading(text, file, systems, vocabularies, allow_systems=allow_systems, asked=Asked(seed, speed))
    loading.scenario(system, variables or {})
    if loading.resolved is None or loading.findings:
        raise DocumentErrors(loading.findings)
    return loading.resolved


def as_text(document: Scenario | System) -> str:
    """The document as it can be loaded again, without what it leaves unsaid."""
    return document.model_dump_json(by_alias=True, exclude_none=True)


def check_text(
    text: str,
    *,
    file: str,
    systems: Mapping[str, System],
    vocabularies: Mapping[str, Assertions] | None = None,
    system: str | None = None,
    variables: Mapping[str, str] | None = None,
    allow_systems: bool = True,
) -> tuple[Finding, ...]:
    """Every mistake in a text, which may also hold nothing but systems and words. Never raises.

    A template is checked as far as its parameters are known.
    """
    loading = _Loading(text, file, systems, vocabularies, allow_systems=allow_systems, asked=Asked(parameters=False))
    if loading.scenarios or not ((loading.own and allow_systems) or loading.own_words):
        loading.scenario(system, variables or {})
    return in_order(loading.findings)


def prepare(sheet: Sheet, variables: Mapping[str, str], *, parameters: bool = True) -> None:
    """Bring a scenario or template into the language's own form, without expressions. `parameters`: a template needs all of its own."""
    if is_original(sheet.data) or sheet.data.get("kind") == TEMPLATE:
        take_go_placeholders(sheet.data)
    given = take_parameters(sheet, variables, needed=parameters)
    substitute(sheet, take_variables(sheet, given.rest), given.values, given.unknown)
    record(sheet, given)
    translate(sheet)
    sheet.settle()


@dataclass(frozen=True, slots=True)
class Asked:
    """How a scenario is to be resolved."""

    seed: int = 0
    speed: float = 1.0
    parameters: bool = True
    """A template needs all of its parameters."""


class _Loading:
    """What one text comes to."""

    def __init__(
        self,
        text: str,
        file: str,
        systems: Mapping[str, System],
        vocabularies: Mapping[str, Assertions] | None,
        *,
        allow_systems: bool,
        asked: Asked,
    ) -> None:
        self.resolved: Resolved | None = None
        self._asked = asked
        self._file = file
        self._systems = dict(systems)
        self._vocabularies = dict(library_vocabularies() if vocabularies is None else vocabularies)
        self._reading = read(text, file)
        self.findings = list(self._reading.findings)
        self.scenarios: list[Sheet] = []
        self.own: set[str] = set()
        self._system_sheets: list[Sheet] = []
        self.own_words: dict[str, Assertions | None] = {}
        """The Assertions documents of the text; None for one with mistakes."""
        for sheet in sheets(self._reading.documents, file, self._reading.findings):
            self._sort(sheet, allow_systems=allow_systems)
        self._check_vocabularies()

    def _sort(self, sheet: Sheet, *, allow_systems: bool) -> None:
        kind = kind_of(sheet)
        if kind in RUNNABLE:
            self.scenarios.append(sheet)
            return
        if kind == ASSERTIONS:
            self._take_words(sheet)
        elif kind == "System" and not allow_systems:
            known = f"name one of: {', '.join(sorted(self._systems)[:12])}" if self._systems else "no systems are known here"
            sheet.add((), "a System inside a message is refused: it contains commands, which only the host's own files may give", known)
        elif kind == "System":
            self._system_sheets.append(sheet)
            self._take(sheet)
        if kind == "System" and sheet.name:
            self.own.add(sheet.name)
        self.findings += sheet.findings

    def _take(self, sheet: Sheet) -> None:
        found = system_of(sheet)
        if sheet.name in self.own:
            sheet.add(("metadata", "name"), f"a second system {shown(sheet.name)}", "names must differ")
        elif found is not None:
            self._systems[found.name] = found

    def _take_words(self, sheet: Sheet) -> None:
        found = assertions_of(sheet)
        for name, words in self.own_words.items():
            for word in sorted(set(words.words) & set(found.words)) if words is not None and found is not None else ():
                sheet.add(
                    ("spec", "assertions", word), f"{shown(word)} is a word of {shown(name)} as well", "words must differ", at_key=True
                )
        if sheet.name in self.own_words:
            sheet.add(("metadata", "name"), f"a second vocabulary {shown(sheet.name)}", "names must differ")
        self.own_words.setdefault(sheet.name, found)

    def scenario(self, system: str | None, variables: Mapping[str, str]) -> None:
        """Check the one scenario of the text, and resolve it if nothing is wrong."""
        for another in self.scenarios[1:]:
            another.add((), "a second scenario", "a text holds one; put the others into files of their own")
            self.findings += another.findings
        if self.scenarios:
            sheet = self.scenarios[0]
            self._check(sheet, system, variables)
            self.findings += sheet.findings
        elif self._reading.complete and not self.findings:
            self.findings.append(finding(self._file, (1, 1), "there is no scenario in the text", "add a document with kind: Scenario"))

    def _check(self, sheet: Sheet, wanted: str | None, variables: Mapping[str, str]) -> None:
        prepare(sheet, variables, parameters=self._asked.parameters)
        chosen = self._choose(sheet, wanted) if self._reading.complete else None
        bounded = is_bounded(sheet)
        if bounded:
            words, complete = words_for(sheet, self._named_by_system(sheet), self.own_words, self._vocabularies)
            expand(sheet, words, complete=complete and chosen is not None)
            name_everything(sheet, Names.of(chosen) if chosen is not None else None)
        if bounded and chosen is not None:
            scale(sheet, self._asked.speed, chosen)
        good = check_structure(sheet, Scenario)
        sheet.settle()
        asked = bounded and draw_plans(sheet, chosen, self._asked.seed)
        if bounded:
            check_scenario(sheet, chosen)
            check_times(sheet)
        sheet.spec.pop("vocabulary", None)
        if good and chosen is not None and not sheet.findings and not self.findings:
            self._finish(sheet, Scenario.model_validate_json(json.dumps(sheet.data)), chosen, self._asked.seed if asked else None)

    def _named_by_system(self, sheet: Sheet) -> tuple[str, ...]:
        """The vocabularies that the scenario's system names; of a system in the text, those that do not exist were noted with it."""
        name = sheet.spec.get("system")
        system = self._systems.get(name) if isinstance(name, str) else None
        named = system.spec.vocabulary if system is not None else ()
        return tuple(one for one in named if name not in self.own or one in self.own_words or one in self._vocabularies)

    def _check_vocabularies(self) -> None:
        """Note the vocabularies that a system of the text names and nobody knows."""
        known = self._vocabularies | self.own_words
        for sheet in self._system_sheets:
            for index, name in enumerate(texts(sheet.spec.get("vocabulary"))):
                if name not in known:
                    place = sheet.place(("spec", "vocabulary", index))
                    self.findings.append(finding(self._file, place, f"there is no vocabulary {shown(name)}", nearest(name[:80], known)))

    def _choose(self, sheet: Sheet, wanted: str | None) -> System | None:
        name = wanted if wanted is not None else sheet.spec.get("system")
        if not isinstance(name, str):
            return None
        if wanted is not None and isinstance(sheet.data.get("spec"), dict):
            sheet.data["spec"]["system"] = wanted
        if name in self._systems:
            return self._finished(self._systems[name])
        if name not in self.own:
            right = nearest(name[:80], self._systems)
            if wanted is not None:
                self.findings.append(finding("--system", (1, 1), f"there is no system {shown(name)}", right))
            else:
                sheet.add(("spec", "system"), f"there is no system {shown(name)}", right)
        return None

    def _finished(self, system: System) -> System | None:
        try:
            return finished(system)
        except DocumentErrors as error:
            self.findings += error.findings
            return None

    def _finish(self, sheet: Sheet, scenario: Scenario, system: System, seed: int | None) -> None:
        size = len(scenario.model_dump_json(by_alias=True).encode()) + len(system.model_dump_json(by_alias=True).encode())
        if size > MAX_RESOLVED:
            sheet.add((), f"scenario and system have {size // 1024} KiB when resolved", f"at most {MAX_RESOLVED // 1024} KiB")
        else:
            self.resolved = Resolved(scenario, system, seed)

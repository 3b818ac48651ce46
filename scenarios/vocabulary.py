"""Assertions documents: a domain's own words, each a claim of the language with typed parameters."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path as File
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError

from messages.claims import AnyClaim, Claim, Scope
from messages.control import Finding
from messages.expressions import ExpressionError, compiled
from messages.system import Metadata
from messages.values import Document, Token
from scenarios.errors import DocumentErrors, finding, shown
from scenarios.library import library_directory
from scenarios.nodes import Path
from scenarios.parameters import Parameter, check_declared, sample_of
from scenarios.parts import readable_claim, texts
from scenarios.reading import read
from scenarios.sheet import Sheet
from scenarios.substitution import fill
from scenarios.systems import SUFFIXES, kind_of, read_file, sheets
from scenarios.wording import check_part, check_structure

ASSERTIONS = "Assertions"
CEL = frozenset({"where", "expect", "key", "value", "items"})
"""Keys of claims under which CEL stands: a parameter's value is a literal there, quoted and escaped."""
MAX_WORDS = 200
_BESIDE = ("id", "description")
"""What a use of a word says, not its claim."""
_NAMED_LATER = {("during",), ("after",), ("before",), ("of",), ("fault",)}
_MENTIONS = re.compile(r"kind[\"']?\s*:\s*[\"']?Assertions")


class Word(Document):
    """A word that stands for a claim."""

    description: Annotated[str, Field(min_length=1)]
    """What it says, for people; `{{ parameters.name }}` may stand in it."""
    parameters: Annotated[tuple[Parameter, ...], Field(max_length=50)] = ()
    """What it must be told, or may be."""
    claim: dict[str, JsonValue]
    """A claim of the language. `{{ parameters.name }}` is a value in it; in CEL a literal, so without quotes around it."""


class AssertionsSpec(Document):
    """What an Assertions document is made of."""

    assertions: Annotated[dict[Token, Word], Field(min_length=1, max_length=MAX_WORDS)]
    """The words."""


class Assertions(Document):
    """A domain's own words for claims: `{assert: WORD, parameters: {…}}` stands where a claim may."""

    apiVersion: Literal["chaos.trading/v1"] = "chaos.trading/v1"  # noqa: N815  the language's word
    kind: Literal["Assertions"] = "Assertions"
    metadata: Metadata
    spec: AssertionsSpec

    @property
    def name(self) -> str:
        """What systems and scenarios call it under `vocabulary`."""
        return self.metadata.name

    @property
    def words(self) -> Mapping[str, Word]:
        """Its words."""
        return self.spec.assertions


class _Holder(Document):
    claim: AnyClaim


def assertions_of(sheet: Sheet) -> Assertions | None:
    """The words of a document; None when it has mistakes, which the sheet then holds."""
    good = check_structure(sheet, Assertions)
    sheet.settle()
    words = sheet.spec.get("assertions")
    for name, raw in words.items() if isinstance(words, dict) else ():
        if (word := _readable(raw)) is not None and not sheet.full:
            _check_word(sheet, ("spec", "assertions", name), word)
    return Assertions.model_validate_json(json.dumps(sheet.data)) if good and not sheet.findings else None


def assertions_in(text: str, file: str, findings: list[Finding]) -> dict[str, Assertions]:
    """The Assertions documents of a text, by name; their mistakes are noted."""
    if not _MENTIONS.search(text):
        return {}
    reading = read(text, file)
    findings += reading.findings
    found: dict[str, Assertions] = {}
    for sheet in sheets(reading.documents, file, reading.findings):
        if kind_of(sheet) == ASSERTIONS:
            words = assertions_of(sheet)
            if words is not None and words.name in found:
                sheet.add(("metadata", "name"), f"a second vocabulary {shown(words.name)}", "names must differ")
            elif words is not None:
                found[words.name] = words
            findings += sheet.findings
    return found


def load_vocabularies(directory: File) -> dict[str, Assertions]:
    """Those of the library, and before them those in the *.yaml, *.yml and *.json files of a directory, by name.

    Raises:
        DocumentErrors: one has mistakes, or two in the directory have one name.
    """
    return library_vocabularies() | _load(directory)


@lru_cache
def library_vocabularies() -> dict[str, Assertions]:
    """The vocabularies that come with the coordinator."""
    return _load(library_directory())


def _load(directory: File) -> dict[str, Assertions]:
    found: dict[str, Assertions] = {}
    findings: list[Finding] = []
    for file in sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and path.is_file()) if directory.is_dir() else ():
        for name, words in assertions_in(read_file(file, []), str(file), findings).items():
            if name in found:
                findings.append(finding(str(file), (1, 1), f"a second vocabulary {shown(name)} in {directory}", "names must differ"))
            found[name] = words
    if findings:
        raise DocumentErrors(findings)
    return found


def words_of_all(vocabularies: Iterable[Assertions]) -> tuple[dict[str, Word], dict[str, list[str]]]:
    """The words of several documents, and those that more than one has, with the names of these."""
    found: dict[str, Word] = {}
    homes: dict[str, list[str]] = {}
    for vocabulary in vocabularies:
        for name, word in vocabulary.words.items():
            found.setdefault(name, word)
            homes.setdefault(name, []).append(vocabulary.name)
    return found, {name: names for name, names in homes.items() if len(names) > 1}


def _readable(raw: Any) -> Word | None:
    try:
        return Word.model_validate_json(json.dumps(raw))
    except ValidationError:
        return None


def _check_word(sheet: Sheet, path: Path, word: Word) -> None:
    """Note what is wrong with a word's parameters and its claim, as far as it does not depend on what will be given."""
    at = (*path, "claim")
    for key in _BESIDE:
        if key in word.claim:
            right = "it stands beside `claim`" if key == "description" else "it stands where the word is used"
            sheet.add((*at, key), f"a word's claim has no {key!r}", right, at_key=True)
    if not check_declared(sheet, (*path, "parameters"), word.parameters):
        return
    values = {parameter.name: sample_of(parameter) for parameter in word.parameters}
    later = {parameter.name for parameter in word.parameters if parameter.default is None}
    claim = {key: value for key, value in deepcopy(word.claim).items() if key not in _BESIDE}
    fill(sheet, at, claim, values, later, cel=CEL)
    fill(sheet, (*path, "description"), word.description, values, cel=())
    if "service" in claim and "target" not in claim:
        claim["target"] = claim.pop("service")
    sheet.settle()
    check_part(sheet, _Holder, {"claim": claim}, path)
    if (read_claim := readable_claim(claim)) is not None:
        sheet.add_problems(at, _problems(read_claim))
    else:
        _check_syntax(sheet, at, claim)


def _check_syntax(sheet: Sheet, path: Path, part: Any) -> None:
    """Note the expressions in a claim that are none, where what they may be about depends on what will be given."""
    for key, value in part.items() if isinstance(part, dict) else ():
        if isinstance(value, dict):
            _check_syntax(sheet, (*path, key), value)
        elif key in CEL and isinstance(value, str):
            try:
                compiled(value)
            except ExpressionError as error:
                sheet.add((*path, key), f"not an expression that can be used: {error}", "CEL, like event.type == 'order.filled'")


def _problems(claim: Claim) -> Iterator[Any]:
    """What is wrong with a claim on whatever system, in whatever scenario."""
    targets = texts(claim.model_dump(mode="json").get("target"))
    scope = Scope({target: frozenset({target}) for target in targets}, {}, "a-phase")
    return (problem for problem in claim.problems(scope) if problem.path[:1] not in _NAMED_LATER)

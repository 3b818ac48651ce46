"""YAML text to document trees, in bounded time and memory, whoever wrote the text."""

import re
from dataclasses import dataclass

import yaml

from messages.control import Finding
from scenarios.building import Builder, Refused
from scenarios.errors import finding
from scenarios.nodes import Node, Place

MAX_BYTES = 1024 * 1024
"""UTF-8 bytes that a text may have, as published."""
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_UNQUOTED = re.compile(r"(?:^|[:,\[-])\s*\{\{")


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a text."""

    documents: tuple[Node, ...]
    findings: tuple[Finding, ...]
    complete: bool
    """The text was read to its end; otherwise documents may be missing."""


def read(text: str, file: str) -> Reading:
    """The documents of a text that are not empty, and what is wrong with it as YAML. Never raises."""
    text = text.removeprefix("\ufeff")
    refused = _refuse_early(text, file)
    if refused is not None:
        return Reading((), (refused,), complete=False)
    builder = Builder(file)
    try:
        for event in yaml.parse(_json_as_yaml(text), Loader=_LOADER):
            builder.take(event)
    except Refused as refusal:
        return Reading(tuple(builder.documents), (*builder.findings, refusal.finding), complete=False)
    except yaml.MarkedYAMLError as error:
        return Reading(tuple(builder.documents), (*builder.findings, _syntax(error, text, file)), complete=False)
    except yaml.YAMLError as error:
        return Reading(tuple(builder.documents), (*builder.findings, finding(file, (1, 1), f"not YAML: {error}")), complete=False)
    if not builder.documents and not builder.findings:
        return Reading((), (finding(file, (1, 1), "the text is empty", "a document starts with `kind: Scenario`"),), complete=False)
    return Reading(tuple(builder.documents), tuple(builder.findings), complete=True)


def decode(data: bytes, file: str) -> tuple[str, Finding | None]:
    """The text of a file; of one that is too long or not UTF-8 an empty text, and what is wrong."""
    if len(data) > MAX_BYTES:
        return "", _too_long(file)
    try:
        return data.decode(), None
    except UnicodeDecodeError as error:
        place = _place(data[: error.start].decode(), error.start)
        return "", finding(file, place, f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8")


def _refuse_early(text: str, file: str) -> Finding | None:
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        return _too_long(file)
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        what = f"the character U+{ord(odd.group()):04X} may not stand in a document"
        return finding(file, _place(text, odd.start()), what, "take it out, or write it as an escape in double quotes")
    return None


def _too_long(file: str) -> Finding:
    return finding(file, (1, 1), f"the text has more than {MAX_BYTES // 1024} KiB", "split it, or make it shorter")


def _json_as_yaml(text: str) -> str:
    """JSON writes a character beyond U+FFFF as two escapes, YAML as one."""
    if text.lstrip()[:1] not in {"{", "["}:
        return text
    return _SURROGATES.sub(lambda m: f"{m[1]}\\U{0x10000 + ((int(m[2], 16) - 0xD800) << 10) + int(m[3], 16) - 0xDC00:08x}", text)


def _syntax(error: yaml.MarkedYAMLError, text: str, file: str) -> Finding:
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    lines = text.split("\n")
    if place[0] > len(lines):
        place = (len(lines), len(lines[-1]) + 1)
    line = lines[place[0] - 1]
    if _UNQUOTED.search(line):
        return finding(file, place, "an expression in {{ }} must be quoted", 'put the whole value into quotes: "{{ … }}"')
    if "\t" in line[: place[1]] and "cannot start any token" in str(error.problem):
        return finding(file, place, "a tab cannot indent", "use spaces")
    what = f"not YAML: {error.problem or 'cannot be read'}"
    right = f"{error.context}, which starts in line {error.context_mark.line + 1}" if error.context and error.context_mark else ""
    return finding(file, place, what, right)


def _place(text: str, index: int) -> Place:
    before = text[:index]
    return before.count("\n") + 1, len(before) - before.rfind("\n")

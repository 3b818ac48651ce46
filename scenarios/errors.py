"""What goes wrong with documents: every mistake at once, each with its place."""

from collections.abc import Iterable

from messages.control import Finding

MAX_FINDINGS = 100
"""Mistakes that are told at once."""
_LONGEST = 400


class DocumentErrors(Exception):
    """A document cannot be used as it is; `findings` holds every mistake, in the order of the text. Loading it again does not help."""

    findings: tuple[Finding, ...]

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = in_order(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def finding(file: str, place: tuple[int, int], what: str, right: str = "") -> Finding:
    """A mistake at a line and column, its texts cut to a length that a terminal can show."""
    return Finding(file=file, line=place[0], column=place[1], what=_cut(what), right=_cut(right))


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each mistake once, by line and column; at most 100 and a note of how many more there are."""
    found = sorted(dict.fromkeys(findings), key=lambda f: (f.file, f.line, f.column))
    if len(found) <= MAX_FINDINGS:
        return tuple(found)
    last = found[MAX_FINDINGS - 1]
    more = finding(
        last.file, (last.line, last.column), f"and {len(found) - MAX_FINDINGS + 1} more mistakes", "correct the ones above first"
    )
    return (*found[: MAX_FINDINGS - 1], more)


def shown(value: object) -> str:
    """A value as a message quotes it: short, on one line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, dict | list):
        return "keys and values" if isinstance(value, dict) else "a list"
    text = repr(value[:61]) if isinstance(value, str) else repr(value)
    return text if len(text) <= 62 else f"{text[:60]}…{text[-1]}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

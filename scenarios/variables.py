"""A scenario's variables: typed by their values, and overridden with values of the same type."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from messages.claims import nearest
from messages.control import Finding
from messages.values import DURATION_HINT, parse_duration
from scenarios.errors import finding, shown
from scenarios.scalars import plain_value
from scenarios.sheet import Sheet

MAX_TEXT = 2048
"""Characters that a variable may have, a list all together."""
MAX_ITEMS = 100
"""Elements that a list may have, and variables that a scenario may have."""
_KIND = {timedelta: "a duration", int: "a number", float: "a number", str: "text", list: "a list of texts"}
_FILE = "--var"

Typed = timedelta | int | float | str | list[str]


def take_variables(sheet: Sheet, overrides: Mapping[str, str]) -> dict[str, Typed]:
    """The variables as expressions see them; the document is changed to what the overrides say."""
    written = sheet.spec.get("variables")
    known = written if isinstance(written, dict) else {}
    if len(known) > MAX_ITEMS:
        sheet.add(("spec", "variables"), f"{len(known)} variables are too many", f"at most {MAX_ITEMS}")
        known = {}
    values = {name: value for name, raw in known.items() if (value := _read(sheet, name, raw)) is not None}
    for name, text in overrides.items():
        if sheet.full:
            break
        if name not in known:
            sheet.findings.append(finding(_FILE, (1, 1), f"the scenario has no variable {shown(name)}", nearest(name[:80], known)))
        elif name in values:
            _override(sheet, values, name, text)
    return values


def _read(sheet: Sheet, name: str, raw: Any) -> Typed | None:
    path = ("spec", "variables", name)
    texts = raw if isinstance(raw, list) else [raw]
    if any(isinstance(text, str) and "{{" in text for text in texts):
        sheet.add(path, "a variable cannot be made of others", "write its value out, and use {{ }} where it is needed")
    elif isinstance(raw, str):
        if len(raw) <= MAX_TEXT:
            return _duration(raw) or raw
        sheet.add(path, f"a variable has at most {MAX_TEXT} characters", "make it shorter")
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        return raw
    elif isinstance(raw, list) and all(isinstance(text, str) for text in raw):
        if len(raw) <= MAX_ITEMS and sum(map(len, raw)) <= MAX_TEXT:
            return list(raw)
        sheet.add(path, f"a list has at most {MAX_ITEMS} texts and {MAX_TEXT} characters", "make it shorter")
    else:
        sheet.add(path, f"a variable cannot be {shown(raw)}", "a duration like 10s, a number, text or a list of texts")
    return None


def _duration(text: str) -> timedelta | None:
    try:
        return parse_duration(text)
    except ValueError:
        return None


def _override(sheet: Sheet, values: dict[str, Typed], name: str, text: str) -> None:
    value = _parse(text, values[name])
    if value is None:
        right = DURATION_HINT if isinstance(values[name], timedelta) else f"give {_KIND[type(values[name])]}, as the document does"
        sheet.findings.append(_refused(name, text, right))
        return
    values[name] = value
    sheet.spec["variables"][name] = text if isinstance(value, timedelta) else value


def _refused(name: str, text: str, right: str) -> Finding:
    return finding(_FILE, (1, 1), f"{name} cannot be {shown(text)}", right)


def _parse(text: str, before: Typed) -> Typed | None:
    """The text as a value of the type that the variable has; None when it is none."""
    if len(text) > MAX_TEXT or re.search("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", text):
        return None
    if isinstance(before, timedelta):
        return _duration(text)
    if isinstance(before, list):
        items = [item.strip() for item in text.split(",")] if text.strip() else []
        return items if len(items) <= MAX_ITEMS else None
    if isinstance(before, str):
        return text if _duration(text) is None else None
    try:
        number = plain_value(text)
    except ValueError:
        return None
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None

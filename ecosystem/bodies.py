"""Reads the JSON bodies of chaos requests: typed, bounded, and everything that is wrong said at once."""

import json
import re
from collections.abc import Collection

from ecosystem.errors import BodyError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SUFFIXES = {"_ms": 0.001, "_s": 1.0, "_seconds": 1.0, "_minutes": 60.0, "_hours": 3600.0, "": 1.0}
SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
REQUIRED = float("nan")
"""The default of a number that must be given."""


class Body:
    """The fields of one body. Ask for each that is known, then call `done`."""

    def __init__(self, document: object) -> None:
        self._fields: dict[str, object] = {}
        self._known: set[str] = set()
        self.problems: list[str] = []
        if isinstance(document, dict):
            self._fields = {str(name): value for name, value in document.items() if value is not None}
        else:
            self.problems.append("the body must be a JSON object")

    @classmethod
    def decode(cls, text: bytes) -> "Body":
        """The body of a request; an empty one has no fields."""
        try:
            return cls(json.loads(text or b"{}"))
        except (ValueError, RecursionError):
            return cls(None)

    def number(self, name: str, default: float = REQUIRED, *, least: float, most: float) -> float:
        if not self._has(name):
            return self._instead(name, default)
        return self._bounded(name, self._fields[name], least, most)

    def text(self, name: str, default: str) -> str:
        value = self._fields.get(name, default) if self._has(name) else default
        if isinstance(value, str) and 0 < len(value) <= 200:
            return value
        self.problems.append(f"{name}: must be text of 1 to 200 characters")
        return default

    def choice(self, name: str, default: str, allowed: Collection[str]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            self.problems.append(f"{name}: must be one of {', '.join(allowed)}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._fields[name] if self._has(name) else default
        if not isinstance(value, bool):
            self.problems.append(f"{name}: must be true or false")
        return value is True

    def texts(self, *names: str, default: Collection[str] = (), allowed: Collection[str] = ()) -> tuple[str, ...]:
        """One or several, under any of the names; the default if none is given. `allowed` empty allows all."""
        given = [name for name in names if self._has(name)]
        if not given:
            return tuple(default)
        name, value = given[0], self._fields[given[0]]
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not found or not all(isinstance(each, str) and 0 < len(each) <= 64 for each in found):
            self.problems.append(f"{name}: must be a list of texts")
            return tuple(default)
        wrong = [each for each in found if allowed and each not in allowed]
        if wrong:
            self.problems.append(f"{name}: unknown {', '.join(wrong)}; known: {', '.join(allowed)}")
        return tuple(found)

    def symbols(self, *names: str, default: Collection[str], allowed: Collection[str]) -> tuple[str, ...]:
        """Like `texts`, for instruments: BTC/USD is BTC-USD."""
        for name in names:
            value = self._fields.get(name)
            if isinstance(value, str):
                self._fields[name] = value.replace("/", "-")
            elif isinstance(value, list):
                self._fields[name] = [each.replace("/", "-") if isinstance(each, str) else each for each in value]
        return self.texts(*names, default=default, allowed=allowed)

    def seconds(self, stem: str, default: float = REQUIRED, *, least: float = 0.0, most: float) -> float:
        """A span in seconds: `<stem>_ms`, `_s`, `_seconds`, `_minutes`, `_hours`, or `<stem>` as seconds or as text like 5m."""
        given = [(stem + suffix, unit) for suffix, unit in SUFFIXES.items() if self._has(stem + suffix)]
        if not given:
            return self._instead(f"{stem}_s", default)
        name, unit = given[0]
        if len(given) > 1:
            self.problems.append(f"{name}: given twice, as {' and '.join(each for each, _ in given)}")
        value = self._fields[name]
        if isinstance(value, str) and SPAN.fullmatch(value):
            value, unit = sum(float(number) * UNITS[each] for number, each in PART.findall(value)), 1.0
        return self._bounded(name, value, least / unit, most / unit) * unit

    def has(self, *names: str) -> bool:
        return any(name in self._fields for name in names)

    def part(self, name: str) -> "Body":
        """An object within this one, empty if it is not there."""
        inner = Body(self._fields.get(name, {}) if self._has(name) else {})
        if inner.problems:
            self.problems.append(f"{name}: must be a JSON object")
        return inner

    @property
    def fields(self) -> dict[str, object]:
        """What was given."""
        return dict(self._fields)

    def wrong(self) -> list[str]:
        """Every field that is wrong or unknown."""
        unknown = sorted(set(self._fields) - self._known)
        if not unknown:
            return self.problems
        return [*self.problems, f"unknown field {', '.join(unknown)}; known: {', '.join(sorted(self._known)) or 'none'}"]

    def done(self) -> None:
        """Raises: BodyError, naming every field that is wrong or unknown."""
        if problems := self.wrong():
            raise BodyError(problems)

    def _has(self, name: str) -> bool:
        self._known.add(name)
        return name in self._fields

    def _instead(self, name: str, default: float) -> float:
        if default != default:  # noqa: PLR0124 - only NaN differs from itself
            self.problems.append(f"{name}: is required")
            return 0.0
        return default

    def _bounded(self, name: str, value: object, least: float, most: float) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
            return float(value)
        self.problems.append(f"{name}: must be a number from {least:g} to {most:g}")
        return max(least, 0.0)

"""CEL with a bound: the package has no cost limit and holds the interpreter's lock, so what may be compiled is limited here."""

import re
from functools import lru_cache
from typing import Any

import cel

MAX_SOURCE = 1024
"""Characters of source that an expression may have."""
MAX_ELEMENTS = 10_000
"""Elements of a list or map that a comprehension may meet."""
_COMPREHENSION = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one)\s*\(")
_MAP = re.compile(r"\.\s*map\s*\(")
_TEXT = re.compile(r"""[rRbB]{0,2}("{3}.*?"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""", re.DOTALL)


class ExpressionError(ValueError):
    """An expression cannot be compiled or evaluated. Final for this expression and these values."""


class Bindings:
    """The variables that expressions are evaluated over; converted once, however many expressions use them."""

    __slots__ = ("_context", "_largest", "_values")

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values
        self._context: cel.Context | None = None
        self._largest: int | None = None

    @property
    def context(self) -> cel.Context:
        """The variables as CEL has them."""
        if self._context is None:
            self._context = cel.Context(self._values)
        return self._context

    @property
    def largest(self) -> int:
        """How many elements the longest list or map among the variables has."""
        if self._largest is None:
            self._largest = _largest(self._values)
        return self._largest


class Expression:
    """A compiled CEL expression. Its evaluation cannot read files, run code or take unbounded time."""

    __slots__ = ("_program", "source")

    def __init__(self, source: str) -> None:
        """Compile it.

        Raises:
            ExpressionError: it is too long, nests comprehensions, or is not CEL.
        """
        self.source = source
        _refuse_costly(source)
        try:
            self._program = cel.compile(source)
        except (ValueError, RuntimeError, TypeError) as error:
            raise ExpressionError(_first_line(error)) from error

    def evaluate(self, values: Bindings) -> Any:
        """The value of the expression over these variables.

        Raises:
            ExpressionError: a variable or field is missing, a type does not fit, or a list is too long to go through.
        """
        if _COMPREHENSION.search(self.source) and values.largest > MAX_ELEMENTS:
            msg = f"more than {MAX_ELEMENTS} elements to go through"
            raise ExpressionError(msg)
        try:
            return self._program.execute(values.context)
        except KeyError as error:
            msg = f"there is no {error}"
            raise ExpressionError(msg) from error
        except (ValueError, RuntimeError, TypeError) as error:
            raise ExpressionError(_first_line(error)) from error

    def holds(self, values: Bindings) -> bool:
        """Whether the expression is true.

        Raises:
            ExpressionError: as `evaluate`, and when the value is not a truth value.
        """
        value = self.evaluate(values)
        if not isinstance(value, bool):
            msg = f"gives {type(value).__name__}, not true or false"
            raise ExpressionError(msg)
        return value


@lru_cache(maxsize=2048)
def compiled(source: str) -> Expression:
    """The expression of this source, compiled once.

    Raises:
        ExpressionError: as `Expression`.
    """
    return Expression(source)


def event_types(source: str) -> frozenset[str] | None:
    """The event types that `source` can be true for, or None if it may be true for any.

    Only plain forms are recognised (`event.type == 'a'` joined by `&&` with anything, or `event.type in ['a', 'b']`), so None is always safe.
    """
    if "||" in source or "?" in source or "!" in source.replace("!=", ""):
        return None
    for part in source.split("&&"):
        equal = re.fullmatch(r"\s*\(?\s*event\.type\s*==\s*(['\"])([^'\"\\]+)\1\s*\)?\s*", part)
        if equal:
            return frozenset({equal.group(2)})
        among = re.fullmatch(r"\s*\(?\s*event\.type\s+in\s+\[([^\]\\]*)\]\s*\)?\s*", part)
        if among:
            return frozenset(re.findall(r"['\"]([^'\"]+)['\"]", among.group(1)))
    return None


def _refuse_costly(source: str) -> None:
    if len(source) > MAX_SOURCE:
        msg = f"an expression has at most {MAX_SOURCE} characters, this one has {len(source)}"
        raise ExpressionError(msg)
    bare = _TEXT.sub("''", source)
    if "//" in bare:
        msg = "comments are not taken in an expression"
        raise ExpressionError(msg)
    if len(_MAP.findall(bare)) > 1:
        msg = "map may be used once in an expression"
        raise ExpressionError(msg)
    depth_at_comprehension: list[int] = []
    depth = 0
    position = 0
    while position < len(bare):
        match = _COMPREHENSION.match(bare, position)
        if match:
            if depth_at_comprehension:
                msg = "map, filter, all, exists and exists_one may not be nested; use one, over a list that is there"
                raise ExpressionError(msg)
            depth += 1
            depth_at_comprehension.append(depth)
            position = match.end()
            continue
        if bare[position] in "([{":
            depth += 1
            if depth > 40:
                msg = "more than 40 brackets inside each other"
                raise ExpressionError(msg)
        elif bare[position] in ")]}":
            if depth_at_comprehension and depth_at_comprehension[-1] == depth:
                depth_at_comprehension.pop()
            depth -= 1
        position += 1


def _largest(value: Any) -> int:
    if isinstance(value, dict):
        return max([len(value), *(_largest(v) for v in value.values())])
    if isinstance(value, list | tuple):
        return max([len(value), *(_largest(v) for v in value)])
    return 0


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__

"""CEL with a bound: the package has no cost limit and holds the interpreter's lock, so what may be compiled is limited here."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from messages.cel_alone import cel
from messages.expression_text import COMPREHENSION, DEEPEST, code, comprehended, depths, event_types
from messages.plain_expressions import UNSURE, plain

__all__ = ["MAX_ELEMENTS", "MAX_SOURCE", "Bindings", "Expression", "ExpressionError", "compiled", "event_types"]

MAX_SOURCE = 1024
"""Characters of source that an expression may have."""
MAX_ELEMENTS = 10_000
"""Elements of a list or map that a comprehension may meet."""
MAX_BUILT = 2_000
"""The same for `map` and `filter`: the package copies what they have built with every element."""
MAX_COMPREHENSIONS = 8
"""How many an expression may have, one after the other."""
MAX_WORK = 2_000_000
"""Elements times the weight of all variables, for a comprehension that looks at a variable in each step; about a second."""
MAX_SEARCHED = 10_000
"""Characters of a text that `matches` may search with a pattern that counts (`{}`) or is no literal: it takes text times pattern."""
TYPES = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type", "optional_type"})
"""What CEL calls its types; to its parser they are variables."""
_MAP = re.compile(r"\.\s*map\s*\(")
_BUILDING = re.compile(r"\.\s*(?:map|filter)\s*\(")
_MATCHES = re.compile(r"\bmatches\s*\(\s*(.?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ExpressionError(ValueError):
    """An expression cannot be compiled or evaluated. Final for this expression and these values."""


class Bindings:
    """The variables that expressions are evaluated over; converted once, however many expressions use them."""

    __slots__ = ("_context", "_sizes", "values")

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self._context: cel.Context | None = None
        self._sizes: tuple[int, int, int] | None = None

    @property
    def context(self) -> cel.Context:
        """The variables as CEL has them."""
        if self._context is None:
            self._context = cel.Context(self.values)
        return self._context

    @property
    def names(self) -> frozenset[str]:
        """What the variables are called."""
        return frozenset(self.values)

    @property
    def largest(self) -> int:
        """How many elements the longest list or map among the variables has."""
        return self._measured()[0]

    @property
    def longest(self) -> int:
        """How many characters the longest text has."""
        return self._measured()[1]

    @property
    def weight(self) -> int:
        """How much there is in all: elements, and texts by the hundred characters."""
        return self._measured()[2]

    def _measured(self) -> tuple[int, int, int]:
        if self._sizes is None:
            self._sizes = _measure(self.values)
        return self._sizes


class Expression:
    """A compiled CEL expression. Its evaluation cannot read files, run code or take unbounded time."""

    __slots__ = ("_builds", "_inner", "_own", "_plain", "_program", "_searches", "source")

    def __init__(self, source: str) -> None:
        """Compile it.

        Raises:
            ExpressionError: it is too long, nests comprehensions, or is not CEL.
        """
        self.source = source
        bare = _refuse_costly(source)
        inside = comprehended(bare)
        self._inner = frozenset(_NAME.findall(inside)) if inside is not None else None
        self._own = frozenset(name for body in (inside or "").splitlines() for name in _NAME.findall(body.partition(",")[0]))
        self._builds = _BUILDING.search(bare) is not None
        patterns = _MATCHES.findall(bare)
        self._searches = bool(patterns) and ("{" in source or any(first not in {"'", '"'} for first in patterns))
        with _as_expression_error():
            self._program = cel.compile(source)
        self._plain = plain(source)

    def unknown(self, known: frozenset[str]) -> frozenset[str]:
        """The variables that it names beyond those; wherever they are needed it cannot be evaluated."""
        return frozenset(self._program.variables()) - known - TYPES - self._own

    def evaluate(self, values: Bindings) -> Any:
        """The value of the expression over these variables.

        Raises:
            ExpressionError: a variable or field is missing, a type does not fit, or there is too much to go through.
        """
        if self._plain is not None and (known := self._plain(values.values)) is not UNSURE:
            return known
        if self._inner is not None:
            self._refuse_long(values, self._inner)
        if self._searches and values.longest > MAX_SEARCHED:
            msg = f"a text of more than {MAX_SEARCHED} characters is searched by a plain literal pattern only"
            raise ExpressionError(msg)
        with _as_expression_error():
            return self._program.execute(values.context)

    def _refuse_long(self, values: Bindings, inner: frozenset[str]) -> None:
        most = MAX_BUILT if self._builds else MAX_ELEMENTS
        if "matches" in inner:
            most = 100
        if values.largest > most:
            msg = f"more than {most} elements to go through"
            raise ExpressionError(msg)
        if inner & values.names and values.largest * values.weight > MAX_WORK:
            msg = "too much to go through: a variable is looked at again for each element of a long list"
            raise ExpressionError(msg)

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


def _refuse_costly(source: str) -> str:
    """The source without its texts.

    Raises:
        ExpressionError: it may cost too much.
    """
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"an expression has at most {MAX_SOURCE} characters, this one has {len(source)}")
    bare = code(source)
    if "//" in bare:
        raise ExpressionError("comments are not taken in an expression")
    if len(_MAP.findall(bare)) > 1:
        raise ExpressionError("map may be used once in an expression")
    if len(COMPREHENSION.findall(bare)) > MAX_COMPREHENSIONS:
        raise ExpressionError(f"an expression has at most {MAX_COMPREHENSIONS} of map, filter, all, exists and exists_one")
    if max((depth for _, depth in depths(bare)), default=0) > DEEPEST:
        raise ExpressionError(f"more than {DEEPEST} brackets inside each other")
    if COMPREHENSION.search(comprehended(bare) or ""):
        raise ExpressionError("map, filter, all, exists and exists_one may not be nested; use one, over a list that is there")
    return bare


def _measure(values: dict[str, Any]) -> tuple[int, int, int]:
    largest = longest = weight = 0
    left: list[Any] = list(values.values())
    while left:
        value = left.pop()
        weight += 1
        if isinstance(value, dict | list | tuple):
            largest = max(largest, len(value))
            left.extend(value.values() if isinstance(value, dict) else value)
            left.extend(value if isinstance(value, dict) else ())
        elif isinstance(value, str | bytes):
            longest = max(longest, len(value))
            weight += len(value) // 100
    return largest, longest, weight


@contextmanager
def _as_expression_error() -> Iterator[None]:
    """What CEL raises, as an `ExpressionError`. A panic of its interpreter is no Exception, and has no importable class."""
    try:
        yield
    except KeyError as error:
        raise ExpressionError(f"there is no {error}") from error
    except (ValueError, RuntimeError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise ExpressionError(_first_line(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ExpressionError(f"the interpreter gave up: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__

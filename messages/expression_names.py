"""Which entries of the maps that it is evaluated over an expression names, read from its text."""

import re
from dataclasses import dataclass
from functools import lru_cache

from messages.expression_text import code
from messages.expressions import ExpressionError

_FIELD = re.compile(r"\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)\b(?!\s*\()")
_INDEX = re.compile(r"""\s*\[\s*(['"])([A-Za-z0-9_-]{1,64})\1\s*\]""")
SHOWN = 40
"""Characters of an expression that an error repeats."""


@dataclass(frozen=True, slots=True)
class Named:
    """A value that an expression asks for: `root.name.field`."""

    root: str
    name: str
    field: str

    def __str__(self) -> str:
        return f"{self.root}.{self.name}.{self.field}"


@lru_cache(maxsize=2048)
def named_in(source: str, roots: tuple[str, ...]) -> tuple[Named, ...]:
    """The values that an expression asks for in these maps of maps, each once, in the order of the text.

    Raises:
        ExpressionError: a map is used in another way than `root.name.field`; of that nobody can say before what it names.
    """
    found: dict[Named, None] = {}
    end = 0
    for root in re.finditer(rf"(?<!\w)(?:{'|'.join(roots)})\b", code(source)):
        if root.start() < end:  # a field that is called like a map
            continue
        name, at = _step(source, root.end())
        field, end = _step(source, at)
        if not name or not field:
            raise ExpressionError(f"it cannot be told which value of {root.group()} is meant by {source[root.start() :][:SHOWN]}")
        found[Named(root.group(), name, field)] = None
    return tuple(found)


def _step(source: str, at: int) -> tuple[str, int]:
    """The name that stands there, by a field or a constant index, and where it ends; an empty one if none does."""
    field, index = _FIELD.match(source, at), _INDEX.match(source, at)
    if field is not None:
        return field[1], field.end()
    return (index[2], index.end()) if index is not None else ("", at)

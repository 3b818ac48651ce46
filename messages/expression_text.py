"""The text of a CEL expression, read without evaluating it: what is code and what is quoted, and which event types it can be true for."""

import re
from collections.abc import Iterator

DEEPEST = 40
COMPREHENSION = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one|existsOne)\s*\(")
_RAW = r"""[rR](?:"{3}.*?"{3}|'{3}.*?'{3}|"[^"\r\n]*"|'[^'\r\n]*')"""
_COOKED = r"""(?:"{3}(?:\\.|[^\\])*?"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\r\n])*"|'(?:\\.|[^'\\\r\n])*')"""
_TEXT = re.compile(rf"(?:\b[bB])?(?:\b{_RAW}|(?<=[bB]){_RAW}|{_COOKED})", re.DOTALL)
_TYPE_IS = re.compile(r"""event\.type\s*==\s*(['"])([^'"\\]+)\1""")
_TYPE_IN = re.compile(r"""event\.type\s+in\s*\[\s*((['"])[^'"\\]*\2(?:\s*,\s*(['"])[^'"\\]*\3)*)\s*\]""")


def code(source: str) -> str:
    """The source with the insides of its texts blanked, so that what is left is code. As long as the source."""
    return _TEXT.sub(lambda text: "''".ljust(len(text.group()) - 1, "_") + "'" if len(text.group()) > 2 else "''", source)


def depths(bare: str) -> Iterator[tuple[int, int]]:
    """Each position, and how many brackets are open there (a closing one counts as outside)."""
    depth = 0
    for position, character in enumerate(bare):
        depth -= character in ")]}"
        yield position, depth
        depth += character in "([{"


def comprehended(bare: str) -> str | None:
    """What stands between the brackets of comprehensions; None without any."""
    bodies = []
    for match in COMPREHENSION.finditer(bare):
        end = next((match.end() + position for position, depth in depths(bare[match.end() :]) if depth < 0), len(bare))
        bodies.append(bare[match.end() : end])
    return "\n".join(bodies) if bodies else None


def event_types(source: str) -> frozenset[str] | None:
    """The event types that `source` can be true for, or None if it may be true for any.

    Only plain forms are recognised (`event.type == 'a'` or `event.type in ['a', 'b']`, alone or joined to anything by `&&`),
    so None is always safe.
    """
    bare = code(source)
    ands: list[int] = []
    for position, depth in depths(bare):
        if depth > DEEPEST or (depth == 0 and (bare[position] == "?" or bare.startswith("||", position))):
            return None
        if depth == 0 and bare.startswith("&&", position):
            ands.append(position)
    for start, end in zip([0, *(a + 2 for a in ands)], [*ands, len(source)], strict=True):
        types = _types_of(source[start:end].strip())
        if types is not None:
            return types
    return None


def asks_for_type_alone(source: str) -> bool:
    """Whether it is true for all events of its `event_types`, whatever else they say."""
    part = source.strip()
    return _TYPE_IS.fullmatch(part) is not None or _TYPE_IN.fullmatch(part) is not None


def _types_of(part: str) -> frozenset[str] | None:
    equal = _TYPE_IS.fullmatch(part)
    if equal:
        return frozenset({equal.group(2)})
    among = _TYPE_IN.fullmatch(part)
    if among:
        return frozenset(text for _, text in re.findall(r"""(['"])([^'"\\]*)\1""", among.group(1)))
    inside = part[1:-1]
    wrapped = part[:1] == "(" and part[-1:] == ")" and all(depth >= 0 for _, depth in depths(code(inside)))
    return event_types(inside) if wrapped else None

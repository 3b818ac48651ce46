"""Regular expressions in documents: RE2's, without what could cost much. CEL compiles one anew for each text that it searches."""

import re
from collections.abc import Iterator

MOST_COUNTED = 200
"""What the counts of a pattern, like {1,3}, may add up to."""
_CLASSES = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
"""What these are in RE2. The package means all of Unicode by them, and takes milliseconds to compile that."""
_PART = re.compile(r"\\.|\{(\d+)(?:,(\d*))?\}|.", re.DOTALL)


def re2(pattern: str) -> str:
    r"""The pattern with \d, \w and \s as RE2 means them: of ASCII.

    Raises:
        ValueError: it could cost too much; the message says what is not taken.
    """
    _check_counts(pattern)
    return "".join(_parts(pattern))


def _parts(pattern: str) -> Iterator[str]:
    depth = 0
    for part in _PART.finditer(pattern):
        text = part.group()
        kind = text[1:] if text.startswith("\\") else ""
        if kind in {"p", "P"} or (depth and kind in {"D", "W", "S"}):
            raise ValueError(f"{text} is not taken{' inside of brackets' if depth else ''}; write out which characters are meant")
        depth += text == "["
        depth -= text == "]" and depth > 0
        members = _CLASSES.get(kind.lower())
        if members is None:
            yield text
        else:
            yield members if depth else f"[{'^' if kind.isupper() else ''}{members}]"


def _check_counts(pattern: str) -> None:
    """Counts multiply inside each other, so none may be around another."""
    counted, total, closed = [False], 0, False
    for part in _PART.finditer(pattern):
        text = part.group()
        if part[1] is not None:
            total += int(part[2] or part[1])
            if closed:
                raise ValueError(f"{text} counts a group in which something is counted already")
            counted[-1] = True
        closed = text == ")" and len(counted) > 1 and counted.pop()
        if closed:
            counted[-1] = True
        if text == "(":
            counted.append(False)
    if total > MOST_COUNTED:
        raise ValueError(f"its counts add up to {total}, more than {MOST_COUNTED}")

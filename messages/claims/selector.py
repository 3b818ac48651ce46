"""Which series of a metrics text are meant: a name and labels, as PromQL writes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=|!=)\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_SELECTOR = re.compile(rf"({_NAME})\s*(?:\{{(.*)\}})?", re.DOTALL)
SELECTOR_HINT = 'a metric is a name with or without labels, like orders_total{status="filled"}; labels are compared by = or !='


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric's name, and what its labels must (or must not) be."""

    name: str
    equal: Mapping[str, str]
    unequal: tuple[tuple[str, str], ...] = ()

    def takes(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a series is meant. A label that it does not have is empty."""
        return (
            name == self.name
            and all(labels.get(label, "") == value for label, value in self.equal.items())
            and all(labels.get(label, "") != value for label, value in self.unequal)
        )


def parse_selector(text: str) -> Selector:
    """The selector that a text such as `orders_total{status="filled"}` says.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    whole = _SELECTOR.fullmatch(text.strip()) if len(text) <= 500 else None
    if whole is None:
        raise ValueError(f"{text[:60]!r} is no metric; {SELECTOR_HINT}")
    equal: dict[str, str] = {}
    unequal: list[tuple[str, str]] = []
    left = (whole[2] or "").strip()
    while left:
        label = _LABEL.match(left)
        if label is None:
            raise ValueError(f"{left[:60]!r} are no labels; {SELECTOR_HINT}")
        value = label[3].replace('\\"', '"').replace("\\\\", "\\")
        if label[2] == "=":
            equal[label[1]] = value
        else:
            unequal.append((label[1], value))
        left = left[label.end() :].strip()
    return Selector(whole[1], equal, tuple(unequal))


def series_name(name: str, labels: Mapping[str, str]) -> str:
    """A series as the text format writes it, its labels in order."""
    told = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{told}}}" if told else name

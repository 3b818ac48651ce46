"""Builds document trees from a YAML parser's events, and refuses what a document has no use for."""

from dataclasses import dataclass

import yaml

from messages.control import Finding
from scenarios.errors import finding, shown
from scenarios.nodes import Mapping, Node, Place, Scalar, Sequence
from scenarios.scalars import Value, has_control_characters, plain_value

MAX_DEPTH = 50
"""Collections inside each other, aliases counted as what they stand for."""
MAX_NODES = 100_000
"""Values of all documents of a text."""
MAX_EXPANDED = 50_000
"""Values that all aliases of a text may stand for."""
MAX_MISTAKES = 200
"""Mistakes after which reading goes no further."""


class Refused(Exception):
    """Reading on would take unbounded time or memory, or makes no sense."""

    def __init__(self, what: Finding) -> None:
        self.finding = what
        super().__init__(str(what))


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come."""

    node: Mapping | Sequence
    anchor: str | None
    index: int
    flow: bool
    key: str | None = None
    key_place: Place = (1, 1)
    has_key: bool = False
    """A key was read and its value is next; without a `key` the value is dropped."""


class Builder:
    """Takes events one by one; `documents` grows by each document that has something in it."""

    def __init__(self, file: str) -> None:
        self.documents: list[Node] = []
        self.findings: list[Finding] = []
        self._file = file
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._expanded = 0

    def take(self, event: yaml.Event) -> None:
        """Take in the next event.

        Raises:
            Refused: a bound is passed, or an alias stands for nothing that could be built.
        """
        mark = event.start_mark
        if mark is None:
            return
        place = (mark.line + 1, mark.column + 1)
        match event:
            case yaml.DocumentStartEvent():
                self._anchors.clear()
            case yaml.AliasEvent():
                self._put(self._alias(event.anchor or "", place), mark.index)
            case yaml.ScalarEvent():
                self._count(place)
                self._refuse_tag(event.tag, place)
                node = Scalar(place, value=self._scalar(event, place))
                self._name(event.anchor, node)
                self._put(node, mark.index)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event, place, mark.index)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                ended = self._open.pop()
                self._name(ended.anchor, ended.node)
                self._put(ended.node, ended.index)

    def _begin(self, event: yaml.CollectionStartEvent, place: Place, index: int) -> None:
        self._count(place)
        self._refuse_tag(event.tag, place)
        if len(self._open) >= MAX_DEPTH:
            raise Refused(
                self._wrong(place, f"more than {MAX_DEPTH} lists or mappings inside each other", "a document has no use for that")
            )
        node = Mapping(place) if isinstance(event, yaml.MappingStartEvent) else Sequence(place)
        self._open.append(_Open(node, event.anchor, index, bool(event.flow_style)))

    def _put(self, node: Node, index: int) -> None:
        """Give a finished node to the collection that it stands in."""
        if not self._open:
            if not (isinstance(node, Scalar) and node.value is None):
                self.documents.append(node)
            return
        around = self._open[-1]
        if isinstance(around.node, Sequence):
            around.node.took(node)
            around.node.items.append(node)
        elif around.has_key:
            self._put_value(around, around.node, node)
        else:
            around.has_key = True
            around.key = self._key(around, node, index)
            around.key_place = node.place

    def _put_value(self, around: _Open, mapping: Mapping, node: Node) -> None:
        around.has_key = False
        if around.key is not None:
            mapping.took(node)
            mapping.entries[around.key] = node
            mapping.keys[around.key] = around.key_place

    def _key(self, around: _Open, node: Node, index: int) -> str | None:
        """The key's text; None for one that cannot be, which is noted."""
        if isinstance(node, Mapping) and around.flow and index == around.index + 1:
            self._note(around.node.place, "an expression in {{ }} must be quoted", 'put the whole value into quotes: "{{ … }}"')
            return None
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            told = shown(node.value) if isinstance(node, Scalar) else "a list or mapping"
            self._note(
                node.place, f"a key is text, not {told}", "put it into quotes" if isinstance(node, Scalar) else "write a name and a colon"
            )
            return None
        if node.value == "<<":
            self._note(node.place, "merge keys (<<) are not taken", "write the keys out")
            return None
        assert isinstance(around.node, Mapping)  # noqa: S101
        if node.value in around.node.entries:
            first = around.node.keys[node.value][0]
            self._note(node.place, f"the key {shown(node.value)} stands here twice, first in line {first}", "keep one of them")
            return None
        return node.value

    def _alias(self, name: str, place: Place) -> Node:
        if any(o.anchor == name for o in self._open):
            raise Refused(self._wrong(place, f"*{name} stands inside &{name}", "an alias cannot contain itself"))
        node = self._anchors.get(name)
        if node is None:
            raise Refused(self._wrong(place, f"nothing is anchored as &{name}", "put a text that starts with * into quotes"))
        self._expanded += node.size
        if self._expanded > MAX_EXPANDED:
            raise Refused(
                self._wrong(place, f"the aliases stand for more than {MAX_EXPANDED} values", "write out less, or use fewer aliases")
            )
        if len(self._open) + node.height > MAX_DEPTH + 1:
            raise Refused(
                self._wrong(place, f"more than {MAX_DEPTH} lists or mappings inside each other", "a document has no use for that")
            )
        return node

    def _name(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self._anchors[anchor] = node

    def _count(self, place: Place) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise Refused(self._wrong(place, f"more than {MAX_NODES} values", "split the text"))

    def _refuse_tag(self, tag: str | None, place: Place) -> None:
        if tag is not None:
            self._note(place, f"tags are not taken: {shown(tag)}", "leave it out; text that starts with ! needs quotes")

    def _scalar(self, event: yaml.ScalarEvent, place: Place) -> Value:
        text = event.value
        if event.style or event.tag is not None:
            if has_control_characters(text):
                self._note(place, "a control character in a text", "take it out")
                return ""
            return text
        try:
            return plain_value(text)
        except ValueError as error:
            self._note(place, str(error), "put it into quotes to have text")
            return text

    def _note(self, place: Place, what: str, right: str) -> None:
        self.findings.append(self._wrong(place, what, right))
        if len(self.findings) >= MAX_MISTAKES:
            raise Refused(self._wrong(place, "too many mistakes to read on", "correct the ones above first"))

    def _wrong(self, place: Place, what: str, right: str) -> Finding:
        return finding(self._file, place, what, right)

"""A YAML document as a tree that knows where everything stands."""

from dataclasses import dataclass, field
from typing import Any

from scenarios.scalars import Value

Place = tuple[int, int]
"""Line and column, both from 1."""
Path = tuple[str | int, ...]
"""Keys and indexes from a document's root."""


@dataclass(slots=True)
class Node:
    """A part of a document. `size` and `height` count what aliases stand for."""

    place: Place
    size: int = 1
    height: int = 1

    def took(self, child: "Node") -> None:
        """Count a child in."""
        self.size += child.size
        self.height = max(self.height, child.height + 1)


@dataclass(slots=True)
class Scalar(Node):
    """A text, number, truth value or nothing."""

    value: Value = None


@dataclass(slots=True)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping(Node):
    """Keys and values; `keys` has the places of the keys."""

    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, Place] = field(default_factory=dict)


def plain(node: Node) -> Any:
    """The data of a node, nothing shared: what aliases stand for is copied."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, Scalar) else None


def place_of(root: Node, path: Path, *, at_key: bool = False) -> Place:
    """Where the value (or its key) at this path stands; of what is not there, where it would belong."""
    node, place = root, root.place
    for part in path:
        if isinstance(part, int) and not isinstance(node, Sequence):
            return node.place
        if isinstance(node, Mapping):
            name = part if part in node.entries else "service" if part == "target" and "service" in node.entries else None
            if name is None:
                return place
            place, node = node.keys[str(name)], node.entries[str(name)]
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            place = node.place
        else:
            return place
    return place if at_key else node.place

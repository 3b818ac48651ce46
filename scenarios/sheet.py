"""One document while it is checked: its data, where everything stands, and the mistakes found so far."""

from collections.abc import Iterable
from typing import Any

from messages.claims import Problem
from messages.control import Finding
from scenarios.errors import MAX_FINDINGS, finding
from scenarios.nodes import Node, Path, Place, place_of, plain


class Sheet:
    """A document's data, free to be changed, with a place for every path of it.

    Of several mistakes about one value only the first is kept: the others follow from it.
    """

    def __init__(self, file: str, root: Node, known: Iterable[Finding] = ()) -> None:
        self.file = file
        self.data: Any = plain(root)
        self.findings: list[Finding] = []
        self._root = root
        self._wrong: set[Place] = {(f.line, f.column) for f in known}
        self._moved: dict[Path, Path] = {}

    @property
    def name(self) -> str:
        """What the document is called, if that can be read."""
        metadata = self.data.get("metadata") if isinstance(self.data, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return name if isinstance(name, str) else ""

    @property
    def spec(self) -> dict[str, Any]:
        """The document's `spec`; empty when it has none that can be read."""
        spec = self.data.get("spec") if isinstance(self.data, dict) else None
        return spec if isinstance(spec, dict) else {}

    @property
    def full(self) -> bool:
        """There are enough mistakes; looking for more would only take time."""
        return len(self.findings) > MAX_FINDINGS

    def place(self, path: Path) -> Place:
        """Where the value at this path stands."""
        return place_of(self._root, self._origin(path))

    def add(self, path: Path, what: str, right: str = "", *, at_key: bool = False) -> None:
        """Note a mistake in the value (or its key) at this path."""
        place = place_of(self._root, self._origin(path), at_key=at_key)
        if place not in self._wrong:
            self.findings.append(finding(self.file, place, what, right))

    def add_problems(self, path: Path, problems: Iterable[Problem]) -> None:
        """Note what is wrong with the item at this path."""
        for problem in problems:
            self.add((*path, *problem.path), problem.what, problem.right)

    def moved(self, path: Path, origin: Path) -> None:
        """What the data has at this path stands at another one in the text."""
        self._moved[path] = origin

    def hide(self, path: Path) -> None:
        """Later mistakes at this place follow from another one."""
        self._wrong.add(self.place(path))

    def settle(self) -> None:
        """What was found up to now hides later mistakes at the same places."""
        self._wrong.update((f.line, f.column) for f in self.findings)

    def _origin(self, path: Path) -> Path:
        """The path in the text of what the data has at this one."""
        for length in range(len(path), 0, -1):
            if (origin := self._moved.get(path[:length])) is not None:
                return (*origin, *path[length:])
        return path

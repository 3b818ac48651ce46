"""A file of lines that survives a kill -9 of its writer: O_APPEND writes, no fsync, so it costs microseconds."""

import os
from collections.abc import Iterable
from pathlib import Path

COMPACT_AFTER = 20_000


class Journal:
    """Lines of tab-separated fields. Its owner replays it once, then rewrites it now and then to what still matters."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._appended = 0

    @property
    def overgrown(self) -> bool:
        """Whether it is time to rewrite it."""
        return self._appended >= COMPACT_AFTER

    def replay(self) -> list[list[str]]:
        """The fields of every line that was written to its end, oldest first."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        whole, _, _torn = text.rpartition("\n")
        return [line.split("\t") for line in whole.split("\n") if line]

    def rewrite(self, lines: Iterable[tuple[str, ...]]) -> None:
        """Replaces the content in one step: whoever dies in between leaves the old or the new file."""
        fresh = self._path.with_suffix(".new")
        fresh.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
        fresh.replace(self._path)
        self.close()
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._appended = 0

    def append(self, *fields: str) -> None:
        """Writes one line. Fields hold neither tabs nor line ends."""
        os.write(self._file, ("\t".join(fields) + "\n").encode())
        self._appended += 1

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

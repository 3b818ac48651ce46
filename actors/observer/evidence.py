"""The raw matches of a stage as one object: JSON lines, compressed so that equal matches give equal bytes."""

import gzip
import json
from collections.abc import Iterable

from actors.observer.matching import Row


def name_of(run: str, stage: str) -> str:
    """What the evidence of a stage is called."""
    return f"{run}/{stage}.jsonl.gz"


def packed(matches: Iterable[tuple[str, list[Row]]]) -> bytes:
    """The matches of each claim as compressed JSON lines."""
    lines = (_line(claim, row) for claim, rows in matches for row in rows)
    return gzip.compress("".join(lines).encode(), mtime=0)


def _line(claim: str, row: Row) -> str:
    name, type_, source, sequence, at, key = row
    told = {"assertion": claim, "id": name, "type": type_, "source": source, "sequence": sequence, "at": at.isoformat(), "key": key}
    return json.dumps(told, separators=(",", ":")) + "\n"

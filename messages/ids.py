"""Run ids: ULIDs, sortable by time and safe in a subject."""

import hashlib
import re
import secrets
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


def new_run_id(at: datetime) -> str:
    """A new ULID of this time."""
    return _ulid(at, secrets.randbits(80))


def derived_run_id(stored: datetime, sequence: int) -> str:
    """The ULID of a scenario that was published without one: the same for every delivery of the same message."""
    return _ulid(stored, sequence)


def is_run_id(text: str) -> bool:
    """Whether it is a ULID or a UUID of version 7."""
    return bool(_ULID.match(text) or _UUID7.match(text))


def trace_id(traceparent: object) -> str:
    """The trace id in a `traceparent` (W3C Trace Context §3.2.2); empty if it is none."""
    parts = traceparent.split("-") if isinstance(traceparent, str) else []
    return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 and parts[1].strip("0") else ""


def made_at(run: str) -> int:
    """When an id was made, by its own word: milliseconds since 1970, 48 bits of a ULID or a UUID of version 7; 0 of what is neither."""
    if _UUID7.match(run):
        return int(run[:8] + run[9:13], 16)
    if not _ULID.match(run):
        return 0
    made = 0
    for letter in run[:10]:
        made = made << 5 | _ALPHABET.index(letter)
    return made


def seed_of(run: str) -> int:
    """With what the random plans of a run are drawn that name no seed: the same for every delivery of its scenario."""
    return int(hashlib.sha256(run.encode()).hexdigest()[:8], 16)


def traceparent_of(run: str, given: str | None) -> str:
    """The trace context of a run: what its publisher gave, if that is one (W3C Trace Context §3.2), else one that follows from its id."""
    if given and _TRACEPARENT.match(given):
        return given
    digest = hashlib.sha256(run.encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"


def trace_id_of(traceparent: str) -> str:
    """The trace that a trace context belongs to: 32 hexadecimal digits."""
    return traceparent[3:35]


def _ulid(at: datetime, low: int) -> str:
    value = (int(at.timestamp() * 1000) << 80) | low
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))

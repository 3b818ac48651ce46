"""The wall clock of the ecosystem's services."""

from datetime import UTC, datetime


def now() -> str:
    """The present instant as CloudEvents and health answers write it (RFC 3339, UTC)."""
    instant = datetime.now(tz=UTC)  # noqa: TID251 - services under test stamp their own events, as real ones do
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")

"""What every command needs to begin and to end."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cli.access import Access


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "Examples:\n\n" + "\n\n".join(f"[cyan]{line}[/cyan]" for line in lines)


def access_of(nats: str | None, state: Path | None, instance: str | None = None, partitions: str | None = None) -> "Access":
    """Where the command finds its coordinator."""
    from cli.access import access

    return access(nats, state, instance, partitions)


def end(code: int) -> None:
    """Leave with this exit code."""
    raise typer.Exit(code)

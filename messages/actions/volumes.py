"""What can be done to a volume."""

from typing import Annotated, Literal

from pydantic import Field

from messages.actions.spec import ActionSpec, Parameters
from messages.values import Message, Size, Token


class DiskFull(Parameters):
    """How full the volume gets."""

    leave: Annotated[Size, Field(ge=0, le=2**50)] = 0
    """Space that stays free."""


class FillerUndo(Message):
    """Removes the file that fills a volume."""

    kind: Literal["volume.filler"] = "volume.filler"
    run: Token
    fault: Token
    volume: str
    """The volume's folder."""
    path: str
    """The filler file, in that folder."""
    leave: int
    """Bytes that stay free."""
    before: int
    """Bytes that were free."""
    device: int | None = None
    """The number of the file system."""


VOLUME_ACTIONS: dict[str, ActionSpec] = {
    "disk_full": ActionSpec(
        "Fills the volume's file system with one file, so that writing fails.",
        fault=True,
        means="volume",
        on=("volume",),
        parameters=DiskFull,
    ),
}

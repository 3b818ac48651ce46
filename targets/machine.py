"""This machine over its boots: what ran in an earlier one has ended with it, while of another machine nobody here can tell."""

import platform
from contextlib import suppress
from pathlib import Path

from targets.identity import boot_id


class Machine:
    """Knows the boots of this machine that were remembered in a folder, which several machines may share."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = folder / "boots" if folder is not None else None

    def remember(self) -> None:
        """Note this boot, for those who come after the next one. Where that cannot be written it will be nobody's that is known."""
        if self._file is not None and _entry(boot_id()) not in self._entries():
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
                with self._file.open("a") as file:
                    file.write(f"{_entry(boot_id())}\n")

    def had(self, boot: str) -> bool:
        """Whether it is a boot of this machine, this one or an earlier one that was remembered."""
        return boot == boot_id() or _entry(boot) in self._entries()

    def _entries(self) -> list[str]:
        with suppress(OSError, ValueError):
            return self._file.read_text().splitlines() if self._file is not None else []
        return []


def _entry(boot: str) -> str:
    return f"{boot} {platform.node()}"

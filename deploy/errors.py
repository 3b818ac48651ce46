"""What keeps a host from starting.

DeployError
├── SettingsInvalid   the environment says something that cannot be; every mistake is named
├── PortTaken         the port that was asked for is somebody else's
└── ActorUnknown      there is no actor of this name
"""

from collections.abc import Sequence


class DeployError(Exception):
    """A host cannot start as it was told. A retry helps only after a change."""


class SettingsInvalid(DeployError):
    """One line per setting: its name, its value and what would be right."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class PortTaken(DeployError):
    """Nobody can listen on the port that was asked for."""

    def __init__(self, setting: str, host: str, port: int, why: str) -> None:
        super().__init__(f"{setting} {port} on {host} cannot be used: {why}; choose another one, or 0 for any free one")
        self.setting = setting
        self.host = host
        self.port = port


class ActorUnknown(DeployError):
    """There is no actor of this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"there is no actor {name!r}; use all, or some of {', '.join(known)}")
        self.name = name

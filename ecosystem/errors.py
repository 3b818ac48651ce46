"""What can go wrong in a service before or while it serves."""

from pathlib import Path


class EcosystemError(Exception):
    """The root of the ecosystem's own errors."""


class SettingsError(EcosystemError):
    """Environment variables that make no sense; all of them are named at once. Retrying does not help."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class StartError(EcosystemError):
    """The service cannot start here and now."""


class PortTakenError(StartError):
    """Another process listens where this one should. Retrying helps once that one has gone."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"cannot listen on {host}:{port}: the port is taken or the address is not ours")
        self.host = host
        self.port = port


class StateDirectoryError(StartError):
    """The directory for what must survive a restart belongs to somebody else, or is no directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"cannot keep state in {path}: it is not a directory of this user")
        self.path = path


class OrderError(EcosystemError):
    """A message that should be an order and is not. The sender must change it."""


class StoreError(EcosystemError):
    """The store does not take this; the text is what it says."""


class BodyError(EcosystemError):
    """A request's body that makes no sense or asks for too much; all that is wrong is named at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

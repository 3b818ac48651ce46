"""What can go wrong with a target.

TargetError
├── CannotListen    somebody else has the address, or it is not of this machine; a retry may help
├── CannotRun       a program or its directory is missing or unusable; a retry helps only if the cause is removed
├── StartFailed     the service could not be started; a retry helps only if the cause is removed
├── StopFailed      it is still there after SIGKILL; a retry may help
├── NotThere        the process is gone, or its pid is now another process; final for this identity
├── Elsewhere       it is of another machine, or may be; final on this one
├── NotPermitted    the system refuses to let us signal it; final
├── Unsupported     it cannot be done to this target, or on this machine; the text says what would help
└── SecretMissing   values that the environment must hold are not there; final until it is set
"""

from collections.abc import Iterable

from messages.identity import Identity


class TargetError(Exception):
    """A target could not be reached as asked."""


class CannotListen(TargetError):
    """Nothing can be received at the address."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"nobody can listen at {address}: {why}")
        self.address = address


class CannotRun(TargetError):
    """A program could not be started; the text says why, without its environment."""


class StartFailed(TargetError):
    """The service's program could not be started: nothing runs that did not run before."""

    def __init__(self, service: str, why: str) -> None:
        super().__init__(f"{service} could not be started: {why}")
        self.service = service
        self.why = why


class StopFailed(TargetError):
    """The process, or one of its group, is still there after SIGKILL."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(f"{identity} or a process of its group is still there after SIGKILL")
        self.identity = identity


class NotThere(TargetError):
    """The process is gone; whoever has its pid now was not touched."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(f"{identity} is not there any more")
        self.identity = identity


class Elsewhere(TargetError):
    """The process is of a boot that is not known to be one of this machine: nobody can tell from here what became of it."""

    def __init__(self, identity: Identity) -> None:
        told = f"{identity} is on another machine, or was on this one before a restart that left no trace"
        super().__init__(f"{told}: nobody can tell from here what became of it; look after it there")
        self.identity = identity


class NotPermitted(TargetError):
    """The process belongs to someone whom we may not signal."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(f"{identity} may not be signalled: not permitted")
        self.identity = identity


class Unsupported(TargetError):
    """It cannot be done to this target, or on this machine; the text says what would help."""


class SecretMissing(TargetError):
    """Environment variables that a service's secrets refer to are not set."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(set(names)))
        super().__init__(f"the environment has no {', '.join(self.names)}")

"""What a process can be denied: CPU time, memory, file descriptors, long files."""

from typing import Annotated, Literal

from pydantic import Field

from messages.actions.spec import ActionSpec, Parameters
from messages.identity import Identity
from messages.values import Message, Size, Token

Resource = Literal["memory", "fds", "file_size"]
"""What setrlimit(2) bounds: RLIMIT_AS, RLIMIT_NOFILE, RLIMIT_FSIZE."""
Controller = Literal["cpu", "memory"]


class LimitCpu(Parameters):
    """How much CPU time is left to the service."""

    cores: Annotated[float, Field(ge=0.01, le=64)]
    """CPU time per time, over all of its processes: 0.5 is half of one core."""


class LimitMemory(Parameters):
    """How much more memory the service gets."""

    headroom: Annotated[Size, Field(ge=2**16, le=2**40)]
    """What may be allocated beyond what is in use when the fault starts: by each process with `error`, by all together with `kill`."""
    how: Literal["error", "kill"] = "error"
    """What asking for more leads to: an allocation that fails, or the end of a process by the kernel."""


class LimitFds(Parameters):
    """How many more file descriptors each process of the service gets."""

    free: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """File descriptors that can still be opened. A thread that waits in accept(2) has its next one already, and serves once more."""


class LimitFileSize(Parameters):
    """How long a file can get by the service's writing."""

    size: Annotated[Size, Field(ge=0, le=2**40)]
    """Writing beyond it fails with EFBIG, after a SIGXFSZ, which ends a program that does not ignore it."""


class Lowered(Message):
    """A soft limit of one process, as it was and as it is to be. Bytes or numbers; -1 is no limit."""

    identity: Identity
    before: int
    after: int


class ResourceUndo(Message):
    """Puts soft limits of processes back."""

    kind: Literal["limit.resource"] = "limit.resource"
    run: Token
    fault: Token
    leader: Identity
    """The first process of the service; what its group forks later inherits the limits."""
    resource: Resource
    lowered: Annotated[tuple[Lowered, ...], Field(min_length=1)]


class GroupUndo(Message):
    """Puts processes back where they were in the tree of control groups."""

    kind: Literal["limit.group"] = "limit.group"
    run: Token
    fault: Token
    leader: Identity
    controller: Controller
    version: Literal[1, 2]
    """Of the control groups."""
    home: str
    """The folder of the group in which the processes were."""
    folder: str
    """The folder of our group."""
    settings: dict[str, str]
    """The files of our group that are written, in this order."""
    limit: float
    """Cores or bytes."""


LIMIT_ACTIONS: dict[str, ActionSpec] = {
    "limit_cpu": ActionSpec("Leaves the service only so much CPU time.", fault=True, means="limit", parameters=LimitCpu),
    "limit_memory": ActionSpec(
        "Leaves the service only so much more memory: allocating fails, or a process is killed.",
        fault=True,
        means="limit",
        parameters=LimitMemory,
    ),
    "limit_fds": ActionSpec("Leaves the service only so many more file descriptors.", fault=True, means="limit", parameters=LimitFds),
    "limit_file_size": ActionSpec("Makes the service's writes to long files fail.", fault=True, means="limit", parameters=LimitFileSize),
}

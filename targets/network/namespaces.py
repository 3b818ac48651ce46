"""Network namespaces: which one a process is in, and doing something inside one, namespaces(7)."""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from messages.actions.network import Namespace
from messages.identity import Identity
from targets.errors import NotThere
from targets.identity import PROC, is_alive
from targets.network.errors import HostNamespace, NoNamespace

T = TypeVar("T")
NAMED = Path("/run/netns")
"""Where ip-netns(8) keeps namespaces by name."""
_OWN = (Path("/proc/1/ns/net"), Path("/proc/self/ns/net"))
_NEW_NET = 0x40000000
"""CLONE_NEWNET."""


def namespace_of(process: Identity) -> Namespace:
    """The namespace in which the process is.

    Raises:
        NotThere: the process is gone.
        HostNamespace: it is the machine's own.
        NoNamespace: it may not be looked at.
    """
    namespace = namespace_at(PROC / str(process.pid) / "ns/net")
    if not is_alive(process):
        raise NotThere(process)
    return namespace


def namespace_at(path: str | Path) -> Namespace:
    """The namespace at a path, such as /run/netns/NAME.

    Raises:
        HostNamespace: it is the machine's own.
        NoNamespace: there is none, or it may not be looked at.
    """
    try:
        found = Path(path).stat()
    except OSError as error:
        raise NoNamespace(str(path)) from error
    namespace = Namespace(path=str(path), device=found.st_dev, inode=found.st_ino)
    if any(_leads_to(own, namespace) for own in _OWN):
        raise HostNamespace(str(path))
    return namespace


def path_to(namespace: Namespace) -> Path | None:
    """A path that leads to the namespace now; None if nobody is in it any more, so that it and its rules are gone."""
    return next((path for path in _candidates(namespace) if _leads_to(path, namespace)), None)


def named() -> Iterator[Namespace]:
    """The namespaces that have a name, without the machine's own: they stay when nobody is in them any more."""
    with suppress(OSError):
        for path in sorted(NAMED.iterdir()):
            with suppress(HostNamespace, NoNamespace):
                yield namespace_at(path)


def inside(path: Path, make: Callable[[], T]) -> T:
    """What a function returns that is called inside the namespace, in a thread of its own; it must be quick.

    Raises:
        OSError: the namespace cannot be entered (needs CAP_SYS_ADMIN), or the function raised it.
    """
    results: list[T] = []
    errors: list[OSError] = []

    def enter() -> None:
        try:
            _enter(path)
            results.append(make())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return results[0]


def _enter(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(fd, _NEW_NET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)


def _candidates(namespace: Namespace) -> Iterator[Path]:
    yield Path(namespace.path)
    with suppress(OSError):
        yield from NAMED.iterdir()
    yield from (PROC / name / "ns/net" for name in os.listdir(PROC) if name.isdecimal())  # noqa: PTH208 - only the names


def _leads_to(path: Path, namespace: Namespace) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (namespace.device, namespace.inode)

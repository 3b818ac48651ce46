"""What can go wrong between us and the bus.

BusError
├── Unreachable            nobody answers at the address, or refuses us; a retry helps once somebody does
│   └── JetStreamMissing   a nats-server answers, but without JetStream
├── NoAnswer               a request was not answered; whether it took effect is unknown, repeating it is safe
├── RequestRefused         a host answered that the request makes no sense
├── ServerFailed           the embedded nats-server does not start, or has ended
├── StateInUse             another process holds the state folder
├── StateUnusable          the state folder cannot hold state
├── TopologyDiffers        a stream, bucket or consumer exists with other settings
├── TopologyRefused        the bus does not create a stream or a consumer
├── EventsUnreadable       a system's events are captured in a way that cannot be read whole
├── PermissionViolation    the bus does not allow us a subject
├── NamespaceMissing       no coordinator has run there in this namespace
├── ObjectMissing          an object store has no such object
└── NameInvalid            an instance, a service or a namespace cannot have this name
"""

from collections.abc import Sequence
from pathlib import Path


class BusError(Exception):
    """Anything that the bus could not do. A retry does not help unless the class says so."""


class Unreachable(BusError):
    """No usable nats-server at the address. A retry helps once one answers there."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no NATS at {url}: {why}; start a nats-server there, or give another address")
        self.url = url
        self.why = why


class JetStreamMissing(Unreachable):
    """A nats-server answers, but its JetStream is off."""

    def __init__(self, url: str) -> None:
        super().__init__(url, "it runs without JetStream (start it with -js, or enable JetStream for this account)")


class NoAnswer(BusError):
    """The bus did not answer in time. Whether the request took effect is unknown; repeating it is safe."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no answer from the bus to {what}; whether it took effect is unknown, repeat it")
        self.what = what


class RequestRefused(BusError):
    """A host answered that the request makes no sense. Final for this request."""

    def __init__(self, verb: str, why: str) -> None:
        super().__init__(f"{verb}: {why}")


class ServerFailed(BusError):
    """The embedded nats-server does not run."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the embedded nats-server does not run: {why}")
        self.why = why


class StateInUse(BusError):
    """Another process holds the state folder. A retry helps once that one has ended."""

    def __init__(self, folder: Path, pid: int | None, url: str | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        join = f"join it with --nats {url}" if url else "it is starting: try again"
        super().__init__(f"{folder} is in use by {holder}; {join}, or choose another folder with --state")
        self.folder = folder
        self.pid = pid
        self.url = url


class StateUnusable(BusError):
    """The state folder cannot hold state."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"{folder} cannot hold state: {why}; choose another folder with --state")
        self.folder = folder
        self.why = why


class TopologyDiffers(BusError):
    """A stream, bucket or consumer exists with other settings than ours; it was left as it is."""

    def __init__(self, name: str, differences: Sequence[str]) -> None:
        super().__init__(f"{name} exists with other settings: {'; '.join(differences)}. Change or delete it, or choose another namespace")
        self.name = name
        self.differences = tuple(differences)


class TopologyRefused(BusError):
    """The bus does not create a stream, a bucket or a consumer."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"the bus does not create {name}: {why}")
        self.name = name
        self.why = why


class EventsUnreadable(BusError):
    """The events of a system are captured already, but in a way that cannot be read whole."""

    def __init__(self, subject: str, stream: str, why: str) -> None:
        super().__init__(f"the events {subject} cannot be read whole: stream {stream} {why}")
        self.subject = subject
        self.stream = stream
        self.why = why


class PermissionViolation(BusError):
    """The bus does not allow us to use a subject."""

    def __init__(self, subject: str, what: str) -> None:
        super().__init__(f"the bus does not allow {what} {subject}; grant it to this user, or connect as another")
        self.subject = subject
        self.what = what


class NamespaceMissing(BusError):
    """The streams of a namespace do not exist. A host makes them when it starts."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"no coordinator has ever run here: there is no stream {stream}; start one, or set NAMESPACE to another namespace")
        self.stream = stream


class ObjectMissing(BusError):
    """An object store has no object of this name, or has lost part of it."""

    def __init__(self, bucket: str, name: str) -> None:
        super().__init__(f"object store {bucket} has no {name}; it was never stored, or has been deleted")
        self.bucket = bucket
        self.name = name


class NameInvalid(BusError):
    """A service, an instance or a namespace cannot have this name."""

    def __init__(self, setting: str, value: str, right: str) -> None:
        super().__init__(f"{setting} cannot be {value!r}; {right}")
        self.setting = setting
        self.value = value

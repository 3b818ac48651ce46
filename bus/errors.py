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
├── StorageFull            a stream takes nothing more; a retry helps once there is room
├── EventUntaken           no stream takes an event of ours; a retry may help, and was made
├── EventsUnreadable       a system's events are captured in a way that cannot be read whole
├── PermissionViolation    the bus does not allow us a subject
├── NamespaceMissing       no coordinator has run there in this namespace
├── ObjectMissing          an object store has no such object
├── NameInvalid            an instance, a service or a namespace cannot have this name
├── NameTaken              another instance has a name that derives from ours; a retry helps once it has left
└── PartitionsInvalid      what is to be owned names no partitions

LostRace                   another writer was first; no failure of the bus
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

    def __init__(self, folder: Path, why: str, do: str = "") -> None:
        """`do` is what helps beside another folder."""
        super().__init__(f"{folder} cannot hold state: {why}; choose another folder with --state{f', or {do}' if do else ''}")
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


class StorageFull(BusError):
    """A stream takes nothing more; a retry helps once there is room.

    What was asked is not done if the server refused it. If the server did not answer it may be, and the text says so.
    """

    def __init__(self, trouble: str) -> None:
        """`trouble` is what `bus.room` says: which stream, which limit, and what to do."""
        super().__init__(trouble)
        self.trouble = trouble


class EventsUnreadable(BusError):
    """The events of a system are captured already, but in a way that cannot be read whole."""

    def __init__(self, subject: str, stream: str, why: str) -> None:
        super().__init__(f"the events {subject} cannot be read whole: stream {stream} {why}")
        self.subject = subject
        self.stream = stream
        self.why = why


class EventUntaken(BusError):
    """An event that we publish among those of a system was taken by no stream, however often it was tried."""

    def __init__(self, subject: str, why: str) -> None:
        super().__init__(f"no stream has taken the event on {subject}: {why}")
        self.subject = subject
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


class NameTaken(BusError):
    """Another instance at work has a name that derives from ours as well. A retry helps once that one has left."""

    def __init__(self, instance: str, other: str, what: str, name: str) -> None:
        super().__init__(
            f"SERVICE_INSTANCE_NAME cannot be {instance!r}: its {what} would be {name}, which is that of the instance {other!r} "
            "at work here; choose a name that differs in more than case, or another namespace"
        )
        self.other = other
        self.name = name


class PartitionsInvalid(BusError):
    """What a host is to own names no partitions."""

    def __init__(self, text: str, count: int) -> None:
        super().__init__(f"partitions cannot be {text!r}; use auto, or numbers from 0 to {count - 1} like 0-{count // 2 - 1},{count - 1}")
        self.text = text


class LostRace(Exception):
    """Someone else wrote first, or owns the partition: what was decided no longer follows. Final; decide again from the newer journal."""

    def __init__(self, subject: str, sequence: int) -> None:
        super().__init__(f"another writer was first on {subject} (sequence {sequence})")
        self.sequence = sequence

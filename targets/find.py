"""Finding our processes again by the tags in their environment, when nothing else is known of them."""

from dataclasses import dataclass
from itertools import groupby

from messages.identity import Identity
from targets.identity import ProcessStat, read_environ, session_leaders

RUN_TAG = "TEST_COORDINATOR_RUN"
SERVICE_TAG = "TEST_COORDINATOR_SERVICE"
NAMESPACE_TAG = "TEST_COORDINATOR_NAMESPACE"
"""Whose run it is: on one machine several namespaces may have theirs."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A process that leads a session and carries our tags."""

    run: str
    service: str
    identity: Identity
    namespace: str = ""
    """Empty if it does not say."""


def tags_of(run_id: str, service: str, namespace: str = "") -> dict[str, str]:
    """The tags that a service's processes carry in their environment."""
    return {RUN_TAG: run_id, SERVICE_TAG: service, **({NAMESPACE_TAG: namespace} if namespace else {})}


def tagged_processes(run_id: str | None = None) -> tuple[Tagged, ...]:
    """The tagged processes of this run, or of every run, oldest first.

    What a tagged process started itself is not among them while its parent lives, even if it leads a session of its own: who sweeps, looks
    again until nothing is found. A program that writes over its environment to change its title is not found.
    """
    found = [(stat, tags) for stat in session_leaders() if (tags := _tags(stat.pid)) is not None]
    tops = [(stat, run, service) for stat, (run, service) in found if run_id in {None, run} and _tags(stat.parent) != (run, service)]
    return tuple(
        Tagged(run, service, stat.identity, tag_of(stat.pid, NAMESPACE_TAG) or "") for stat, run, service in sorted(tops, key=_age)
    )


def find_tagged(run_id: str) -> dict[str, Identity]:
    """Each service of the run that has a process, and that process; the newest, should there be several."""
    found = sorted(tagged_processes(run_id), key=lambda tagged: tagged.service)
    return {service: list(those)[-1].identity for service, those in groupby(found, key=lambda tagged: tagged.service)}


def has_tags(pid: int) -> bool:
    """Whether the process carries tags of ours."""
    return _tags(pid) is not None


def tag_of(pid: int, tag: str) -> str | None:
    """What a variable in the environment of a process says; None if it has none, is gone, or is not ours to read."""
    try:
        entries = read_environ(pid).split(b"\0")
    except OSError:
        return None
    start = f"{tag}=".encode()
    return next((entry.removeprefix(start).decode(errors="replace") for entry in entries if entry.startswith(start)), None)


def _age(entry: tuple[ProcessStat, str, str]) -> tuple[int, int]:
    return entry[0].started, entry[0].pid


def _tags(pid: int) -> tuple[str, str] | None:
    """Run and service in the environment of a process; None if it has none, is gone, or is not ours to read."""
    try:
        environ = read_environ(pid)
    except OSError:
        return None
    if RUN_TAG.encode() not in environ:
        return None
    pairs = dict(entry.partition(b"=")[::2] for entry in environ.split(b"\0"))
    run, service = pairs.get(RUN_TAG.encode()), pairs.get(SERVICE_TAG.encode())
    return None if run is None or service is None else (run.decode(errors="replace"), service.decode(errors="replace"))

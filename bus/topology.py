"""All streams, consumers and buckets: made when missing, checked when there, never changed."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from bus.errors import EventsUnreadable, NoAnswer, TopologyDiffers, TopologyRefused
from bus.subjects import PARTITIONS, covers, widest

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_OURS = {"created-by": "test-coordinator"}

_CONSUMER_EXISTS = 10148
_STREAM_EXISTS = 10058
_SUBJECTS_OVERLAP = 10065
_NOT_OURS_TO_JUDGE = {"description", "placement"}
_UNSET: tuple[Any, ...] = (None, 0, -1, "", "none", "default", {}, [])
_SPANS = {"max_age", "duplicate_window", "subject_delete_marker_ttl", "ack_wait"}
_ATTEMPTS = 12
_OVERWRITING = 0.5
"""Seconds from somebody's reading of a stream to his writing of it, at most."""
_ANSWER_LIMIT = 5.0

Settings = Mapping[str, Any]
"""The configuration of a stream or a consumer, as JetStream's API has it: spans are nanoseconds."""


@dataclass(frozen=True)
class Names:
    """What the streams and buckets of a namespace are called."""

    namespace: str

    @property
    def scenarios(self) -> str:
        """The stream of scenarios that wait; its consumers are `scheduler-0` and on, one for each partition, and `rejector`."""
        return f"{self.namespace}-SCENARIOS"

    @property
    def runs(self) -> str:
        """The stream of all journals, timers and fired timers."""
        return f"{self.namespace}-RUNS"

    @property
    def rejected(self) -> str:
        """The stream of scenarios that could not be accepted."""
        return f"{self.namespace}-REJECTED"

    @property
    def instances(self) -> str:
        """The KV bucket of leases."""
        return f"{self.namespace}-instances"

    @property
    def ownership(self) -> str:
        """The KV bucket that says who owns which partitions."""
        return f"{self.namespace}-ownership"

    @property
    def systems(self) -> str:
        """The KV bucket of systems."""
        return f"{self.namespace}-systems"

    @property
    def evidence(self) -> str:
        """The object store of evidence."""
        return f"{self.namespace}-evidence"

    @property
    def reports(self) -> str:
        """The object store of reports."""
        return f"{self.namespace}-reports"

    @property
    def archive(self) -> str:
        """The object store of journals that were moved out of the stream."""
        return f"{self.namespace}-archive"


async def ensure_topology(js: JetStreamContext, namespace: str, *, replicas: int = 1) -> None:
    """Make what a namespace needs. Any number of hosts may do so at once.

    Raises:
        TopologyDiffers: something exists with other settings; each difference is named.
        TopologyRefused: the server refuses, for lack of storage or peers.
        NoAnswer: the server did not answer; repeat it.
    """
    for stream in _streams(namespace, replicas):
        await _ensure_stream(js, stream)
    for consumer in _consumers(namespace):
        await _ensure_consumer(js, Names(namespace).scenarios, consumer)


async def ensure_events_stream(js: JetStreamContext, system: str, subjects: Sequence[str], *, replicas: int = 1) -> dict[str, str]:
    """Which stream captures each of a system's subjects: one that does already, else `AUDIT-<system>`, made or widened here.

    Raises:
        EventsUnreadable: another stream captures only a part of a subject, or does not keep each message for every reader.
        TopologyDiffers: a foreign stream is called `AUDIT-<system>`.
    """
    audit, widened = f"AUDIT-{system}", False
    for _ in range(_ATTEMPTS):
        captors = await events_captors(js, system, subjects)
        missing = [subject for subject, captor in captors.items() if captor is None]
        if missing:
            widened = await _capture(js, audit, missing, replicas)
        elif widened:  # who read the stream before that may write it after that: an update knows no revision
            await asyncio.sleep(_OVERWRITING)
            widened = False
        else:
            return {subject: captor for subject, captor in captors.items() if captor is not None}
    raise TopologyRefused(audit, "others keep changing it; try again")


async def events_captors(js: JetStreamContext, system: str, subjects: Sequence[str]) -> dict[str, str | None]:
    """Which stream captures each of a system's subjects, None where none does. Changes nothing.

    Raises:
        EventsUnreadable: as `ensure_events_stream`.
    """
    return {subject: await _captor(js, subject, f"AUDIT-{system}") for subject in subjects}


def _streams(namespace: str, replicas: int) -> list[Settings]:
    names = Names(namespace)
    transform = {"src": f"{namespace}.scenarios.*", "dest": f"{namespace}.queue.{{{{partition({PARTITIONS},1)}}}}.{{{{wildcard(1)}}}}"}
    common = {"num_replicas": replicas}
    return [
        _stream(
            names.scenarios,
            [f"{namespace}.scenarios", f"{namespace}.scenarios.>"],
            **common,
            retention="workqueue",
            subject_transform=transform,
        ),
        _stream(
            names.runs,
            [f"{namespace}.run.>", f"{namespace}.timer.>", f"{namespace}.due.>"],
            **common,
            allow_msg_schedules=True,
            allow_msg_ttl=True,
            allow_rollup_hdrs=True,
            allow_direct=True,
            republish={"src": f"{namespace}.run.>", "dest": f"{namespace}.live.>"},
        ),
        _stream(names.rejected, [f"{namespace}.rejected.>"], **common, max_msgs=10_000, max_age=30 * _DAY),
        _bucket(names.instances, **common, subject_delete_marker_ttl=60 * _SECOND),
        _bucket(names.ownership, **common),
        _bucket(names.systems, **common),
        _object_store(names.evidence, **common),
        _object_store(names.reports, **common),
        _object_store(names.archive, **common),
    ]


def _consumers(namespace: str) -> list[Settings]:
    common = {
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "replay_policy": "instant",
        "ack_wait": 2 * _SECOND,
        "max_waiting": 512,
    }
    in_order = {**common, "max_ack_pending": 1}
    queues = [(f"scheduler-{partition}", f"{namespace}.queue.{partition}.>") for partition in range(PARTITIONS)]
    return [
        *({"durable_name": name, "name": name, "filter_subject": queue, **in_order} for name, queue in queues),
        {
            "durable_name": "rejector",
            "name": "rejector",
            "filter_subjects": [f"{namespace}.scenarios", f"{namespace}.scenarios.>"],
            "max_ack_pending": 256,
            **common,
        },
    ]


def _stream(name: str, subjects: list[str], **settings: Any) -> Settings:
    usual = {"retention": "limits", "storage": "file", "discard": "old", "max_msgs": -1, "max_bytes": -1, "max_msgs_per_subject": -1}
    return {"name": name, "subjects": subjects, **usual, "max_msg_size": -1, "duplicate_window": 120 * _SECOND, **settings}


def _bucket(name: str, **settings: Any) -> Settings:
    """As every NATS client lays out a KV bucket; messages may have a TTL of their own."""
    kv = {"max_msgs_per_subject": 1, "discard": "new", "deny_delete": True, "allow_rollup_hdrs": True, "allow_direct": True}
    return _stream(f"KV_{name}", [f"$KV.{name}.>"], **kv, allow_msg_ttl=True, **settings)


def _object_store(name: str, **settings: Any) -> Settings:
    """As every NATS client lays out an object store."""
    objects = {"discard": "new", "allow_rollup_hdrs": True, "allow_direct": True}
    return _stream(f"OBJ_{name}", [f"$O.{name}.C.>", f"$O.{name}.M.>"], **objects, **settings)


async def _ensure_stream(js: JetStreamContext, wanted: Settings) -> None:
    """Creating what exists just so is a success, so racing creators need no order."""
    name = str(wanted["name"])
    try:
        found = await _request(js, f"STREAM.CREATE.{name}", wanted)
    except APIError as error:
        if error.err_code == _SUBJECTS_OVERLAP:
            raise TopologyRefused(name, await _who_overlaps(js, wanted["subjects"])) from error
        if error.err_code != _STREAM_EXISTS:
            raise TopologyRefused(name, str(error.description)) from error
        found = await _request(js, f"STREAM.INFO.{name}", None)
    _check(name, wanted, found["config"])


async def _ensure_consumer(js: JetStreamContext, stream: str, wanted: Settings) -> None:
    """With `action: create`, because nats-py's own request would overwrite the settings of a consumer that exists."""
    name = str(wanted["name"])
    try:
        found = await _request(js, f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "action": "create", "config": wanted})
    except APIError as error:
        if error.err_code != _CONSUMER_EXISTS:
            raise TopologyRefused(f"consumer {name} of {stream}", str(error.description)) from error
        found = await _request(js, f"CONSUMER.INFO.{stream}.{name}", None)
    _check(f"consumer {name} of {stream}", wanted, found["config"])


async def _captor(js: JetStreamContext, subject: str, audit: str) -> str | None:
    """The stream that captures the whole subject, None if nobody captures any of it, or only our own stream a part."""
    listed = await _request(js, "STREAM.NAMES", {"subject": subject})
    for name in sorted(listed["streams"] or []):
        try:
            found = (await _request(js, f"STREAM.INFO.{name}", None))["config"]
        except NotFoundError:
            continue
        if any(covers(captured, subject) for captured in found["subjects"]):
            if obstacle := _loses(found):
                raise EventsUnreadable(subject, name, obstacle)
            return str(name)
        if name != audit:
            part = ", ".join(found["subjects"])
            raise EventsUnreadable(subject, name, f"captures only a part of them ({part}); name that part in `events`, or widen the stream")
    return None


def _loses(found: Settings) -> str:
    """How a stream loses messages between others that it keeps, which no reader would notice; empty if it does not."""
    if found["retention"] == "workqueue":
        return "is a work queue, which gives each message to one reader only; mirror it, and name that"
    if found["retention"] == "interest":
        return "has `interest` retention, which drops what its consumers have acknowledged, or never wanted; set its retention to `limits`"
    most = found.get("max_msgs_per_subject", -1)
    if most > 0:
        return f"keeps only the last {most} of each subject, and drops others from between; set its max_msgs_per_subject to -1"
    return ""


async def _capture(js: JetStreamContext, audit: str, missing: list[str], replicas: int) -> bool:
    """Make or widen our stream; whether it was widened."""
    try:
        found = (await _request(js, f"STREAM.INFO.{audit}", None))["config"]
    except NotFoundError:
        wanted = _stream(audit, widest(missing), num_replicas=replicas, max_age=7 * _DAY, allow_direct=True, metadata=_OURS)
        subject = f"STREAM.CREATE.{audit}"
    else:
        if not _OURS.items() <= (found.get("metadata") or {}).items():
            raise TopologyDiffers(audit, [f"it is not ours, and does not capture {', '.join(missing)}"])
        wanted = {**found, "subjects": widest([*found["subjects"], *missing])}
        subject = f"STREAM.UPDATE.{audit}"
    try:
        await _request(js, subject, wanted)
    except APIError as error:
        if error.err_code not in {_STREAM_EXISTS, _SUBJECTS_OVERLAP}:  # another creator was quicker: look again
            raise TopologyRefused(audit, str(error.description)) from error
        return False
    return subject.startswith("STREAM.UPDATE")


async def _who_overlaps(js: JetStreamContext, subjects: Sequence[str]) -> str:
    others = {name for subject in subjects for name in (await _request(js, "STREAM.NAMES", {"subject": subject}))["streams"] or []}
    return f"its subjects {', '.join(subjects)} are captured by {', '.join(sorted(others)) or 'another stream'}; choose another namespace"


async def _request(js: JetStreamContext, subject: str, body: Settings | None) -> dict[str, Any]:
    try:
        request = b"" if body is None else json.dumps(body).encode()
        send = js._api_request  # noqa: SLF001  nats-py has no fields for all of it
        answer: dict[str, Any] = await send(f"$JS.API.{subject}", request, timeout=_ANSWER_LIMIT)
    except (TimeoutError, nats.errors.Error) as error:
        if isinstance(error, APIError) and error.err_code is not None:
            raise
        raise NoAnswer(subject) from error
    return answer


def _check(name: str, wanted: Settings, found: Settings) -> None:
    ours, theirs = _judged(wanted), _judged(found)
    if differences := [
        f"{key} is {_shown(key, theirs.get(key))}, ours is {_shown(key, ours.get(key))}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]:
        raise TopologyDiffers(name, differences)


def _judged(settings: Settings) -> dict[str, Any]:
    """What we have an opinion on, without what means "not set", however it is written."""
    judged = {key: value for key, value in settings.items() if key not in _NOT_OURS_TO_JUDGE}
    judged["metadata"] = {key: value for key, value in (judged.get("metadata") or {}).items() if not key.startswith("_nats.")}
    judged |= {key: sorted(judged[key]) for key in ("subjects", "filter_subjects") if key in judged}
    return {key: value for key, value in judged.items() if value not in _UNSET}


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "not set"
    return f"{value / _SECOND:g}s" if key in _SPANS else json.dumps(value)

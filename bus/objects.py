"""Whole objects in one object store: evidence and reports."""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import nats.errors
import nats.js.object_store
from nats.js import JetStreamContext
from nats.js.errors import APIError, DigestMismatchError, NotFoundError, ServiceUnavailableError

from bus.connection import Connection
from bus.errors import NoAnswer, ObjectMissing
from bus.room import is_full

_LIMIT = 30.0
"""Seconds for one object; 20 MB take one."""
_CHUNK = 128 * 1024
_WRONG_LAST_SEQUENCE = 10071
_NEW = {"Nats-Rollup": "sub", "Nats-Expected-Last-Subject-Sequence": "0"}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What an object store says about an object."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""


class ObjectStore:
    """One bucket of objects. Every method raises NoAnswer when the bus does not answer, or has nobody in charge of the bucket.

    Repeating it is safe. APIErrors are what the server refuses, as without room: `Room.within` tells those apart.
    """

    def __init__(self, connection: Connection, bucket: str) -> None:
        self._bucket = bucket
        # Made here, because nats-py asks for the stream's state each time that it makes one.
        self._store = nats.js.object_store.ObjectStore(bucket, f"OBJ_{bucket}", connection.js)
        self._js = connection.js
        self._nc = connection.nc

    async def put(self, name: str, data: bytes) -> StoredObject:
        """Store the object, replacing another of this name."""
        try:
            async with asyncio.timeout(_LIMIT):
                if not 0 < len(data) <= _CHUNK or not await self._put_new(name, data):
                    await self._store.put(name, data)
        except (TimeoutError, nats.errors.Error) as error:
            raise self._translated(error, f"store {name}") from error
        return StoredObject(name, len(data), hashlib.sha256(data).hexdigest())

    async def _put_new(self, name: str, data: bytes) -> bool:
        """Store an object of one chunk under a new name, both its messages at once; False when there is one of this name.

        As every NATS client lays it out; nats-py's own looks for an older one first, and waits for each answer before the next step.
        """
        part, told = self._about(name, data, "")
        async with asyncio.TaskGroup() as tasks:
            chunk = tasks.create_task(_publish(self._js, self._part(part), data, {}))
            meta = tasks.create_task(_publish(self._js, self._told_on(name), told, _NEW))
        for error in (chunk.result(), meta.result()):
            if error is not None:
                await self._forget(part)
                if _is_taken(error):
                    return False
                raise error
        return True

    async def create(self, name: str, data: bytes, description: str) -> bool:
        """Store a new object of any size, and a text that can be read without it; False, and nothing is changed, when one has this name.

        It is announced when all of it is stored, so whoever finds it can read it. What was not announced, whatever the reason, is taken
        away again.
        """
        part, told = self._about(name, data, description)
        complete = False
        try:
            async with asyncio.timeout(_LIMIT):
                for at in range(0, len(data), _CHUNK):
                    await self._js.publish(self._part(part), data[at : at + _CHUNK])
                complete = True
                return await self._announce(name, part, told)
        except (TimeoutError, nats.errors.Error) as error:
            raise self._translated(error, f"store {name}") from error
        finally:
            if not complete:
                await self._forget(part)

    async def _announce(self, name: str, part: str, told: bytes) -> bool:
        """Whether the one with this part is now the one of its name. Said twice if the answer is lost; until it is known its part stays."""
        unsure = False
        while True:
            try:
                await self._js.publish(self._told_on(name), told, headers=dict(_NEW))
            except APIError as error:
                if (unsure or _is_taken(error)) and await self._is_announced(name, part):
                    return True
                await self._forget(part)
                if _is_taken(error):
                    return False
                raise
            except (TimeoutError, nats.errors.Error):
                if unsure:
                    raise
                unsure = True
            else:
                return True

    async def _is_announced(self, name: str, part: str) -> bool:
        try:
            found = await self._js.get_last_msg(f"OBJ_{self._bucket}", self._told_on(name))
        except NotFoundError:
            return False
        return bool(json.loads(found.data or b"{}").get("nuid") == part)

    def _about(self, name: str, data: bytes, description: str) -> tuple[str, bytes]:
        """What a new object's parts are called, and what announces it."""
        part = secrets.token_hex(11)
        told = {
            "name": name,
            **({"description": description} if description else {}),
            "bucket": self._bucket,
            "nuid": part,
            "size": len(data),
            "chunks": -(-len(data) // _CHUNK),
            "digest": f"SHA-256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()}",
            "options": {"max_chunk_size": _CHUNK},
        }
        return part, json.dumps(told).encode()

    def _part(self, part: str) -> str:
        return f"$O.{self._bucket}.C.{part}"

    async def _forget(self, part: str) -> None:
        """What is still on its way is stored before what is published after it, but not always before what is purged."""
        with suppress(TimeoutError, nats.errors.Error):
            await self._js.publish(self._part(part), b"")
        with suppress(TimeoutError, nats.errors.Error):
            await self._js.purge_stream(f"OBJ_{self._bucket}", subject=self._part(part))

    async def describe(self, name: str) -> str | None:
        """The text that an object was created with; None if there is no such object."""
        try:
            found = await self._js.get_last_msg(f"OBJ_{self._bucket}", self._told_on(name))
        except NotFoundError:
            return None
        except (TimeoutError, nats.errors.Error) as error:
            raise self._translated(error, f"look up {name}") from error
        told = json.loads(found.data or b"{}")
        return None if told.get("deleted") else str(told.get("description", ""))

    async def names(self) -> list[str]:
        """The name of every object."""
        prefix, found, total = f"$O.{self._bucket}.M.", list[str](), 1
        while len(found) < total:
            request = json.dumps({"subjects_filter": f"{prefix}>", "offset": len(found)}).encode()
            try:
                answer = await self._nc.request(f"$JS.API.STREAM.INFO.OBJ_{self._bucket}", request, timeout=5)
            except (TimeoutError, nats.errors.Error) as error:
                raise NoAnswer(f"list {self._bucket}") from error
            info = json.loads(answer.data)
            if info.get("error", {}).get("code") not in {None, 404}:
                raise NoAnswer(f"list {self._bucket} ({info['error'].get('description')})")
            subjects = info.get("state", {}).get("subjects") or {}
            found += [base64.urlsafe_b64decode(subject.removeprefix(prefix)).decode() for subject in subjects]
            total = int(info.get("total", 0)) if subjects else 0
        return found

    def _told_on(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    async def get(self, name: str) -> bytes:
        """The object, its checksum verified.

        Raises:
            ObjectMissing: there is none of this name, or a part of it is gone.
        """
        try:
            async with asyncio.timeout(_LIMIT):
                result = await self._store.get(name)
        except (NotFoundError, DigestMismatchError) as error:
            raise ObjectMissing(self._bucket, name) from error
        except (TimeoutError, nats.errors.Error) as error:
            raise self._translated(error, f"fetch {name}") from error
        return result.data or b""

    def _translated(self, error: Exception, what: str) -> Exception:
        refused = isinstance(error, APIError) and (is_full(error) or not isinstance(error, ServiceUnavailableError))
        return error if refused else NoAnswer(f"{what} in {self._bucket}")


async def _publish(js: JetStreamContext, subject: str, data: bytes, headers: Mapping[str, str]) -> Exception | None:
    """What went wrong, if anything."""
    try:
        await js.publish(subject, data, headers=dict(headers))
    except (TimeoutError, nats.errors.Error) as error:
        return error
    return None


def _is_taken(error: Exception) -> bool:
    return isinstance(error, APIError) and error.err_code == _WRONG_LAST_SEQUENCE

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
from nats.js.errors import APIError, DigestMismatchError, NotFoundError

from bus.connection import Connection
from bus.errors import NoAnswer, ObjectMissing

_LIMIT = 30.0
"""Seconds for one object; 20 MB take one."""
_CHUNK = 128 * 1024
_WRONG_LAST_SEQUENCE = 10071


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What an object store says about an object."""

    name: str
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal."""


class ObjectStore:
    """One bucket of objects. Every method raises NoAnswer when the bus does not answer; repeating it is safe."""

    def __init__(self, connection: Connection, bucket: str) -> None:
        self._bucket = bucket
        # Made here, because nats-py asks for the stream's state each time that it makes one.
        self._store = nats.js.object_store.ObjectStore(bucket, f"OBJ_{bucket}", connection.js)
        self._js = connection.js

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
        part, prefix = secrets.token_hex(11), f"$O.{self._bucket}"
        told = {
            "name": name,
            "bucket": self._bucket,
            "nuid": part,
            "size": len(data),
            "chunks": 1,
            "digest": f"SHA-256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()}",
            "options": {"max_chunk_size": _CHUNK},
        }
        subject = f"{prefix}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
        new = {"Nats-Rollup": "sub", "Nats-Expected-Last-Subject-Sequence": "0"}
        async with asyncio.TaskGroup() as tasks:
            chunk = tasks.create_task(_publish(self._js, f"{prefix}.C.{part}", data, {}))
            meta = tasks.create_task(_publish(self._js, subject, json.dumps(told).encode(), new))
        for error in (chunk.result(), meta.result()):
            if error is not None:
                with suppress(TimeoutError, nats.errors.Error):
                    await self._js.purge_stream(f"OBJ_{self._bucket}", subject=f"{prefix}.C.{part}")
                if isinstance(error, APIError) and error.err_code == _WRONG_LAST_SEQUENCE:
                    return False
                raise error
        return True

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
        return error if isinstance(error, APIError) else NoAnswer(f"{what} in {self._bucket}")


async def _publish(js: JetStreamContext, subject: str, data: bytes, headers: Mapping[str, str]) -> Exception | None:
    """What went wrong, if anything."""
    try:
        await js.publish(subject, data, headers=dict(headers))
    except (TimeoutError, nats.errors.Error) as error:
        return error
    return None

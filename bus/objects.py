"""Whole objects in one object store: evidence and reports."""

import asyncio
import hashlib
from dataclasses import dataclass

import nats.errors
import nats.js.object_store
from nats.js.errors import APIError, DigestMismatchError, NotFoundError

from bus.connection import Connection
from bus.errors import NoAnswer, ObjectMissing

_LIMIT = 30.0
"""Seconds for one object; 20 MB take one."""


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

    async def put(self, name: str, data: bytes) -> StoredObject:
        """Store the object, replacing another of this name."""
        try:
            async with asyncio.timeout(_LIMIT):
                await self._store.put(name, data)
        except (TimeoutError, nats.errors.Error) as error:
            raise self._translated(error, f"store {name}") from error
        return StoredObject(name, len(data), hashlib.sha256(data).hexdigest())

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

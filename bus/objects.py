"""Whole objects in one object store: evidence and reports."""

import asyncio
import base64
import hashlib
from dataclasses import dataclass

import nats.errors
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
        self._js = connection.js
        self._bucket = bucket

    async def put(self, name: str, data: bytes) -> StoredObject:
        """Store the object, replacing another of this name; equal content is left as it is."""
        wanted = StoredObject(name, len(data), hashlib.sha256(data).hexdigest())
        try:
            async with asyncio.timeout(_LIMIT):
                store = await self._js.object_store(self._bucket)
                try:
                    found = await store.get_info(name)
                except NotFoundError:
                    found = None
                if found is None or _hex(found.digest) != wanted.sha256:
                    await store.put(name, data)
        except (TimeoutError, nats.errors.Error) as error:
            raise self._translated(error, f"store {name}") from error
        return wanted

    async def get(self, name: str) -> bytes:
        """The object, its checksum verified.

        Raises:
            ObjectMissing: there is none of this name, or a part of it is gone.
        """
        try:
            async with asyncio.timeout(_LIMIT):
                store = await self._js.object_store(self._bucket)
                result = await store.get(name)
        except (NotFoundError, DigestMismatchError) as error:
            raise ObjectMissing(self._bucket, name) from error
        except (TimeoutError, nats.errors.Error) as error:
            raise self._translated(error, f"fetch {name}") from error
        return result.data or b""

    def _translated(self, error: Exception, what: str) -> Exception:
        return error if isinstance(error, APIError) else NoAnswer(f"{what} in {self._bucket}")


def _hex(digest: str | None) -> str:
    return base64.urlsafe_b64decode((digest or "").removeprefix("SHA-256=")).hex()

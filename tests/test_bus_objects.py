import hashlib
import os

import pytest

from bus.connection import Connection
from bus.errors import NoAnswer, ObjectMissing
from bus.objects import ObjectStore
from bus.server import Server
from bus.topology import ensure_topology


@pytest.fixture
async def store(connection: Connection) -> ObjectStore:
    await ensure_topology(connection.js, "ns")
    return ObjectStore(connection, "ns-evidence")


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 128 * 1024 + 1, 3_000_000])
async def test_what_was_put_is_got(store: ObjectStore, size: int) -> None:
    data = os.urandom(size)

    stored = await store.put("run/settle ü.json", data)

    assert (stored.name, stored.size, stored.sha256) == ("run/settle ü.json", size, hashlib.sha256(data).hexdigest())
    assert await store.get("run/settle ü.json") == data


async def test_putting_the_same_again_leaves_one_object(store: ObjectStore, connection: Connection) -> None:
    first = await store.put("a", b"data")

    assert await store.put("a", b"data") == first
    assert await store.get("a") == b"data"
    assert (await connection.js.stream_info("OBJ_ns-evidence")).state.messages == 2


async def test_a_small_new_object_is_stored_by_two_messages(store: ObjectStore, connection: Connection) -> None:
    before = connection.nc.stats["out_msgs"]

    await store.put("a", b"data")

    assert connection.nc.stats["out_msgs"] - before == 2


async def test_a_store_is_used_on_after_its_server_was_away(server: Server, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.objects._LIMIT", 0.3)
    await server.stop()
    with pytest.raises(NoAnswer):
        await store.put("a", b"data")
    monkeypatch.undo()
    await server.restart()

    await store.put("a", b"data")

    assert await store.get("a") == b"data"


async def test_other_content_replaces_and_leaves_no_old_parts(store: ObjectStore, connection: Connection) -> None:
    await store.put("a", bytes(300_000))
    await store.put("a", b"new")

    assert await store.get("a") == b"new"
    assert (await connection.js.stream_info("OBJ_ns-evidence")).state.messages == 2


async def test_an_object_that_was_never_stored_is_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match="object store ns-evidence has no nothing"):
        await store.get("nothing")


async def test_without_a_server_there_is_no_answer(server: Server, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.objects._LIMIT", 0.3)
    await server.stop()

    with pytest.raises(NoAnswer, match="fetch a"):
        await store.get("a")
    with pytest.raises(NoAnswer, match="store a"):
        await store.put("a", b"")


async def test_an_object_that_lost_a_part_is_not_given(store: ObjectStore, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.objects._LIMIT", 1)
    await store.put("a", os.urandom(300_000))
    await connection.js.delete_msg("OBJ_ns-evidence", 2)

    with pytest.raises(ObjectMissing):
        await store.get("a")

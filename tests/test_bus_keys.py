import asyncio
import os
import signal
import time
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import pytest

from bus.connection import Connection, connect
from bus.errors import NoAnswer
from bus.keys import Entry, Keys
from bus.server import Server
from bus.topology import ensure_topology
from tests.hosts import Way

SECOND = timedelta(seconds=1)


@pytest.fixture
async def keys(connection: Connection) -> Keys:
    await ensure_topology(connection.js, "ns")
    return Keys(connection, "ns-instances")


async def free(keys: Keys, key: str) -> None:
    """Waits until the key has fallen free."""
    async with asyncio.timeout(5), aclosing(keys.watch(key)) as changes:
        async for _, value in changes:
            if value is None:
                return


async def test_a_key_is_created_once(keys: Keys) -> None:
    first = await keys.create("host.a", b"1")
    second = await keys.create("host.a", b"2")

    assert second is None
    assert first is not None
    assert await keys.get("host.a") == Entry(b"1", first)


async def test_a_key_that_was_never_set_is_free(keys: Keys) -> None:
    assert await keys.get("host.a") is None


async def test_of_racing_creators_one_wins(keys: Keys) -> None:
    async with asyncio.TaskGroup() as racers:
        tasks = [racers.create_task(keys.create("host.a", str(n).encode())) for n in range(20)]

    assert sum(task.result() is not None for task in tasks) == 1


async def test_a_change_needs_the_last_revision(keys: Keys) -> None:
    first = await keys.create("host.a", b"1")
    assert first is not None
    second = await keys.put("host.a", b"2", first)
    stale = await keys.put("host.a", b"3", first)

    assert second is not None
    assert second > first
    assert stale is None
    assert await keys.get("host.a") == Entry(b"2", second)


async def test_a_deleted_key_is_free_again(keys: Keys) -> None:
    first = await keys.create("host.a", b"1")
    assert first is not None
    assert not await keys.delete("host.a", first + 7)
    assert await keys.delete("host.a", first)
    assert not await keys.delete("host.a", first)

    assert await keys.get("host.a") is None
    assert await keys.create("host.a", b"2") is not None


async def test_a_lease_runs_out_and_can_be_taken_over_its_marker(keys: Keys) -> None:
    first = await keys.create_lease("host.a", b"1", SECOND)
    assert first is not None
    assert await keys.create_lease("host.a", b"2", SECOND) is None
    await free(keys, "host.a")

    assert await keys.get("host.a") is None
    assert await keys.put_lease("host.a", b"1", SECOND, first) is None
    taken = await keys.create_lease("host.a", b"2", SECOND)
    assert taken is not None
    assert taken > first


async def test_a_renewed_lease_outlives_its_first_ttl(keys: Keys) -> None:
    revision = await keys.create_lease("host.a", b"0", SECOND)
    started = time.monotonic()
    while time.monotonic() - started < 1.5:
        assert revision is not None
        revision = await keys.put_lease("host.a", b"1", SECOND, revision)
        await asyncio.sleep(0.2)

    assert await keys.get("host.a") == Entry(b"1", revision or 0)


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(milliseconds=500), timedelta(milliseconds=1500), -SECOND])
async def test_a_lease_of_less_or_of_parts_of_a_second_is_refused(keys: Keys, ttl: timedelta) -> None:
    with pytest.raises(ValueError, match="whole seconds"):
        await keys.put_lease("host.a", b"", ttl, 0)


@pytest.mark.parametrize("key", ["", "a b", "a.", ".a", "a..b", "a.*", ">", "a\n"])
async def test_what_is_no_key_is_refused(keys: Keys, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        await keys.create(key, b"")


async def test_a_watch_gives_what_is_there_and_then_every_change(keys: Keys) -> None:
    first = await keys.create("host.a", b"1")
    await keys.create("other.b", b"x")
    seen = []

    async with asyncio.timeout(10), aclosing(keys.watch("host.>")) as changes:
        seen.append(await anext(changes))
        await keys.create("host.b", b"2")
        seen.append(await anext(changes))
        await keys.delete("host.a", first or 0)
        seen.append(await anext(changes))

    assert seen == [("host.a", b"1"), ("host.b", b"2"), ("host.a", None)]


async def test_a_watch_outlives_the_server(server: Server, keys: Keys) -> None:
    await keys.create("host.a", b"1")

    async with asyncio.timeout(15), aclosing(keys.watch()) as changes:
        before = await anext(changes)
        os.kill(server.pid, signal.SIGKILL)
        await server.watch()
        await server.restart()
        await keys.create("host.b", b"2")
        after = await anext(changes)

    assert (before, after) == (("host.a", b"1"), ("host.b", b"2"))


async def test_a_lease_that_ran_out_while_the_server_was_down_is_seen_as_free(server: Server, keys: Keys) -> None:
    await keys.create_lease("host.a", b"1", SECOND)

    async with asyncio.timeout(10), aclosing(keys.watch()) as changes:
        before = await anext(changes)
        os.kill(server.pid, signal.SIGKILL)
        await server.watch()
        await asyncio.sleep(1.2)
        await server.restart()
        after = await anext(changes)

    assert (before, after) == (("host.a", b"1"), ("host.a", None))


@pytest.mark.long
async def test_a_key_that_fell_free_while_a_watcher_was_away_for_long_is_seen_as_free(
    server: Server, connection: Connection, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.keys._DELETED_FOR", "1s")  # after so long the server has nothing of it any more, and tells nobody
    way = Way(server.url)
    await way.mend()
    first = await keys.create("host.a", b"1")
    await keys.create("host.b", b"2")

    async with connect(way.url, name="away") as away, asyncio.timeout(10), aclosing(Keys(away, "ns-instances").watch()) as changes:
        before = [await anext(changes), await anext(changes)]
        await way.cut()
        await keys.delete("host.a", first or 0)
        while "$KV.ns-instances.host.a" in await subjects(connection):
            await asyncio.sleep(0.05)
        await way.mend()
        after = await anext(changes)
        await keys.create("host.a", b"3")
        again = await anext(changes)
    await way.cut()

    assert before == [("host.a", b"1"), ("host.b", b"2")]
    assert (after, again) == (("host.a", None), ("host.a", b"3"))


async def subjects(connection: Connection) -> dict[str, int]:
    info = await connection.js.stream_info("KV_ns-instances", subjects_filter=">")
    return info.state.subjects or {}


async def test_a_watcher_can_be_cancelled(keys: Keys) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        watcher = tasks.create_task(free(keys, "host.a"))
        await keys.create("host.b", b"")
        watcher.cancel()

    assert watcher.cancelled()


async def test_without_a_server_there_is_no_answer(server: Server, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.keys._ANSWER_LIMIT", 0.2)
    await server.stop()

    with pytest.raises(NoAnswer, match="read"):
        await keys.get("host.a")


async def test_a_bucket_without_expiry_markers_deletes_too(connection: Connection, keys: Keys) -> None:
    systems = Keys(connection, "ns-systems")
    revision = await systems.create("trading", b"yaml")

    assert await systems.delete("trading", revision or 0)
    assert await systems.get("trading") is None


async def test_what_the_bus_refuses_for_now_has_no_answer(connection: Connection, keys: Keys) -> None:
    info = await connection.js.stream_info("KV_ns-instances")
    await connection.js.update_stream(replace(info.config, max_bytes=1))

    with pytest.raises(NoAnswer, match=r"write \$KV\.ns-instances\.host\.a \(maximum bytes"):
        await keys.create("host.a", b"1")

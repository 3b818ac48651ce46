"""New objects whose store fails in between: nothing is left of what was not announced, and nothing is taken from what was."""

import asyncio
import os

import nats.errors
import pytest
from nats.js.errors import APIError, ServiceUnavailableError

from bus.connection import Connection
from bus.errors import NoAnswer
from bus.objects import ObjectStore
from bus.topology import ensure_topology
from tests.lossy import When, first, lossy, never

BUCKET = "ns-archive"
CHUNK, META = f"$O.{BUCKET}.C.", f"$O.{BUCKET}.M."
DATA = os.urandom(300_000)


class Store:
    """A bucket, and one that fails."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sound = ObjectStore(connection, BUCKET)

    def failing(self, *, before: When = never, after: When = never, asked: When = never) -> ObjectStore:
        return ObjectStore(lossy(self.connection, before=before, after=after, asked=asked), BUCKET)

    async def messages(self) -> int:
        return (await self.connection.js.stream_info(f"OBJ_{BUCKET}")).state.messages


@pytest.fixture
async def store(connection: Connection) -> Store:
    await ensure_topology(connection.js, "ns")
    return Store(connection)


def nth(number: int, error: Exception) -> When:
    """An error at this message of an object."""
    seen = [0]

    def when(_subject: str) -> Exception | None:
        seen[0] += 1
        return error if seen[0] == number else None

    return when


@pytest.mark.parametrize("error", [nats.errors.TimeoutError(), nats.errors.NoRespondersError()])
async def test_an_object_that_is_not_all_stored_leaves_nothing(store: Store, error: Exception) -> None:
    with pytest.raises(NoAnswer, match="store a in ns-archive"):
        await store.failing(after=nth(3, error)).create("a", DATA, "")

    assert await store.messages() == 0


async def test_an_object_that_is_given_up_half_stored_leaves_nothing(store: Store) -> None:
    half_stored = asyncio.Event()

    def tell(_subject: str) -> None:
        half_stored.set()

    async with asyncio.TaskGroup() as tasks:
        storing = tasks.create_task(store.failing(after=tell).create("a", DATA, ""))
        await half_stored.wait()
        storing.cancel()

    assert storing.cancelled()
    assert await store.messages() == 0


async def test_an_object_whose_announcement_was_stored_is_there_though_the_answer_was_lost(store: Store) -> None:
    assert await store.failing(after=first(META, nats.errors.TimeoutError())).create("a", DATA, "told")

    assert await store.sound.get("a") == DATA
    assert await store.messages() == 4


async def test_an_announcement_that_was_lost_is_made_again(store: Store) -> None:
    assert await store.failing(before=first(META, nats.errors.TimeoutError())).create("a", DATA, "told")

    assert await store.sound.get("a") == DATA


async def test_an_announcement_that_may_have_been_stored_keeps_its_parts(store: Store) -> None:
    with pytest.raises(NoAnswer):
        await store.failing(after=first(META, nats.errors.TimeoutError()), before=second(META)).create("a", DATA, "told")

    assert await store.sound.get("a") == DATA


def second(part: str) -> When:
    """No answer the second time that a subject has this part."""
    seen = list[str]()

    def when(subject: str) -> Exception | None:
        if part in subject:
            seen.append(subject)
        return nats.errors.TimeoutError() if len(seen) == 2 else None

    return when


@pytest.mark.parametrize("lost", [False, True])
async def test_an_object_that_another_was_first_with_stays_and_nothing_else(store: Store, *, lost: bool) -> None:
    await store.sound.create("a", b"theirs", "")
    failing = store.failing(before=first(META, nats.errors.TimeoutError(), times=int(lost)))

    assert not await failing.create("a", DATA, "")

    assert await store.sound.get("a") == b"theirs"
    assert await store.messages() == 2


async def test_a_bucket_without_anybody_in_charge_does_not_answer(store: Store) -> None:
    gone = ServiceUnavailableError(code=503, err_code=10008, description="JetStream system temporarily unavailable")

    with pytest.raises(NoAnswer, match="look up a in ns-archive"):
        await store.failing(asked=first(META, gone)).describe("a")
    with pytest.raises(NoAnswer, match="store a in ns-archive"):
        await store.failing(before=first(CHUNK, gone)).create("a", DATA, "")
    with pytest.raises(NoAnswer, match="fetch a in ns-archive"):
        await store.failing(asked=first(META, gone)).get("a")


async def test_a_bucket_without_room_says_so(store: Store) -> None:
    full = ServiceUnavailableError(code=503, err_code=10023, description="insufficient resources")

    with pytest.raises(APIError, match="insufficient resources"):
        await store.failing(before=first(CHUNK, full)).create("a", DATA, "")

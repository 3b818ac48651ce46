import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from messages.actions.links import (
    LINK_ACTIONS,
    Bandwidth,
    Blackhole,
    Cut,
    Latency,
    LimitBytes,
    Refuse,
    Reset,
    SlowClose,
    Way,
    format_rate,
    parse_rate,
)
from messages.actions.spec import Parameters
from targets.find import tagged_processes
from targets.process import ProcessDriver
from targets.proxy.api import LinkPlan
from targets.proxy.client import LinkProxy, control_proxy
from targets.proxy.effects import saw_link_effect, saw_link_normal
from targets.proxy.starting import SERVICE, start_proxy
from tests.test_targets_proxy import Peer, Service, resident

WAYS: tuple[Way, ...] = ("upstream", "downstream")
SOON = 10
SHORTLY = timedelta(milliseconds=300)
DELAY = 0.4
SPAN = timedelta(seconds=DELAY)
BRIEF = timedelta(milliseconds=150)
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Bench:
    """A proxy of two links to one service."""

    proxy: LinkProxy
    service: Service

    async def pair(self, link: str = "orders") -> tuple[Peer, Peer]:
        return await self.service.pair(self.proxy.report.links[link].address)

    async def connect(self) -> Peer:
        return await self.service.connect(self.proxy.report.links["orders"].address)

    async def put(self, action: str, parameters: Parameters) -> None:
        assert await self.proxy.put("f1", "orders", action, parameters)

    async def undo(self) -> None:
        assert await self.proxy.remove("f1")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    run = f"{tmp_path.name[:40]}-{os.getpid()}"
    driver = ProcessDriver(environment={"PATH": os.environ["PATH"]}, logs=tmp_path / "logs")
    async with Service() as service:
        links = {"orders": LinkPlan(service=service.address), "quotes": LinkPlan(service=service.address)}
        report = await start_proxy(driver, run, links, tmp_path / "proxy")
        async with control_proxy(report) as proxy:
            yield Bench(proxy, service)
    assert (tmp_path / "logs" / run / f"{SERVICE}.log").read_text() == ""
    for tagged in tagged_processes(run):
        await driver.kill(tagged.identity)
    await driver.aclose()


def along(pair: tuple[Peer, Peer], way: Way) -> tuple[Peer, Peer]:
    """Who sends and who receives in this direction."""
    client, server = pair
    return (client, server) if way == "upstream" else (server, client)


def against(way: Way) -> Way:
    return "downstream" if way == "upstream" else "upstream"


async def took(pair: tuple[Peer, Peer], way: Way, size: int = 64) -> float:
    """Seconds for these bytes to pass in one direction; they come whole."""
    sender, receiver = along(pair, way)
    data = os.urandom(size)
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.send(data))
        received = group.create_task(receiver.receive(size))
    assert received.result() == data
    return time.monotonic() - begun


async def silent(peer: Peer) -> bool:
    """Whether nothing comes, not even an end, for a while."""
    try:
        async with asyncio.timeout(0.3):
            await peer.reader.read(1)
    except TimeoutError:
        return True
    return False


async def is_reset(peer: Peer) -> bool:
    try:
        await peer.rest()
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("way", WAYS)
async def test_latency_delays_one_direction_of_a_live_connection_while_it_lasts(bench: Bench, way: Way) -> None:
    pair = await bench.pair()
    before = await took(pair, way)

    await bench.put("latency", Latency(delay=SPAN, direction=way))
    during, other = await took(pair, way), await took(pair, against(way))
    await bench.undo()

    assert before < DELAY
    assert during >= DELAY
    assert other < DELAY
    assert await took(pair, way) < DELAY


async def test_latency_in_both_directions_delays_a_round_trip_twice_and_a_new_connection_once_more(bench: Bench) -> None:
    await bench.put("latency", Latency(delay=SPAN))

    begun = time.monotonic()
    pair = await bench.pair()
    set_up = time.monotonic() - begun
    trip = await took(pair, "upstream") + await took(pair, "downstream")

    assert set_up >= 2 * DELAY
    assert trip >= 2 * DELAY


async def test_what_latency_holds_back_is_passed_on_when_it_is_undone(bench: Bench) -> None:
    client, server = await bench.pair()
    await bench.put("latency", Latency(delay=timedelta(seconds=60)))

    await client.send(b"held")
    client.writer.write_eof()
    late = await bench.connect()
    assert await silent(server)
    await bench.undo()

    assert await server.rest() == b"held"
    await late.send(b"x")
    assert await (await bench.service.accepted()).receive(1) == b"x"


async def test_latency_holds_no_more_than_its_share_of_what_a_sender_sends(bench: Bench) -> None:
    client, _ = await bench.pair()
    pid, sent = bench.proxy.report.identity.pid, 0
    await bench.put("latency", Latency(delay=timedelta(seconds=60)))
    before = resident(pid)

    with suppress(TimeoutError):
        while sent < 200 * MB:
            async with asyncio.timeout(0.5):
                await client.send(bytes(MB))
            sent += MB

    assert MB <= sent < 64 * MB
    assert resident(pid) - before < 32 * MB


async def test_jitter_keeps_bytes_in_order_and_whole(bench: Bench) -> None:
    pair = await bench.pair()
    await bench.put("latency", Latency(delay=timedelta(milliseconds=20), jitter=timedelta(milliseconds=20)))
    pieces = [os.urandom(500) for _ in range(100)]

    async def send() -> None:
        for piece in pieces:
            await pair[0].send(piece)
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        received = group.create_task(pair[1].receive(50_000))

    assert received.result() == b"".join(pieces)
    assert await took(pair, "upstream", 20 * MB) > 0


@pytest.mark.parametrize("way", WAYS)
async def test_bandwidth_paces_one_direction_while_it_lasts(bench: Bench, way: Way) -> None:
    pair = await bench.pair()
    before = await took(pair, way, MB)

    await bench.put("bandwidth", Bandwidth(rate=MB, direction=way))
    during, other = await took(pair, way, MB), await took(pair, against(way), MB)
    await bench.undo()

    assert 0.9 <= during < 10
    assert before < 0.9
    assert other < 0.9
    assert await took(pair, way, MB) < 0.9


async def test_the_connections_of_a_link_share_its_bandwidth_and_take_turns(bench: Bench) -> None:
    pairs = [await bench.pair() for _ in range(4)]
    await bench.put("bandwidth", Bandwidth(rate=2 * MB, direction="upstream"))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(took(pair, "upstream", MB // 4)) for pair in pairs]
    spans = [task.result() for task in tasks]

    assert max(spans) >= 0.45
    assert min(spans) > max(spans) / 2


async def test_a_reset_ends_live_and_new_connections_and_no_more_when_undone(bench: Bench) -> None:
    client, server = await bench.pair()

    await bench.put("reset", Reset())

    assert await is_reset(client)
    assert await is_reset(server)
    with pytest.raises(ConnectionResetError):
        await (await bench.connect()).rest()
    await bench.undo()
    await took(await bench.pair(), "upstream")


async def test_a_reset_may_leave_each_connection_some_time(bench: Bench) -> None:
    begun = time.monotonic()
    await bench.put("reset", Reset(after=SPAN))
    pair = await bench.pair()
    await took(pair, "downstream")

    assert await is_reset(pair[0])
    assert time.monotonic() - begun >= DELAY


async def test_connections_that_outlive_a_reset_are_left_alone(bench: Bench) -> None:
    pair = await bench.pair()
    await bench.put("reset", Reset(after=SPAN))

    await bench.undo()

    assert await silent(pair[0])
    await took(pair, "upstream")


@pytest.mark.parametrize("way", WAYS)
async def test_a_blackhole_swallows_one_direction_and_the_stream_with_a_hole_is_reset_afterwards(bench: Bench, way: Way) -> None:
    pair, quiet = await bench.pair(), await bench.pair()
    sender, receiver = along(pair, way)

    await bench.put("blackhole", Blackhole(direction=way))
    await sender.send(b"lost")
    assert await silent(receiver)
    await took(pair, against(way))
    await bench.undo()

    assert await is_reset(receiver)
    assert await is_reset(sender)
    assert await took(quiet, way) < SOON


async def test_a_blackhole_in_both_directions_accepts_and_holds_new_connections(bench: Bench) -> None:
    await bench.put("blackhole", Blackhole())

    client = await bench.connect()
    assert await silent(client)
    await bench.undo()

    await client.send(b"x")
    assert await (await bench.service.accepted()).receive(1) == b"x"


@pytest.mark.parametrize("way", WAYS)
async def test_a_cut_holds_one_direction_and_loses_nothing(bench: Bench, way: Way) -> None:
    pair = await bench.pair()
    sender, receiver = along(pair, way)

    await bench.put("cut", Cut(direction=way))
    late = await bench.connect()
    await sender.send(b"held")
    sender.writer.write_eof()
    assert await silent(receiver)
    await took(pair, against(way))
    await bench.undo()

    assert await receiver.rest() == b"held"
    await late.send(b"x")
    assert await (await bench.service.accepted()).receive(1) == b"x"


async def test_a_cut_holds_back_a_sender_of_much_and_passes_it_on_whole(bench: Bench) -> None:
    pair = await bench.pair()
    await bench.put("cut", Cut())

    async with asyncio.TaskGroup() as group:
        passing = group.create_task(took(pair, "upstream", 20 * MB))
        assert await silent(pair[0])
        assert (await bench.proxy.link("orders")).passed["upstream"] == 0
        assert not passing.done()
        await bench.undo()

    assert (await bench.proxy.link("orders")).passed["upstream"] == 20 * MB


async def test_refuse_resets_live_connections_and_refuses_new_ones_on_a_port_that_stays_ours(bench: Bench) -> None:
    client, server = await bench.pair()

    await bench.put("refuse", Refuse())

    assert await is_reset(client)
    assert await is_reset(server)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await bench.connect()
    port = int(bench.proxy.report.links["orders"].address.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await asyncio.start_server(lambda *_: None, "127.0.0.1", port, reuse_address=False)
    await bench.undo()
    await took(await bench.pair(), "upstream")


@pytest.mark.parametrize("way", WAYS)
async def test_slow_close_passes_the_end_on_late_but_not_bytes(bench: Bench, way: Way) -> None:
    pair = await bench.pair()
    sender, receiver = along(pair, way)

    await bench.put("slow_close", SlowClose(delay=SPAN))
    assert await took(pair, way) < DELAY
    begun = time.monotonic()
    sender.writer.write_eof()

    assert await receiver.rest() == b""
    assert time.monotonic() - begun >= DELAY


async def test_an_end_that_is_held_comes_at_once_when_slow_close_is_undone(bench: Bench) -> None:
    client, server = await bench.pair()
    await bench.put("slow_close", SlowClose(delay=timedelta(seconds=60)))
    client.writer.write_eof()

    await bench.undo()

    assert await server.rest() == b""


@pytest.mark.parametrize("way", WAYS)
async def test_a_byte_limit_closes_each_connection_after_so_many_bytes_of_one_direction(bench: Bench, way: Way) -> None:
    live = await bench.pair()
    await took(live, way, 5000)

    await bench.put("limit_bytes", LimitBytes(bytes=1000, direction=way))

    for pair in (live, await bench.pair()):
        sender, receiver = along(pair, way)
        await took(pair, against(way), 5000)
        await took(pair, way, 600)
        await sender.send(b"x" * 600)
        assert await receiver.rest() == b"x" * 400
        assert await sender.rest() == b""
    await bench.undo()
    await took(await bench.pair(), way, 5000)


async def test_a_fault_on_one_link_leaves_the_other_as_it_was(bench: Bench) -> None:
    other = await bench.pair("quotes")

    await bench.put("reset", Reset())
    await took(other, "upstream")
    await bench.undo()
    await bench.put("cut", Cut())

    assert await took(other, "downstream") < SOON
    assert await took(await bench.pair("quotes"), "upstream") < SOON


FAULTS: list[tuple[str, Parameters, str]] = [
    ("latency", Latency(delay=BRIEF), "round trip "),
    ("latency", Latency(delay=BRIEF, jitter=BRIEF, direction="upstream"), "round trip"),
    ("latency", Latency(delay=timedelta(seconds=60), direction="downstream"), "no answer within"),
    ("bandwidth", Bandwidth(rate=100_000, direction="upstream"), "kB/s"),
    ("bandwidth", Bandwidth(rate=100), "kB/s"),
    ("bandwidth", Bandwidth(rate=5 * MB, direction="downstream"), "kB/s"),
    ("reset", Reset(), "connection reset"),
    ("reset", Reset(after=BRIEF), "connection reset after"),
    ("blackhole", Blackhole(), "no answer within"),
    ("blackhole", Blackhole(direction="upstream"), "no answer within"),
    ("blackhole", Blackhole(direction="downstream"), "no answer within"),
    ("cut", Cut(), "no answer within"),
    ("cut", Cut(direction="downstream"), "no answer within"),
    ("refuse", Refuse(), "connection refused"),
    ("slow_close", SlowClose(delay=BRIEF), "close passed on after"),
    ("slow_close", SlowClose(delay=timedelta(seconds=60)), "no answer within"),
    ("limit_bytes", LimitBytes(bytes=1000, direction="upstream"), "connection closed after"),
    ("limit_bytes", LimitBytes(bytes=1, direction="downstream"), "closed after 1 bytes"),
]


@pytest.mark.parametrize(("action", "parameters", "words"), FAULTS, ids=str)
async def test_a_fault_is_seen_from_outside_while_it_is_there_and_only_then(
    bench: Bench, action: str, parameters: Parameters, words: str
) -> None:
    addresses = bench.proxy.report.links["orders"]
    assert await saw_link_effect(parameters, addresses, within=SHORTLY) is None
    assert await saw_link_normal(parameters, addresses, within=timedelta(seconds=SOON))

    await bench.put(action, parameters)

    # Silence is waited for in a part of the time that there is; anything else is looked for until it shows: jitter does not in every look.
    within = timedelta(seconds=2 if words == "no answer within" else SOON)
    assert words in str(await saw_link_effect(parameters, addresses, within=within))
    assert not await saw_link_normal(parameters, addresses, within=SHORTLY)
    await bench.undo()
    assert await saw_link_normal(parameters, addresses, within=timedelta(seconds=SOON))


def test_every_action_on_links_is_seen_somewhere_above() -> None:
    assert {action for action, _, _ in FAULTS} == set(LINK_ACTIONS)
    assert all(LINK_ACTIONS[action].parameters is type(parameters) for action, parameters, _ in FAULTS)


async def test_looking_at_a_fault_leaves_the_service_alone(bench: Bench) -> None:
    addresses = bench.proxy.report.links["orders"]
    for action, parameters, _ in FAULTS[:2]:
        await bench.put(action, parameters)
        await saw_link_effect(parameters, addresses, within=timedelta(seconds=2))
        await bench.undo()

    assert (await bench.proxy.link("orders")).accepted == 0


@pytest.mark.parametrize(("text", "rate"), [("100B/s", 100), ("100kB/s", 100_000), ("2MB/s", 2 * MB), ("1500kB/s", 1_500_000)])
def test_a_rate_is_written_as_it_is_read(text: str, rate: int) -> None:
    assert parse_rate(text) == rate
    assert format_rate(rate) == text
    assert Bandwidth.model_validate({"rate": text}).rate == rate


@pytest.mark.parametrize(
    ("action", "document"),
    [
        ("latency", {"delay": "61s"}),
        ("latency", {"delay": "0s"}),
        ("latency", {"delay": "1s", "jitter": "2s"}),
        ("latency", {"delay": "1s", "direction": "sideways"}),
        ("latency", {"delay": "1s", "speed": 3}),
        ("bandwidth", {"rate": "100 kB/s"}),
        ("bandwidth", {"rate": "100Kb/s"}),
        ("bandwidth", {"rate": "99B/s"}),
        ("bandwidth", {"rate": "101MB/s"}),
        ("reset", {"after": "2m"}),
        ("slow_close", {}),
        ("limit_bytes", {"bytes": 0}),
        ("limit_bytes", {"bytes": True}),
        ("refuse", {"direction": "both"}),
    ],
)
def test_parameters_beyond_their_bounds_are_errors(action: str, document: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LINK_ACTIONS[action].parameters.model_validate(document)

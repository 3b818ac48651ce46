"""How fast the observer reads the service events of a run, matches them against ten claims and takes them into its audit trail.

The events are read as in a run: delivered by the server, read as CloudEvents, counted by type and second, matched, and kept for being
joined with faults. There are five types of events; of the ten claims eight name one type each (two of them look into `data`), one
follows a key from its opening to its closing, and one looks at every event. Once they lie in the stream already; once another process
publishes 10,000 a second, and for each it is asked how long after it was stored it was taken in.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from nats.aio.client import Client

from actors.observer.events import EventReading
from actors.observer.view import ObserverView
from benchmarks.measure import Figure, figure, of_samples
from bus.actor import Run
from bus.cancelling import end
from bus.connection import connect
from bus.event_streams import EventStreams
from bus.server import embedded_server
from messages.claims import ServiceEvent
from messages.correlations import Unreadable
from messages.events import Recorded, RunEvent
from messages.run_events import PhaseStarted, RunAccepted, RunStarted
from messages.scenario import Scenario
from messages.system import System

EVENTS = 60_000
TRIALS = 3
PACE, SECONDS = 10_000, 8
"""Events a second that another process publishes, and for how long."""
BURST = 0.005
"""Seconds between two of its bursts."""
TYPES = ("order.submitted", "order.filled", "price.updated", "position.changed", "risk.checked")
SYSTEM = {"metadata": {"name": "bench"}, "spec": {"events": ["bench.events.>"], "services": {"engine": {"driver": {"external": {}}}}}}


def scenario() -> Scenario:
    """Ten claims."""
    named = [{"id": f"named-{number}", "type": "event", "where": f"event.type == '{TYPES[number % 5]}'"} for number in range(6)]
    looking = [
        {"id": "large", "type": "event", "where": "event.type == 'order.filled' && event.data.quantity > 90.0"},
        {"id": "of-one", "type": "event", "where": "event.type == 'price.updated' && event.data.symbol == 'ABC'"},
    ]
    keyed = [{"id": "keys", "type": "continuity", "key": "event.data.order_id", "opened_by": TYPES[0], "closed_by": [TYPES[1]]}]
    every = [{"id": "any", "type": "event", "where": "event.source == 'nobody'", "never": True}]
    spec = {"system": "bench", "phases": [{"name": "only", "assertions": [*named, *looking, *keyed, *every]}]}
    return Scenario.model_validate_json(json.dumps({"metadata": {"name": "bench"}, "spec": spec}))


def event(number: int) -> bytes:
    """A service event of about 300 bytes."""
    data = {"order_id": f"o-{number // 5}", "symbol": "ABC" if number % 3 else "DEF", "quantity": float(number % 100), "price": 101.25}
    told = {"specversion": "1.0", "id": f"e-{number}", "type": TYPES[number % 5], "source": "engine", "data": data}
    return json.dumps({**told, "time": "2024-01-01T00:00:00Z", "datacontenttype": "application/json"}).encode()


class OneRun:
    """A run that has begun; all that reading asks for."""

    id, partition = "01JD0000000000000000000000", 0

    def __init__(self, since: datetime) -> None:
        self.view = ObserverView(self.id)
        system = System.model_validate_json(json.dumps(SYSTEM))
        events = (
            RunAccepted(key="bench", scenario=scenario(), system=system, submitted=since),
            RunStarted(),
            PhaseStarted(phase="only", kind="phase"),
        )
        for sequence, told in enumerate(events, start=1):
            line: Recorded[RunEvent] = Recorded(told, self.id, 0, "scheduler", told.entity, sequence, since, str(sequence))
            self.view.apply(line)
        self._since = since

    def now(self) -> datetime:
        """When the run began; nobody waits for more."""
        return self._since


async def measure_observing(folder: Path) -> list[Figure]:
    """Events per second, from the first one asked for to the last one matched."""
    since = datetime(2000, 1, 1, tzinfo=UTC)
    async with embedded_server(folder / "nats") as server, connect(server.url, name="bench", timeout=timedelta(seconds=5)) as connection:
        streams = EventStreams(connection)
        await streams.prepare("bench", ("bench.events.>",))
        await _fill(connection.nc)
        await connection.js.purge_stream("AUDIT-bench", keep=EVENTS)
        rates = [EVENTS / await _read(streams, since) for _ in range(TRIALS)]
        await connection.js.purge_stream("AUDIT-bench")
        lags = await _follow(streams, server.url)
    return [figure("observer_events_per_second", "1/s", rates, ">= 20000"), *of_samples("observer_lag", "ms", lags, "<= 250")]


class Lagging(EventReading):
    """Takes down how long after it was stored each event was taken in. The server's clock is this machine's."""

    lags: list[float]
    done: asyncio.Event

    def _on_event(self, at: datetime, event: ServiceEvent | Unreadable) -> None:
        super()._on_event(at, event)
        self.lags.append((_now() - at.timestamp()) * 1000)
        if len(self.lags) == PACE * SECONDS:
            self.done.set()


def _now() -> float:
    return time.time()  # noqa: TID251 - the server that stores the events runs on this machine


async def _follow(streams: EventStreams, url: str) -> list[float]:
    reading = Lagging(streams, cast("Run[Any]", OneRun(datetime.fromtimestamp(_now() - 1, UTC))), lambda: None, lambda: None)
    reading.lags, reading.done = [], asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reading.run())
        publisher = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.observing", url)
        await publisher.wait()
        await reading.done.wait()
        await end([task])
    return reading.lags


async def publish(url: str) -> None:
    """Publish at the pace, in bursts."""
    loop, number = asyncio.get_running_loop(), 0
    async with connect(url, name="publisher", timeout=timedelta(seconds=5)) as connection:
        begun = loop.time()
        while number < PACE * SECONDS:
            due = min(PACE * SECONDS, int((loop.time() - begun) * PACE))
            for one in range(number, due):
                await connection.nc.publish(f"bench.events.{TYPES[one % 5]}", event(one))
            number = max(number, due)
            await asyncio.sleep(BURST)
        await connection.nc.flush(timeout=30)


async def _fill(nc: Client) -> None:
    for number in range(EVENTS):
        await nc.publish(f"bench.events.{TYPES[number % 5]}", event(number))
    await nc.flush(timeout=30)


async def _read(streams: EventStreams, since: datetime) -> float:
    done, reading = asyncio.Event(), cast("EventReading", None)

    def fresh() -> None:
        if reading.trail.events == EVENTS:
            done.set()

    reading = EventReading(streams, cast("Run[Any]", OneRun(since)), lambda: None, fresh)
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(reading.run())
        await done.wait()
        took = time.perf_counter() - begun
        await end([task])
    matched = {followed.name: len(followed.rows) for followed in reading.matching.followed}
    if matched["named-0"] != EVENTS // 5 or matched["keys"] != EVENTS * 2 // 5:
        raise RuntimeError(f"not everything was matched: {matched}")
    return took


if __name__ == "__main__":
    asyncio.run(publish(sys.argv[1]))

"""A client that submits orders through the trading engine at a fixed rate, and writes a line of JSON for each.

`python -m ecosystem.order_client`, with ENGINE_URL and RATE (orders a second). It ends on SIGINT or SIGTERM, with 0.
"""

import asyncio
import json
import os
import random
import secrets
import signal
import sys
from itertools import count

from aiohttp import ClientError, ClientSession, ClientTimeout

from ecosystem.errors import SettingsError
from ecosystem.pacing import Pace
from ecosystem.prices import REFERENCE
from ecosystem.settings import Reader

TIMEOUT = 3.0
TICK = 0.01
AT_ONCE = 1000
FINISH_WITHIN = 1.0


class OrderClient:
    """Open loop: an order leaves when it is due, whatever became of the ones before. `took` counts from then."""

    def __init__(self, session: ClientSession, engine_url: str) -> None:
        self._session = session
        self._url = f"{engine_url}/api/v1/orders"
        self._random = random.Random()
        self._ids = (f"client-{boot}-{number}" for boot in [secrets.token_hex(4)] for number in count(1))
        self._open: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        """Until `stop`; the orders that are open then have a moment to end."""
        clock = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as tasks:
            pace = Pace(rate, clock())
            while not stop.is_set():
                due, skipped = pace.due(clock())
                for _ in range(skipped):
                    _say(next(self._ids), "failed", 0.0)
                for _ in range(due):
                    self._begin(tasks)
                await asyncio.sleep(TICK)
            await self._finish()

    def _begin(self, tasks: asyncio.TaskGroup) -> None:
        order_id = next(self._ids)
        if len(self._open) >= AT_ONCE:
            _say(order_id, "failed", 0.0)
            return
        task = tasks.create_task(self._submit(order_id))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _finish(self) -> None:
        if self._open:
            await asyncio.wait(self._open, timeout=FINISH_WITHIN)
        for task in self._open:
            task.cancel()

    async def _submit(self, order_id: str) -> None:
        clock = asyncio.get_running_loop().time
        began, outcome = clock(), "unknown"
        try:
            outcome = await self._outcome(order_id)
        finally:
            _say(order_id, outcome, clock() - began)

    async def _outcome(self, order_id: str) -> str:
        """`ok`: filled; `failed`: it certainly was not; `unknown`: nobody can say."""
        symbol = self._random.choice(tuple(REFERENCE))
        order = {"order_id": order_id, "symbol": symbol, "side": self._random.choice(("buy", "sell")), "account": "order-client"}
        order["quantity"] = f"{self._random.randint(1, 100) / 100:.2f}"
        try:
            async with self._session.post(self._url, json=order) as response:
                if response.status == 200:
                    return "ok" if (await response.json())["status"] == "filled" else "failed"
                return "failed" if 400 <= response.status < 500 else "unknown"
        except ConnectionRefusedError:
            return "failed"
        except (ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
            return "failed" if isinstance(getattr(error, "os_error", None), ConnectionRefusedError) else "unknown"


def _say(order_id: str, outcome: str, took: float) -> None:
    line = {"op": "submit_order", "id": order_id, "outcome": outcome, "took": round(took, 6)}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def _main(url: str, rate: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ClientSession(timeout=ClientTimeout(total=TIMEOUT)) as session:
        await OrderClient(session, url).run(rate, stop)


def main() -> None:
    """Runs the client with the settings in the environment."""
    reader = Reader(os.environ)
    url, rate = reader.url("ENGINE_URL", "http://127.0.0.1:18083"), reader.number("RATE", 10.0, most=1000)
    if reader.problems:
        sys.exit(f"order-client: {SettingsError(reader.problems)}")
    asyncio.run(_main(url, rate))


if __name__ == "__main__":
    main()

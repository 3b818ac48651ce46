"""One process until its standard input ends: what is measured. All actors and their server (its usual sync profile), or some on a server.

python -m benchmarks.served FOLDER [URL ACTORS] < systems.json
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from pydantic import TypeAdapter

from bus.server import embedded_server
from deploy.host import Plan, chosen_actors, host
from deploy.logs import configure_logs
from deploy.settings import read_settings
from messages.system import System

_SYSTEMS = TypeAdapter(dict[str, System])


async def serve(folder: Path, systems: dict[str, System], url: str | None, actors: str) -> None:
    """Say where the server is once everything is at work, then work."""
    settings = read_settings(log_level="ERROR")
    configure_logs("ERROR", "console")
    plan = Plan(actors=chosen_actors(actors), systems=systems, logs=folder / "logs")
    async with _server(folder, url) as (address, pid), host(settings, address, plan) as running:
        await running.ready()
        print(json.dumps({"url": address, "server": pid}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def _server(folder: Path, url: str | None) -> AsyncIterator[tuple[str, int]]:
    if url is not None:
        yield url, 0
        return
    async with embedded_server(folder / "nats") as server:
        yield server.url, server.pid


def main() -> None:
    """Read the systems, then serve."""
    systems = _SYSTEMS.validate_json(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1]), systems, *(sys.argv[2:4] or (None, "all"))))


if __name__ == "__main__":
    main()

"""One process with all actors and its own server (its usual sync profile), until its standard input ends: what is measured.

python -m benchmarks.served FOLDER < systems.json
"""

import asyncio
import json
import sys
from pathlib import Path

import uvloop
from pydantic import TypeAdapter

from bus.server import embedded_server
from deploy.host import Plan, host
from deploy.logs import configure_logs
from deploy.settings import read_settings
from messages.system import System

_SYSTEMS = TypeAdapter(dict[str, System])


async def serve(folder: Path, systems: dict[str, System]) -> None:
    """Say where the server is once everything is at work, then work."""
    settings = read_settings(log_level="ERROR")
    configure_logs("ERROR", "console")
    async with (
        embedded_server(folder / "nats") as server,
        host(settings, server.url, Plan(systems=systems, logs=folder / "logs")) as running,
    ):
        await running.ready()
        print(json.dumps({"url": server.url, "server": server.pid}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Read the systems, then serve."""
    systems = _SYSTEMS.validate_json(sys.stdin.readline())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1]), systems))


if __name__ == "__main__":
    main()

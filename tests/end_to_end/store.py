"""A service that keeps numbers: /add/7 adds one, /keys says all. It says on its output what it does. No imports that cost time."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

FILE = Path(os.environ["FILE"]) if os.environ.get("FILE") else None
"""Where they are kept; by default in memory only."""
KEYS: list[str] = []


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if FILE is not None and FILE.exists():
        KEYS.extend(FILE.read_text().split())
    async with await asyncio.start_server(answer, "127.0.0.1", int(os.environ["PORT"])):
        say(f"ready on {os.environ['PORT']} with {len(KEYS)} keys and the password {os.environ.get('PASSWORD')}")
        await stop.wait()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = (await reader.readline()).decode().partition(" ")[2].partition(" ")[0]
    if path.startswith("/add/"):
        add(path.removeprefix("/add/"))
    body = json.dumps({"keys": KEYS})
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    await writer.drain()
    writer.close()


def add(key: str) -> None:
    KEYS.append(key)
    if FILE is not None:
        with FILE.open("a") as file:
            file.write(f"{key}\n")
    say(f"INFO added {key}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())

"""A service to disturb: answers /health, and sends CloudEvents when told to. No imports that cost time."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import cycle
from pathlib import Path

PORT = int(os.environ.get("PORT", "0"))
EVENTS = os.environ.get("EVENTS", "")
"""Subject prefix under which events go out; empty: none."""
MARKER = os.environ.get("DIES_AFTER_FIRST_START", "")


async def main() -> None:
    if MARKER and Path(MARKER).exists():
        sys.exit(1)
    if MARKER:
        Path(MARKER).touch()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(answer, os.environ.get("BIND", "127.0.0.1"), PORT)
    async with server, asyncio.TaskGroup() as tasks:
        sender = tasks.create_task(send_events()) if EVENTS else None
        while os.environ.get("BUSY") and not stop.is_set():
            sum(range(20_000))
            await asyncio.sleep(0)
        await stop.wait()
        if sender:
            sender.cancel()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    status = "503 Sick" if os.environ.get("SICK") else "200 OK"
    await reader.readline()
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
    await writer.drain()
    writer.close()


async def send_events() -> None:
    """One `tick` every 20 ms, the n-th with data {n}; every tenth has no data at all. What cannot be sent is gone."""
    number = 0
    for address in cycle(os.environ["NATS_URL"].split(",")):
        host, port = address.removeprefix("nats://").split(":")
        with suppress(OSError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b'CONNECT {"verbose":false}\r\n')
            while True:
                number += 1
                await send_tick(writer, number)
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)


async def send_tick(writer: asyncio.StreamWriter, number: int) -> None:
    event: dict[str, object] = {"specversion": "1.0", "id": f"{os.getpid()}-{number}", "source": "one", "type": "tick"}
    if number % 10:
        event["data"] = {"n": number}
    body = json.dumps(event).encode()
    writer.write(b"PUB %s.one.tick %d\r\n%s\r\n" % (EVENTS.encode(), len(body), body))
    await writer.drain()


if __name__ == "__main__":
    if os.environ.get("WRAPPED"):
        inner = {**os.environ, "WRAPPED": ""}
        child = subprocess.Popen([sys.executable, __file__], env=inner, start_new_session=True)
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child.pid, signal.SIGTERM))
        sys.exit(child.wait())
    asyncio.run(main())

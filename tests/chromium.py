"""A real Chromium over its DevTools protocol: what a page logs, what it asks for, and where things stand on it."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

PROGRAM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


@dataclass
class Page:
    """A tab."""

    socket: ClientWebSocketResponse
    logged: list[str] = field(default_factory=list)
    """Errors and warnings of the console, exceptions, and what the content security policy refused."""
    requested: list[str] = field(default_factory=list)
    _number: int = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its answer."""
        self._number += 1
        await self.socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self.socket.receive_json()
            if message.get("id") == self._number:
                assert "error" not in message, message
                return dict(message["result"])
            self._hear(message)

    async def open(self, url: str, width: int, height: int, media: Mapping[str, str] | None = None) -> None:
        """Load a page at a size, in a colour scheme or for print, and wait until it is there."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        features = [{"name": name, "value": value} for name, value in (media or {}).items()]
        await self.call("Emulation.setEmulatedMedia", features=features)
        await self.call("Page.navigate", url=url)
        while not await self.value("document.readyState === 'complete' && location.href !== 'about:blank'"):
            await asyncio.sleep(0.02)

    async def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _hear(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled" if told["type"] in {"error", "warning", "assert"}:
                self.logged.append(str(told["args"]))
            case "Runtime.exceptionThrown":
                self.logged.append(str(told["exceptionDetails"]))
            case "Log.entryAdded":
                self.logged.append(told["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])
            case _:
                pass


@contextmanager
def browser() -> Iterator[str]:
    """A Chromium of its own; where it listens, as `host:port`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [str(PROGRAM), *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield _listening(process)
            finally:
                process.terminate()
                process.communicate()


def _listening(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("DevTools listening on "):
            return line.split("/")[2]
    raise RuntimeError("chromium ended at once")


@asynccontextmanager
async def tab(host: str) -> AsyncIterator[Page]:
    """An empty tab of the Chromium that listens there, which knows nothing of its other tabs: cookies, storage and cache are its own."""
    async with ClientSession() as session:
        async with session.get(f"http://{host}/json/version") as answer:
            address = (await answer.json())["webSocketDebuggerUrl"]
        async with session.ws_connect(address) as whole:
            control = Page(whole)
            context = (await control.call("Target.createBrowserContext", disposeOnDetach=True))["browserContextId"]
            target = (await control.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
            async with session.ws_connect(f"ws://{host}/devtools/page/{target}", max_msg_size=0) as socket:
                yield Page(socket)


def stored(folder: Path, name: str, data: bytes) -> str:
    """The page as a file; its address."""
    file = folder / name
    file.write_bytes(data)
    return file.as_uri()

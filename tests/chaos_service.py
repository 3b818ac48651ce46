"""A chaos API as somebody else may have written it: what it lists, how it spells types, what it can end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class ChaosService:
    """Its habits, and what it does now: ids and types."""

    lists: bool = True
    stops: bool = True
    ids: bool = True
    spelling: Callable[[str], str] = str
    padding: int = 0
    """Bytes that its list is longer than it must be."""
    pieces: int = 1
    """In so many pieces the list is sent, each some time after the other."""
    broken: int = 0
    """So many times it answers 503 when it is asked what is active."""
    active: dict[str, str] = field(default_factory=dict)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody has asked what is active."""
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """While this is not set, that is not answered."""
    bodies: list[Any] = field(default_factory=list)
    base: str = ""
    _number: int = 0

    def begin(self, type_: str) -> str:
        """Begin something; its id."""
        self._number += 1
        self.active[f"n{self._number}"] = self.spelling(type_)
        return f"n{self._number}"

    async def status(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        await self.answering.wait()
        if self.broken:
            self.broken -= 1
            return web.json_response({"error": "in a moment"}, status=503)
        if not self.lists:
            return web.json_response({}, status=404)
        entries = [{"id": name, "type": type_} for name, type_ in self.active.items()]
        body = web.json_response({"padding": "x" * self.padding, "active": entries}).body
        assert isinstance(body, bytes)
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        size = len(body) // self.pieces + 1
        for start in range(0, len(body), size):
            await answer.write(body[start : start + size])
            await asyncio.sleep(0.02 if self.pieces > 1 else 0)
        return answer

    async def start(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        name = self.begin(request.match_info["kind"])
        return web.json_response({"id": name} if self.ids else {}, status=201)

    async def stop(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name == "clear-all":
            self.active.clear()
            return web.json_response({})
        if not self.stops:
            return web.json_response({}, status=405)
        return web.json_response({}, status=200 if self.active.pop(name, None) else 404)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ChaosService"]:
        """Serve it on a free port."""
        self.answering.set()
        app = web.Application()
        app.add_routes([web.get("/chaos/status", self.status), web.post("/chaos/{kind}", self.start), web.delete("/chaos/{id}", self.stop)])
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.base = f"http://127.0.0.1:{runner.addresses[0][1]}/chaos"
            yield self
        finally:
            await runner.cleanup()

"""The client of the proxy's control API."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
from pydantic import TypeAdapter, ValidationError

from messages.actions.spec import Parameters
from messages.values import format_duration
from targets.errors import NotThere
from targets.http_check import open_session
from targets.identity import is_alive
from targets.proxy.api import LinkState, Report, ToxicState
from targets.proxy.errors import LinkBusy, LinkRefused, ProxySilent

DEADLINE = timedelta(seconds=5)
_LINKS = TypeAdapter(dict[str, LinkState])
_TOXICS = TypeAdapter(dict[str, ToxicState])


class LinkProxy:
    """Puts faults on links and takes them away. Every call is safe to repeat, and all raise the same.

    Raises:
        NotThere: the proxy's process is gone.
        LinkBusy: another fault is on the link.
        LinkRefused: there is no such link, or the parameters are not what the action takes.
        ProxySilent: no answer in time; the call may have taken effect.
    """

    def __init__(self, report: Report, session: aiohttp.ClientSession) -> None:
        self.report = report
        self._session = session

    async def put(self, fault: str, link: str, action: str, parameters: Parameters, *, lease: timedelta | None = None) -> bool:
        """Put the fault on the link, or renew it for another lease; whether it is new. In force when this returns."""
        body: dict[str, Any] = {"link": link, "action": action, "parameters": parameters.model_dump(mode="json")}
        if lease is not None:
            body["lease"] = format_duration(lease)
        status, _ = await self._ask("PUT", f"/toxics/{fault}", body)
        return status == 201

    async def remove(self, fault: str) -> bool:
        """Take the fault away; whether it was there. Gone when this returns."""
        _, answer = await self._ask("DELETE", f"/toxics/{fault}")
        return bool(json.loads(answer).get("found"))

    async def link(self, name: str) -> LinkState:
        """The link as it is."""
        _, answer = await self._ask("GET", f"/links/{name}")
        return LinkState.model_validate_json(answer)

    async def links(self) -> dict[str, LinkState]:
        """Every link."""
        _, answer = await self._ask("GET", "/links")
        return _LINKS.validate_json(answer)

    async def toxics(self) -> dict[str, ToxicState]:
        """Every fault that is on a link, by its id."""
        _, answer = await self._ask("GET", "/toxics")
        return _TOXICS.validate_json(answer)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        identity = self.report.identity
        if not is_alive(identity):
            raise NotThere(identity)
        headers = {"Authorization": f"Bearer {self.report.secret}"}
        timeout = aiohttp.ClientTimeout(total=DEADLINE.total_seconds())
        url = f"http://{self.report.control}{path}"
        try:
            async with self._session.request(method, url, json=body, headers=headers, timeout=timeout) as answer:
                status, text = answer.status, await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            if not is_alive(identity):
                raise NotThere(identity) from error
            raise ProxySilent(identity, str(error) or type(error).__name__) from error
        if status >= 500:
            raise ProxySilent(identity, f"status {status}")
        if status >= 400:
            raise _refusal(status, text)
        return status, text


def _refusal(status: int, answer: bytes) -> LinkBusy | LinkRefused:
    try:
        message = TypeAdapter(dict[str, str]).validate_json(answer)["message"]
    except (ValidationError, KeyError):
        message = f"status {status}"
    return LinkBusy(message) if status == 409 else LinkRefused(status, message)


@asynccontextmanager
async def control_proxy(report: Report) -> AsyncIterator[LinkProxy]:
    """The control of a proxy that runs, whoever started it."""
    async with open_session() as session:
        yield LinkProxy(report, session)

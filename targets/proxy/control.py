"""The control API of the proxy: HTTP on a port of 127.0.0.1, for those who know its secret."""

import secrets
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import ValidationError

from messages.values import Message
from targets.proxy.api import ToxicRequest, ToxicState, read_parameters
from targets.proxy.links import Links, LinkTaken, Toxic, UnknownLink

MOST_BODY = 64 * 1024


def control_app(links: Links, secret: str) -> web.Application:
    """The API over these links."""
    control = _Control(links)
    app = web.Application(middlewares=[_guard(secret)], client_max_size=MOST_BODY)
    app.add_routes(
        [
            web.get("/links", control.links),
            web.get("/links/{link}", control.link),
            web.get("/toxics", control.toxics),
            web.put("/toxics/{fault}", control.put),
            web.delete("/toxics/{fault}", control.remove),
        ]
    )
    return app


class _Control:
    def __init__(self, links: Links) -> None:
        self._links = links

    async def links(self, _: web.Request) -> web.Response:
        return _answer_all(self._links.states())

    async def link(self, request: web.Request) -> web.Response:
        return _answer(self._links.state(request.match_info["link"]))

    async def toxics(self, _: web.Request) -> web.Response:
        toxics = self._links.toxics.items()
        return _answer_all({fault: ToxicState(link=each.link, action=each.action, parameters=each.told) for fault, each in toxics})

    async def put(self, request: web.Request) -> web.Response:
        asked = ToxicRequest.model_validate_json(await request.read())
        toxic = Toxic(asked.link, asked.action, read_parameters(asked.action, asked.parameters))
        lease = None if asked.lease is None else asked.lease.total_seconds()
        new = await self._links.put(request.match_info["fault"], toxic, lease)
        return web.json_response({}, status=201 if new else 200)

    async def remove(self, request: web.Request) -> web.Response:
        return web.json_response({"found": await self._links.remove(request.match_info["fault"])})


def _guard(secret: str) -> Middleware:
    expected = f"Bearer {secret}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not secrets.compare_digest(request.headers.get("Authorization", "").encode(), expected):
            return _refusal(401, "the bearer token is missing or wrong")
        try:
            return await handler(request)
        except UnknownLink as error:
            return _refusal(404, str(error))
        except LinkTaken as error:
            return _refusal(409, str(error))
        except ValidationError as error:
            return _refusal(400, "; ".join(_told(dict(each)) for each in error.errors(include_url=False)))
        except ValueError as error:
            return _refusal(400, str(error))

    return guard


def _told(error: dict[str, object]) -> str:
    place = error["loc"]
    where = ".".join(str(part) for part in place) if isinstance(place, tuple) else ""
    return f"{where}: {error['msg']}" if where else str(error["msg"])


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _answer(message: Message) -> web.Response:
    return web.json_response(text=message.model_dump_json())


def _answer_all(messages: Mapping[str, Message]) -> web.Response:
    return web.json_response({name: message.model_dump(mode="json") for name, message in messages.items()})

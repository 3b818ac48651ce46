"""The HTTP health check: one GET, its connection closed with the answer."""

import json
from typing import Any

import aiohttp

from messages.expressions import Bindings, ExpressionError, compiled
from messages.checks import HttpCheck
from targets.wording import UNKNOWN_NAME, of_os_error, shortened

MAX_BODY = 64 * 1024
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "test-coordinator"}


def open_session() -> aiohttp.ClientSession:
    """A session that keeps nothing: no connection, cookie or proxy."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        headers=_HEADERS,
    )


async def check_http(session: aiohttp.ClientSession, check: HttpCheck) -> str:
    """What is wrong with the answer; empty when it is as expected. Redirects are not followed; of a long body the first 64 KiB count."""
    try:
        async with session.get(check.url, allow_redirects=False) as answer:
            body = await _read(answer.content) if _needs_body(check.expect) else b""
            return judge(check.expect, answer.status, body, {name.lower(): value for name, value in answer.headers.items()})
    except aiohttp.ClientError as error:
        return _of_client_error(error)
    except OSError as error:
        return of_os_error(error)
    except ValueError as error:
        return shortened(f"the request cannot be made: {error}")


def judge(expect: str, status: int, body: bytes, headers: dict[str, str]) -> str:
    """What is wrong with this answer; empty when `expect` holds."""
    text = body.decode(errors="replace")
    values = Bindings({"status": status, "body": text, "json": _json(body) if "json" in expect else None, "headers": headers})
    try:
        if compiled(expect).holds(values):
            return ""
    except (ExpressionError, OverflowError) as error:
        return shortened(f"status {status}, {expect} cannot be evaluated: {error}")
    said = f" {shortened(text, 60)!r}" if body else ""
    return shortened(f"status {status}{said}, expected {expect}")


def _needs_body(expect: str) -> bool:
    return "body" in expect or "json" in expect


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) < MAX_BODY and (part := await content.read(MAX_BODY - len(body))):
        body += part
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _of_client_error(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            words = UNKNOWN_NAME
        case aiohttp.InvalidURL():
            words = "the URL is not valid"
        case aiohttp.ServerDisconnectedError():
            words = "connection closed without an answer"
        case aiohttp.ClientPayloadError():
            words = "connection closed in the middle of the answer"
        case aiohttp.ClientResponseError():
            words = f"the answer is not HTTP: {error.message}"
        case aiohttp.ClientConnectorError():
            words = of_os_error(error.os_error)
        case OSError():
            words = of_os_error(error)
        case _:
            words = str(error) or type(error).__name__
    return shortened(words)

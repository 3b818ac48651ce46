"""The HTTP health check: one GET, its connection closed with the answer."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from messages.checks import HttpCheck
from messages.expressions import Bindings, ExpressionError, compiled
from targets.wording import UNKNOWN_NAME, of_os_error, shortened

MAX_BODY = 64 * 1024
SHOWN = 60
"""Characters of a wrong answer that are named."""
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


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP server answered."""

    status: int
    body: bytes
    headers: dict[str, str]

    def bindings(self, source: str) -> Bindings:
        """The variables of an expression over the answer; the body is read as JSON only if it is named."""
        text, parsed = self.body.decode(errors="replace"), _json(self.body) if "json" in source else None
        return Bindings({"status": self.status, "body": text, "json": parsed, "headers": self.headers})


async def check_http(session: aiohttp.ClientSession, check: HttpCheck, *, shown: int = SHOWN, exact: bool = False) -> str:
    """What is wrong with the answer, with so many characters of it; empty when it is as expected. Of a long body the first 64 KiB count.

    Raises:
        ExpressionError: `exact`, and of a good answer it cannot be said whether it is as expected.
    """
    needs_body = shown > SHOWN or "body" in check.expect or "json" in check.expect
    answer = await get(session, check.url, most=MAX_BODY if needs_body else 0)
    return answer if isinstance(answer, str) else judge(check.expect, answer, shown=shown, exact=exact)


async def get(session: aiohttp.ClientSession, url: str, *, most: int) -> Answer | str:
    """The answer with so many bytes of its body, or why there is none. Redirects are not followed."""
    return await sent(session, "GET", url, most=most)


async def sent(session: aiohttp.ClientSession, method: str, url: str, *, most: int, document: Any = None) -> Answer | str:
    """As `get`, by any method, with a document as JSON."""
    try:
        async with session.request(method, url, json=document, allow_redirects=False) as answer:
            body = await read_up_to(answer.content, most)
            return Answer(answer.status, body, {name.lower(): value for name, value in answer.headers.items()})
    except aiohttp.ClientError as error:
        return _of_client_error(error)
    except OSError as error:
        return of_os_error(error)
    except ValueError as error:
        return shortened(f"the request cannot be made: {error}")


def judge(expect: str, answer: Answer, *, shown: int = SHOWN, exact: bool = False) -> str:
    """What is wrong with this answer, with so many characters of it; empty when `expect` holds.

    Raises:
        ExpressionError: `exact`, and of a good answer (2xx) that cannot be said.
    """
    longest = 100 + shown
    try:
        if compiled(expect).holds(answer.bindings(expect)):
            return ""
    except (ExpressionError, OverflowError) as error:
        told = shortened(f"status {answer.status}, {expect} cannot be evaluated: {error}", longest)
        if exact and 200 <= answer.status < 300:
            raise ExpressionError(told) from error
        return told
    said = f" {shortened(answer.body.decode(errors='replace'), shown)!r}" if answer.body else ""
    return shortened(f"status {answer.status}{said}, expected {expect}", longest)


async def read_up_to(content: aiohttp.StreamReader, most: int) -> bytes:
    """So many bytes of a body, or all of a shorter one."""
    body = bytearray()
    while len(body) < most and (part := await content.read(most - len(body))):
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

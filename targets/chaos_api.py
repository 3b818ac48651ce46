"""A service's own chaos API, spoken to over HTTP: what is active, start something, end it."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp

from targets.errors import TargetError, Unsupported
from targets.http_check import open_session, read_up_to
from targets.wording import of_os_error, shortened

DEADLINE = timedelta(seconds=5)
LISTS = ("status", "active-scenarios", "")
"""Where an API says what is active: below its base, the first that is there."""
_KEYS = ("active", "scenarios", "active_scenarios", "active_chaos", "injections", "strategies")
MAX_ANSWER = 256 * 1024
_NO_PLACE = {400, 404, 405, 410, 501}


class ChaosApiFailed(TargetError):
    """The API could not be reached, or refused the call; the text has its words. A retry may help."""


@dataclass(frozen=True, slots=True)
class Active:
    """Something that an API says it does right now."""

    id: str
    type: str
    """The last word of the path that started it, in kebab-case."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An API's answer."""

    status: int
    document: Any


class ChaosApi:
    """One service's API. `key` is sent as X-API-Key."""

    def __init__(self, base: str, key: str | None = None) -> None:
        self._base = base.rstrip("/")
        self._headers = {"X-API-Key": key} if key else {}

    async def active(self) -> tuple[Active, ...] | None:
        """What it does now; None if it has no place that says so.

        Raises:
            ChaosApiFailed: it cannot be reached, or such a place did not answer as it should.
        """
        failed: str | None = None
        for place in LISTS:
            answer = await self._call("GET", place)
            found = _listed(answer.document) if answer.status == 200 else None
            if found is not None:
                return tuple(found)
            if answer.status >= 400 and answer.status not in _NO_PLACE:
                failed = failed or _told(answer, f"GET {self._base}/{place}")
        if failed is not None:
            raise ChaosApiFailed(failed)
        return None

    async def start(self, path: str, body: Mapping[str, Any]) -> str | None:
        """Start something; its id, if the API gives one.

        Raises:
            Unsupported: it has no such call, or refuses the body.
            ChaosApiFailed: it cannot be reached, or failed.
        """
        answer = await self._call("POST", path, body)
        self._check(answer, f"POST {path}")
        return _id_of(answer.document) if isinstance(answer.document, dict) else None

    async def stop(self, known: Active) -> bool:
        """End one thing; whether the API has a call for that. One that it does not know any more is ended.

        Raises:
            ChaosApiFailed: it cannot be reached, or failed.
        """
        for path in (f"stop-scenario/{known.id}", known.id):
            answer = await self._call("DELETE", path)
            if answer.status < 300:
                return True
            if answer.status >= 500:
                raise ChaosApiFailed(_told(answer, f"DELETE {path}"))
            if known.id not in [one.id for one in await self.active() or ()]:
                return True
        return False

    async def clear(self) -> None:
        """End all that it does, one by one where there is no call for all.

        Raises:
            ChaosApiFailed: it cannot be reached, or something is still active.
        """
        answer = await self._call("DELETE", "clear-all")
        if answer.status < 300:
            return
        left = [one for one in await self.active() or () if not await self.stop(one)]
        if left or answer.status >= 500:
            raise ChaosApiFailed(_told(answer, "DELETE clear-all"))

    def _check(self, answer: Answer, what: str) -> None:
        if answer.status in {400, 401, 403, 404, 405, 409, 422, 501}:
            raise Unsupported(_told(answer, what))
        if answer.status >= 300:
            raise ChaosApiFailed(_told(answer, what))

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        url = f"{self._base}/{path}".rstrip("/")
        try:
            async with (
                asyncio.timeout(DEADLINE.total_seconds()),
                open_session() as session,
                session.request(method, url, json=body, headers=self._headers, allow_redirects=False) as answer,
            ):
                raw = await read_up_to(answer.content, MAX_ANSWER + 1)
                if len(raw) > MAX_ANSWER:
                    raise ChaosApiFailed(f"{method} {url} answered with more than {MAX_ANSWER // 1024} KiB")
                return Answer(answer.status, _document(raw))
        except TimeoutError as error:
            raise ChaosApiFailed(f"{method} {url} had no answer in {DEADLINE.total_seconds():g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            words = of_os_error(error) if isinstance(error, OSError) else str(error)
            raise ChaosApiFailed(shortened(f"{method} {url}: {words}")) from error


def _told(answer: Answer, what: str) -> str:
    said = answer.document.get("error", "") if isinstance(answer.document, dict) else ""
    return shortened(f"{what} answered {answer.status}" + (f": {said}" if said else ""), 300)


def _document(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _listed(document: Any) -> list[Active] | None:
    entries = document if isinstance(document, list) else None
    if isinstance(document, dict):
        entries = next((document[key] for key in _KEYS if isinstance(document.get(key), list)), None)
    return None if entries is None else list(_entries(entries))


def _entries(entries: list[Any]) -> Iterator[Active]:
    for entry in entries:
        if isinstance(entry, dict) and (name := _id_of(entry)):
            kind = next((str(entry[key]) for key in ("type", "scenario_type", "chaos_type", "strategy", "name") if key in entry), "")
            yield Active(name, kind.replace("_", "-"))


def _id_of(entry: dict[str, Any]) -> str | None:
    return next(
        (str(entry[key]) for key in ("id", "scenario_id", "chaos_id", "injection_id", "strategy_id", "strategy") if key in entry), None
    )

"""An audit correlator over REST. Its 201 is no proof, it gives no ids and escapes nothing: what it was told is read back."""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp

from messages.audit_events import SOURCE, Fed
from targets.http_check import Answer, open_session, sent
from targets.wording import no_answer, shortened

LIMIT = 5.0
"""Seconds that telling it of one event may take in all."""
ANSWER_LIMIT = 2.0
QUIET = 10.0
"""Seconds in which one that did not answer is not asked again."""
_PAUSES = (0.3, 0.7)
_LOOKS = (0.0, 0.1, 0.3, 0.6)
"""Seconds before each look for what it was told."""
_NEWEST = 500
"""So many events it gives at most, the newest."""
_MOST = 8 * 1024 * 1024
_OWN_NAME = "audit-correlator"
"""The service under which it stores all that it is told, whoever told it."""
_EVENTS, _CORRELATIONS, _STATUS = "/api/v1/audit/events", "/api/v1/audit/correlations", "/api/v1/audit/status"


@dataclass(frozen=True, slots=True)
class Entry:
    """What it is told: an event type, and fields of any text."""

    type: str
    fields: Mapping[str, str]

    @property
    def message(self) -> str:
        """The fields in percent-encoding, `name=value&…`: no quote, backslash or line break is in it that could break what it stores."""
        return urlencode(self.fields, quote_via=quote, safe="")

    @property
    def body(self) -> dict[str, str]:
        """What is posted; it takes no other fields."""
        return {"event_type": self.type, "source": SOURCE, "message": self.message}


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it."""

    outcome: Fed
    stored_id: str = ""
    error: str = ""


_TAKEN = Told("unproven", error=f"it answered 201, and could not be read in {LIMIT:g}s")


class AuditCorrelator:
    """Tells one audit correlator of events; an async context manager. Nothing that it does or leaves undone is raised."""

    def __init__(self, url: str) -> None:
        """`url` is where it serves, such as http://127.0.0.1:8082."""
        self._url = url.rstrip("/")
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._quiet_until = 0.0
        self._away = ""

    async def __aenter__(self) -> Self:
        self._session = await self._stack.enter_async_context(open_session())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def tell(self, entry: Entry, *, again: bool = False) -> Told:
        """Tell it of an event and read that back. `again`: it may have been told before, and is not told twice."""
        if time.monotonic() < self._quiet_until:
            return Told("unreachable", error=f"not asked again so soon after: {self._away}")
        until, told = asyncio.get_running_loop().time() + LIMIT, Told("unreachable", error=no_answer(timedelta(seconds=LIMIT)))
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                told = await self._post(entry, again=again)
            if told == _TAKEN:
                async with asyncio.timeout_at(until):
                    told = await self._read_back(entry)
        if told == _TAKEN or told.outcome == "unreachable":
            self._quiet_until, self._away = time.monotonic() + QUIET, told.error
        return told

    async def link(self, source: str, target: str, kind: str) -> str:
        """Tell it that two events that it stores belong together; why it did not take that, empty if it did."""
        body = {"source_event_id": source, "target_event_id": target, "correlation_type": kind, "confidence": 1.0}
        answer = await self._ask("POST", _CORRELATIONS, body)
        return "" if isinstance(answer, Answer) and answer.status == 201 else _refusal(answer)

    async def _post(self, entry: Entry, *, again: bool) -> Told:
        answer: Answer | str = ""
        for pause in (0.0, *_PAUSES):
            await asyncio.sleep(pause)
            found = await self._find(entry) if again else _NOTHING
            if isinstance(found, str):  # to tell it now could be to tell it twice
                answer = answer or found
                continue
            if found.id:
                return Told("stored", found.id)
            answer = await self._ask("POST", _EVENTS, entry.body)
            if isinstance(answer, Answer) and answer.status < 500:
                break
            again = True  # it may have stored it without saying so
        if isinstance(answer, str):
            return Told("unreachable", error=answer)
        if answer.status != 201:
            return Told("refused", error=_refusal(answer))
        return _TAKEN

    async def _read_back(self, entry: Entry) -> Told:
        found: _Found | str = ""
        for pause in _LOOKS:
            await asyncio.sleep(pause)
            found = await self._find(entry)
            if isinstance(found, _Found) and found.id:
                return Told("stored", found.id)
        store = await self._store()
        if isinstance(found, str) and store in {"", "connected"}:
            return Told("unproven", error=f"it answered 201, and it cannot be read what it holds: {found}")
        if isinstance(found, _Found) and found.cut:
            return Told("unproven", error=f"it answered 201, and gives only its newest {_NEWEST} events, where this one is not")
        return Told("dropped", error=f"it answered 201 and does not hold it{f' (its data_adapter is {store})' if store else ''}")

    async def _find(self, entry: Entry) -> "_Found | str":
        """The event among the newest of its type, or why that cannot be read. It goes by our message: it takes no ids and no names."""
        query = urlencode({"service_name": _OWN_NAME, "event_type": entry.type, "time_window": "1h"})
        answer = await self._ask("GET", f"{_EVENTS}/service?{query}")
        if isinstance(answer, str) or answer.status != 200:
            return _refusal(answer)
        events = _listed(answer.body)
        if events is None:
            return "the answer is no list of events"
        own = (str(event.get("id", "")) for event in events if _tells(event.get("metadata"), entry.message))
        return _Found(next(own, ""), cut=len(events) >= _NEWEST)

    async def _store(self) -> str:
        """What it says of its store: `connected`, or another word; empty if it says nothing."""
        answer = await self._ask("GET", _STATUS)
        known = _parsed(answer.body) if isinstance(answer, Answer) else None
        said = known.get("data_adapter") if isinstance(known, dict) else None
        return shortened(said, 40) if isinstance(said, str) else ""

    async def _ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> Answer | str:
        if self._session is None:
            return "it is not open"
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                return await sent(self._session, method, f"{self._url}{path}", most=_MOST, document=document)
        except TimeoutError:
            return no_answer(timedelta(seconds=ANSWER_LIMIT))


@dataclass(frozen=True, slots=True)
class _Found:
    """Its id, if it was found; and whether there may be more than could be seen."""

    id: str
    cut: bool


_NOTHING = _Found("", cut=False)


def _refusal(answer: Answer | str) -> str:
    if isinstance(answer, str):
        return answer
    said = shortened(answer.body.decode(errors="replace"))
    return f"it answered {answer.status}{f': {said}' if said else ''}"


def _listed(body: bytes) -> list[dict[str, Any]] | None:
    """The events of an answer: a list, or under `events`."""
    found = _parsed(body)
    events = found.get("events") if isinstance(found, dict) else found
    if events is None and isinstance(found, dict) and "events" in found:
        return []
    return [event for event in events if isinstance(event, dict)] if isinstance(events, list) else None


def _tells(metadata: Any, message: str) -> bool:
    """Whether an event's metadata, an object or its text, is our message. Those of others may be no JSON at all."""
    known = _parsed(metadata) if isinstance(metadata, str) else metadata
    return isinstance(known, dict) and known.get("source") == SOURCE and known.get("message") == message


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

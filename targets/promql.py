"""Asking a Prometheus in PromQL: an instant query as of now."""

import asyncio
import json
import math
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import aiohttp

from messages.claims.selector import series_name
from targets.http_check import Answer, get
from targets.metrics_check import MAX_TEXT, MOST, Found
from targets.wording import no_answer, shortened

TOLD = 400
"""Characters of what Prometheus says of an error."""
_NO_NUMBERS = {
    "matrix": "it gives a range of values at once; take a function over it, like rate(…) or last_over_time(…)",
    "string": "it gives text; it must give a number or a vector",
}


async def query(session: aiohttp.ClientSession, base: str, promql: str, deadline: timedelta) -> Found:
    """What the expression gives at this moment: a series per labels, a number as one series."""
    url = f"{base.rstrip('/')}/api/v1/query?query={quote(promql, safe='')}&timeout={deadline.total_seconds():g}s"
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            answer = await get(session, url, most=MAX_TEXT + 1)
    except TimeoutError:
        return Found({}, error=no_answer(deadline))
    return Found({}, error=answer) if isinstance(answer, str) else read(answer)


def read(answer: Answer) -> Found:
    """The series in an answer of the API, or why there are none."""
    if len(answer.body) > MAX_TEXT:
        return Found({}, error=f"more than {MAX_TEXT} bytes")
    try:
        told = json.loads(answer.body)
        if told["status"] != "success":
            return Found({}, error=shortened(f"Prometheus says: {told['error']}", TOLD))
        return _series(told["data"]["resultType"], told["data"]["result"])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return Found({}, error="that is no Prometheus" if answer.status == 200 else f"status {answer.status}")


def _series(kind: str, result: Any) -> Found:
    if kind in _NO_NUMBERS:
        return Found({}, error=_NO_NUMBERS[kind])
    samples = [({"__name__": "scalar"}, result[1])] if kind == "scalar" else [(one["metric"], one["value"][1]) for one in result]
    found = {_named(labels): float(value) for labels, value in samples[:MOST]}
    nothing = next((name for name, value in found.items() if math.isnan(value)), None)
    if nothing is not None:
        return Found({}, error=shortened(f"{nothing} is NaN, which is no value", TOLD))
    return Found(found, max(0, len(samples) - MOST))


def _named(labels: dict[str, str]) -> str:
    """The series as Prometheus shows it; what is summed over all has no labels."""
    return series_name(labels.get("__name__", ""), {label: value for label, value in labels.items() if label != "__name__"}) or "{}"

"""Scraping metrics in Prometheus' text format."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from messages.claims.selector import Selector, series_name
from targets.http_check import get
from targets.wording import no_answer, shortened

MAX_TEXT = 4 * 1024 * 1024
"""Bytes that an endpoint may answer."""
MOST = 50
"""Series that are kept for one selector."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """What an endpoint answered, or why there is nothing to read."""

    text: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The series that a selector takes, how many more there are, and why there are none."""

    series: Mapping[str, float]
    beyond: int = 0
    error: str = ""


async def scrape(session: aiohttp.ClientSession, url: str, deadline: timedelta) -> Scraped:
    """The text of an endpoint."""
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            answer = await get(session, url, most=MAX_TEXT + 1)
    except TimeoutError:
        return Scraped(error=no_answer(deadline))
    if isinstance(answer, str):
        return Scraped(error=answer)
    if answer.status != 200:
        return Scraped(error=f"status {answer.status}")
    if len(answer.body) > MAX_TEXT:
        return Scraped(error=f"more than {MAX_TEXT} bytes")
    return Scraped(answer.body.decode(errors="replace"))


def select(scraped: Scraped, selector: Selector) -> Found:
    """The series that are meant, by their names."""
    if scraped.error:
        return Found({}, error=scraped.error)
    # Only lines that may be meant are parsed: an endpoint can have thousands.
    lines = (line for line in scraped.text.splitlines(keepends=True) if line.startswith(selector.name))
    try:
        samples = [sample for family in text_string_to_metric_families("".join(lines)) for sample in family.samples]
    except ValueError as error:
        return Found({}, error=shortened(f"not metrics: {error}"))
    taken = [sample for sample in samples if selector.takes(sample.name, sample.labels)]
    series = {series_name(sample.name, sample.labels): float(sample.value) for sample in taken[:MOST]}
    return Found(series, max(0, len(taken) - MOST))

"""Scraping metrics and asking for roles, on real servers and real programs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from messages.checks import CommandRole, HttpCheck, HttpRole, Role
from messages.claims.selector import parse_selector
from targets.health import HealthProber
from targets.metrics_check import MOST, Scraped, select

SOON, SHORT = timedelta(seconds=10), timedelta(milliseconds=300)
TEXT = """# HELP orders_total Orders.
# TYPE orders_total counter
orders_total{status="filled",side="buy"} 5.0
orders_total{status="filled",side="sell"} 4.0
orders_total{status="rejected"} 2.0
orders_total_failed 99
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_count 4
took_seconds_sum 0.5
"""


class Server:
    """Answers the same to everybody."""

    def __init__(self) -> None:
        self.url = ""
        self.answer = b""
        self.silent = False
        self._over = asyncio.Event()

    def says(self, body: str, status: str = "200 OK") -> None:
        self.answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}".encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if self.silent:
            await reader.read()
        writer.write(self.answer)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        yield server


@pytest.fixture
async def prober() -> AsyncIterator[HealthProber]:
    async with HealthProber() as prober:
        yield prober


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ('orders_total{status="filled"}', [5, 4]),
        ("orders_total", [5, 4, 2]),
        ('orders_total{side!="buy"}', [4, 2]),
        ("took_seconds_count", [4]),
        ('took_seconds_bucket{le="0.1"}', [3]),
        ("took_seconds", []),
        ("orders", []),
    ],
)
async def test_a_metric_is_found_by_its_name_and_labels(prober: HealthProber, server: Server, metric: str, values: list[float]) -> None:
    server.says(TEXT)

    found = select(await prober.scrape(server.url, deadline=SOON), parse_selector(metric))

    assert (sorted(found.series.values()), found.beyond, found.error) == (sorted(values), 0, "")


async def test_an_endpoint_that_gives_no_metrics_says_why(prober: HealthProber, server: Server) -> None:
    up = parse_selector("up")
    server.says("sick", "503 Sick")
    sick = select(await prober.scrape(server.url, deadline=SOON), up)
    server.says("up and down\n")
    nonsense = select(await prober.scrape(server.url, deadline=SOON), up)
    server.silent = True
    silent = select(await prober.scrape(server.url, deadline=SHORT), up)
    absent = select(await prober.scrape("http://127.0.0.1:1/", deadline=SOON), up)

    assert (sick.error, silent.error, absent.error) == ("status 503", "no answer within 300ms", "connection refused")
    assert nonsense.error.startswith("not metrics")
    assert not any(found.series for found in (sick, nonsense, silent, absent))


def test_series_are_bounded_and_the_rest_is_counted() -> None:
    text = "".join(f'up{{n="{n}"}} 1\n' for n in range(MOST + 7))

    found = select(Scraped(text), parse_selector("up"))

    assert (len(found.series), found.beyond) == (MOST, 7)


@pytest.mark.parametrize(
    ("body", "value", "role"),
    [
        ('{"role": "leader"}', "json.role", "leader"),
        ("leader\n", "body", "leader"),
        ('{"term": 3}', "json.term", "3"),
        ("{}", "json.role", ""),
        ("", "body", ""),
        ("true", "json", ""),
    ],
)
async def test_a_service_says_its_role(prober: HealthProber, server: Server, body: str, value: str, role: str) -> None:
    server.says(body)

    assert await prober.role(Role(http=HttpRole(url=server.url, value=value)), deadline=SOON) == role


async def test_a_program_says_a_role_and_what_says_nothing_has_none(prober: HealthProber, server: Server) -> None:
    async def asked(*argv: str, deadline: timedelta = SOON) -> str:
        return await prober.role(Role(command=CommandRole(argv=argv)), deadline=deadline)

    server.silent = True

    assert await asked("echo", "follower") == "follower"
    assert await asked("/nowhere/role") == ""
    assert await asked("sleep", "60", deadline=SHORT) == ""
    assert await prober.role(Role(http=HttpRole(url=server.url)), deadline=SHORT) == ""


async def test_so_much_of_a_wrong_answer_is_told_as_is_asked_for(prober: HealthProber, server: Server) -> None:
    server.says("no stock " * 100, "503 Sick")
    check = HttpCheck(url=server.url)

    long, short = [(await prober.asking(check, deadline=SOON, shown=shown)()).error for shown in (200, 60)]

    assert long.startswith("status 503 'no stock no stock")
    assert long.endswith("expected status == 200")
    assert len(long) > 200
    assert short == "status 503, expected status == 200"

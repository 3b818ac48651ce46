"""Asking in PromQL: a table of answers from a real HTTP server, and a real Prometheus where there is one."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from targets.health import HealthProber
from targets.metrics_check import MAX_TEXT, MOST
from tests.prometheus import PROGRAM, prometheus

SOON, SHORT = timedelta(seconds=30), timedelta(milliseconds=200)


def vector(*samples: tuple[dict[str, str], str]) -> str:
    return success("vector", [{"metric": labels, "value": [1.5, value]} for labels, value in samples])


def success(kind: str, result: Any) -> str:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})


class Api:
    """Answers the same to every query, and knows what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.status, self.body = 200, "{}"
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.hold: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, dict(request.query)))
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(status=self.status, text=self.body, content_type="application/json")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api, app = Api(), web.Application()
    app.router.add_get("/{path:.*}", api.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    if api.hold is not None:
        api.hold.set()
    await runner.cleanup()


@pytest.fixture
async def prober() -> AsyncIterator[HealthProber]:
    async with HealthProber() as prober:
        yield prober


@pytest.mark.parametrize(
    ("body", "series"),
    [
        (vector(), {}),
        (vector(({}, "2.5")), {"{}": 2.5}),
        (vector(({"__name__": "up", "job": "shop"}, "1")), {'up{job="shop"}': 1}),
        (vector(({"job": "a"}, "1"), ({"job": "b"}, "2e3")), {'{job="a"}': 1, '{job="b"}': 2000}),
        (vector(({}, "+Inf"), ({"job": "a"}, "-Inf")), {"{}": float("inf"), '{job="a"}': float("-inf")}),
        (success("scalar", [1.5, "42"]), {"scalar": 42}),
    ],
)
async def test_a_vector_has_a_series_per_labels_and_a_number_is_one(
    prober: HealthProber, api: Api, body: str, series: dict[str, float]
) -> None:
    api.body = body

    found = await prober.query(api.url, "x", deadline=SOON)

    assert (dict(found.series), found.beyond, found.error) == (series, 0, "")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (
            400,
            '{"status":"error","errorType":"bad_data","error":"1:5: parse error"}',
            "Prometheus says: 1:5: parse error",
        ),
        (422, '{"status":"error","errorType":"execution","error":"many-to-many"}', "Prometheus says: many-to-many"),
        (503, "sick", "status 503"),
        (404, '{"message": "no such page"}', "status 404"),
        (200, "fine", "that is no Prometheus"),
        (200, "[]", "that is no Prometheus"),
        (200, '{"status": "success"}', "that is no Prometheus"),
        (200, success("vector", [{"metric": {}}]), "that is no Prometheus"),
        (200, success("scalar", [1.5, "many"]), "that is no Prometheus"),
        (200, vector(({}, "NaN")), "{} is NaN, which is no value"),
        (200, vector(({"job": "a"}, "1"), ({"job": "b"}, "NaN")), '{job="b"} is NaN, which is no value'),
        (200, success("matrix", []), "it gives a range of values at once"),
        (200, success("string", [1.5, "x"]), "it gives text"),
        (200, "[" * 100_000, "that is no Prometheus"),
        (200, " " * (MAX_TEXT + 1), f"more than {MAX_TEXT} bytes"),
    ],
)
async def test_an_answer_that_has_no_value_says_why(prober: HealthProber, api: Api, status: int, body: str, error: str) -> None:
    api.status, api.body = status, body

    found = await prober.query(api.url, "x", deadline=SOON)

    assert found.error.startswith(error)
    assert not found.series


async def test_who_does_not_answer_says_nothing(prober: HealthProber, api: Api) -> None:
    api.hold = asyncio.Event()
    silent = await prober.query(api.url, "x", deadline=SHORT)
    absent = await prober.query("http://127.0.0.1:1", "x", deadline=SOON)

    assert (silent.error, absent.error) == ("no answer within 200ms", "connection refused")


async def test_series_are_bounded_and_the_rest_is_counted(prober: HealthProber, api: Api) -> None:
    api.body = vector(*(({"n": str(n)}, "1") for n in range(MOST + 7)))

    found = await prober.query(api.url, "x", deadline=SOON)

    assert (len(found.series), found.beyond) == (MOST, 7)


@pytest.mark.parametrize("below", ["", "/", "/prometheus", "/prometheus/"])
async def test_the_expression_arrives_as_it_is_written(prober: HealthProber, api: Api, below: str) -> None:
    promql = 'sum(rate(orders_total{a="b&c", d=~"e+|f%20#"}[10s])) + 1 > bool 2 # ä'
    api.body = vector()

    await prober.query(api.url + below, promql, deadline=SOON)

    assert api.asked == [(f"{below.rstrip('/')}/api/v1/query", {"query": promql, "timeout": "30s"})]


@pytest.mark.long
@pytest.mark.skipif(PROGRAM is None, reason="needs prometheus (apt-get install prometheus)")
async def test_a_real_prometheus_is_understood(prober: HealthProber, tmp_path: Path) -> None:
    async with prometheus(tmp_path, 1) as url:
        number = await prober.query(url, "1 + 1", deadline=SOON)
        one = await prober.query(url, "vector(3)", deadline=SOON)
        nothing = await prober.query(url, "absent_metric", deadline=SOON)
        infinite = await prober.query(url, "vector(1) / 0", deadline=SOON)
        undefined = await prober.query(url, "vector(0) / 0", deadline=SOON)
        wrong = await prober.query(url, "sum(", deadline=SOON)
        span = await prober.query(url, "up[10s]", deadline=SOON)
        text = await prober.query(url, '"text"', deadline=SOON)

    assert (number.series, one.series, nothing.series) == ({"scalar": 2}, {"{}": 3}, {})
    assert infinite.series == {"{}": float("inf")}
    assert undefined.error == "{} is NaN, which is no value"
    assert wrong.error.startswith("Prometheus says: ")
    assert "parse error" in wrong.error
    assert span.error.startswith("it gives a range of values")
    assert text.error.startswith("it gives text")
    assert not number.error + one.error + nothing.error + infinite.error

"""Unary calls by reflection, on real servers: what they answer, and why some cannot be asked."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from messages.checks import GrpcCall
from targets.grpc_call import GrpcCaller
from targets.health import HealthProber, Sample
from targets.polling import until
from tests.grpc_shop import Shop, T, mirrored, serving, stock_file
from tests.ports import free_port

SOON, SHORT = timedelta(seconds=30), timedelta(milliseconds=200)


@pytest.fixture
async def prober() -> AsyncIterator[HealthProber]:
    async with HealthProber() as prober:
        yield prober


def call(address: str, expect: str = "code == 'OK'", method: str = "shop.Stock/Count", **request: Any) -> GrpcCall:
    return GrpcCall(address=address, method=method, request=request, expect=expect)


async def ask(prober: HealthProber, question: GrpcCall, deadline: timedelta = SOON) -> Sample:
    return await prober.asking(question, deadline=deadline, shown=200)()


@pytest.mark.parametrize(
    ("expect", "error"),
    [
        ("code == 'OK'", ""),
        ("response.item == 'tea' && response.left == 3", ""),
        ("response.sold == '5000000000'", ""),
        ("response.ratio == 0.0", ""),
        ("response.unit_price == 2.5", ""),
        ("metadata['x-shelf'] == '7, 8' && metadata['x-raw-bin'] == '01ff'", ""),
        ("message == ''", ""),
        (
            "response.left == 4",
            'OK {"item": "tea", "left": 3, "sold": "5000000000", "unit_price": 2.5, "ratio": 0.0}, expected response.left == 4',
        ),
        ("response.shelf == 4", "cannot be evaluated: there is no 'shelf'"),
    ],
)
async def test_an_answer_is_json_with_the_names_of_the_proto_file(prober: HealthProber, expect: str, error: str) -> None:
    shop = Shop()
    shop.answer["unit_price"] = {"value": 2.5}
    async with serving(shop.handler(), mirrored(shop)) as address:
        sample = await ask(prober, call(address, expect, item="tea", unit_price=1.5))

    assert (sample.error[-len(error) :] if error else sample.error) == error
    assert (sample.ok, sample.asked) == (not error, True)
    assert [(question.item, question.unit_price.value) for question in shop.asked] == [("tea", 1.5)]


async def test_a_response_that_an_expression_does_not_fit_is_no_bad_answer_to_who_wants_to_know_exactly(prober: HealthProber) -> None:
    shop = Shop()
    async with serving(shop.handler(), mirrored(shop)) as address:
        question = call(address, "response.shelf == 4")
        sample = await prober.asking(question, deadline=SOON, shown=200, exact=True)()
        shop.status = (grpc.StatusCode.NOT_FOUND, "no tea")
        other = await prober.asking(question, deadline=SOON, shown=200, exact=True)()

    assert (sample.ok, sample.asked, sample.error) == (False, False, "OK, response.shelf == 4 cannot be evaluated: there is no 'shelf'")
    assert (other.ok, other.asked) == (False, True), "without a response it surely has no such field"


async def test_the_status_of_a_call_is_an_answer_like_any_other(prober: HealthProber) -> None:
    shop = Shop()
    shop.status = (grpc.StatusCode.NOT_FOUND, "NO_SHELF: there is no tea, connection refused")
    async with serving(shop.handler(), mirrored(shop)) as address:
        wanted = await ask(prober, call(address, "code == 'NOT_FOUND' && message.startsWith('NO_SHELF: there is no tea')"))
        shelf = await ask(prober, call(address, "metadata['x-shelf'] == '7, 8' && response == null"))
        other = await ask(prober, call(address, "code == 'OK' && response.left > 0"))

    assert (wanted.error, shelf.error) == ("", "")
    assert (other.ok, other.asked) == (False, True)
    assert other.error.startswith("NOT_FOUND: ")


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ({"method": "shop.Stok/Count"}, "the server has no service 'shop.Stok'; it has grpc.health.v1.Health, shop.Stock"),
        ({"method": "shop.Stock/Cont"}, "shop.Stock has no method 'Cont'; it has Count, Watch"),
        ({"method": "shop.Question/Count"}, "shop.Question is no service, but something else"),
        ({"method": "shop.Stock/Watch"}, "shop.Stock/Watch is a stream; take a unary method, one request and one answer"),
        ({"itm": "tea"}, "the request is no shop.Question, which has item, left, sold, ratio, unit_price: "),
        ({"left": "many"}, "the request is no shop.Question, which has item, left, sold, ratio, unit_price: "),
        ({"item": ["tea"]}, "the request is no shop.Question, which has item, left, sold, ratio, unit_price: "),
    ],
)
async def test_what_cannot_be_asked_says_what_would_be_right(prober: HealthProber, question: dict[str, Any], told: str) -> None:
    shop = Shop()
    async with serving(shop.handler(), mirrored(shop)) as address:
        sample = await ask(prober, call(address, **question))

    assert (sample.ok, sample.asked) == (False, False)
    assert sample.error.startswith(told)
    assert shop.asked == []


async def test_a_server_without_reflection_cannot_be_asked(prober: HealthProber) -> None:
    shop = Shop()
    async with serving(shop.handler()) as address:
        sample = await ask(prober, call(address))

    assert (sample.ok, sample.asked) == (False, False)
    assert sample.error == "the server does not serve reflection; let it, or ask it over HTTP"


async def test_an_answer_that_is_too_long_or_cannot_be_read_says_nothing_of_the_service(prober: HealthProber) -> None:
    shop = Shop()
    shop.answer["item"] = "x" * 300_000
    async with serving(shop.handler(), mirrored(shop)) as address:
        long = await ask(prober, call(address))
        shop.raw = b"\x0a\xff"
        torn = await ask(prober, call(address))

    assert (long.ok, long.asked, torn.ok, torn.asked) == (False, False, False, False)
    assert "at most 262144 are read" in long.error
    assert torn.error.startswith("the answer cannot be read as shop.Answer: ")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("whole", [True, False])
async def test_both_versions_of_reflection_do_and_imports_are_asked_for(prober: HealthProber, version: str, whole: object) -> None:
    shop = Shop()
    async with serving(shop.handler(), mirrored(shop, whole=bool(whole), version=version)) as address:
        sample = await ask(prober, call(address, "response.left == 3"))

    assert sample.error == ""


async def test_a_server_that_is_not_there_is_unavailable_and_that_is_an_answer(prober: HealthProber) -> None:
    address = f"127.0.0.1:{free_port()}"
    bad, good = await ask(prober, call(address)), await ask(prober, call(address, "code == 'UNAVAILABLE'"))

    assert (bad.ok, bad.asked, bad.error) == (False, True, "UNAVAILABLE: connection refused, expected code == 'OK'")
    assert good.ok


async def test_a_port_that_is_none_cannot_be_asked(prober: HealthProber) -> None:
    sample = await ask(prober, call("127.0.0.1:99999"))

    assert (sample.asked, sample.error) == (False, "there is no port 99999")


async def test_an_answer_that_takes_too_long_is_none_even_where_that_is_expected() -> None:
    shop = Shop()
    async with serving(shop.handler(), mirrored(shop)) as address:
        caller = GrpcCaller(call(address, "code in ['OK', 'DEADLINE_EXCEEDED']"))
        assert await caller.ask(SOON, shown=200) == ""
        shop.hold = True
        late = await caller.ask(SHORT, shown=200)
        shop.hold, shop.status = False, (grpc.StatusCode.DEADLINE_EXCEEDED, "the bank was too slow")
        told = await caller.ask(SOON, shown=200)

    assert (late, told) == ("no answer within 200ms", "")


async def test_a_server_that_accepts_and_says_nothing_is_let_go(prober: HealthProber) -> None:
    accepted, left = 0, asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        left.clear()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        accepted -= 1
        if not accepted:
            left.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        sample = await ask(prober, call(address), SHORT)
    async with asyncio.timeout(10):
        await left.wait()

    assert (sample.ok, sample.asked, sample.error) == (False, True, "no answer within 200ms")


async def test_a_method_is_reflected_once_and_again_after_the_server_was_away() -> None:
    shop, port = Shop(), free_port()
    caller = GrpcCaller(call(f"127.0.0.1:{port}", "code == 'OK' && [3, 9].exists(n, n == response.left)"))
    async with serving(shop.handler(), mirrored(shop), port=port):
        found = [await caller.ask(SOON, shown=200) for _ in range(3)]
    once = shop.reflected
    away = await caller.ask(SOON, shown=200)
    newer = Shop(stock_file((("item", T.TYPE_STRING), ("sold", T.TYPE_INT64), ("left", T.TYPE_INT32), ("ratio", T.TYPE_DOUBLE))))
    newer.answer["left"] = 9
    async with serving(newer.handler(), mirrored(newer), port=port):
        back = await caller.ask(SOON, shown=200)

    assert (found, once) == ([""] * 3, 1)
    assert away.startswith("UNAVAILABLE: connection refused")
    assert (back, newer.reflected) == ("", 1)


async def test_health_is_asked_as_any_other_method_and_says_its_status_by_name(prober: HealthProber) -> None:
    servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection((health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    question = call(f"127.0.0.1:{port}", "code == 'OK' && response.status == 'SERVING'", "grpc.health.v1.Health/Check", service="")
    try:
        await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        good = await ask(prober, question)
        await servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        bad = await ask(prober, question)
    finally:
        await server.stop(None)

    assert good.error == ""
    assert bad.error == """OK {"status": "NOT_SERVING"}, expected code == 'OK' && response.status == 'SERVING'"""


async def test_nothing_stays_open_after_many_calls() -> None:
    shop = Shop()
    async with serving(shop.handler(), mirrored(shop)) as address:
        caller = GrpcCaller(call(address))
        await caller.ask(SOON, shown=200)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(20):
            await caller.ask(SOON, shown=200)

        async with asyncio.timeout(10):
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before, poll=0.005)  # noqa: PTH208

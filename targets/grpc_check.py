"""The gRPC health check: one unary Check on a channel of its own (never Watch: an open stream keeps servers from stopping)."""

import re
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from messages.checks import GrpcCheck
from targets.wording import REFUSED, UNKNOWN_NAME, no_answer, shortened, wrong_port

_OPTIONS: tuple[tuple[str, Any], ...] = (
    # Else a new channel would wait out the backoff of an earlier one, and a service that is back would look down.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)
_AROUND = re.compile(r"\A(?:.*last error: )?(?:[A-Z_]+: )?(?:ipv[46]:\S+: )?")
"""What gRPC puts before the cause: "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: …"."""


async def check_grpc(check: GrpcCheck, deadline: timedelta) -> str:
    """What is wrong with the answer; empty when it is SERVING."""
    if wrong := wrong_port(check.address):
        return wrong
    async with grpc.aio.insecure_channel(check.address, options=(*_OPTIONS, *_connecting(deadline))) as channel:
        request = health_pb2.HealthCheckRequest(service=check.service)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=deadline.total_seconds())
        except grpc.aio.AioRpcError as error:
            return _of_rpc_error(error, deadline)
    names = {number: name for name, number in health_pb2.HealthCheckResponse.ServingStatus.items()}
    status: str = names.get(answer.status, f"status {answer.status}")
    return "" if status == "SERVING" else status


def _connecting(deadline: timedelta) -> list[tuple[str, int]]:
    """A connection on which the server says nothing would outlive its channel by 20 s; so it ends just after the call."""
    longest = round(deadline.total_seconds() * 1000) + 50
    return [(f"grpc.{which}_reconnect_backoff_ms", max(100, longest)) for which in ("min", "initial", "max")]


def _of_rpc_error(error: grpc.aio.AioRpcError, deadline: timedelta) -> str:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return no_answer(deadline)
    details = error.details() or ""
    if REFUSED in details.lower():
        return f"{error.code().name}: {REFUSED}"
    if "connection attempt timed out" in details:
        return no_answer(deadline)
    if "Domain name not found" in details:
        return f"{error.code().name}: {UNKNOWN_NAME}"
    cause = _AROUND.sub("", details)
    return shortened(f"{error.code().name}: {cause}" if cause else error.code().name)

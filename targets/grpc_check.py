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
    async with open_channel(check.address, deadline) as channel:
        request = health_pb2.HealthCheckRequest(service=check.service)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=deadline.total_seconds())
        except grpc.aio.AioRpcError as error:
            return _of_rpc_error(error, deadline)
    names = {number: name for name, number in health_pb2.HealthCheckResponse.ServingStatus.items()}
    status: str = names.get(answer.status, f"status {answer.status}")
    return "" if status == "SERVING" else status


def open_channel(address: str, deadline: timedelta) -> grpc.aio.Channel:
    """A channel for calls that are over by the deadline; nothing of it outlives its `async with` for long."""
    return grpc.aio.insecure_channel(address, options=(*_OPTIONS, *_connecting(deadline)))


def _connecting(deadline: timedelta) -> list[tuple[str, int]]:
    """A connection on which the server says nothing would outlive its channel by 20 s; so it ends just after the call."""
    longest = round(deadline.total_seconds() * 1000) + 50
    return [(f"grpc.{which}_reconnect_backoff_ms", max(100, longest)) for which in ("min", "initial", "max")]


def _of_rpc_error(error: grpc.aio.AioRpcError, deadline: timedelta) -> str:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED or "connection attempt timed out" in (error.details() or ""):
        return no_answer(deadline)
    cause = cause_of(error)
    return shortened(f"{error.code().name}: {cause}" if cause else error.code().name)


def cause_of(error: grpc.aio.AioRpcError) -> str:
    """What a status says, without what gRPC puts around it; empty when it says nothing."""
    details = error.details() or ""
    if REFUSED in details.lower():
        return REFUSED
    return UNKNOWN_NAME if "Domain name not found" in details else _AROUND.sub("", details)

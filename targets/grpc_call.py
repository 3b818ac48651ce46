"""A unary call of any method, its messages as JSON: the server says by reflection what they are made of."""

import json
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from messages.checks import GrpcCall
from messages.expressions import Bindings, ExpressionError, compiled
from targets.grpc_check import cause_of, open_channel
from targets.grpc_reflection import CannotBeAsked, Method, method_of
from targets.wording import no_answer, shortened, wrong_port

MAX_ANSWER = 256 * 1024
"""Bytes of an answer that are read."""
_ANEW = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL}
"""After these another server may be there, with other messages."""

_EARLY = 0.02
"""Seconds by which gRPC may end a call before its time. A server may say DEADLINE_EXCEEDED too, of something behind it."""


@dataclass(frozen=True, slots=True)
class Called:
    """What a server answered."""

    code: grpc.StatusCode
    message: str = ""
    cause: str = ""
    """The message, without what gRPC puts around it."""
    response: Any = None
    metadata: dict[str, str] | None = None

    @property
    def bindings(self) -> Bindings:
        """The variables of an expression over the answer."""
        told = {"code": self.code.name, "message": self.message, "response": self.response, "metadata": self.metadata or {}}
        return Bindings(told)


class GrpcCaller:
    """Makes one call again and again, each time on a channel of its own that is closed with the answer.

    What its messages are made of is asked once, and again after an answer by which the server may have become another.
    """

    def __init__(self, call: GrpcCall) -> None:
        self._asked = call
        self._known: Method | None = None

    async def ask(self, deadline: timedelta, *, shown: int, exact: bool = False) -> str:
        """What is wrong with the answer, with so many characters of it; empty when it is as expected.

        Raises:
            CannotBeAsked: nothing can be asked, or what came not be read; the text says what would be right.
            ExpressionError: `exact`, and of a response it cannot be said whether it is as expected.
        """
        if wrong := wrong_port(self._asked.address):
            raise CannotBeAsked(wrong)
        ends = time.monotonic() + deadline.total_seconds()
        try:
            answer = await self._call(deadline, ends)
        except CannotBeAsked:
            self._known = None
            raise
        if answer.code in _ANEW:
            self._known = None
        if answer.code is grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() >= ends - _EARLY:
            return no_answer(deadline)
        return _judge(self._asked.expect, answer, shown, exact=exact)

    async def _call(self, deadline: timedelta, ends: float) -> Called:
        async with open_channel(self._asked.address, deadline) as channel:
            try:
                method = self._known or await method_of(channel, self._asked.method, ends)
                self._known = method
                calling = channel.unary_unary(method.path, request_serializer=None, response_deserializer=None)(
                    _written(self._asked, method), timeout=max(0.0, ends - time.monotonic())
                )
                written: bytes = await calling
                metadata = _as_text(await calling.initial_metadata(), await calling.trailing_metadata())
                said = await calling.details() or ""
                return Called(grpc.StatusCode.OK, said, said, _read(written, method), metadata)
            except grpc.aio.AioRpcError as error:
                metadata = _as_text(error.initial_metadata(), error.trailing_metadata())
                return Called(error.code(), error.details() or "", cause_of(error), metadata=metadata)


def _written(call: GrpcCall, method: Method) -> bytes:
    kind = method.descriptor.input_type
    try:
        request: Message = json_format.ParseDict(dict(call.request), GetMessageClass(kind)(), descriptor_pool=method.pool)
        return request.SerializeToString()
    except (json_format.ParseError, TypeError, ValueError, AttributeError) as error:
        fields = ", ".join(field.name for field in kind.fields)
        raise CannotBeAsked(f"the request is no {kind.full_name}, which has {fields or 'no fields'}: {error}") from error


def _read(written: bytes, method: Method) -> Any:
    kind = method.descriptor.output_type
    if len(written) > MAX_ANSWER:
        raise CannotBeAsked(f"the answer has {len(written)} bytes, and at most {MAX_ANSWER} are read")
    try:
        answer = GetMessageClass(kind).FromString(written)
        # Fields that have their default are not sent: an expression must find them all the same.
        return json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, descriptor_pool=method.pool
        )
    except (DecodeError, json_format.Error, TypeError, ValueError) as error:
        raise CannotBeAsked(f"the answer cannot be read as {kind.full_name}: {error}") from error


def _judge(expect: str, answer: Called, shown: int, *, exact: bool) -> str:
    """What is wrong with this answer; empty when `expect` holds."""
    try:
        if compiled(expect).holds(answer.bindings):
            return ""
        wrong = f"expected {expect}"
    except (ExpressionError, OverflowError) as error:
        wrong = f"{expect} cannot be evaluated: {error}"
        if exact and answer.response is not None:
            raise ExpressionError(f"{answer.code.name}, {wrong}") from error
    said = f": {shortened(answer.cause, shown)}" if answer.cause else ""
    if answer.response is not None:
        said += f" {shortened(json.dumps(answer.response, ensure_ascii=False), shown)}"
    return shortened(f"{answer.code.name}{said}, {wrong}", 100 + shown)


def _as_text(*parts: Any) -> dict[str, str]:
    """Metadata by lower-case names; what is there twice is joined, and bytes are hexadecimal."""
    found: dict[str, str] = {}
    for part in parts:
        for name, value in part or ():
            text = value if isinstance(value, str) else value.hex()
            found[name.lower()] = f"{found[name.lower()]}, {text}" if name.lower() in found else text
    return found

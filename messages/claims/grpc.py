"""`grpc`: what a unary call answers is as expected, at the window's end, within a time, throughout, or never."""

from collections.abc import Iterator
from typing import Literal

from pydantic import JsonValue

from messages.checks import Address, GrpcCall, GrpcMethod
from messages.claims.answered import AnsweredClaim
from messages.claims.claim import Problem, Scope, expression_problems


class GrpcClaim(AnsweredClaim):
    """A unary call of this method, made again and again while the window is open, is answered as expected.

    The server must serve reflection: its messages are read by what it says of them itself. What cannot be asked (a method that is
    not there or streams, a request that does not fit) is a bad answer; where there were no others, the claim is inconclusive, and a
    `never` even where there were. So is a `never` by a response that `expect` cannot be evaluated on.
    """

    type: Literal["grpc"]
    address: Address
    method: GrpcMethod
    """The service with its package, and the method, like grpc.health.v1.Health/Check."""
    request: dict[str, JsonValue] = {}
    """What is asked, as JSON of the method's request, with the names of the .proto file."""
    expect: str = "code == 'OK'"
    """CEL over `code` (the status' name), `message` (its text), `response` (the answer as JSON) and `metadata` (lower-case names).

    In `response`, names are as in the .proto file, enums are names, and numbers of 64 bits are text, as in all JSON of protobuf; it is
    null unless the code is OK. A server that cannot be reached answers UNAVAILABLE.
    """

    @property
    def question(self) -> GrpcCall:
        return GrpcCall(address=self.address, method=self.method, request=self.request, expect=self.expect)

    @property
    def asked(self) -> str:
        return f"{self.method} at {self.address}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from expression_problems("expect", self.expect, "code", "message", "response", "metadata")
        port = int(self.address.rpartition(":")[2])
        if not 0 < port < 65536:
            yield Problem(("address",), f"{port} is no port", "a port is a number from 1 to 65535")

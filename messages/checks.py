"""How a service is asked: whether it is healthy, which role it has, and what its probes measure."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from messages.values import Document, Duration, Rate

Address = Annotated[str, StringConstraints(pattern=r"\A[^\s:/]+:\d{1,5}\z")]
Url = Annotated[str, StringConstraints(pattern=r"\Ahttps?://\S+\z")]
GrpcMethod = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*\z", max_length=200)]


class HttpCheck(Document):
    """An HTTP GET."""

    url: Url
    expect: str = "status == 200"
    """CEL over `status` (number), `body` (text), `json` (what the body says, when it is JSON) and `headers` (lower-case names)."""


class HttpUnlike(HttpCheck):
    """An HTTP GET whose answer must have something new, too. No document has it: it is made of a claim and what was there before."""

    key: str
    """CEL over the same: a list of texts or whole numbers."""
    known: frozenset[str]
    """What is nothing new."""


class GrpcCheck(Document):
    """grpc.health.v1.Health/Check answers SERVING."""

    address: Address
    service: str = ""
    """The service name that is asked for; empty is the server as a whole."""


class GrpcCall(Document):
    """A unary call of any method, its messages as JSON."""

    address: Address
    method: GrpcMethod
    request: dict[str, JsonValue] = {}
    expect: str
    """CEL over `code`, `message`, `response` and `metadata`."""


Question = HttpCheck | GrpcCall
"""What a claim asks by itself."""


class TcpCheck(Document):
    """A TCP connection is accepted."""

    address: Address


class CommandCheck(Document):
    """A program ends as expected."""

    argv: tuple[str, ...] = Field(min_length=1)
    expect: str = "code == 0"
    """CEL over `code` (number), `stdout` and `stderr` (text without white space at the ends)."""


class Health(Document):
    """What healthy means: all of the checks that are given."""

    http: HttpCheck | None = None
    grpc: GrpcCheck | None = None
    tcp: TcpCheck | None = None
    command: CommandCheck | None = None
    every: Duration = timedelta(milliseconds=200)
    """The interval between two samples."""
    deadline: Duration = timedelta(seconds=1)
    """A sample that takes longer is a failed one."""

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not any((self.http, self.grpc, self.tcp, self.command)):
            msg = "health needs at least one of http, grpc, tcp, command"
            raise ValueError(msg)
        if not timedelta(milliseconds=20) <= self.every <= timedelta(minutes=1):
            msg = "every is between 20ms and 1m"
            raise ValueError(msg)
        if not timedelta(milliseconds=10) <= self.deadline <= timedelta(minutes=1):
            msg = "deadline is between 10ms and 1m"
            raise ValueError(msg)
        return self


class HttpRole(Document):
    """An HTTP GET whose answer says the role."""

    url: Url
    value: str = "body"
    """CEL over `status`, `body`, `json` and `headers`; its value as text is the role."""


class CommandRole(Document):
    """A program whose output says the role."""

    argv: tuple[str, ...] = Field(min_length=1)
    value: str = "stdout"
    """CEL over `code`, `stdout` and `stderr`; its value as text is the role."""


class Role(Document):
    """How to ask which part a service plays among its like, such as leader or follower; exactly one way."""

    http: HttpRole | None = None
    command: CommandRole | None = None
    every: Duration = timedelta(milliseconds=500)
    """The interval between two questions."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.http is None) == (self.command is None):
            msg = "a role is asked by exactly one of http, command"
            raise ValueError(msg)
        return self


class Probe(Document):
    """A measurement at a fixed rate, whatever the answers; exactly one way to ask."""

    description: str = ""
    http: HttpCheck | None = None
    grpc: GrpcCheck | None = None
    tcp: TcpCheck | None = None
    command: CommandCheck | None = None
    rate: Rate = 10.0
    """How often a sample is sent, such as 50/s."""
    deadline: Duration = timedelta(seconds=1)
    """A sample that takes longer is a failed one."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(check is not None for check in (self.http, self.grpc, self.tcp, self.command)) != 1:
            msg = "a probe asks by exactly one of http, grpc, tcp, command"
            raise ValueError(msg)
        return self


class HttpItems(Document):
    """An HTTP GET whose answer says what is there. A status other than 2xx is no answer."""

    url: Url
    items: str = "json"
    """CEL over `status`, `body`, `json` and `headers`: a list of texts or whole numbers, or a text with an item in each line."""


class CommandItems(Document):
    """A program whose output says what is there. It must end with code 0."""

    argv: tuple[str, ...] = Field(min_length=1)
    items: str = "stdout"
    """CEL over `code`, `stdout` and `stderr`: a list of texts or whole numbers, or a text with an item in each line."""


class ItemsRead(Document):
    """How to ask which items are there; exactly one way."""

    http: HttpItems | None = None
    command: CommandItems | None = None
    deadline: Duration = timedelta(seconds=3)
    """An answer that takes longer is none. Without one it is tried again for 5 s."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.http is None) == (self.command is None):
            msg = "what is there is read by exactly one of http, command"
            raise ValueError(msg)
        return self

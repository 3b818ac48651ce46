"""A `System` document: the services under test, how each is reached, and what is normal."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from messages.claims import AnyClaim
from messages.claims.health import HealthClaim
from messages.values import Document, Duration, Token

ServiceName = Annotated[str, StringConstraints(pattern=r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z")]
Address = Annotated[str, StringConstraints(pattern=r"\A[^\s:/]+:\d{1,5}\z")]
Url = Annotated[str, StringConstraints(pattern=r"\Ahttps?://\S+\z")]


class Metadata(Document):
    """What a document is called and is about."""

    name: Token
    description: str = ""
    version: str = ""
    author: str = ""
    tags: tuple[str, ...] = ()


class Secret(Document):
    """A reference to a value that only the host that uses it resolves, from its environment."""

    secret: Token
    """The name of the environment variable that holds it."""


class ProcessDriver(Document):
    """The service is a process that the chaos-injector starts, in a session of its own."""

    command: tuple[str, ...] = Field(min_length=1)
    """The program and its arguments; no shell. `python` is the interpreter that runs the coordinator."""
    env: dict[str, str | Secret] = Field(default={})
    """Added to the injector's own environment, beside `NATS_URL`."""
    directory: str | None = None
    """Where it runs; by default where the injector runs."""
    ready_within: Duration = timedelta(seconds=10)
    """From its start to healthy."""
    stop_signal: Literal["TERM", "INT", "QUIT", "HUP", "KILL"] = "TERM"
    stop_grace: Duration = timedelta(seconds=2)
    """From the stop signal to SIGKILL."""


class ExternalDriver(Document):
    """The service is only observed; it is not started, stopped or disturbed."""


class Driver(Document):
    """How a service is held; exactly one."""

    process: ProcessDriver | None = None
    external: ExternalDriver | None = None

    @property
    def kind(self) -> Literal["process", "external"]:
        """Which one it is."""
        return "process" if self.process is not None else "external"

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.process is None) == (self.external is None):
            msg = "a driver is exactly one of process, external"
            raise ValueError(msg)
        return self


class HttpCheck(Document):
    """An HTTP GET."""

    url: Url
    expect: str = "status == 200"
    """CEL over `status` (number), `body` (text), `json` (what the body says, when it is JSON) and `headers` (lower-case names)."""


class GrpcCheck(Document):
    """grpc.health.v1.Health/Check answers SERVING."""

    address: Address
    service: str = ""
    """The service name that is asked for; empty is the server as a whole."""


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


class Service(Document):
    """One service under test."""

    description: str = ""
    aliases: tuple[str, ...] = ()
    """Other names that it goes by, in scenarios and as the `source` of its events."""
    driver: Driver
    health: Health | None = None
    depends_on: tuple[ServiceName, ...] = ()
    """Services that must be healthy before it starts."""


class SteadyState(Document):
    """What holds when nothing is wrong."""

    settle: Duration = timedelta(seconds=10)
    """The bound in which it must hold before the first fault."""
    recover: Duration = timedelta(seconds=30)
    """The bound in which it must hold again after the last undo."""
    stable: Duration = timedelta(seconds=1)
    """How long it must hold without break, in both."""
    claims: tuple[AnyClaim, ...] = ()
    """Health claims; by default that every service is healthy, except for what a fault disturbs."""


class SystemSpec(Document):
    """What a system is made of."""

    events: tuple[str, ...] = ()
    """Subjects of the services' event streams on NATS, CloudEvents 1.0."""
    services: dict[ServiceName, Service] = Field(min_length=1)
    steady_state: SteadyState = SteadyState()
    max_gap: Duration = timedelta(seconds=3)
    """The longest time without health samples that does not make a claim inconclusive."""


class System(Document):
    """The services under test, how each is reached, and what is normal."""

    apiVersion: Literal["chaos.trading/v1"] = "chaos.trading/v1"  # noqa: N815
    kind: Literal["System"] = "System"
    metadata: Metadata
    spec: SystemSpec

    @property
    def name(self) -> str:
        """The system's name."""
        return self.metadata.name

    def event_names(self) -> dict[str, frozenset[str]]:
        """Each service, and the names it goes by in events."""
        return {name: frozenset({name, *service.aliases}) for name, service in self.spec.services.items()}

    def monitored(self) -> tuple[str, ...]:
        """The services that have health checks, in the order of the document."""
        return tuple(name for name, service in self.spec.services.items() if service.health is not None)

    def start_levels(self) -> tuple[tuple[str, ...], ...]:
        """Process services in the order of `depends_on`: those of one level may start together.

        Raises:
            ValueError: services depend on each other in a circle.
        """
        left = {name: set(service.depends_on) & set(self.spec.services) for name, service in self.spec.services.items()}
        levels: list[tuple[str, ...]] = []
        while left:
            ready = [name for name, needs in left.items() if not needs]
            if not ready:
                msg = f"services depend on each other in a circle: {', '.join(sorted(left))}"
                raise ValueError(msg)
            levels.append(tuple(n for n in ready if self.spec.services[n].driver.process is not None))
            left = {name: needs - set(ready) for name, needs in left.items() if name not in ready}
        return tuple(level for level in levels if level)

    def steady_claims(self) -> tuple[HealthClaim, ...]:
        """The claims of the steady state, or the usual one when the document has none."""
        named = tuple(claim for claim in self.spec.steady_state.claims if isinstance(claim, HealthClaim))
        if named or not self.monitored():
            return named
        told = "every service is healthy"
        return (HealthClaim(id="steady", type="health", target=self.monitored(), description=told, throughout=True, except_="disturbed"),)

"""A `System` document: the services under test, how each is reached, and what is normal."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from messages.audit_events import subject_of
from messages.checks import Address, Health, Probe, Role, Url
from messages.claims import AnyClaim
from messages.claims.health import HealthClaim
from messages.rules import Correlation
from messages.values import Document, Duration, Token

ServiceName = Annotated[str, StringConstraints(pattern=r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z")]


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
    namespace: Token | None = None
    """The network namespace that it runs in, as `ip netns` names it; by default that of the injector."""
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


class Endpoint(Document):
    """An HTTP endpoint of a service."""

    http: Url


class ChaosEndpoint(Endpoint):
    """Where a service's own chaos API begins."""

    key: Secret | None = None
    """Sent as `X-API-Key`."""
    calls: tuple[Token, ...] = ()
    """The actions that it has; when left out, any may be tried."""


class Traces(Document):
    """Where the observer receives the spans of services, by OTLP over gRPC.

    Services that are processes are told of it: unless their `env` has an `OTEL_EXPORTER_OTLP_ENDPOINT`, they are given that,
    `OTEL_EXPORTER_OTLP_PROTOCOL` and `OTEL_SERVICE_NAME`, the service's name.
    """

    listen: Address
    """Host and port of the machine on which the observer runs; systems that are tested at the same time need different ones."""

    @property
    def endpoint(self) -> str:
        """What services of this machine are told."""
        host, _, port = self.listen.rpartition(":")
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"


class Service(Document):
    """One service under test."""

    description: str = ""
    aliases: tuple[str, ...] = ()
    """Other names that it goes by, in scenarios and as the `source` of its events."""
    driver: Driver
    health: Health | None = None
    role: Role | None = None
    """Asked all through a run; what it says, groups can choose by."""
    chaos: ChaosEndpoint | None = None
    """Where the service's own chaos API begins, such as http://127.0.0.1:18081/chaos."""
    metrics: Endpoint | None = None
    """Where its metrics are scraped, in Prometheus' text format."""
    depends_on: tuple[ServiceName, ...] = ()
    """Services that must be healthy before it starts."""


Port = Annotated[int, Field(ge=1, le=65535)]


class Link(Document):
    """A way from one service to another, through a proxy of ours that is there from the start and transparent until it is used."""

    from_: ServiceName = Field(alias="from")
    """The service, or workload, that connects."""
    to: ServiceName
    """The service that it connects to."""
    port: Port
    """The port on which `to` listens."""
    host: str = "127.0.0.1"
    """The address on which `to` listens."""
    env: str | None = None
    """The environment variable that tells `from` where to connect: in its value, `host:port` becomes the proxy's address."""
    listen: Port | None = None
    """The port on which the proxy listens; by default a free one. Needed when `from` is not started by us."""


class Group(Document):
    """Services that are alike."""

    members: tuple[ServiceName, ...] = Field(min_length=1)
    description: str = ""
    keep_healthy: Annotated[int, Field(ge=0)] = 0
    """How many members must stay healthy: a fault that would leave fewer is refused."""


class Volume(Document):
    """A folder that `disk_full` may fill; on a filesystem of its own."""

    service: ServiceName
    """The service that writes there."""
    path: str
    """The folder."""


class Workload(Document):
    """The user's own traffic: a program that says on its standard output what it tried, one JSON object a line.

    A line is `{"op": "write", "id": "7", "outcome": "ok", "took": 0.012}`: what was tried, whether it was `ok`, `failed` or `unknown`, and
    the seconds that it took. It counts as ended when it is read, at most 100 ms after it was written, unless `ended` says when that was
    (ISO 8601 with a zone, or seconds since 1970). A program should not hold lines back; one in Python is started unbuffered.
    """

    description: str = ""
    command: tuple[str, ...] = Field(min_length=1)
    env: dict[str, str | Secret] = Field(default={})
    directory: str | None = None
    stop_signal: Literal["TERM", "INT", "QUIT", "HUP", "KILL"] = "TERM"
    stop_grace: Duration = timedelta(seconds=2)


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


class Limits(Document):
    """What no fault may go beyond, whatever a scenario asks for: it is refused, and the run is inconclusive."""

    faults_at_once: Annotated[int, Field(ge=1)] | None = None
    """How many faults may be active at the same time; by default any number."""
    longest: Duration | None = None
    """How long a fault may last; by default as long as it is asked to. One without `for` ends then at the latest."""
    protected: tuple[ServiceName, ...] = ()
    """Services that are never disturbed, by no fault on them, or on a link or volume that they use; never chosen nor drawn either."""


class SystemSpec(Document):
    """What a system is made of."""

    events: tuple[str, ...] = ()
    """Subjects of the services' event streams on NATS, CloudEvents 1.0."""
    audit: str | None = None
    """Where `chaos_injection_started` and `chaos_injection_ended` of each fault are published: a subject that `events` take in. Of
    wildcards in it the first is `test-coordinator`, the others are the type. By default the first of `events`."""
    services: dict[ServiceName, Service] = Field(min_length=1)
    links: dict[Token, Link] = Field(default={})
    groups: dict[Token, Group] = Field(default={})
    volumes: dict[Token, Volume] = Field(default={})
    probes: dict[Token, Probe] = Field(default={})
    workloads: dict[ServiceName, Workload] = Field(default={})
    """Started after the services and stopped before them; never targets."""
    correlation: Correlation = Correlation()
    prometheus: Endpoint | None = None
    """A Prometheus that `metric` claims may ask in PromQL: where its API begins, such as http://127.0.0.1:9090."""
    traces: Traces | None = None
    """Where `trace` claims have their spans from. The observer listens there from a run's start to its end."""
    clock: Literal["real", "scaled"] = "real"
    """`scaled`: its times are a model's, so a scenario may be run at another speed."""
    concurrency: Literal["exclusive", "shared"] = "exclusive"
    """`shared`: several runs that ask for it may be on the system at once; not where we start its services."""
    steady_state: SteadyState = SteadyState()
    limits: Limits = Limits()
    vocabulary: tuple[Token, ...] = Field(default=(), exclude=True)
    """Assertions documents whose words scenarios on it may use. A run has the claims that they stand for, and not this."""
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

    def audit_subject(self, event_type: str) -> str | None:
        """Where our own event of this type is published; None: the system has no event streams."""
        pattern = self.spec.audit or next(iter(self.spec.events), None)
        return subject_of(pattern, event_type) if pattern is not None else None

    def monitored(self) -> tuple[str, ...]:
        """The services that have health checks, in the order of the document."""
        return tuple(name for name, service in self.spec.services.items() if service.health is not None)

    @property
    def brings_up(self) -> bool:
        """Whether there is anything that a run starts: services that are processes, links, workloads."""
        ours = any(service.driver.process is not None for service in self.spec.services.values())
        return ours or bool(self.spec.links) or bool(self.spec.workloads)

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

"""The composition root: which actors run in this process, and everything that they are made with."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from actors.chaos_injector import Around, ChaosInjector
from actors.control import Acceptance, Control
from actors.observer import AuditTrail, Observer
from actors.reporter import Archiving, Reporter
from actors.scheduler import Scheduler
from actors.validator import Validator
from bus.actor import Actor
from bus.archive import Archive
from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient, serve_control
from bus.errors import BusError
from bus.event_publishing import EventPublisher
from bus.event_streams import EventStreams
from bus.handling import Metrics, NoMetrics
from bus.identity import new_host_id
from bus.intake import Intake
from bus.journal import Journal
from bus.keys import Keys
from bus.membership import Membership
from bus.objects import ObjectStore
from bus.ownership import Ownership, as_text
from bus.share import Place
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.background import Background, background_tasks
from deploy.errors import ActorUnknown
from deploy.pace import keep_pace
from deploy.presence import STOPPING, Presence, this_machine, who_is_there
from deploy.settings import CONNECT_LIMIT, Settings
from deploy.supervision import Supervisor, Ward, persist
from deploy.watching import Watch
from messages.system import System
from scenarios.vocabulary import Assertions
from targets.audit_correlator import AuditCorrelator
from targets.find import NAMESPACE_TAG
from targets.health import HealthProber
from targets.process import ProcessDriver

ACTORS = (Scheduler.name, ChaosInjector.name, Observer.name, Validator.name, Reporter.name)
NEAR = (ChaosInjector.name, Observer.name)
"""The actors that touch services, so that only one on the same machine can take their place."""
COVERED = (ChaosInjector.name,)
"""The actors whose partitions somebody must have: what an injector that died has disturbed is undone by whoever is there."""
_log = structlog.get_logger("deploy.host")
Makers = Mapping[str, Callable[[], Actor[Any]]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a host is to run."""

    actors: tuple[str, ...] = ACTORS
    systems: Mapping[str, System] = field(default_factory=dict)
    vocabularies: Mapping[str, Assertions] | None = None
    """Assertions documents that systems and scenarios may name; None for those of the library."""
    allow_systems: bool = False
    """Whether a scenario that arrives on the bus may bring its own system, and so commands."""
    own: frozenset[str] = frozenset()
    """Documents that may bring their system all the same: what `run` was called with."""
    logs: Path | None = None
    """Where the output of started services goes."""
    takes: bool = True
    """Whether new scenarios are taken, and control requests answered. Without it only what is open is brought to its end."""


def chosen_actors(text: str) -> tuple[str, ...]:
    """The actors that `all` or a comma-separated list names, in the order of a run.

    Raises:
        ActorUnknown: one of them does not exist.
    """
    names = {name.strip() for name in text.split(",") if name.strip()} or {""}
    if names == {"all"}:
        return ACTORS
    for name in sorted(names - set(ACTORS)):
        raise ActorUnknown(name, ACTORS)
    return tuple(name for name in ACTORS if name in names)


class Host:
    """A process at work. Made by `host`."""

    def __init__(
        self, settings: Settings, connection: Connection, journal: Journal, actors: tuple[str, ...], refused: "asyncio.Future[BusError]"
    ) -> None:
        self.settings = settings
        self.connection = connection
        self.journal = journal
        self.host_id = new_host_id()
        self.http: str | None = None
        self.grpc: str | None = None
        self.refused = refused
        """Done when the bus refuses us for good."""
        self.intake: asyncio.Task[None] | None = None
        self.services: dict[str, Ward] = {}
        self.stopping = False
        self.handing_over = False
        """What is owned here is to be given to others."""
        self.membership = Membership(connection, journal.subjects, self.instances, settings.instance.lease_key(self.host_id), self.presence)
        maps = Keys(connection, Names(settings.instance.namespace).ownership)
        self.ownership = Ownership(self.membership, maps, actors, near=NEAR, covered=COVERED)
        self._machine = this_machine()
        self.wards: Mapping[str, Ward] = {}

    @property
    def control(self) -> ControlClient:
        """Asks whichever host answers control requests, as this host."""
        return ControlClient(self.connection, self.journal.subjects, "host")

    def actors(self) -> Mapping[str, str]:
        """Each actor's state, with the error of one that crashed."""
        return {name: str(ward) for name, ward in self.wards.items()}

    def checks(self) -> Mapping[str, str]:
        """What readiness needs: NATS, that the host stays, and everything that runs here."""
        nats = "ok" if self.connection.nc.is_connected else "away"
        wards = {**self.wards, **self.services}
        leaving = {"host": STOPPING} if self.stopping else {}
        full = {"storage": self.journal.room.trouble} if self.journal.room.trouble else {}
        return {"nats": nats, **full, **leaving, **{name: "ok" if ward.state == "ready" else str(ward) for name, ward in wards.items()}}

    async def ready(self) -> None:
        """Wait until everything that runs here is at work."""
        for ward in (*self.wards.values(), *self.services.values()):
            await ward.up.wait()

    def leave(self) -> None:
        """Take no more scenarios, and let others know that they cannot count on this host."""
        self.stopping = True
        if self.intake is not None:
            self.intake.cancel()

    async def everyone(self) -> list[Presence]:
        """Every host of the namespace that has a lease now."""
        return await who_is_there(self.instances)

    @property
    def instances(self) -> Keys:
        """The leases of the namespace's hosts."""
        return Keys(self.connection, Names(self.settings.instance.namespace).instances)

    def presence(self) -> Presence:
        """What this host says about itself to others."""
        return Presence(
            host=self.host_id,
            instance=self.settings.instance.name,
            derived=self.settings.instance.derived,
            version=self.settings.service_version,
            machine=self._machine,
            http=self.http,
            grpc=self.grpc,
            actors=dict.fromkeys(self.actors(), STOPPING) if self.stopping else dict(self.actors()),
            checks=dict(self.checks()),
            offers=dict.fromkeys(self._at_work(), self.settings.partitions),
            partitions={actor: as_text(share.owned) for actor, share in self.ownership.shares.items()},
        )

    def places(self) -> dict[str, Place]:
        """Where each actor works."""
        attended, instance = self.ownership.is_attended, self.settings.instance.name
        return {actor: Place(share, self.host_id, instance, attended) for actor, share in self.ownership.shares.items()}

    def _at_work(self) -> tuple[str, ...]:
        """The actors that can own something."""
        return () if self.handing_over else tuple(name for name, ward in self.wards.items() if ward.state != "restarting")


@asynccontextmanager
async def host(settings: Settings, url: str, plan: Plan, metrics: Metrics | None = None, watch: Watch | None = None) -> AsyncIterator[Host]:
    """Run what the plan says until the block ends. It may not be ready at once: see `Host.ready`.

    Raises:
        Unreachable, NoAnswer, TopologyDiffers, TopologyRefused: the bus cannot be used; the text says what to do.
        NameTaken: another instance has a name that derives from ours.
    """
    names = Names(settings.instance.namespace)
    refused: asyncio.Future[BusError] = asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        name = settings.instance.client_name("host")
        connection = await stack.enter_async_context(
            connect(url, name=name, timeout=CONNECT_LIMIT, on_closed=lambda error: _tell(refused, error))
        )
        await ensure_topology(connection.js, names.namespace, replicas=settings.replicas)
        journal = Journal(connection, Subjects(names.namespace), names.runs, ServerClock(), watch)
        last = await journal.last_sequence()
        if watch is not None:
            watch.begin(last, journal.clock)
        running = Host(settings, connection, journal, plan.actors, refused)
        makers = await _makers(running, plan, url, stack)
        supervisor = Supervisor(journal, metrics or NoMetrics(), makers, (watch,) if watch is not None else (), places=running.places())
        running.wards = supervisor.wards
        member = await stack.enter_async_context(background_tasks())
        member.start(running.membership.run())
        await _check_names(running)
        member.start(running.ownership.run())
        background = await stack.enter_async_context(background_tasks())
        background.start(supervisor.run())
        if Scheduler.name in plan.actors and plan.takes:
            _serve_scenarios(running, plan, background)
        keep_pace()
        yield running


async def _check_names(running: Host) -> None:
    """Before anything works. Where the bus gives no lease, nothing will be owned either."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CONNECT_LIMIT.total_seconds()):
            await running.membership.seen.wait()
    running.membership.check_names(running.settings.instance.name, running.settings.instance.derived)


def _tell(refused: "asyncio.Future[BusError]", error: BusError) -> None:
    if not refused.done():
        refused.set_result(error)


async def _makers(running: Host, plan: Plan, url: str, stack: AsyncExitStack) -> Makers:
    """How each chosen actor is made, and anew after a crash."""
    connection, journal, retention = running.connection, running.journal, running.settings.retention
    names, is_over = Names(journal.subjects.namespace), Archive(journal).is_over
    environment = {**_environment(), NAMESPACE_TAG: names.namespace}
    around = Around(
        listening=lambda: [address for address in (running.http, running.grpc) if address],
        servers=lambda: connection.servers,
        is_over=is_over,
        volumes=tuple(volume.path for system in plan.systems.values() for volume in system.spec.volumes.values()),
    )
    driver = ProcessDriver(environment=environment, logs=plan.logs)
    prober = HealthProber(environment=environment)
    if {ChaosInjector.name, Observer.name} & set(plan.actors):
        await stack.enter_async_context(prober)
        stack.push_async_callback(driver.aclose)
    trail = AuditTrail(EventPublisher(connection), await _correlator(running, stack), environment)
    every: Makers = {
        Scheduler.name: lambda: Scheduler(Keys(connection, names.systems), is_over),
        ChaosInjector.name: lambda: ChaosInjector(driver, prober, environment=environment, nats_url=url, logs=plan.logs, around=around),
        Observer.name: lambda: Observer(
            prober,
            EventStreams(connection, replicas=running.settings.replicas),
            ObjectStore(connection, names.evidence),
            trail,
            environment=environment,
        ),
        Validator.name: Validator,
        Reporter.name: lambda: Reporter(
            ObjectStore(connection, names.reports),
            Archiving(journal, retention) if retention is not None else None,
            correlated=bool(running.settings.audit_correlator_url),
        ),
    }
    return {name: every[name] for name in plan.actors}


async def _correlator(running: Host, stack: AsyncExitStack) -> AuditCorrelator | None:
    url = running.settings.audit_correlator_url
    return await stack.enter_async_context(AuditCorrelator(url)) if url else None


def _environment() -> dict[str, str]:
    """What services and checks inherit: not our own settings, whose names are theirs too. `python` is the interpreter of this process."""
    ours = {name.upper() for name in Settings.model_fields}
    theirs = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return {**theirs, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def _serve_scenarios(running: Host, plan: Plan, background: Background) -> None:
    """Beside a scheduler: take published scenarios, and answer control requests."""
    connection, journal = running.connection, running.journal
    acceptance = Acceptance(plan.systems, plan.vocabularies, allow_systems=plan.allow_systems, own=plan.own)
    control = Control(connection, journal, acceptance, Keys(connection, Names(journal.subjects.namespace).systems))

    async def take(ward: Ward) -> None:
        ward.is_up()
        await Intake(connection, journal, acceptance, running.ownership.shares[Scheduler.name]).run()

    async def answer(ward: Ward) -> None:
        async with serve_control(connection, journal.subjects, running.settings.service_version, control.verbs()):
            ward.is_up()
            await asyncio.Event().wait()

    running.services = {name: Ward(name) for name in ("intake", "control")}
    running.intake = background.start(persist(running.services["intake"], take))
    background.start(persist(running.services["control"], answer))

"""The composition root: which actors run in this process, and everything that they are made with."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from actors.chaos_injector import ChaosInjector
from actors.control import Acceptance, Control
from actors.observer import Observer
from actors.reporter import Reporter
from actors.scheduler import Scheduler
from actors.validator import Validator
from bus.actor import Actor
from bus.cancelling import end
from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient, serve_control
from bus.errors import BusError
from bus.event_streams import EventStreams
from bus.identity import new_host_id
from bus.intake import Intake
from bus.journal import Journal
from bus.keys import Keys
from bus.objects import ObjectStore
from bus.runtime import Metrics, NoMetrics
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from deploy.errors import ActorUnknown
from deploy.pace import keep_pace
from deploy.presence import STOPPING, Presence, announce, this_machine, who_is_there
from deploy.settings import CONNECT_LIMIT, Settings
from deploy.supervision import Supervisor, Ward, persist
from deploy.watching import Watch
from messages.run_events import RunFinished
from messages.system import System
from targets.health import HealthProber
from targets.process import ProcessDriver

ACTORS = (Scheduler.name, ChaosInjector.name, Observer.name, Validator.name, Reporter.name)
NEAR = (ChaosInjector.name, Observer.name)
"""The actors that touch services, so that only one on the same machine can take their place."""
_log = structlog.get_logger("deploy.host")
Makers = Mapping[str, Callable[[], Actor[Any]]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a host is to run."""

    actors: tuple[str, ...] = ACTORS
    systems: Mapping[str, System] = field(default_factory=dict)
    allow_systems: bool = False
    """Whether a scenario that arrives on the bus may bring its own system, and so commands."""
    own: frozenset[str] = frozenset()
    """Documents that may bring their system all the same: what `run` was called with."""
    logs: Path | None = None
    """Where the output of started services goes."""


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
        self, settings: Settings, connection: Connection, journal: Journal, supervisor: Supervisor, refused: "asyncio.Future[BusError]"
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
        self._machine = this_machine()
        self._supervisor = supervisor

    @property
    def control(self) -> ControlClient:
        """Asks whichever host answers control requests, as this host."""
        return ControlClient(self.connection, self.journal.subjects, "host")

    def actors(self) -> Mapping[str, str]:
        """Each actor's state, with the error of one that crashed."""
        return {name: str(ward) for name, ward in self._supervisor.wards.items()}

    def checks(self) -> Mapping[str, str]:
        """What readiness needs: NATS, that the host stays, and everything that runs here."""
        nats = "ok" if self.connection.nc.is_connected else "away"
        wards = {**self._supervisor.wards, **self.services}
        leaving = {"host": STOPPING} if self.stopping else {}
        return {"nats": nats, **leaving, **{name: "ok" if ward.state == "ready" else str(ward) for name, ward in wards.items()}}

    async def ready(self) -> None:
        """Wait until everything that runs here is at work."""
        for ward in (*self._supervisor.wards.values(), *self.services.values()):
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
            version=self.settings.service_version,
            machine=self._machine,
            http=self.http,
            grpc=self.grpc,
            actors=dict.fromkeys(self.actors(), STOPPING) if self.stopping else dict(self.actors()),
            checks=dict(self.checks()),
        )


@asynccontextmanager
async def host(settings: Settings, url: str, plan: Plan, metrics: Metrics | None = None, watch: Watch | None = None) -> AsyncIterator[Host]:
    """Run what the plan says until the block ends. It may not be ready at once: see `Host.ready`.

    Raises:
        Unreachable, NoAnswer, TopologyDiffers, TopologyRefused: the bus cannot be used; the text says what to do.
    """
    names = Names(settings.instance.namespace)
    refused: asyncio.Future[BusError] = asyncio.get_running_loop().create_future()
    async with AsyncExitStack() as stack:
        name = settings.instance.client_name("host")
        connection = await stack.enter_async_context(
            connect(url, name=name, timeout=CONNECT_LIMIT, on_closed=lambda error: _tell(refused, error))
        )
        await ensure_topology(connection.js, names.namespace)
        journal = Journal(connection, Subjects(names.namespace), names.runs, ServerClock(), watch)
        last = await journal.last_sequence()
        if watch is not None:
            watch.begin(last, journal.clock)
        makers = await _makers(plan, connection, journal, names, url, stack)
        supervisor = Supervisor(journal, metrics or NoMetrics(), makers, (watch,) if watch is not None else ())
        running = Host(settings, connection, journal, supervisor, refused)
        background = await stack.enter_async_context(_background())
        background.start(supervisor.run())
        if Scheduler.name in plan.actors:
            _serve_scenarios(running, plan, background)
        keep_pace()
        background.start(announce(running.instances, settings.instance.lease_key(running.host_id), running.presence))
        yield running


def _tell(refused: "asyncio.Future[BusError]", error: BusError) -> None:
    if not refused.done():
        refused.set_result(error)


async def _makers(plan: Plan, connection: Connection, journal: Journal, names: Names, url: str, stack: AsyncExitStack) -> Makers:
    """How each chosen actor is made, and anew after a crash."""

    async def finished(run: str) -> bool:
        return await journal.find(run, Scheduler.name, "run", RunFinished) is not None

    environment = _environment()
    driver = ProcessDriver(environment=environment, logs=plan.logs)
    prober = HealthProber(environment=environment)
    if {ChaosInjector.name, Observer.name} & set(plan.actors):
        await stack.enter_async_context(prober)
        stack.push_async_callback(driver.aclose)
    every: Makers = {
        Scheduler.name: lambda: Scheduler(Keys(connection, names.systems), finished),
        ChaosInjector.name: lambda: ChaosInjector(driver, prober, environment=environment, nats_url=url, logs=plan.logs),
        Observer.name: lambda: Observer(prober, EventStreams(connection), ObjectStore(connection, names.evidence)),
        Validator.name: Validator,
        Reporter.name: lambda: Reporter(ObjectStore(connection, names.reports)),
    }
    return {name: every[name] for name in plan.actors}


def _environment() -> dict[str, str]:
    """What services and checks inherit: not our own settings, whose names are theirs too. `python` is the interpreter of this process."""
    ours = {name.upper() for name in Settings.model_fields}
    theirs = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return {**theirs, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def _serve_scenarios(running: Host, plan: Plan, background: "_Background") -> None:
    """Beside a scheduler: take published scenarios, and answer control requests."""
    connection, journal = running.connection, running.journal
    acceptance = Acceptance(plan.systems, allow_systems=plan.allow_systems, own=plan.own)
    control = Control(connection, journal, acceptance)

    async def take(ward: Ward) -> None:
        ward.is_up()
        await Intake(connection, journal, acceptance).run()

    async def answer(ward: Ward) -> None:
        async with serve_control(connection, journal.subjects, running.settings.service_version, control.verbs()):
            ward.is_up()
            await asyncio.Event().wait()

    running.services = {name: Ward(name) for name in ("intake", "control")}
    running.intake = background.start(persist(running.services["intake"], take))
    background.start(persist(running.services["control"], answer))


class _Background:
    """Tasks that end with a block."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self.started: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        self.started.append(self._tasks.create_task(work))
        return self.started[-1]


@asynccontextmanager
async def _background() -> AsyncIterator[_Background]:
    async with asyncio.TaskGroup() as tasks:
        background = _Background(tasks)
        try:
            yield background
        finally:
            await end(background.started)

"""How a command gets to the bus: the address that was given, the live server of the state folder, or one for its duration."""

import asyncio
import getpass
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient
from bus.errors import NamespaceMissing, NoAnswer, StateInUse
from bus.journal import Journal
from bus.keys import Keys
from bus.objects import ObjectStore
from bus.patience import asked_again
from bus.state import live_server
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from cli.errors import CliError, Exit
from cli.guard import guard_at_work, guard_over
from deploy.embedded import embedded
from deploy.logs import configure_logs
from deploy.settings import CONNECT_LIMIT, Settings, read_settings
from messages.control import SubmitRequest

LOOK_LIMIT = 30.0
"""Seconds for what is looked up, while a cluster chooses who answers."""
FOLDER_LIMIT = 5.0
"""Seconds that a state folder may be held by a process that is starting, or only reads in it."""


@dataclass(frozen=True)
class Access:
    """Where a command finds its coordinator."""

    settings: Settings
    nats: str | None
    """The address that was given."""
    folder: Path
    """The state folder of the embedded server, if no address was given."""
    given: str = ""
    """The options by which the user said so, for commands that are named to them: empty, or with a space before each."""

    def live(self) -> str | None:
        """The address that was given, or that of the server which runs on the state folder."""
        return self.nats or live_server(self.folder)


@dataclass(frozen=True)
class Bus:
    """A client's connection, and what it can reach by it."""

    connection: Connection
    journal: Journal
    control: ControlClient
    instances: Keys
    reports: ObjectStore
    namespace: str

    @property
    def url(self) -> str:
        """Where it is connected."""
        return self.connection.url


def access(nats: str | None, state: Path | None, instance: str | None, partitions: str | None = None) -> Access:
    """What options and environment say.

    Raises:
        SettingsInvalid: one of them is wrong.
    """
    settings = read_settings(nats_url=nats, service_instance_name=instance, partitions=partitions)
    level = settings.log_level or "WARNING"
    configure_logs(level, settings.log_format or "console", service=settings.service_name, instance=settings.instance.name)
    options = (("--nats", nats), ("--state", state))
    given = "".join(f" {name} {shlex.quote(str(value))}" for name, value in options if value is not None)
    return Access(settings, settings.nats_url or None, settings.state_folder(state, dict(os.environ)), given)


@asynccontextmanager
async def bus_at(url: str, settings: Settings, *, ensure: bool = False) -> AsyncIterator[Bus]:
    """A client's connection to this address; `ensure` makes the streams if they are missing.

    Raises:
        Unreachable: nobody answers there.
        CliError: no coordinator has ever run there in this namespace.
    """
    names = Names(settings.instance.namespace)
    async with connect(url, name=settings.instance.client_name("cli"), timeout=CONNECT_LIMIT) as connection:
        if ensure:
            await ensure_topology(connection.js, names.namespace)
        subjects = Subjects(names.namespace)
        journal = Journal(connection, subjects, names.runs, ServerClock())
        await _known(journal, url)
        yield Bus(
            connection,
            journal,
            ControlClient(connection, subjects, principal()),
            Keys(connection, names.instances),
            ObjectStore(connection, names.reports),
            names.namespace,
        )


async def _known(journal: Journal, url: str) -> None:
    """Learn the server's time, if the namespace exists."""
    try:
        await asked_again(journal.last_sequence, "read the state of the journal", LOOK_LIMIT)
    except NamespaceMissing as error:
        namespace = journal.subjects.namespace
        raise CliError(
            f"no coordinator has ever run at {url} in namespace {namespace}",
            f"start `test-coordinator serve --nats {url}`, or set NAMESPACE to another one",
            Exit.UNREACHABLE,
        ) from error


@asynccontextmanager
async def reading(access: Access) -> AsyncIterator[Bus]:
    """For commands that only read: without a live server one is started for their duration, on the folder that exists.

    Raises:
        CliError: there is no such folder, so nothing has ever run here.
    """
    async with AsyncExitStack() as stack:
        url = access.live()
        if url is None and not (access.folder / "jetstream").is_dir():
            raise CliError(f"nothing has ever run in {access.folder}", "run a scenario first, or name another place with --state or --nats")
        own = url is None and (url := await own_server(access, stack, announced=False)) is not None
        yield await stack.enter_async_context(bus_at(url or access.live() or "", access.settings, ensure=own))


async def own_server(access: Access, stack: AsyncExitStack, *, announced: bool, sync_always: bool = False) -> str | None:
    """The address of a server that runs for this process on the state folder; None when another process has announced one there.

    For `sync_always` see `embedded`.

    Raises:
        StateInUse: another process has the folder for long and does not say where its server is.
    """
    until = asyncio.get_running_loop().time() + FOLDER_LIMIT
    while True:
        try:
            return await stack.enter_async_context(embedded(access.folder, announced=announced, sync_always=sync_always))
        except StateInUse:
            if announced and guard_at_work(access.folder) is not None:
                await guard_over(access.folder)
                continue
            if access.live() is not None:
                return None
            if asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(0.05)


@asynccontextmanager
async def joining(access: Access) -> AsyncIterator[Bus]:
    """For commands that need a coordinator at work.

    Raises:
        CliError: none runs on the state folder.
    """
    async with bus_at(live_address(access), access.settings) as bus:
        yield bus


def live_address(access: Access) -> str:
    """Where the coordinator is.

    Raises:
        CliError: none runs on the state folder.
    """
    url = access.live()
    if url is None:
        raise CliError(
            f"no coordinator runs on {access.folder}",
            "start one with `test-coordinator serve`, or name its NATS with --nats URL",
            Exit.UNREACHABLE,
        )
    return url


async def takes_requests(bus: Bus) -> bool:
    """Whether a coordinator is at work there that can be asked for something."""
    try:
        await bus.control.validate(SubmitRequest(document=""))
    except NoAnswer:
        return False
    return True


def principal() -> str:
    """Who asks: the user's name, as one token of a subject."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "user"
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:64] or "user"


def on_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()

"""How a command gets to the bus: the address that was given, the live server of the state folder, or one for its duration."""

import asyncio
import getpass
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bus.clock import ServerClock
from bus.connection import Connection, connect
from bus.control import ControlClient
from bus.errors import NamespaceMissing, StateInUse
from bus.journal import Journal
from bus.keys import Keys
from bus.objects import ObjectStore
from bus.state import live_server
from bus.subjects import Subjects
from bus.topology import Names, ensure_topology
from cli.errors import CliError, Exit
from deploy.embedded import embedded
from deploy.logs import configure_logs
from deploy.settings import CONNECT_LIMIT, Settings, read_settings

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


def access(nats: str | None, state: Path | None, instance: str | None) -> Access:
    """What options and environment say.

    Raises:
        SettingsInvalid: one of them is wrong.
    """
    settings = read_settings(nats_url=nats, service_instance_name=instance)
    level = settings.log_level or "WARNING"
    configure_logs(level, settings.log_format or "console", service=settings.service_name, instance=settings.instance.name)
    return Access(settings, settings.nats_url or None, settings.state_folder(state, dict(os.environ)))


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
        await journal.last_sequence()
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


async def own_server(access: Access, stack: AsyncExitStack, *, announced: bool) -> str | None:
    """The address of a server that runs for this process on the state folder; None when another process has announced one there.

    Raises:
        StateInUse: another process has the folder for long and does not say where its server is.
    """
    until = asyncio.get_running_loop().time() + FOLDER_LIMIT
    while True:
        try:
            return await stack.enter_async_context(embedded(access.folder, announced=announced))
        except StateInUse:
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
    url = access.live()
    if url is None:
        raise CliError(
            f"no coordinator runs on {access.folder}",
            "start one with `test-coordinator serve`, or name its NATS with --nats URL",
            Exit.UNREACHABLE,
        )
    async with bus_at(url, access.settings) as bus:
        yield bus


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

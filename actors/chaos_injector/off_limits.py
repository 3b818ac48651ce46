"""What a run stands on itself: the bus, and the process of the coordinator. Never targets."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from messages.identity import Identity
from messages.system import Service, System
from targets.find import has_tags
from targets.identity import read_stat

Address = tuple[str, int]
"""Host and port; every address of this machine is `localhost`."""
HERE = "localhost"
BUS = "the bus that the coordinator itself runs on"
OURSELVES = "the coordinator itself"
NATS_PORT = 4222
LOOKUP_LIMIT = 1.0
"""Seconds that names may take to be looked up; a name that takes longer is compared as it is written."""
_REMEMBERED = 60.0
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class OffLimits:
    """What may not be disturbed, whatever a system says. Without anything, nothing is."""

    bus: frozenset[Address] = frozenset()
    """Where the NATS servers listen, those of the cluster too that the host is not connected to."""
    host: frozenset[Address] = frozenset()
    """Where the host itself listens, over HTTP and gRPC."""
    processes: frozenset[Identity] = frozenset()
    """The host's own process and those that it came from."""
    servers: Container[Identity] = frozenset()
    """The embedded NATS server, if there is one."""
    known: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What names of hosts lead to, as far as that was found."""

    def at(self, host: str, port: int) -> str | None:
        """What is at this address, in words; None if nothing of ours."""
        found = addresses_of(host, port, self.known)
        return BUS if found & self.bus else OURSELVES if found & self.host else None

    def of(self, service: Service, process: Identity | None) -> str | None:
        """What the service is, in words, by where it is reached and by its process; None if nothing of ours."""
        if process is not None and process in self.servers:
            return BUS
        if process is not None and process in self.processes:
            return OURSELVES
        return next((what for host, port in _addresses(service) if (what := self.at(host, port)) is not None), None)


OffLimitsOf = Callable[[System], Awaitable[OffLimits]]
"""What is off limits for faults on a system."""


def address_of(host: str, port: int) -> Address:
    """The address in the one form in which addresses are compared."""
    bare = host.strip("[]").rstrip(".").lower()
    try:
        parsed = ip_address(bare)
    except ValueError:
        return (HERE if bare in {"", HERE} else bare), port
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return (HERE if mapped.is_loopback or mapped.is_unspecified or _is_here(mapped) else str(mapped)), port


def addresses_of(host: str, port: int, known: Mapping[str, frozenset[str]]) -> frozenset[Address]:
    """The address, and those that its name leads to."""
    return frozenset(address_of(each, port) for each in (host, *known.get(host, ())))


class Surroundings:
    """What is around an injector in this process."""

    def __init__(
        self,
        nats_url: str,
        listening: Callable[[], Iterable[str]] = tuple,
        servers: Callable[[], Iterable[Address]] = tuple,
    ) -> None:
        """`listening` are URLs of the host, or HOST:PORT; `servers` are those of the bus that are known by now, beside `nats_url`."""
        self._nats_url, self._listening, self._servers = nats_url, listening, servers
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def off_limits(self, system: System) -> OffLimits:
        """What no fault on this system may be done to: the servers of the bus, where the host listens, and what runs both."""
        bus = self._bus()
        host = [address for url in self._listening() if (address := _address_in(url, None)) is not None]
        links = [(link.host, link.port) for link in system.spec.links.values()]
        theirs = [address for service in system.spec.services.values() for address in _addresses(service)]
        known = await self._look_up(name for name, _ in (*bus, *host, *links, *theirs))
        ours, mine = (frozenset().union(*(addresses_of(*each, known) for each in some)) for some in (bus, host))
        return OffLimits(ours, mine, own_processes(), EmbeddedServers(), known)

    async def bus_ports(self) -> frozenset[int]:
        """The ports of this machine on which servers of the bus are to listen."""
        known = await self._look_up(name for name, _ in self._bus())
        return frozenset(port for each in self._bus() for host, port in addresses_of(*each, known) if host == HERE)

    def _bus(self) -> tuple[Address, ...]:
        return (*bus_addresses(self._nats_url), *self._servers())

    async def _look_up(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        asked, now = {name for name in names if _is_name(name)}, time.monotonic()
        missing = {name for name in asked if name not in self._known or self._known[name][0] < now - _REMEMBERED}
        if missing:
            async with asyncio.TaskGroup() as tasks:
                asking = {name: tasks.create_task(_resolved(name)) for name in missing}
            self._known |= {name: (now, task.result()) for name, task in asking.items()}
        return {name: self._known[name][1] for name in asked}


async def _resolved(name: str) -> frozenset[str]:
    try:
        async with asyncio.timeout(LOOKUP_LIMIT):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(str(address[4][0]) for address in found)


def _is_name(host: str) -> bool:
    """Whether it has to be looked up: an address and `localhost` have not."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return address_of(host, 0)[0] != HERE
    return False


def _is_here(address: IPv4Address | IPv6Address) -> bool:
    """Whether this machine has the address: only to its own can it bind."""
    try:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def bus_addresses(nats_url: str) -> frozenset[Address]:
    """The addresses in the URL of a NATS server, or in several, parted by commas."""
    found = (_address_in(url.strip(), NATS_PORT) for url in nats_url.split(","))
    return frozenset(address_of(*address) for address in found if address is not None)


def own_processes() -> frozenset[Identity]:
    """This process and those that it came from, up to the first of the machine."""
    return frozenset(_lineage(os.getpid()))


class EmbeddedServers:
    """The NATS servers that this process started for itself, and not for a run. To find all takes milliseconds, to know one does not."""

    def __contains__(self, process: object) -> bool:
        stat = read_stat(process.pid) if isinstance(process, Identity) else None
        if stat is None or stat.identity != process or stat.parent != os.getpid():
            return False
        return _program(stat.pid) == "nats-server" and not has_tags(stat.pid)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def _lineage(pid: int) -> Iterator[Identity]:
    seen: set[int] = set()
    while pid > 0 and pid not in seen and (stat := read_stat(pid)) is not None:
        seen.add(pid)
        yield stat.identity
        pid = stat.parent


def _addresses(service: Service) -> Iterator[Address]:
    """Where a service is reached, by what its system says of it."""
    health, urls = service.health, [service.chaos.http] if service.chaos is not None else []
    if health is not None:
        urls += [health.http.url] if health.http is not None else []
        urls += [check.address for check in (health.grpc, health.tcp) if check is not None]
    yield from (address for url in urls if (address := _address_in(url, None)) is not None)


def _address_in(url: str, default: int | None) -> Address | None:
    """Host and port of a URL, or of HOST:PORT; None if it has none that can be read."""
    try:
        parts = urlsplit(url if "://" in url else f"tcp://{url}")
        port = parts.port or default or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return None if port is None or parts.hostname is None else (parts.hostname, port)

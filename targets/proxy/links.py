"""The links of a run and the faults that are on them."""

import asyncio
from dataclasses import dataclass
from typing import Any

from messages.actions.spec import Parameters
from targets.proxy.api import LinkAddresses, LinkPlan, LinkState
from targets.proxy.behaviour import TRANSPARENT, behaviour_of
from targets.proxy.lane import Lane

TO_RETRY = 1.0
"""Seconds until the end of a lease is tried again, should the port not be had."""


class UnknownLink(Exception):
    """The proxy does not carry this link."""

    def __init__(self, link: str) -> None:
        super().__init__(f"there is no link {link!r} here")


class LinkTaken(Exception):
    """Another fault is in the way."""


@dataclass(slots=True, eq=False)
class Toxic:
    """A fault on a link."""

    link: str
    action: str
    parameters: Parameters
    expiry: asyncio.TimerHandle | None = None

    @property
    def told(self) -> dict[str, Any]:
        """The parameters as JSON values."""
        return self.parameters.model_dump(mode="json")


class Link:
    """A lane to the service, and one to an echo on which the same faults act."""

    def __init__(self, plan: LinkPlan, echo: tuple[str, int], tasks: asyncio.TaskGroup) -> None:
        host, _, port = plan.service.rpartition(":")
        self.service = plan.service
        self.traffic = Lane((host, int(port)), tasks, plan.port)
        self.measuring = Lane(echo, tasks)

    async def behave(self, parameters: Parameters | None) -> None:
        """Put this on both lanes, each with a pace of its own; None makes them transparent."""
        for lane in (self.traffic, self.measuring):
            await lane.behave(TRANSPARENT if parameters is None else behaviour_of(parameters))

    @property
    def addresses(self) -> LinkAddresses:
        """Where it can be reached."""
        return LinkAddresses(address=f"127.0.0.1:{self.traffic.port}", probe=f"127.0.0.1:{self.measuring.port}")

    def close(self) -> None:
        """Reset all connections."""
        self.traffic.close()
        self.measuring.close()


class Links:
    """Every change is idempotent, and one at a time."""

    def __init__(self, links: dict[str, Link], tasks: asyncio.TaskGroup) -> None:
        self._links = links
        self._tasks = tasks
        self._lock = asyncio.Lock()
        self.toxics: dict[str, Toxic] = {}

    async def put(self, fault: str, toxic: Toxic, lease: float | None) -> bool:
        """Put a fault on its link, or renew its lease; whether it is new.

        Raises:
            UnknownLink: there is no such link.
            LinkTaken: another fault is on the link, or this one is on another.
        """
        async with self._lock:
            link = self._link(toxic.link)
            self._check_free(fault, toxic.link)
            before = self.toxics.get(fault)
            if before is not None and before.expiry is not None:
                before.expiry.cancel()
            if lease is not None:
                toxic.expiry = asyncio.get_running_loop().call_later(lease, self._expire, fault)
            self.toxics[fault] = toxic
            if before is None or (before.action, before.parameters) != (toxic.action, toxic.parameters):
                await link.behave(toxic.parameters)
            return before is None

    async def remove(self, fault: str, only: Toxic | None = None) -> bool:
        """Take a fault away, `only` if it is this one and was not put again; whether it was there."""
        async with self._lock:
            toxic = self.toxics.get(fault)
            if toxic is None or only not in {None, toxic}:
                return False
            # Known until it is gone, so that a removal that fails can be tried again.
            await self._links[toxic.link].behave(None)
            if toxic.expiry is not None:
                toxic.expiry.cancel()
            del self.toxics[fault]
            return True

    def state(self, name: str) -> LinkState:
        """A link as it is.

        Raises:
            UnknownLink: there is no such link.
        """
        link = self._link(name)
        return LinkState(
            service=link.service,
            addresses=link.addresses,
            fault=next((fault for fault, toxic in self.toxics.items() if toxic.link == name), None),
            accepted=link.traffic.accepted,
            open=link.traffic.open_connections,
            passed={way: meter.passed for way, meter in link.traffic.meters.items()},
        )

    def states(self) -> dict[str, LinkState]:
        """Every link."""
        return {name: self.state(name) for name in self._links}

    def _expire(self, fault: str) -> None:
        self._tasks.create_task(self._end(fault, self.toxics[fault]))

    async def _end(self, fault: str, toxic: Toxic) -> None:
        try:
            await self.remove(fault, only=toxic)
        except OSError:
            toxic.expiry = asyncio.get_running_loop().call_later(TO_RETRY, self._expire, fault)

    def _link(self, name: str) -> Link:
        if name not in self._links:
            raise UnknownLink(name)
        return self._links[name]

    def _check_free(self, fault: str, link: str) -> None:
        for other, toxic in self.toxics.items():
            if other == fault and toxic.link != link:
                raise LinkTaken(f"fault {fault} is on link {toxic.link}")
            if other != fault and toxic.link == link:
                raise LinkTaken(f"fault {other} ({toxic.action}) is on link {link}")

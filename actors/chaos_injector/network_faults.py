"""Disturbing the packets of services that have network namespaces of their own."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.actions.network import NetworkDrop, NetworkLatency, NetworkLoss, NetworkPartition, NetworkReject, NetworkUndo, comment_of
from messages.checks import Health
from messages.needs import sides
from messages.undo import AnyUndo
from targets.errors import Unsupported
from targets.network.addresses import addresses_of
from targets.network.errors import HostNamespace, NetworkFailed
from targets.network.faults import NetworkFaults as Packets
from targets.network.faults import Place
from targets.network.namespaces import namespace_of
from targets.network.support import supported
from targets.polling import comes_true

POLL = 0.05
LOOK = 0.2
"""Seconds that it may take to find out whether rules are in place."""
GONE = "a network namespace in which packets were disturbed went away, and with it what disturbed them"
LOST = "the program that held packets back ended by itself, and with it the latency"


class NetworkFaults(Driver):
    """Loses, refuses and delays packets of services, and parts them, by rules in their namespaces."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._packets = Packets(environment=environment)
        self._ending: set[str] = set()
        """The comments of the faults whose undo has begun: from then on it is us who end what held packets back.

        One whose undo another process has begun has lost its rules first.
        """

    async def plan(self, target: Target) -> Plan:
        told, missing = target.action.told, await asyncio.to_thread(supported, target.action.action)
        if missing is not None:
            raise Unsupported(missing)
        if isinstance(told, NetworkPartition):
            one, other = sides(target.action)
            parted = (tuple(_place(target, name) for name in one), tuple(_place(target, name) for name in other))
            return Plan(await self._packets.parting(told, parted, run=target.run, fault=target.fault))
        if not isinstance(told, NetworkDrop | NetworkLatency | NetworkLoss | NetworkReject):
            raise Unsupported(f"{target.action.action} does nothing to packets")
        path = _address(target.service.health)
        way = (*path, None) if path is not None else None
        namespace = _place(target, target.name).namespace
        return Plan(await self._packets.undo_of(told, namespace, run=target.run, fault=target.fault, path=way))

    async def inject(self, target: Target, plan: Plan) -> str:
        if isinstance(plan.undo, NetworkUndo):
            await self._packets.inject(plan.undo)
        return ""

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        if not isinstance(plan.undo, NetworkUndo):
            return False
        try:
            async with asyncio.timeout(LOOK):
                return await self._packets.is_in_place(plan.undo)
        except (NetworkFailed, TimeoutError):
            return False  # what is there is not set again

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        if not isinstance(undo, NetworkUndo):
            return Done(found=True)
        held = undo.comment in self._ending or self._packets.is_held(undo)
        if held:
            self._ending.add(undo.comment)
        lost = GONE if not self._packets.is_there(undo) else "" if held or not await self._packets.has_rules(undo) else LOST
        await self._packets.undo(undo)
        return Done(found=not held or lost == GONE, lost=lost)

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        return await self._packets.effect(plan.undo, within) if isinstance(plan.undo, NetworkUndo) else None

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        undo = plan.undo
        return not isinstance(undo, NetworkUndo) or await comes_true(lambda: self._packets.normal(undo), within, poll=POLL)

    async def renew(self, undo: AnyUndo, target: Target) -> bool:
        """Begin the lease of what holds packets back anew; False if that is gone, or rules are."""
        return not isinstance(undo, NetworkUndo) or (self._packets.renew(undo) and await self._packets.is_in_place(undo))

    def forget(self, run: str) -> None:
        self._ending = {comment for comment in self._ending if not comment.startswith(comment_of(run, ""))}


def _place(target: Target, name: str) -> Place:
    process = target.current(name)
    if process is None:
        raise Unsupported(f"{name} is not running")
    try:
        return Place(namespace_of(process), addresses_of(process))
    except HostNamespace as error:
        told = f"{name} has no network namespace of its own; give its process `namespace: NAME` in the system (ip netns add NAME)"
        raise Unsupported(told) from error


def _address(health: Health | None) -> tuple[str, int] | None:
    """Where a health check of the service connects to."""
    if health is None:
        return None
    if health.http is not None:
        parts = urlsplit(health.http.url)
        return (parts.hostname, parts.port or 80) if parts.hostname else None
    known = health.tcp or health.grpc
    if known is None:
        return None
    host, _, port = known.address.rpartition(":")
    return host, int(port)

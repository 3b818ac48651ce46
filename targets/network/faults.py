"""Network faults in namespaces: packets that are lost, refused or late, and groups that are parted."""

import asyncio
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from messages.actions.network import (
    Delay,
    Namespace,
    NetworkDrop,
    NetworkLatency,
    NetworkLoss,
    NetworkPartition,
    NetworkReject,
    NetworkUndo,
    Probe,
    Traffic,
    comment_of,
)
from targets.errors import Unsupported
from targets.network.errors import NetworkFailed
from targets.network.filters import RULES_TAG, add, count, remove, rules_of
from targets.network.holding import Holders, end_all, holders_of
from targets.network.namespaces import path_to
from targets.network.probing import NOBODY, probe
from targets.network.seeing import LOOK, is_normal, seen_by_packets, seen_by_probes, telling

LEASE = timedelta(seconds=30)
MOST_PROBES = 8
PATIENCE = timedelta(seconds=1)
"""How long a connection may take before the fault."""
Parameters = NetworkDrop | NetworkLatency | NetworkLoss | NetworkReject


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service of a side of a partition is."""

    namespace: Namespace
    addresses: tuple[str, ...]
    """Its own IP addresses there, by which the other side knows it."""


Side = Sequence[Place]
Path = tuple[str, int, Namespace | None]
"""To which host and port, from where."""


class NetworkFaults:
    """Disturbs what services send and get. Rules are set in the namespace of who gets or sends the packets, never in the machine's own."""

    def __init__(self, *, environment: Mapping[str, str], lease: timedelta = LEASE) -> None:
        """`environment` is for the program that holds packets back, which ends by itself if it is not renewed within `lease`."""
        self._holders = Holders(environment)
        self._lease = lease

    async def undo_of(self, parameters: Parameters, namespace: Namespace, *, run: str, fault: str, path: Path | None = None) -> NetworkUndo:
        """What will undo the fault, and what it is to do. `path` is a connection to the service, if one can be made."""
        comment = comment_of(run, fault)
        hold = self._hold(parameters, comment) if isinstance(parameters, NetworkLatency) else None
        return NetworkUndo(
            run=run,
            fault=fault,
            effect=_effect_of(parameters),
            rules=(rules_of(namespace, parameters, comment, _verdict(parameters, hold), "filter" if hold is None else "mangle"),),
            probes=await _probed(_paths(parameters, namespace, path)),
            hold=hold,
        )

    async def parting(self, parameters: NetworkPartition, sides: tuple[Side, Side], *, run: str, fault: str) -> NetworkUndo:
        """What will undo a partition, and what it is to do: no namespace of the one side gets packets from addresses of the other.

        Raises:
            Unsupported: somebody has no address by which the other side could know what it sends.
        """
        for place in (*sides[0], *sides[1]):
            if not place.addresses:
                told = f"{place.namespace.path} has no IP address of its own, so nobody can be parted from it"
                raise Unsupported(f"{told}; give it one, and set its link up")
        ways = [sides] if parameters.one_way else [sides, (sides[1], sides[0])]
        comment = comment_of(run, fault)
        rules = tuple(
            rules_of(place.namespace, Traffic(direction="in", peers=_addresses(senders)), comment, "-j DROP")
            for senders, receivers in ways
            for place in receivers
        )
        pairs = [(sender.namespace, to) for sender in sides[0] for receiver in sides[1] for to in receiver.addresses]
        probes = await _probed([(to, NOBODY, where) for where, to in pairs[:MOST_PROBES]])
        return NetworkUndo(run=run, fault=fault, effect="silence", rules=rules, probes=probes)

    async def inject(self, undo: NetworkUndo) -> None:
        """Set the rules, and hold back what they say. What another process has begun is completed.

        Raises:
            NoNamespace: a namespace is gone.
            NetworkFailed: the system did not do it; some rules may be set.
        """
        # Who sets rules for somebody who died would set them again.
        await end_all(undo.comment, RULES_TAG)
        if undo.hold is not None and not await self._is_fed(undo):
            await self._holders.end(undo.comment)
            await self._holders.start(undo.rules[0].namespace, undo.hold, undo.comment)
        for rules in undo.rules:
            await add(rules, undo.comment)

    async def is_in_place(self, undo: NetworkUndo) -> bool:
        """Whether all rules are there, and what holds packets back.

        Raises:
            NetworkFailed: iptables did not say.
        """
        counts = [(await count(rules, undo.comment))[0] for rules in undo.rules]
        return counts == [len(rules.v4) + len(rules.v6) for rules in undo.rules] and self.is_held(undo)

    async def has_rules(self, undo: NetworkUndo) -> bool:
        """Whether any of the rules is there.

        Raises:
            NetworkFailed: iptables did not say.
        """
        return any([(await count(rules, undo.comment))[0] for rules in undo.rules])

    def is_there(self, undo: NetworkUndo) -> bool:
        """Whether all the namespaces are there."""
        return all(path_to(rules.namespace) is not None for rules in undo.rules)

    async def undo(self, undo: NetworkUndo) -> None:
        """Remove the rules, then end what holds packets back. One namespace that cannot be healed does not keep the others from it.

        Whoever is still setting rules for somebody who died is ended first, or they would come after us.

        Raises:
            NetworkFailed: something is left.
        """
        await end_all(undo.comment, RULES_TAG)
        errors: list[NetworkFailed] = []
        for rules in undo.rules:
            try:
                await remove(rules, undo.comment)
            except NetworkFailed as error:
                errors.append(error)
        await self._holders.end(undo.comment)
        if errors:
            raise errors[0]

    async def effect(self, undo: NetworkUndo, within: timedelta) -> str | None:
        """What connections that cross the rules met, compared with before; without such connections, whether packets met the rules.

        None if nothing was seen.
        """
        begin = asyncio.get_running_loop().time()
        while True:
            seen = await seen_by_probes(undo) if telling(undo) else await seen_by_packets(undo)
            left = within.total_seconds() - (asyncio.get_running_loop().time() - begin)
            if seen is not None or left <= 0:
                return seen
            await asyncio.sleep(min(LOOK, left))

    async def normal(self, undo: NetworkUndo) -> bool:
        """Whether no rule of ours is left, nothing is held back, and connections are again as they were."""
        left = [(await count(rules, undo.comment))[0] for rules in undo.rules]
        return not any(left) and not holders_of(undo.comment) and await is_normal(undo)

    def is_held(self, undo: NetworkUndo) -> bool:
        """Whether what holds packets back is there, for a fault that needs it."""
        return undo.hold is None or bool(holders_of(undo.comment))

    def renew(self, undo: NetworkUndo) -> bool:
        """Begin the lease of what holds packets back anew; False if it is gone, with which latency is over."""
        return undo.hold is None or self._holders.renew(undo.comment)

    async def _is_fed(self, undo: NetworkUndo) -> bool:
        """Whether what holds packets back was ready, and is there: rules come after that."""
        return self.is_held(undo) and await self.has_rules(undo)

    async def aclose(self) -> None:
        """Stop watching. Faults stay."""
        self._holders.close()

    def _hold(self, parameters: NetworkLatency, comment: str) -> Delay:
        return Delay(queue=zlib.crc32(comment.encode()) & 0xFFFF, delay=parameters.delay, jitter=parameters.jitter, lease=self._lease)


def _effect_of(parameters: Parameters) -> Literal["silence", "refusal", "loss", "delay"]:
    if isinstance(parameters, NetworkLatency):
        return "delay"
    if isinstance(parameters, NetworkLoss):
        return "loss"
    return "refusal" if isinstance(parameters, NetworkReject) else "silence"


def _verdict(parameters: Parameters, hold: Delay | None) -> str:
    if hold is not None:
        return f"-j NFQUEUE --queue-num {hold.queue} --queue-bypass"
    if isinstance(parameters, NetworkLoss):
        return f"-m statistic --mode random --probability {parameters.rate:.6f} -j DROP"
    return "-j REJECT" if isinstance(parameters, NetworkReject) else "-j DROP"


def _addresses(side: Side) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for place in side for address in place.addresses))


def _paths(parameters: Traffic, namespace: Namespace, path: Path | None) -> list[Path]:
    """Connections that cross the rules: to the peers, if they are named, else to the service."""
    if parameters.peers:
        alone = [peer for peer in parameters.peers if "/" not in peer] if parameters.port is None else []
        return [(peer, parameters.peer_port or NOBODY, namespace) for peer in alone[:MOST_PROBES]]
    if path is None or parameters.peer_port is not None or parameters.port not in {None, path[1]}:
        return []
    return [path]


async def _probed(paths: Iterable[Path]) -> tuple[Probe, ...]:
    """How these connections do before the fault."""
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(probe(host, port, where, PATIENCE)) for host, port, where in paths]
    return tuple(look.result() for look in looks)

"""The links of a run: their proxy, started before the services and found again by whoever comes after, and what is done to them."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.actions.links import Cut, Direction
from messages.actions.partition import Partition
from messages.actions.spec import Parameters
from messages.fault_events import LinksOpened
from messages.identity import Identity
from messages.system import System
from messages.undo import AnyUndo, LinkUndo
from runs.disturbing import cut_links, sides
from targets.errors import NotThere, Unsupported
from targets.process import ProcessDriver, Stopped
from targets.proxy.api import LinkAddresses, LinkPlan, Report
from targets.proxy.client import control_proxy
from targets.proxy.effects import saw_link_effect, saw_link_normal
from targets.proxy.starting import SERVICE as PROXY
from targets.proxy.starting import find_proxy, start_proxy

__all__ = ["PROXY", "LinkFaults", "Links", "environment_of"]
GRACE = timedelta(seconds=2)


class ProxyGone(NotThere):
    """The process of the run's links is not there: what goes over them is cut."""

    def __init__(self) -> None:
        Exception.__init__(self, "the proxy of the links has gone, so everything that goes over links is cut")


class Links:
    """Carries the links of runs, each run's in a process of its own that outlives this one."""

    def __init__(self, driver: ProcessDriver, folder: Path) -> None:
        self._driver = driver
        self._folder = folder

    async def open(self, run: str, system: System) -> LinksOpened:
        """Start the proxy of the run, or find the one that an injector before this one started.

        Raises:
            TargetError: it could not be started.
        """
        folder, links = self._folder / run, system.spec.links
        report = find_proxy(folder)
        if report is None:
            plans = {name: LinkPlan(service=f"{link.host}:{link.port}", port=link.listen or 0) for name, link in links.items()}
            report = await start_proxy(self._driver, run, plans, folder)
        addresses = {name: known.address for name, known in report.links.items()}
        return LinksOpened(identity=report.identity, control=report.control, addresses=addresses)

    def report(self, run: str) -> Report:
        """What the proxy of the run said of itself.

        Raises:
            ProxyGone: it does not run.
        """
        report = find_proxy(self._folder / run)
        if report is None:
            raise ProxyGone
        return report

    async def close(self, identity: Identity) -> Stopped:
        """End the proxy of a run. Nothing may need its links any more.

        Raises:
            TargetError: it is still there.
        """
        return await self._driver.stop(identity, signal="TERM", grace=GRACE)


def environment_of(system: System, links: LinksOpened | None, name: str, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a service or workload with the addresses of its links in the place of those that they lead to."""
    found = dict(env)
    for link_name, link in system.spec.links.items():
        if link.from_ != name or link.env is None or links is None or link_name not in links.addresses:
            continue
        address, upstream = links.addresses[link_name], f"{link.host}:{link.port}"
        found[link.env] = found[link.env].replace(upstream, address) if link.env in found else address
    return found


class LinkFaults(Driver):
    """Disturbs links, and parts services whose ways to each other are links."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def plan(self, target: Target) -> Plan:
        self._links.report(target.run)
        names = self._cut(target) if target.action.kind == "partition" else (target.name,)
        toxics = {target.fault if len(names) == 1 else f"{target.fault}.{index}": name for index, name in enumerate(names)}
        return Plan(LinkUndo(toxics=toxics))

    async def inject(self, target: Target, plan: Plan) -> str:
        async with control_proxy(self._links.report(target.run)) as proxy:
            for toxic, link in _toxics(plan.undo).items():
                action, parameters = _toxic(target, link)
                await proxy.put(toxic, link, action, parameters)
        return ""

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        try:
            report = self._links.report(target.run)
        except ProxyGone:
            return Done(found=True)
        async with control_proxy(report) as proxy:
            there = [await proxy.remove(toxic) for toxic in _toxics(undo)]
        return Done(found=not any(there))

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        known = self._known(target)
        async with asyncio.TaskGroup() as tasks:
            looks = {
                link: tasks.create_task(saw_link_effect(_toxic(target, link)[1], known[link], within=within))
                for link in _toxics(plan.undo).values()
                if link in known
            }
        seen = {link: look.result() for link, look in looks.items()}
        if len(seen) < len(_toxics(plan.undo)) or None in seen.values():
            return None
        return "; ".join(f"{link}: {how}" for link, how in seen.items()) if len(seen) > 1 else seen.popitem()[1]

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        known = self._known(target)
        async with asyncio.TaskGroup() as tasks:
            looks = [
                tasks.create_task(saw_link_normal(_toxic(target, link)[1], known[link], within=within))
                for link in _toxics(plan.undo).values()
                if link in known
            ]
        return len(looks) == len(_toxics(plan.undo)) and all(look.result() for look in looks)

    def _known(self, target: Target) -> Mapping[str, LinkAddresses]:
        """Where the links can be reached; none when their proxy has gone."""
        try:
            return self._links.report(target.run).links
        except ProxyGone:
            return {}

    def _cut(self, target: Target) -> tuple[str, ...]:
        names = cut_links(target.system, target.request)
        if not names:
            raise Unsupported("no link leads from one side to the other, so they cannot be parted; name links between them in the system")
        return names


def _toxics(undo: AnyUndo) -> dict[str, str]:
    return undo.toxics if isinstance(undo, LinkUndo) else {}


def _toxic(target: Target, link: str) -> tuple[str, Parameters]:
    """What is done to the link, and with which parameters."""
    told = target.action.told
    if not isinstance(told, Partition):
        return target.action.action, told
    first, _ = sides(target.request)
    out: Direction = "upstream" if target.system.spec.links[link].from_ in first else "downstream"
    return "cut", Cut(direction=out if told.one_way else "both")

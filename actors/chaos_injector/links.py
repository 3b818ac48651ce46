"""The links of a run: their proxy, started before the services and found again by whoever comes after, and what is done to them."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from actors.chaos_injector.drivers import Done, Driver, Plan, Target
from messages.actions.links import Cut, Direction
from messages.actions.partition import Partition
from messages.actions.spec import Parameters
from messages.identity import Identity
from messages.link_events import LinksOpened
from messages.needs import cut_links, sides
from messages.system import System
from messages.undo import AnyUndo, LinkUndo
from runs.state import RunState
from targets.errors import NotThere, TargetError, Unsupported
from targets.identity import boot_id, is_alive
from targets.process import ProcessDriver, Stopped
from targets.proxy.api import LinkAddresses, LinkPlan, Report
from targets.proxy.client import control_proxy
from targets.proxy.effects import saw_link_effect, saw_link_normal
from targets.proxy.starting import SERVICE as PROXY
from targets.proxy.starting import clear_folder, open_proxy, read_report

__all__ = ["PROXY", "LinkFaults", "Links", "environment_of"]
GRACE = timedelta(seconds=2)
LOOK = 0.2
"""Seconds that the proxy may take to say what is on its links."""


class ProxyGone(NotThere):
    """The process of the run's links is not there: what goes over them is cut."""

    def __init__(self) -> None:
        Exception.__init__(self, "the proxy of the links has gone, so everything that goes over links is cut")


class ProxyOutOfReach(TargetError):
    """The process of the run's links may well be there, but what is needed to control it is not: its links stay as they are."""

    def __init__(self, identity: Identity, folder: Path) -> None:
        told = f"the proxy of the links, {identity}, cannot be told anything: {folder} holds no report of it that we may read"
        super().__init__(f"{told}; start the injector as the same user and with the same state folder as the one that started the run")
        self.identity = identity


class Links:
    """Carries the links of runs, each run's in a process of its own that outlives this one."""

    def __init__(self, driver: ProcessDriver, folder: Path) -> None:
        self._driver = driver
        self._folder = folder

    async def open(self, run: str, view: RunState) -> LinksOpened:
        """Start the proxy of the run, or find the one that an injector before this one started.

        Raises:
            TargetError: it could not be started.
        """
        links, known = view.system.spec.links, view.links
        plans = {name: LinkPlan(service=f"{link.host}:{link.port}", port=link.listen or 0) for name, link in links.items()}
        report = await open_proxy(self._driver, run, plans, self._folder / run)
        addresses = {name: link.address for name, link in report.links.items()}
        number = known.number + 1 if known is not None else 1
        return LinksOpened(identity=report.identity, control=report.control, addresses=addresses, number=number)

    def report(self, run: str, opened: LinksOpened | None) -> Report:
        """What the proxy of the run that the journal names said of itself.

        Raises:
            ProxyGone: it does not run, for sure.
            ProxyOutOfReach: it runs, or may run, and nothing here says how to control it.
        """
        if opened is None:
            raise ProxyGone
        report = read_report(self._folder / run)
        ours = report is not None and report.identity == opened.identity
        if report is not None and ours and is_alive(opened.identity):
            return report
        # Of another boot only the machine that it ran on knows that it is gone: the one that has its report.
        if is_alive(opened.identity) or not (ours or opened.identity.boot == boot_id()):
            raise ProxyOutOfReach(opened.identity, self._folder / run)
        raise ProxyGone

    async def close(self, identity: Identity) -> Stopped:
        """End the proxy of a run. Nothing may need its links any more.

        Raises:
            TargetError: it is still there.
        """
        return await self._driver.stop(identity, signal="TERM", grace=GRACE)

    def clear(self, run: str) -> None:
        """Remove what the proxy of the run left, once that has ended."""
        clear_folder(self._folder / run)


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
        self._links.report(target.run, target.links)
        names = self._cut(target) if target.action.kind == "partition" else (target.name,)
        toxics = {target.fault if len(names) == 1 else f"{target.fault}.{index}": name for index, name in enumerate(names)}
        return Plan(LinkUndo(toxics=toxics))

    async def inject(self, target: Target, plan: Plan) -> str:
        async with control_proxy(self._links.report(target.run, target.links)) as proxy:
            for toxic, link in _toxics(plan.undo).items():
                action, parameters = _toxic(target, link)
                await proxy.put(toxic, link, action, parameters)
        return ""

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        try:
            async with asyncio.timeout(LOOK):
                return await self.renew(plan.undo, target)
        except (TargetError, TimeoutError):
            return False  # to put a fault on its link twice is to put it there once

    async def renew(self, undo: AnyUndo, target: Target) -> bool:
        """Whether it is on all its links."""
        async with control_proxy(self._links.report(target.run, target.links)) as proxy:
            there = await proxy.toxics()
        return all(name in there and there[name].link == link for name, link in _toxics(undo).items())

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        try:
            report = self._links.report(target.run, target.links)
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
            return self._links.report(target.run, target.links).links
        except (ProxyGone, ProxyOutOfReach):
            return {}

    def _cut(self, target: Target) -> tuple[str, ...]:
        names = cut_links(target.system, target.action)
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
    first, _ = sides(target.action)
    out: Direction = "upstream" if target.system.spec.links[link].from_ in first else "downstream"
    return "cut", Cut(direction=out if told.one_way else "both")

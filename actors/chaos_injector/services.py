"""Bringing the services of a run up, level by level, and taking them down again."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable

import structlog

from actors.chaos_injector.attending import until_attended
from actors.chaos_injector.link_watching import LinkWatching
from actors.chaos_injector.links import PROXY, Links
from actors.chaos_injector.processes import Processes, is_ending
from actors.chaos_injector.workloads import Workloads
from bus.actor import Decision, Run
from messages.checks import Health
from messages.fault_events import ActionDone, ActionFailed, ActionRefused, ServiceAdopted, ServiceStarted, ServiceStopped
from messages.identity import Identity
from messages.run_events import ServicesReleaseRequested, ServicesRequested
from messages.verdicts import Reason
from runs.state import RunState
from targets.errors import TargetError
from targets.find import Tagged, find_tagged, tagged_processes
from targets.identity import is_alive
from targets.process import Stopped

_log = structlog.get_logger()
SWEEPS = 3
"""How often what still runs at the end is looked for."""


class Services:
    """Owns the processes that a System describes: starts them, and leaves none behind."""

    def __init__(self, processes: Processes, links: Links, workloads: Workloads, link_watching: LinkWatching) -> None:
        self._processes = processes
        self._workloads = workloads
        self._links = links
        self._link_watching = link_watching
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tried: set[str] = set()
        """The runs whose services this injector has begun to start."""

    def forget(self, run: str) -> None:
        """The run is over."""
        self._turns.pop(run, None)
        self._tried.discard(run)

    async def bring_up(self, event: ServicesRequested, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Start every level when the one before is healthy. Nothing is started when a secret is missing or a stranger is there."""
        await until_attended(run, lambda: _answered(run.view, "services") or is_ending(run.view))
        async with self._turns[run.id]:
            if _answered(run.view, "services"):
                return
            names = [name for level in event.levels for name in level]
            ours = find_tagged(run.id) if self._may_have_begun(run, names) else {}
            self._tried.add(run.id)
            away = str(self._processes.elsewhere(run) or "")
            obstacle = away or self._without_secrets(run, names) or await self._strangers(run, names, ours)
            if obstacle:
                yield ActionRefused(action_id="services", reason=Reason.PRECONDITION, message=obstacle)
                return
            async for decision in self._open_links(run):
                yield decision
            if _answered(run.view, "services"):
                return
            for level in event.levels:
                for name in level:
                    if is_ending(run.view):
                        break
                    try:
                        started = await self._start(run, name, ours.get(name))
                    except TargetError as error:
                        yield ActionFailed(action_id="services", reason=Reason.PRECONDITION, message=str(error))
                        return
                    with self._processes.vouched(run, started):
                        yield started
                problem = await self._not_ready(run, level)
                if is_ending(run.view):
                    yield ActionFailed(action_id="services", reason=Reason.CANCELLED, message="the run ended while its services started")
                    return
                if problem:
                    yield ActionFailed(action_id="services", reason=Reason.PRECONDITION, message=problem)
                    return
            async for decision in self._begin_workloads(run, ours):
                yield decision

    async def release(self, _event: ServicesReleaseRequested, run: Run[RunState]) -> AsyncIterator[Decision]:
        """Stop what this run started, the last level first, and whatever else carries its tags."""
        async with self._turns[run.id]:
            if _answered(run.view, "release"):
                return
            if (away := self._processes.elsewhere(run)) is not None:
                yield ActionFailed(action_id="release", reason=Reason.REVERT_FAILED, message=str(away))
                return
            lost = self._link_watching.lost(run)
            if lost is not None:
                yield lost
            problems: list[str] = []
            found = () if self._knows_all(run) else tagged_processes(run.id)
            for _ in range(SWEEPS):
                problems.clear()
                async for decision in self._workloads.stop(run, found, problems):
                    yield decision
                for level in self._left(run, found):
                    for name, stopped in (await self._stop_level(run, level, problems)).items():
                        known = run.view.services.get(name)
                        if known is not None and known.running:
                            yield ServiceStopped(service=name, number=known.starts, killed=stopped.killed, took=stopped.took)
                found = tagged_processes(run.id)
                if not found and not problems:
                    break
            problems += [f"{tagged.service} still runs as {tagged.identity}" for tagged in found]
            if problems:
                yield ActionFailed(action_id="release", reason=Reason.REVERT_FAILED, message="; ".join(dict.fromkeys(problems)))
            else:
                self._links.clear(run.id)
                yield ActionDone(action_id="release")

    async def _begin_workloads(self, run: Run[RunState], ours: dict[str, Identity]) -> AsyncIterator[Decision]:
        """Everything is up when the workloads are."""
        try:
            async for decision in self._workloads.start(run, ours):
                yield decision
        except TargetError as error:
            yield ActionFailed(action_id="services", reason=Reason.PRECONDITION, message=str(error))
        else:
            yield ActionDone(action_id="services")

    async def _open_links(self, run: Run[RunState]) -> AsyncIterator[Decision]:
        """The links are there before the services that connect over them."""
        known = run.view.links
        if not run.view.system.spec.links or (known is not None and is_alive(known.identity)) or is_ending(run.view):
            return
        await run.hold()
        try:
            opened = await self._links.open(run.id, run.view)
        except TargetError as error:
            yield ActionFailed(action_id="services", reason=Reason.PRECONDITION, message=str(error))
            return
        with self._processes.vouched(run, opened):
            yield opened

    def _may_have_begun(self, run: Run[RunState], names: Iterable[str]) -> bool:
        """Whether a process may run of which the journal does not know: one that was started just before an injector or a handler died."""
        known = {*run.view.services, *run.view.workloads}
        if known.issuperset(names) and known.issuperset(run.view.system.spec.workloads):
            return False
        return run.inherited or run.id in self._tried

    def _knows_all(self, run: Run[RunState]) -> bool:
        """Whether all that is ours has a process in the journal, so that all can be stopped in order without a search."""
        known = run.view.services
        if not run.view.workloads.keys() >= run.view.system.spec.workloads.keys():
            return False
        return all(name in known and known[name].identity is not None for level in run.view.system.start_levels() for name in level)

    def _without_secrets(self, run: Run[RunState], names: Iterable[str]) -> str:
        services = run.view.system.spec.services
        missing = {name: self._processes.missing_secrets(services[name]) for name in names}
        told = [f"{name} needs the secret {secret}" for name, secrets in missing.items() for secret in secrets]
        told += [f"{name} needs the secret {secret} for its chaos API" for name, secret in self._processes.missing_keys(run).items()]
        told += self._workloads.without_secrets(run)
        return f"{'; '.join(told)}: set it in the injector's environment" if told else ""

    async def _strangers(self, run: Run[RunState], names: Iterable[str], ours: dict[str, Identity]) -> str:
        """Who answers already though this run has not started it."""
        services = run.view.system.spec.services
        unknown = {name: services[name].health for name in names if name not in ours and name not in run.view.services}
        async with asyncio.TaskGroup() as tasks:
            looks = {name: tasks.create_task(self._processes.answers(health)) for name, health in unknown.items()}
        for name, look in looks.items():
            health = unknown[name]
            if look.result() and health is not None:
                return f"a process that this run did not start already answers {address_of(health)} ({name}); stop it first"
        return ""

    async def _start(self, run: Run[RunState], name: str, tagged: Identity | None) -> ServiceStarted | ServiceAdopted:
        """The service's process: one that an injector of this run started before it died, or a new one."""
        known = run.view.services.get(name)
        starts, output = known.starts if known is not None else 0, self._processes.output(run.id, name)
        if known is not None and known.identity is not None and known.running and is_alive(known.identity):
            return ServiceAdopted(service=name, number=starts, identity=known.identity, output=output)
        if tagged is not None and is_alive(tagged):
            return ServiceAdopted(service=name, number=starts + 1, identity=tagged, output=output)
        await run.hold()
        identity = await self._processes.start(run.id, name, run.view.system, run.view.links)
        return ServiceStarted(service=name, number=starts + 1, identity=identity, output=output)

    async def _not_ready(self, run: Run[RunState], level: Iterable[str]) -> str:
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(self._processes.not_ready(run, name)) for name in level]
        return "; ".join(problem for wait in waits if (problem := wait.result()))

    def _left(self, run: Run[RunState], found: Iterable[Tagged]) -> list[dict[str, set[Identity]]]:
        """What is to be stopped: the services that run, in the reverse of their levels, with every process that is theirs."""
        left: defaultdict[str, set[Identity]] = defaultdict(set)
        for tagged in found:
            left[tagged.service].add(tagged.identity)
        for name, known in run.view.services.items():
            if known.running and known.identity is not None:
                left[name].add(known.identity)
        known_links = run.view.links
        if known_links is not None and is_alive(known_links.identity):
            left[PROXY].add(known_links.identity)
        levels = [*reversed(run.view.system.start_levels()), (PROXY,)]
        return [{name: left[name] for name in level if name in left} for level in levels]

    async def _stop_level(self, run: Run[RunState], level: dict[str, set[Identity]], problems: list[str]) -> dict[str, Stopped]:
        """Stop the services of a level at once; those that are down."""
        await run.hold()
        async with asyncio.TaskGroup() as tasks:
            stops = {name: tasks.create_task(self._stop(run, name, those, problems)) for name, those in level.items()}
        return {name: stopped for name, stop in stops.items() if (stopped := stop.result()) is not None}

    async def _stop(self, run: Run[RunState], name: str, those: set[Identity], problems: list[str]) -> Stopped | None:
        service, result = run.view.system.spec.services.get(name), None
        try:
            for identity in those:
                stopped = await (self._links.close(identity) if service is None else self._processes.stop(identity, service))
                result = stopped if result is None or stopped.took > result.took else result
        except TargetError as error:
            problems.append(f"{name} could not be stopped: {error}")
            return None
        _log.info("service.stopped", run=run.id, service=name, processes=len(those))
        return result


def address_of(health: Health) -> str:
    """Where a health check asks."""
    if health.http is not None:
        return health.http.url
    if health.grpc is not None:
        return health.grpc.address
    if health.tcp is not None:
        return health.tcp.address
    return " ".join(health.command.argv) if health.command is not None else "nothing"


def _answered(view: RunState, request: str) -> bool:
    known = view.requests.get(request)
    return known is None or known.outcome is not None

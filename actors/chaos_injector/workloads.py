"""The workloads of a run: started when the services are up, watched, and stopped before them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import timedelta
from pathlib import Path

from actors.chaos_injector.links import environment_of
from actors.chaos_injector.processes import Processes
from bus.actor import Decision, Run
from messages import system as documents
from messages.fault_events import WorkloadDied, WorkloadStarted, WorkloadStopped
from messages.identity import Identity
from messages.system import Workload
from runs.state import RunState
from targets.errors import SecretMissing, TargetError
from targets.find import Tagged, tags_of
from targets.identity import boot_id, is_alive
from targets.process import Stopped, log_of

LOOK = timedelta(milliseconds=200)
"""How often it is asked whether a workload is still wanted."""
UNBUFFERED = {"PYTHONUNBUFFERED": "1"}
"""So that what a workload in Python says is there when it says it."""


class Workloads:
    """Owns the traffic that a System describes."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        """Standard output goes to files in `folder`, one a workload and run."""
        self._processes = processes
        self._folder = folder

    def without_secrets(self, run: Run[RunState]) -> list[str]:
        """Which secrets are missing, in words."""
        told = []
        for name, workload in run.view.system.spec.workloads.items():
            try:
                self._processes.resolved(workload.env)
            except SecretMissing as missing:
                told += [f"{name} needs the secret {secret}" for secret in missing.names]
        return told

    async def start(self, run: Run[RunState], tagged: Mapping[str, Identity]) -> AsyncIterator[Decision]:
        """Start each, unless an injector of this run has done so before.

        Raises:
            TargetError: one of them could not be started.
        """
        for name, workload in run.view.system.spec.workloads.items():
            known = run.view.workloads.get(name)
            if known is not None and (known.died is not None or is_alive(known.identity)):
                continue
            found = tagged.get(name)
            number, output = known.starts + 1 if known is not None else 1, self._output(run.id, name)
            await run.hold()
            identity = found if found is not None and is_alive(found) else await self._spawn(run, name, workload, output)
            errors = self._processes.output(run.id, name)
            started = WorkloadStarted(workload=name, number=number, identity=identity, output=str(output), errors=errors)
            with self._processes.vouched(run, started):
                yield started

    async def watch(self, event: WorkloadStarted, run: Run[RunState]) -> AsyncIterator[WorkloadDied]:
        """Say when it ends before it is told to."""
        if event.identity.boot != boot_id():
            return
        while not _told_to_end(run, event.workload):
            if await self._processes.driver.gone(event.identity, LOOK):
                if not _told_to_end(run, event.workload):
                    yield self._died(run, event.workload, event.number, event.identity)
                return

    async def stop(self, run: Run[RunState], found: Iterable[Tagged], problems: list[str]) -> AsyncIterator[Decision]:
        """Stop all of this run at once; what is found beside those of the journal too."""
        specs, left = run.view.system.spec.workloads, defaultdict[str, set[Identity]](set)
        for tagged in found:
            if tagged.service in specs:
                left[tagged.service].add(tagged.identity)
        running = {name: known for name, known in run.view.workloads.items() if known.running}
        ended = {name for name, known in running.items() if not is_alive(known.identity)}
        for name, known in run.view.workloads.items():
            left[name].add(known.identity)
        await run.hold()
        async with asyncio.TaskGroup() as tasks:
            stops = {name: tasks.create_task(self._stop(name, those, specs[name], problems)) for name, those in left.items()}
        for name, known in running.items():
            if name in ended:
                yield self._died(run, name, known.starts, known.identity)
            elif (stopped := stops[name].result()) is not None:
                yield WorkloadStopped(workload=name, number=known.starts, killed=stopped.killed)

    async def _spawn(self, run: Run[RunState], name: str, workload: Workload, output: Path) -> Identity:
        env = environment_of(run.view.system, run.view.links, name, self._processes.resolved(workload.env))
        spec = documents.ProcessDriver(command=workload.command, directory=workload.directory)
        return await self._processes.driver.start(
            name, spec, {**UNBUFFERED, "NATS_URL": self._processes.nats_url, **env}, tags_of(run.id, name), output=output
        )

    async def _stop(self, name: str, those: Iterable[Identity], workload: Workload, problems: list[str]) -> Stopped | None:
        result = None
        try:
            for identity in those:
                stopped = await self._processes.driver.stop(identity, signal=workload.stop_signal, grace=workload.stop_grace)
                result = stopped if result is None or stopped.killed else result
        except TargetError as error:
            problems.append(f"{name} could not be stopped: {error}")
            return None
        return result

    def _died(self, run: Run[RunState], name: str, number: int, identity: Identity) -> WorkloadDied:
        words = self._processes.words(run, name) or self._processes.tail(run, self._output(run.id, name))
        return WorkloadDied(workload=name, number=number, code=self._processes.driver.exit_code(identity), message=words)

    def _output(self, run: str, name: str) -> Path:
        return log_of(self._folder, run, name).with_suffix(".out")


def _told_to_end(run: Run[RunState], name: str) -> bool:
    known = run.view.workloads.get(name)
    return "release" in run.view.requests or run.view.finished is not None or (known is not None and not known.running)

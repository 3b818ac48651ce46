"""The reporter at work: renders the report of a finished run and puts it into the object store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext, suppress

from actors.reporter.archiving import Archiving
from actors.reporter.rendering import FORMATS, STORED, render
from bus.actor import Actor, Run, Subscription, on
from bus.objects import ObjectStore
from messages.audit_events import AuditFed
from messages.judgements import Artefact, ReportPublished
from messages.run_events import RunFinished
from runs.report import Report, ReportFold

PATIENCE = 6.0
"""Seconds for which a report waits for an audit correlator to have been told of the run's end: a bit more than telling it may take."""


class Reporter(Actor[ReportFold]):
    """Publishes the report of every finished run, once. Holds no state: a report is a function of the journal."""

    name = "reporter"
    emits = (ReportPublished,)

    def __init__(self, store: ObjectStore, archiving: Archiving | None = None, *, correlated: bool = False) -> None:
        """`correlated`: an audit correlator is told of runs, also where the journal does not show it yet."""
        self._store = store
        self._correlated = correlated
        self._archiving = archiving
        self._turn = asyncio.Lock()
        """One report is rendered at a time: several threads at it would hold up the loop, and finish no sooner."""
        self._told: dict[str, asyncio.Event] = {}
        """Runs of which an audit correlator is told; set when it was told of the end."""

    def fold(self, run: str) -> ReportFold:
        return ReportFold(run)

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        return self._archiving.working() if self._archiving is not None else nullcontext()

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (on(RunFinished, self.publish), on(AuditFed, self.hear, lane="entity"))

    def closed(self, run: str, _view: ReportFold) -> None:
        self._told.pop(run, None)

    def hear(self, _event: AuditFed, run: Run[ReportFold]) -> tuple[()]:
        """Note when an audit correlator was told of all."""
        if run.view.published is None:
            told = self._told.setdefault(run.id, asyncio.Event())
            if run.view.announced.ended:
                told.set()
        return ()

    async def publish(self, _event: RunFinished, run: Run[ReportFold]) -> AsyncIterator[ReportPublished]:
        """Render and store the formats that are kept; two reporters of one run store the same bytes, and one of them says so."""
        if run.view.published is not None:
            return
        if (self._correlated or run.view.announced.fed) and not run.view.announced.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._told.setdefault(run.id, asyncio.Event()).wait()
        async with self._turn:
            rendered = await asyncio.to_thread(_render_all, run.view.report())
        async with asyncio.TaskGroup() as tasks:
            stores = {name: tasks.create_task(self._store.put(f"{run.id}/{FORMATS[name]}", data)) for name, data in rendered.items()}
        told = {name: store.result() for name, store in stores.items()}
        yield ReportPublished(
            artefacts=tuple(Artefact(format=name, name=it.name, size=it.size, sha256=it.sha256) for name, it in told.items())
        )


def _render_all(report: Report) -> dict[str, bytes]:
    return {name: render(report, name) for name in STORED}

"""Keeping actors at work: one reader feeds them all, and who crashes comes back with a reader of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from bus.actor import Actor
from bus.cancelling import end, leave_if_cancelled
from bus.feeding import Fed, Reading
from bus.handling import Metrics
from bus.journal import Journal
from bus.runtime import ActorRuntime
from bus.share import Place

_log = structlog.get_logger("deploy.supervision")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
CALM = 60.0
"""Seconds without a crash after which the pauses begin small again."""


@dataclass
class Ward:
    """Something that is kept at work, and how it is."""

    name: str
    state: str = "starting"
    """starting, ready or restarting."""
    crashes: int = 0
    error: str = ""
    pause: float = FIRST_PAUSE
    up_since: float = 0.0
    up: asyncio.Event = field(default_factory=asyncio.Event)

    def is_up(self) -> None:
        """It works."""
        self.state, self.error, self.up_since = "ready", "", asyncio.get_running_loop().time()
        self.up.set()

    def crashed(self, error: BaseException) -> float:
        """It does not any more; the seconds to wait before the next attempt."""
        if self.state == "ready" and asyncio.get_running_loop().time() - self.up_since > CALM:
            self.pause = FIRST_PAUSE
        self.up.clear()
        pause, self.pause = self.pause, min(self.pause * 2, LONGEST_PAUSE)
        self.state, self.crashes, self.error = "restarting", self.crashes + 1, _told(error)
        _log.error("actor.crashed", actor=self.name, error=self.error, crashes=self.crashes, again_in=pause, exc_info=error)
        return pause

    def __str__(self) -> str:
        return f"{self.state}: {self.error}" if self.error else self.state


class Supervisor:
    """Keeps the actors of one host at work until it is cancelled. Nobody's crash harms another."""

    def __init__(
        self,
        journal: Journal,
        metrics: Metrics,
        actors: Mapping[str, Callable[[], Actor[Any]]],
        audience: Sequence[Fed] = (),
        *,
        places: Mapping[str, Place] | None = None,
    ) -> None:
        """The `audience` reads along, but does no work. Actors without a place own everything."""
        self._journal = journal
        self._places = places or {}
        self._audience = tuple(audience)
        self._metrics = metrics
        self._makers = actors
        self.wards = {name: Ward(name) for name in actors}

    async def run(self) -> None:
        """Keep them at work."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep(list(self.wards.values()), tasks))

    async def _keep(self, crew: list[Ward], tasks: asyncio.TaskGroup) -> None:
        """One reader for the crew. When the reader fails all begin anew; who crashes leaves the crew."""
        while crew:
            try:
                await self._work(crew, tasks)
            except Exception as error:  # noqa: BLE001 - the border of supervision: whatever ends a reader, its actors come back
                await asyncio.sleep(max((ward.crashed(error) for ward in crew), default=0.0))

    async def _work(self, crew: list[Ward], outer: asyncio.TaskGroup) -> None:
        runtimes = {ward.name: self._runtime(ward.name) for ward in crew}
        reading = Reading(self._journal, runtimes.values(), self._audience)
        opened = {ward.name: asyncio.Event() for ward in crew}
        async with asyncio.TaskGroup() as tasks:
            attending = [
                tasks.create_task(self._attend(ward, runtimes[ward.name], opened[ward.name], reading, crew, outer)) for ward in tuple(crew)
            ]
            for event in opened.values():
                await event.wait()
            reader = tasks.create_task(reading.run())
            await asyncio.wait(attending)
            await end([reader])

    def _runtime(self, actor: str) -> ActorRuntime:
        return ActorRuntime(self._makers[actor](), self._journal, self._metrics, self._places.get(actor))

    async def _attend(
        self, ward: Ward, runtime: ActorRuntime, opened: asyncio.Event, reading: Reading, crew: list[Ward], outer: asyncio.TaskGroup
    ) -> None:
        try:
            async with runtime.working():
                leave_if_cancelled()
                opened.set()
                await reading.caught_up.wait()
                ward.is_up()
                _log.info("actor.ready", actor=ward.name)
                await asyncio.Event().wait()
        except Exception as error:  # noqa: BLE001 - the border of supervision: whatever ends an actor, it comes back
            crew.remove(ward)
            reading.leave(runtime)
            outer.create_task(self._return(ward, ward.crashed(error), outer))
        finally:
            opened.set()

    async def _return(self, ward: Ward, pause: float, tasks: asyncio.TaskGroup) -> None:
        await asyncio.sleep(pause)
        await self._keep([ward], tasks)


async def persist(ward: Ward, work: Callable[[Ward], Awaitable[None]]) -> None:
    """Do the work, which says itself when it is up, again and again until cancelled, with growing pauses after failures."""
    while True:
        try:
            await work(ward)
        except Exception as error:  # noqa: BLE001 - the border of supervision
            await asyncio.sleep(ward.crashed(error))
        else:
            return


def _told(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

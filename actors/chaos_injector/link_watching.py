"""Seeing that the proxy of a run's links ends before it is told to: from then on nothing that is seen of the system is its own doing."""

from collections.abc import AsyncIterator
from datetime import timedelta

from actors.chaos_injector.links import PROXY
from actors.chaos_injector.processes import Processes
from bus.actor import Run
from messages.link_events import LinksLost, LinksOpened
from runs.state import RunState
from targets.identity import boot_id, is_alive

LOOK = timedelta(milliseconds=200)
"""How often it is asked whether the links are still wanted."""


class LinkWatching:
    """Watches the proxies of runs."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def watch(self, event: LinksOpened, run: Run[RunState]) -> AsyncIterator[LinksLost]:
        """Say when the proxy ends before it is told to."""
        if event.identity.boot != boot_id():
            return
        while not _told_to_end(run) and not _is_known(run, event):
            if await self._processes.driver.gone(event.identity, LOOK):
                if not _told_to_end(run):
                    yield self._lost(run, event)
                return

    def lost(self, run: Run[RunState]) -> LinksLost | None:
        """The same for who is about to stop the services, and after them the proxy; None if it lives or its end is known."""
        opened = run.view.links
        if opened is None or _is_known(run, opened) or opened.identity.boot != boot_id() or is_alive(opened.identity):
            return None
        # Where services have been stopped, an injector that died over it may have stopped the proxy too.
        return self._lost(run, opened) if all(service.running for service in run.view.services.values()) else None

    def _lost(self, run: Run[RunState], opened: LinksOpened) -> LinksLost:
        code = self._processes.driver.exit_code(opened.identity)
        return LinksLost(number=opened.number, code=code, message=self._processes.words(run, PROXY))


def _told_to_end(run: Run[RunState]) -> bool:
    return "release" in run.view.requests or run.view.finished is not None


def _is_known(run: Run[RunState], opened: LinksOpened) -> bool:
    lost = run.view.links_lost
    return lost is not None and lost.event.number >= opened.number

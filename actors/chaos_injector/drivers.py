"""What every means of disturbing a target has in common."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog

from bus.actor import Run
from messages.fault_events import FaultArmed
from messages.identity import Identity
from messages.link_events import LinksOpened
from messages.run_events import ActionRequested
from messages.scenario import Action
from messages.system import Service, System
from messages.undo import AnyUndo
from runs.faults import ActionState
from runs.state import RunState
from targets.errors import NotThere, TargetError, Unsupported
from targets.wording import shortened

_log = structlog.get_logger()
UNDO_WITHIN = timedelta(seconds=5)
"""How long one attempt to undo may take: five of them and their pauses fit into the 30 s that a run gives to all undos."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an action of a run works on: a service, a link, a volume, or the two sides of a partition."""

    run: str
    request: ActionRequested
    system: System
    links: LinksOpened | None
    """The proxy of the run's links, if it was started."""
    current: Callable[[str], Identity | None]
    """The live process that a service is now."""
    others: Callable[[], tuple[FaultArmed, ...]] = tuple
    """The other faults of the run that are active."""
    undone: Callable[[], tuple[FaultArmed, ...]] = tuple
    """The other faults of the run that were undone and not yet seen to be gone."""

    @property
    def name(self) -> str:
        """The service, link or volume; a partition goes by its action's id."""
        return self.request.target

    @property
    def fault(self) -> str:
        """The fault's id, or that of an action that is none."""
        return self.request.fault_id

    @property
    def action(self) -> Action:
        """What is asked for."""
        return self.request.action

    @property
    def service(self) -> Service:
        """The service, if it is one."""
        return self.system.spec.services[self.name]

    def process(self) -> Identity:
        """The live process of the service.

        Raises:
            NoProcess: it has none.
        """
        found = self.current(self.name)
        if found is None:
            raise NoProcess(self.name)
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """How a fault is undone, known before the target is touched."""

    undo: AnyUndo
    before: Identity | None = None
    """The target as it is, if it is a process."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an undo, or of an action that is no fault."""

    process: Identity | None = None
    """The target as it is now, if it is known."""
    started: bool = False
    """That process is a new one, started for this."""
    found: bool = False
    """Nothing was left to do."""
    message: str = ""
    lost: str = ""
    """Why the fault had ended before it was told to, so that nothing shows how long it was there."""


class Driver(ABC):
    """Disturbs targets by one means. An injection is tried once per fault, the undo until it succeeds."""

    @abstractmethod
    async def plan(self, target: Target) -> Plan:
        """How the fault will be undone, whoever does it. Touches nothing.

        Raises:
            TargetError: the target is not there, or it cannot be done here; the message says what would help.
        """

    @abstractmethod
    async def inject(self, target: Target, plan: Plan) -> str:
        """Disturb the target; returns when that is confirmed, with a remark if there is one. What another process began is completed.

        Raises:
            TargetError: it did not work; the target may have been touched.
        """

    @abstractmethod
    async def was_injected(self, target: Target, plan: Plan) -> bool:
        """Whether the fault is in place, or has happened, though nobody said so: who armed it has died. Touches nothing.

        False means that `inject` is safe: it completes what was begun. Where that cannot be known and injecting twice is not the same as
        once, it is True: of what never happened no effect is seen. Takes some 200 ms at most (a chaos API: a second), and says what it
        knows by then.
        """

    async def hasten(self, target: Target, plan: Plan) -> None:  # noqa: B027 - most need nothing
        """End an injection that takes too long, by force. Nothing to do for one that has a deadline of its own."""

    @abstractmethod
    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        """Undo the fault; safe to repeat, and for a target that was never touched.

        Raises:
            TargetError: it did not work; a retry may help.
        """

    def undo_takes(self, target: Target) -> timedelta:
        """How long one attempt to undo may well take."""
        del target
        return timedelta()

    async def act(self, target: Target) -> Done:
        """Do what is no fault.

        Raises:
            TargetError: it did not work.
        """
        raise Unsupported(f"{target.action.action} is a fault, and can only be injected")

    async def renew(self, undo: AnyUndo, target: Target) -> bool:
        """The lease of a fault was renewed: what ends by itself without that is told. False if it has ended already, for sure.

        Raises:
            TargetError: nobody knows.
        """
        del undo, target
        return True

    @abstractmethod
    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        """What was seen of the fault by other means than those that made it; None if nothing was in this time."""

    @abstractmethod
    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        """Whether the target was seen to be as before, in this time."""

    def forget(self, run: str) -> None:  # noqa: B027 - likewise
        """The run is over."""


class NoProcess(NotThere):
    """The service has no process that could be reached."""

    def __init__(self, service: str) -> None:
        Exception.__init__(self, f"{service} is not running")


class UndoTooLate(TargetError):
    """An attempt to undo took too long and was ended; the next one may be quicker."""

    def __init__(self, within: timedelta) -> None:
        super().__init__(f"not undone within {within.total_seconds():g} s")


class Unforeseen(TargetError):
    """A driver failed in a way that it does not know."""

    def __init__(self, error: Exception) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        super().__init__(shortened(f"{type(error).__name__}: {error}", 300))


@contextmanager
def foreseen() -> Iterator[None]:
    """The border around a driver: whatever it raises is a TargetError, so that each fault has an outcome, and an undo if it was armed."""
    try:
        yield
    except TargetError:
        raise
    except Exception as error:  # a border: what is not foreseen must not keep a fault from its undo
        _log.exception("driver.failed")
        raise Unforeseen(error) from error


async def undo_once(driver: Driver, undo: AnyUndo, target: Target, within: timedelta = UNDO_WITHIN) -> Done:
    """One attempt to undo, with a deadline of its own, or that of the driver if it needs longer.

    Raises:
        TargetError: it did not work, or not in time; a retry may help.
    """
    with foreseen():
        bound = max(within, driver.undo_takes(target))
    try:
        async with asyncio.timeout(bound.total_seconds()):
            with foreseen():
                return await driver.undo(undo, target)
    except TimeoutError as error:
        raise UndoTooLate(bound) from error


def plan_of(armed: FaultArmed) -> Plan:
    """The plan that a fault was armed with."""
    return Plan(armed.undo, armed.before)


def target_of(run: Run[RunState], request: ActionRequested, current: Callable[[str], Identity | None]) -> Target:
    """The target of a request in a run."""
    view = run.view

    def armed(wanted: Callable[[ActionState], bool]) -> tuple[FaultArmed, ...]:
        faults = view.actions.faults().items()
        return tuple(state.armed for name, state in faults if name != request.fault_id and state.armed is not None and wanted(state))

    return Target(
        run.id,
        request,
        view.system,
        view.links,
        current,
        others=lambda: armed(lambda state: state.active),
        undone=lambda: armed(lambda state: state.reverted is not None and state.gone is None),
    )

"""What everybody but the scheduler may say next, as far as each of them has got: rightly, wrongly, late, or not at all."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from messages.events import RunEvent, evidence_id
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionRefused,
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
    FaultUnseen,
    ServiceStarted,
    ServiceStopped,
    WorkloadDied,
    WorkloadStarted,
)
from messages.identity import Identity
from messages.judgements import AssertionJudged
from messages.link_events import LinksLost, LinksOpened
from messages.observations import ServiceDown, ServiceUp
from messages.undo import Undo
from messages.verdicts import Reason, Verdict
from runs.faults import ActionState
from runs.state import RunState
from runs.windows import window_of
from tests.scheduler_model.journal import BEGIN, Journal

INJECTOR, VALIDATOR, OBSERVER = "chaos-injector", "validator", "observer"
SOON = timedelta(milliseconds=1)
ME = Identity(pid=1, started=1, boot="b")
Move = tuple[str, tuple[RunEvent, ...]]
"""Who says something, and what, at once."""


def moves(journal: Journal) -> list[Move]:
    """Everything that somebody might say now and has not said."""
    state = journal.state
    if state.started is None:
        return []
    found = [*_services(state, journal), *_observed(state), *_judgements(state)]
    for action in state.actions.states.values():
        found += _fault(action, journal) if action.request.action.spec.fault else _deed(action)
    return [(actor, events) for actor, events in found if evidence_id(actor, events[0]) not in journal.stored]


def good_moves(journal: Journal) -> list[Move]:
    """What is said when all goes well, each actor as far as it has got, except for what nobody says in this run."""
    return [move for move in moves(journal) if move[1][0].type_name() not in journal.unsaid and _is_good(move, journal)]


def _is_good(move: Move, journal: Journal) -> bool:  # noqa: PLR0911 - a table of what each event asks for
    state = journal.state
    match move[1][0]:
        case ActionDone() as done if done.action_id == "services":
            return set(state.services) >= {name for level in state.system.start_levels() for name in level}
        case FaultReverted() as reverted if len(move[1]) == 1:
            action = state.actions.states[reverted.fault_id]
            itself = action.request.action.spec.ends_itself and action.effective is not None
            return (action.undo_requested is not None or itself) and reverted.by == ("itself" if itself else "request")
        case FaultArmed() | FaultInjected() | FaultEffective() | FaultGone() as moment:
            action = state.actions.states[moment.fault_id]
            return action.undo_requested is None or action.armed is not None
        case ServiceStarted() | ServiceUp() | WorkloadStarted() | LinksOpened() | ActionDone():
            return True
        case AssertionJudged() as judged:
            known = state.assertions[judged.assertion]
            closes = window_of(state, known.claim, known.phase, known.mode).closes
            over = known.mode in {"settle", "recover"} or (closes is not None and closes <= journal.now)
            return judged.verdict is Verdict.PASSED and over
        case ActionRefused() as refused if refused.reason is Reason.CANCELLED:
            return state.actions.states[refused.action_id].undo_requested is not None
    return False


def _services(state: RunState, journal: Journal) -> Iterator[Move]:
    if "services" in state.requests and "release" not in state.requests:
        yield from _starting(state)
    if "services" in state.requests and not _answered("services", journal):
        yield INJECTOR, (ActionDone(action_id="services"),)
        yield INJECTOR, (ActionFailed(action_id="services", reason=Reason.PRECONDITION, message="m"),)
        yield INJECTOR, (ActionRefused(action_id="services", reason=Reason.UNSUPPORTED_HERE, message="m"),)
    if "release" in state.requests:
        for name in state.services:
            yield INJECTOR, (ServiceStopped(service=name, number=1, killed=False, took=SOON),)
        if not _answered("release", journal):
            yield INJECTOR, (ActionDone(action_id="release"),)
            yield INJECTOR, (ActionFailed(action_id="release", reason=Reason.REVERT_FAILED, message="m"),)


def _starting(state: RunState) -> Iterator[Move]:
    if state.system.spec.links:
        yield INJECTOR, (LinksOpened(identity=ME, control="127.0.0.1:1", addresses={"wire": "127.0.0.1:2"}),)
    for name in (name for level in state.system.start_levels() for name in level):
        yield INJECTOR, (ServiceStarted(service=name, number=1, identity=ME),)
    for name in state.system.spec.workloads:
        yield INJECTOR, (WorkloadStarted(workload=name, number=1, identity=ME, output="o"),)
    for name in state.workloads:
        yield INJECTOR, (WorkloadDied(workload=name, number=1, code=1, message="m"),)
    if state.links is not None:
        yield INJECTOR, (LinksLost(number=1, code=1, message="m"),)


def _observed(state: RunState) -> Iterator[Move]:
    for name in state.system.monitored():
        yield OBSERVER, (ServiceUp(service=name, number=1, ago=SOON, error_bound=SOON),)
        down = ServiceDown(service=name, number=2, ago=SOON, error_bound=SOON, took=SOON, check="tcp", error="e")
        yield OBSERVER, (down,)


def _judgements(state: RunState) -> Iterator[Move]:
    for name in state.assertions:
        for verdict, reason in ((Verdict.PASSED, None), (Verdict.FAILED, Reason.CLAIM_FAILED), (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)):
            yield VALIDATOR, (AssertionJudged(assertion=name, verdict=verdict, reason=reason, message="m", evidence=("e",)),)


def _deed(action: ActionState) -> Iterator[Move]:
    name = action.request.fault_id
    if action.outcome in {None, "expired"}:
        yield INJECTOR, (ActionDone(action_id=name),)
        yield INJECTOR, (ActionFailed(action_id=name, reason=Reason.NO_TARGET, message="m"),)


def _fault(action: ActionState, journal: Journal) -> Iterator[Move]:
    name, request = action.request.fault_id, action.request
    if action.armed is None:
        if not _answered(name, journal):
            undo = Undo(kind="process.start", service=request.target)
            yield INJECTOR, (FaultArmed(fault_id=name, target=request.target, action=request.action.action, until=BEGIN, undo=undo),)
            for reason in (Reason.CANCELLED, Reason.REFUSED_LIMIT):
                yield INJECTOR, (ActionRefused(action_id=name, reason=reason, message="m"),)
        return
    if action.reverted is None:
        yield from _undone(action)
        if f"{INJECTOR}.{name}.fault.revert_failed.0" not in journal.stored:
            yield INJECTOR, (FaultRevertFailed(fault_id=name, message="m", attempts=5),)
    if action.injected is None and action.reverted is None and action.outcome is None and action.revert_failed is None:
        yield INJECTOR, (FaultInjected(fault_id=name, took=SOON, ago=SOON),)
    if action.injected is not None and action.effective is None and not action.unseen:
        yield INJECTOR, (FaultEffective(fault_id=name, how="h", ago=SOON),)
        yield INJECTOR, (FaultUnseen(fault_id=name, within=timedelta(seconds=5)),)
    if action.injected is not None and action.reverted is not None:
        yield INJECTOR, (FaultGone(fault_id=name, restored_by="undo", ago=SOON),)


def _undone(action: ActionState) -> Iterator[Move]:
    name = action.request.fault_id
    if action.undo_requested is not None:
        yield INJECTOR, (FaultReverted(fault_id=name, took=SOON, ago=SOON, by="request"),)
    yield INJECTOR, (FaultReverted(fault_id=name, took=SOON, ago=SOON, by="lease"),)
    if action.request.action.spec.ends_itself or action.outcome is not None:
        yield INJECTOR, (FaultReverted(fault_id=name, took=SOON, ago=SOON, by="itself"),)
    if action.outcome is None:
        lost = ActionFailed(action_id=name, reason=Reason.NO_EFFECT, message="m")
        yield INJECTOR, (FaultReverted(fault_id=name, took=SOON, ago=SOON, by="itself"), lost)


def _answered(name: str, journal: Journal) -> bool:
    """Whether the injector has said what came of it."""
    return any(f"{INJECTOR}.{name}.action.{word}.0" in journal.stored for word in ("done", "refused", "failed"))


def failing(name: str) -> Move:
    """The claim fails."""
    return VALIDATOR, (AssertionJudged(assertion=name, verdict=Verdict.FAILED, reason=Reason.CLAIM_FAILED, message="m", evidence=("e",)),)


def say(journal: Journal, move: Move) -> None:
    """Store a move, as far as it is news."""
    for event in move[1]:
        journal.tell(move[0], event)


def goes_well(journal: Journal, most: int, choose: Callable[[list[Move]], Move]) -> bool:
    """Let those who have something good to say do so, in an order that somebody chooses; whether there was anything."""
    said = False
    for _ in range(most):
        if found := good_moves(journal):
            say(journal, choose(found))
            said = True
    return said

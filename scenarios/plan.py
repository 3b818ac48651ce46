"""What a run would do, told before it is done: when, to what, how it ends, what is claimed, and how far it reaches."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from pydantic import JsonValue

from messages.claims import Claim, summary_of
from messages.needs import candidates, disturbed
from messages.scenario import Action, Gate, Phase, Scenario
from messages.system import System
from messages.targets import Selection, picked
from messages.values import Duration, Message, Token, format_duration
from scenarios.loader import Resolved
from scenarios.plan_words import NOTHING, end_of, lease_of, needs_of, start_of, target_of, undo_of, window_of
from scenarios.timing import least_span

ZERO = timedelta()


class PlannedAction(Message):
    """An action, in words."""

    id: Token
    action: str
    summary: str
    fault: bool
    offset: Duration | None
    """From the start of the first phase, at the earliest; None in `finally`."""
    starts: str
    target: str
    """What it works on, or how that will be chosen."""
    parameters: dict[str, JsonValue]
    ends: str
    """When it is undone; empty for what is no fault."""
    undo: str
    """What undoes it; empty for what is no fault."""
    lease: str
    needs: str
    """What must be there, and which rights."""


class PlannedClaim(Message):
    """A claim, in words."""

    id: Token
    type: str
    claims: str
    window: str
    on_fail: str


class PlannedPhase(Message):
    """A phase, in words."""

    name: Token
    description: str
    offset: Duration
    """From the start of the first phase, at the earliest."""
    duration: Duration | None
    """None: until its last action is over."""
    drawn: str
    """With what its random plan was drawn; empty if it has none."""
    gate: Gate | None
    """What is asked before it starts. The time until the answer is in no offset."""
    actions: tuple[PlannedAction, ...]
    claims: tuple[PlannedClaim, ...]


class Reach(Message):
    """How much of the system is disturbed."""

    services: tuple[Token, ...]
    """Those that may be."""
    disturbed: int
    """How many at most; fewer than may be, where some of several are picked."""
    total: int

    def __str__(self) -> str:
        return f"{self.disturbed} of {self.total} services"


class Plan(Message):
    """A run, before it is done."""

    scenario: Token
    description: str
    system: Token
    settle: Duration
    """The bound in which the steady state must hold first."""
    recover: Duration
    """The bound in which it must hold again at the end."""
    timeout: Duration
    least: Duration
    """The phases take at least so long."""
    seed: int | None
    """With what random plans were drawn that name no seed: each run draws its own."""
    steady: tuple[PlannedClaim, ...]
    phases: tuple[PlannedPhase, ...]
    finally_: tuple[PlannedAction, ...]
    claims: tuple[PlannedClaim, ...]
    """Those over the whole run."""
    reach: Reach
    needs: tuple[str, ...]


def plan_of(resolved: Resolved) -> Plan:
    """What a run of this scenario on this system would do."""
    scenario, system = resolved.scenario, resolved.system
    targets = {fault: target for fault, (target, _, _) in scenario.faults().items()}
    phases, offset = [], ZERO
    for phase in scenario.spec.phases:
        planned = _phase(system, phase, offset, targets)
        phases.append(planned)
        offset += _length(phase)
    actions = [action for planned in phases for action in planned.actions]
    last = tuple(_action(system, action, None, scenario.spec.finally_) for action in scenario.spec.finally_)
    return Plan(
        scenario=scenario.name,
        description=scenario.metadata.description,
        system=system.name,
        settle=system.spec.steady_state.settle,
        recover=system.spec.steady_state.recover,
        timeout=scenario.timeout,
        least=offset,
        seed=resolved.seed,
        steady=tuple(_claim(claim, "settle, the phases and recover", targets) for claim in system.steady_claims()),
        phases=tuple(phases),
        finally_=last,
        claims=tuple(_claim(claim, "the whole run", targets) for claim in scenario.spec.assertions),
        reach=reach_of(scenario, system),
        needs=tuple(dict.fromkeys(action.needs for action in (*actions, *last) if action.needs and not action.needs.startswith(NOTHING))),
    )


def reach_of(scenario: Scenario, system: System) -> Reach:
    """Which services the faults of a scenario disturb."""
    found: dict[str, None] = {}
    picks: list[tuple[frozenset[str], int]] = []
    for _, action, _ in scenario.faults().values():
        services = dict.fromkeys(_disturbed(system, action))
        if action.is_live and isinstance(action.target, Selection):
            among = len(candidates(system, action))
            count = picked(action.target.pick, among)
            picks.append((frozenset(services), count if len(services) == among else len(services)))
        else:
            found.update(services)
    certain = set(found)
    most = len(certain) + sum(min(count, len(names - certain)) for names, count in dict.fromkeys(picks))
    may = tuple(name for name in system.spec.services if name in certain or any(name in names for names, _ in picks))
    return Reach(services=may, disturbed=min(most, len(may)), total=len(system.spec.services))


def _disturbed(system: System, action: Action) -> Iterator[str]:
    """The services that an action disturbs on any of its targets."""
    for target in candidates(system, action):
        yield from disturbed(system, action, target)


def _length(phase: Phase) -> timedelta:
    """The least that a phase takes."""
    return phase.duration if phase.duration is not None else max(_ends(phase.actions).values(), default=ZERO)


def _starts(actions: tuple[Action, ...]) -> dict[str, timedelta]:
    """The earliest start of each action, from its phase's start."""
    known = {action.id: action for action in actions}
    found: dict[str, timedelta] = {}
    for action in actions:
        start, current = action.delay, action
        while current.after is not None and current.after in known:
            current = known[current.after]
            start += current.delay + least_span(current)
        found[action.id] = start
    return found


def _ends(actions: tuple[Action, ...]) -> dict[str, timedelta]:
    starts = _starts(actions)
    return {action.id: starts[action.id] + least_span(action) for action in actions}


def _phase(system: System, phase: Phase, offset: timedelta, targets: Mapping[str, str]) -> PlannedPhase:
    random = phase.random
    return PlannedPhase(
        name=phase.name,
        description=phase.description,
        offset=offset,
        duration=phase.duration,
        drawn=f"drawn with seed {random.seed}, every {format_duration(random.every)}" if random is not None else "",
        gate=phase.gate,
        actions=tuple(_action(system, action, offset, phase.actions) for action in _in_order(phase.actions)),
        claims=tuple(_claim(claim, f"phase {phase.name}", targets) for claim in phase.assertions),
    )


def _in_order(actions: tuple[Action, ...]) -> list[Action]:
    starts = _starts(actions)
    return sorted(actions, key=lambda action: starts[action.id])


def _action(system: System, action: Action, offset: timedelta | None, beside: tuple[Action, ...]) -> PlannedAction:
    fault = action.spec.fault
    return PlannedAction(
        id=action.id,
        action=action.action,
        summary=action.spec.summary,
        fault=fault,
        offset=offset + _starts(beside)[action.id] if offset is not None else None,
        starts=start_of(action, "the phase" if offset is not None else "finally"),
        target=target_of(system, action),
        parameters=action.parameters,
        ends=end_of(action) if fault else "",
        undo=undo_of(action) if fault else "",
        lease=lease_of(action),
        needs=needs_of(system, action),
    )


def _claim(claim: Claim, place: str, targets: Mapping[str, str]) -> PlannedClaim:
    return PlannedClaim(
        id=claim.id, type=claim.type, claims=summary_of(claim, targets), window=window_of(claim, place), on_fail=claim.on_fail
    )

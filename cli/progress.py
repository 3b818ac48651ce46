"""What a person wants to know of a run while it runs, as a fold of its journal."""

from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from messages.events import Recorded, RunEvent
from messages.needs import disturbed
from messages.observations import EventCounted, EventMatched, ServiceDown, ServiceUp
from messages.run_events import PhaseStarted
from messages.verdicts import Control, Verdict
from runs.faults import ActionState
from runs.state import AssertionState, RunState

_RATE_WINDOW = timedelta(seconds=3)
_SLIVER = 0.5
"""Seconds, and share of a step, of which a rate says nothing: a count that was cut short would be a false peak."""
REMEMBERED = timedelta(minutes=5)
"""How far back the histories of services and rates go."""
NEWEST = 50
"""How many of the newest events are remembered."""


@dataclass(frozen=True)
class Moment:
    """A step of a fault's life and how long after the request it came."""

    name: str
    after: timedelta


@dataclass(frozen=True)
class Disturbance:
    """A fault that is on, or is undone and not yet gone."""

    id: str
    state: ActionState
    services: tuple[str, ...]
    """Whom it disturbs."""
    since: datetime
    ends: datetime | None
    """When it will be undone; None: it ends by itself, or nobody knows yet."""


class Progress:
    """Grows with every line of one run's journal."""

    def __init__(self, run: str, given: str = "") -> None:
        """`given` is how the user said where the coordinator is, for commands that are named to them."""
        self.given = given
        self.state = RunState(run)
        self.services: dict[str, bool] = {}
        """Whether each service was healthy when it was last looked at."""
        self.events: Counter[str] = Counter()
        """How many service events of each type came."""
        self.newest: deque[Recorded[RunEvent]] = deque(maxlen=NEWEST)
        self.matched: dict[str, EventMatched] = {}
        """What each claim has matched so far."""
        self.bounds: dict[str, timedelta | None] = {}
        """How long each stage may last."""
        self._recent: list[EventCounted] = []
        self._counted: deque[EventCounted] = deque()
        self._transitions: dict[str, list[tuple[datetime, bool]]] = {}

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next line."""
        self.state.apply(recorded)
        self.newest.append(recorded)
        match recorded.event:
            case ServiceUp() | ServiceDown() as event:
                self.services[event.service] = isinstance(event, ServiceUp)
                self._transitions.setdefault(event.service, []).append((recorded.at - event.ago, isinstance(event, ServiceUp)))
            case EventMatched() as event:
                self.matched[event.assertion] = event
            case PhaseStarted() as event:
                self.bounds[event.phase] = event.bound
            case EventCounted() as event:
                self.events.update(event.types)
                self._recent = [seen for seen in self._recent if seen.end > event.end - _RATE_WINDOW] + [event]
                self._counted.append(event)
                while self._counted[0].end < event.end - REMEMBERED:
                    self._counted.popleft()
            case _:
                pass

    def rate(self, kind: str, now: datetime) -> float | None:
        """Events per second lately, of the types that begin with `kind`; None when nothing was counted lately."""
        recent = [seen for seen in self._recent if seen.end > now - 2 * _RATE_WINDOW]
        if not recent:
            return None
        span = (recent[-1].end - recent[0].start).total_seconds()
        count = sum(number for seen in recent for name, number in seen.types.items() if name.startswith(kind))
        return count / span if span > _SLIVER else None

    def rates(self, kind: str, now: datetime, cells: int, step: timedelta) -> list[float | None]:
        """Events per second of one family in each of the last `cells` steps of time, the newest last."""
        counts, lengths = [0] * cells, [0.0] * cells
        for seen in self._counted:
            index = cells - 1 - int((now - seen.end) / step)
            if 0 <= index < cells:
                counts[index] += sum(number for name, number in seen.types.items() if name.startswith(kind))
                lengths[index] += (seen.end - seen.start).total_seconds()
        least = step.total_seconds() * _SLIVER
        return [count / max(length, least) if length else None for count, length in zip(counts, lengths, strict=True)]

    def health(self, service: str, now: datetime, cells: int, step: timedelta) -> list[bool | None]:
        """Whether the service was healthy all through each of the last `cells` steps, the newest last; None before it was seen."""
        transitions = self._transitions.get(service, [])
        found: list[bool | None] = []
        for index in range(cells):
            begin = now - (cells - index) * step
            before = [up for at, up in transitions if at <= begin]
            inside = [up for at, up in transitions if begin < at <= begin + step]
            known = before[-1:] + inside
            found.append(all(known) if known else None)
        return found

    def disturbances(self) -> list[Disturbance]:
        """What is disturbed right now, the oldest first."""
        state, found = self.state, []
        for name, fault in state.actions.faults().items():
            if fault.armed_at is not None and fault.gone is None and (state.finished is None or fault.revert_failed is not None):
                found.append(
                    Disturbance(
                        name, fault, disturbed(state.system, fault.request.action, fault.request.target), fault.armed_at, self._ends(fault)
                    )
                )
        return sorted(found, key=lambda d: d.since)

    def _ends(self, fault: ActionState) -> datetime | None:
        action = fault.request.action
        if action.spec.ends_itself or fault.reverted is not None:
            return None
        if action.for_ is not None:
            return fault.injected + action.for_ if fault.injected is not None else None
        stage, bound = self.state.stages.get(fault.request.phase), self.bounds.get(fault.request.phase)
        return self.state.pauses.later(stage.started, bound) if stage is not None and bound is not None else None

    def left(self, now: datetime) -> tuple[timedelta | None, timedelta]:
        """Time left in the stage that is on (None: it has no bound), and in the phases that are still to come."""
        state = self.state
        if state.accepted is None:
            return None, timedelta()
        coming = sum((p.duration or timedelta() for p in state.scenario.spec.phases if p.name not in state.stages), timedelta())
        stage = state.stage
        bound = self.bounds.get(stage.name) if stage is not None else None
        if stage is None or bound is None:
            return None, coming
        return max(bound - self._ran(stage.started, now), timedelta()), coming

    def _ran(self, since: datetime, now: datetime) -> timedelta:
        """The time since then in which the run did not stand still."""
        still = ((max(start, since), min(end or now, now)) for start, end in self.state.pauses.spans)
        return now - since - sum((end - start for start, end in still if end > start), timedelta())

    def busiest(self) -> str:
        """The family of event types that comes most, as `order.`; the empty text (any) before there is one."""
        families: Counter[str] = Counter()
        for name, number in self.events.items():
            families[name.partition(".")[0] + "."] += number
        return families.most_common(1)[0][0] if families else ""

    def elapsed(self, now: datetime) -> timedelta:
        """Since the run was accepted, to now or its end."""
        begin = self.state.accepted_at or now
        return max((self.state.finished_at or now) - begin, timedelta())

    def stages(self) -> list[tuple[str, str]]:
        """Every stage that was or will be, with what is known: `waiting`, `running`, `still` (paused, or at its gate), `done` or `cut`."""
        state = self.state
        if state.accepted is None:
            return []
        names = ["settle", *(phase.name for phase in state.scenario.spec.phases)]
        names += ["finally"] if state.scenario.spec.finally_ else []
        return [(name, _stage(state, name)) for name in [*names, "recover"]]

    def faults(self) -> dict[str, ActionState]:
        """Everything that was done to a target."""
        return self.state.actions.states

    def claims(self) -> dict[str, AssertionState | None]:
        """The scenario's claims; None for one whose window has not opened. Broken steady states are among them."""
        state = self.state
        if state.accepted is None:
            return {}
        found: dict[str, AssertionState | None] = {name: state.assertions.get(name) for name in state.scenario.claims()}
        steady = {a.id: a for a in state.assertions.values() if a.mode != "claim" and a.verdict not in {None, Verdict.PASSED}}
        return found | steady

    def counts(self) -> dict[str, object]:
        """How many claims, faults and events there were."""
        verdicts = Counter(str(claim.control or claim.verdict or "unjudged") if claim else "not_reached" for claim in self._own_claims())
        faults = self.state.actions.faults().values()
        names = (*map(str, _OWN), "unjudged", "not_reached", *(get_args(Control) if self.state.rehearsal else ()))
        return {
            "assertions": {"total": verdicts.total(), **{name: verdicts[name] for name in names}},
            "faults": {
                "total": len(faults),
                "effective": sum(1 for fault in faults if fault.effective is not None),
                "gone": sum(1 for fault in faults if fault.gone is not None),
                **({"rehearsed": sum(1 for fault in faults if fault.rehearsed is not None)} if self.state.rehearsal else {}),
            },
            "events": self.events.total(),
        }

    def _own_claims(self) -> list[AssertionState | None]:
        state = self.state
        return [state.assertions.get(name) for name in state.scenario.claims()] if state.accepted else []


_OWN = (Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE)


def moments(action: ActionState) -> list[Moment]:
    """The life of a fault so far."""
    instants = {
        "armed": action.armed_at,
        "injected": action.injected,
        "effective": action.effective,
        "reverted": action.reverted,
        "gone": action.gone,
    }
    return [Moment(name, max(at - action.requested, timedelta())) for name, at in instants.items() if at is not None]


def _stage(state: RunState, name: str) -> str:
    stage = state.stages.get(name)
    if stage is None:
        gate = state.standing.gate
        return "still" if gate is not None and gate.asked.phase == name else "waiting"
    if stage.finished is None:
        return "still" if state.standing.paused is not None else "running"
    return "cut" if stage.cut else "done"

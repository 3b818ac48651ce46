"""What a person wants to know of a run while it runs, as a fold of its journal."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from messages.events import Recorded, RunEvent
from messages.observations import EventCounted, ServiceDown, ServiceUp
from messages.verdicts import Verdict
from runs.faults import ActionState
from runs.state import AssertionState, RunState

_RATE_WINDOW = timedelta(seconds=3)


@dataclass(frozen=True)
class Moment:
    """A step of a fault's life and how long after the request it came."""

    name: str
    after: timedelta


class Progress:
    """Grows with every line of one run's journal."""

    def __init__(self, run: str) -> None:
        self.state = RunState(run)
        self.services: dict[str, bool] = {}
        """Whether each service was healthy when it was last looked at."""
        self.events: Counter[str] = Counter()
        """How many service events of each type came."""
        self._recent: list[EventCounted] = []

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in the next line."""
        self.state.apply(recorded)
        match recorded.event:
            case ServiceUp() | ServiceDown() as event:
                self.services[event.service] = isinstance(event, ServiceUp)
            case EventCounted() as event:
                self.events.update(event.types)
                self._recent = [seen for seen in self._recent if seen.end > event.end - _RATE_WINDOW] + [event]

    def rate(self, kind: str, now: datetime) -> float | None:
        """Events per second lately, of the types that begin with `kind`; None when nothing was counted lately."""
        recent = [seen for seen in self._recent if seen.end > now - 2 * _RATE_WINDOW]
        if not recent:
            return None
        span = (recent[-1].end - recent[0].start).total_seconds()
        count = sum(number for seen in recent for name, number in seen.types.items() if name.startswith(kind))
        return count / span if span > 0 else None

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
        """Every stage that was or will be, with what is known: `waiting`, `running`, `done` or `cut`."""
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
        verdicts = Counter(str(claim.verdict or "unjudged") if claim else "not_reached" for claim in self._own_claims())
        faults = self.state.actions.faults().values()
        return {
            "assertions": {"total": verdicts.total(), **{name: verdicts[name] for name in (*map(str, _OWN), "unjudged", "not_reached")}},
            "faults": {
                "total": len(faults),
                "effective": sum(1 for fault in faults if fault.effective is not None),
                "gone": sum(1 for fault in faults if fault.gone is not None),
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
        return "waiting"
    if stage.finished is None:
        return "running"
    return "cut" if stage.cut else "done"

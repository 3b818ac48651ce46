"""The life of each fault and of each action that is no fault, as a fold."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, cast

from messages.claims import FaultHistory
from messages.events import Recorded, RunEvent
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
)
from messages.rehearsal_events import FaultRehearsalEnded, FaultRehearsed
from messages.run_events import ActionExpired, ActionRequested, TargetResolved, UndoRequested
from messages.scenario import Action
from messages.verdicts import Reason

MOMENTARY = timedelta(seconds=1)
"""How long a fault that ends by itself is rehearsed: it would last until its target is back, which nobody can know before."""
ONLY_REHEARSED = "it was only rehearsed"


@dataclass
class ActionState:
    """One action on one target."""

    request: ActionRequested
    requested: datetime
    longest: timedelta | None = None
    """The longest that its system lets a fault last."""
    armed: FaultArmed | None = None
    armed_at: datetime | None = None
    called: datetime | None = None
    """The start of the driver's call; the earliest that it can have been, if an injector died in it."""
    called_by: datetime | None = None
    """The latest that it can have been."""
    injected: datetime | None = None
    effective: datetime | None = None
    effect: str = ""
    unseen: bool = False
    undo_requested: datetime | None = None
    reverted: datetime | None = None
    reverted_by: str = ""
    found_undone: bool = False
    revert_failed: str | None = None
    gone: datetime | None = None
    gone_event: FaultGone | None = None
    outcome: Literal["done", "refused", "failed", "expired"] | None = None
    reason: Reason | None = None
    message: str = ""
    evidence: dict[str, str] = field(default_factory=dict)
    rehearsed: datetime | None = None
    """When it would have been requested, in a rehearsal: it is never injected."""
    rehearsal_ended: datetime | None = None
    """When it would have been undone."""

    @property
    def active(self) -> bool:
        """It may disturb its target: armed, and neither undone nor given up."""
        return self.armed is not None and self.reverted is None and self.revert_failed is None

    @property
    def taken(self) -> bool:
        """An injector has answered the request."""
        return self.armed is not None or self.outcome is not None or self.rehearsed is not None

    @property
    def settled(self) -> bool:
        """Nothing more is to be done about it: it was undone, or it was no fault and is over, or it never was."""
        if self.rehearsed is not None:
            return self.rehearsal_ended is not None
        if self.reverted is not None or self.revert_failed is not None:
            return True
        return self.outcome is not None and not self.active

    @property
    def lost(self) -> bool:
        """It was injected, and ended before it was told to."""
        return self.outcome == "failed" and self.reason is Reason.NO_EFFECT and self.injected is not None

    def history(self) -> FaultHistory:
        """Its moments, as a judge may see them."""
        refused = self.message if self.outcome in {"refused", "failed", "expired"} and self.injected is None else None
        return FaultHistory(
            id=self.request.fault_id,
            target=self.request.target,
            action=self.request.action.action,
            requested=self.requested,
            armed=self.armed_at,
            called=self.called,
            called_by=self.called_by,
            injected=self.injected,
            effective=self.effective,
            reverted=self.reverted,
            due=self._due(),
            gone=self.gone,
            restored_by=self.gone_event.restored_by if self.gone_event else None,
            refused=ONLY_REHEARSED if self.rehearsed is not None else refused,
            effect_missed=(self.unseen and self.effective is None) or self.lost,
            evidence=dict(self.evidence),
        )

    @property
    def span(self) -> timedelta | None:
        """How long it stays: its `for`, or the longest that the system allows; None: to its phase's end."""
        momentary = MOMENTARY if self.rehearsed is not None and self.request.action.spec.ends_itself else None
        return min((span for span in (self.request.action.for_, self.longest, momentary) if span is not None), default=None)

    def _due(self) -> datetime | None:
        return self.injected + self.span if self.span is not None and self.injected is not None else None

    @property
    def cut_short(self) -> bool:
        """It ended before it was to end: with its lease, as whoever kept it up was away, or by itself though it is not one that does."""
        early = {"lease"} if self.request.action.spec.ends_itself else {"lease", "itself"}
        if self.reverted is None or self.reverted_by not in early:
            return False
        asked, due = self.undo_requested, self._due()
        return (asked is None or asked > self.reverted) and (due is None or self.reverted < due)

    def moment(self, name: str) -> datetime | None:
        """When this moment of it came: requested, injected, effective, reverted or gone; rehearsed, it has two."""
        if self.rehearsed is not None:
            return self.rehearsed if name in {"requested", "injected", "effective"} else self.rehearsal_ended
        moments = {"requested": self.requested, "injected": self.injected, "effective": self.effective}
        return (moments | {"reverted": self.reverted, "gone": self.gone}).get(name)


class Actions:
    """All actions of a run, by their id (a fault's id)."""

    def __init__(self) -> None:
        self.states: dict[str, ActionState] = {}
        self.longest: timedelta | None = None
        """The longest that the system lets a fault last."""
        self.resolved: dict[str, Recorded[TargetResolved]] = {}
        """What was chosen for each live action, by the action's id."""

    def apply(self, recorded: Recorded[RunEvent]) -> None:
        """Take in an event, if it is about an action."""
        event = recorded.event
        if isinstance(event, TargetResolved):
            self.resolved.setdefault(event.action_id, cast("Recorded[TargetResolved]", recorded))
            return
        if isinstance(event, ActionRequested):
            state = ActionState(event, recorded.at, longest=self.longest)
            state.evidence["requested"] = recorded.evidence
            self.states.setdefault(event.fault_id, state)
            return
        if isinstance(event, FaultRehearsed):
            self.states.setdefault(event.fault_id, _rehearsed(event, recorded, self.longest))
            return
        known = self.states.get(recorded.entity)
        if known is not None:
            _apply(known, recorded)

    def of(self, action: Action) -> dict[str, str] | None:
        """The ids of an action's faults, each with its target; None while its targets are still to be chosen."""
        if not action.is_live:
            return action.faults()
        resolved = self.resolved.get(action.id)
        return None if resolved is None else action.faults(resolved.event.chosen)

    @property
    def given_up(self) -> tuple[str, ...]:
        """The faults whose undo was given up, even if it came about later."""
        return tuple(name for name, state in self.states.items() if state.revert_failed is not None)

    @property
    def left(self) -> tuple[str, ...]:
        """The faults whose undo was given up and did not come about later."""
        return tuple(name for name in self.given_up if self.states[name].reverted is None)

    def unseen_off(self) -> list[ActionState]:
        """The faults that were injected and undone, and of which nobody has seen that they are gone."""
        return [fault for fault in self.faults().values() if fault.injected and fault.reverted and fault.gone is None]

    def faults(self) -> dict[str, ActionState]:
        """Those that disturb."""
        return {name: state for name, state in self.states.items() if state.request.action.spec.fault}


def _apply(state: ActionState, recorded: Recorded[RunEvent]) -> None:
    event, at = recorded.event, recorded.at
    match event:
        case FaultArmed():
            state.armed, state.armed_at = event, at
        case FaultInjected():
            state.injected = at - event.ago
            state.called = state.called_by = state.injected - event.took
            if event.resumed and state.armed_at is not None:
                state.called = state.armed_at
        case FaultEffective():
            state.effective, state.effect = at - event.ago, event.how
        case FaultUnseen():
            state.unseen = True
        case UndoRequested():
            state.undo_requested = state.undo_requested or at
        case FaultRehearsalEnded():
            state.rehearsal_ended = state.rehearsal_ended or at
        case FaultReverted():
            state.reverted, state.reverted_by, state.found_undone = at - event.ago, event.by, event.found_undone
        case FaultRevertFailed():
            state.revert_failed = event.message
        case FaultGone():
            state.gone, state.gone_event = at - event.ago, event
        case ActionDone() | ActionRefused() | ActionFailed() | ActionExpired():
            _end(state, event)
        case _:
            return
    state.evidence[event.type_name().rpartition(".")[2]] = recorded.evidence


def _rehearsed(event: FaultRehearsed, recorded: Recorded[RunEvent], longest: timedelta | None) -> ActionState:
    """The request was never made: what it would have been."""
    request = ActionRequested(fault_id=event.fault_id, phase=event.phase, target=event.target, action=event.action)
    return ActionState(request, recorded.at, longest=longest, rehearsed=recorded.at, evidence={"rehearsed": recorded.evidence})


def _end(state: ActionState, event: ActionDone | ActionRefused | ActionFailed | ActionExpired) -> None:
    if isinstance(event, ActionExpired) and event.reason is Reason.REVERT_FAILED and state.armed is not None and state.reverted is None:
        state.revert_failed = event.message
    if state.outcome is not None:
        return
    state.message = event.message
    match event:
        case ActionDone():
            state.outcome = "done"
        case ActionRefused():
            state.outcome, state.reason = "refused", event.reason
        case ActionFailed():
            state.outcome, state.reason = "failed", event.reason
        case ActionExpired():
            state.outcome, state.reason = "expired", event.reason

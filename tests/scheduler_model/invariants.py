"""What must be true of whatever a scheduler decides, told from the lines that it knew: none of the folds that it decides by is asked."""

from collections.abc import Iterable, Sequence

from messages.control import Hold
from messages.events import Recorded, RunEvent, evidence_id
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionRefused,
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultReverted,
    FaultRevertFailed,
)
from messages.judgements import AssertionJudged
from messages.run_events import (
    ActionExpired,
    ActionRequested,
    AssertionExpired,
    AssertionOpened,
    GateClosed,
    GateOpened,
    PhaseFinished,
    PhaseStarted,
    RunAborting,
    RunAccepted,
    RunFinished,
    RunPausing,
    RunResumed,
    RunStarted,
    ServicesReleaseRequested,
    UndoRequested,
)
from messages.scenario import Scenario
from messages.verdicts import Reason, Verdict

Lines = Sequence[Recorded[RunEvent]]


class Facts:
    """What some lines of a journal say, in the plainest terms."""

    scenario: Scenario

    def __init__(self, lines: Lines) -> None:
        self.ids = {line.evidence for line in lines}
        self.requested: dict[str, ActionRequested] = {}
        self.armed: set[str] = set()
        self.late: set[str] = set()
        """Faults that were armed though their request had expired; the injector itself undoes them."""
        self.ended: set[str] = set()
        self.reverted: set[str] = set()
        self.given_up: set[str] = set()
        self.effective: set[str] = set()
        self.gone: set[str] = set()
        self.undo: set[str] = set()
        self.bad: set[str] = set()
        """Actions that were refused, failed or expired."""
        self.judged: dict[str, Verdict] = {}
        self.opened: dict[str, AssertionOpened] = {}
        self.began: list[PhaseStarted] = []
        self.over: dict[str, bool] = {}
        """The stages that have ended, and whether they were cut."""
        self.gates: set[str] = set()
        self.paused = self.started = self.aborting = self.release = self.finished = False
        for line in lines:
            self.take(line.event)

    def take(self, event: RunEvent) -> None:
        """Take in what comes next."""
        match event:
            case RunAccepted():
                self.scenario = event.scenario
            case RunStarted() | RunPausing() | RunResumed() | RunAborting() | ServicesReleaseRequested() | RunFinished():
                self._take_run(event)
            case PhaseStarted():
                self.began.append(event)
            case PhaseFinished():
                self.over[event.phase] = event.cut
            case GateOpened():
                self.gates.add(event.phase)
            case GateClosed():
                self.gates.discard(event.phase)
            case AssertionOpened():
                self.opened[event.assertion] = event
            case AssertionJudged() if event.assertion in self.opened:
                self.judged.setdefault(event.assertion, event.verdict)
            case AssertionExpired():
                self.judged.setdefault(event.assertion, Verdict.INCONCLUSIVE)
            case _:
                self._take_action(event)

    def _take_run(self, event: RunEvent) -> None:
        self.started = self.started or isinstance(event, RunStarted)
        self.aborting = self.aborting or isinstance(event, RunAborting)
        self.release = self.release or isinstance(event, ServicesReleaseRequested)
        self.finished = self.finished or isinstance(event, RunFinished)
        self.paused = isinstance(event, RunPausing) or (self.paused and not isinstance(event, RunResumed | RunAborting))

    def _take_action(self, event: RunEvent) -> None:
        name = event.entity
        match event:
            case ActionRequested():
                self.requested[name] = event
            case FaultArmed():
                self.armed.add(name)
                self.late |= {name} & self.ended
            case FaultEffective():
                self.effective.add(name)
            case UndoRequested():
                self.undo.add(name)
            case FaultReverted():
                self.reverted.add(name)
            case FaultRevertFailed():
                self.given_up.add(name)
            case FaultGone():
                self.gone.add(name)
            case ActionExpired() if event.reason is Reason.REVERT_FAILED and name in self.armed - self.reverted:
                self.given_up.add(name)
                self._end(name, bad=True)
            case ActionDone() | ActionRefused() | ActionFailed() | ActionExpired():
                self._end(name, bad=not isinstance(event, ActionDone))

    def _end(self, name: str, *, bad: bool) -> None:
        self.bad |= {name} if bad and name not in self.ended else set()
        self.ended.add(name)

    @property
    def active(self) -> set[str]:
        """Faults whose targets may be disturbed, and nobody has given up."""
        return self.armed - self.reverted - self.given_up

    @property
    def unsettled(self) -> set[str]:
        """Actions of which more may come: those that were asked for and not answered, and the active faults."""
        return (self.requested.keys() - self.ended - self.reverted - self.given_up) | self.active

    @property
    def stage(self) -> str | None:
        """The stage that is on."""
        return next((began.phase for began in reversed(self.began) if began.phase not in self.over), None)

    @property
    def phases(self) -> list[str]:
        """The phases of the scenario that have begun, in that order."""
        return [began.phase for began in self.began if began.kind == "phase"]

    @property
    def stopped(self) -> bool:
        """A claim has failed that lets no further fault happen."""
        failed = (self.opened[name] for name, verdict in self.judged.items() if verdict is Verdict.FAILED)
        return any(opened.mode != "recover" and opened.claim.on_fail != "continue" for opened in failed)

    @property
    def proven(self) -> bool:
        """Everything is there that a pass rests on."""
        claims = self.scenario.claims()
        whole = all(self.judged.get(name) is Verdict.PASSED for name in {*claims, *self.opened})
        faults = {name for name, request in self.requested.items() if request.action.spec.fault}
        seen = faults <= self.effective and faults <= self.reverted and faults <= self.gone
        phases = (self.over.get(phase.name, True) for phase in self.scenario.spec.phases)
        complete = not any(phases) and not self.over.get("finally", False)
        return bool(claims) and whole and seen and complete and not self.bad and not self.given_up and not self.aborting


def check_decision(lines: Lines, events: Sequence[RunEvent], hold: Hold | None) -> None:
    """Whether these events may follow from these lines."""
    facts = Facts(lines)
    if facts.finished:
        assert not events, f"the run is over, and then {_names(events)}"
    ids = [evidence_id("scheduler", event) for event in events]
    assert len(set(ids)) == len(ids), f"the same fact twice: {ids}"
    assert not facts.ids & set(ids), f"it is in the journal already: {sorted(facts.ids & set(ids))}"
    _check_standing(facts, events, hold)
    undone = {event.fault_id for event in events if isinstance(event, UndoRequested)}
    assert undone <= facts.unsettled, f"the undo of {undone - facts.unsettled}, of which nothing is left"
    for event in events:
        _check_event(facts, event, hold)
        facts.take(event)


def _check_event(facts: Facts, event: RunEvent, hold: Hold | None) -> None:
    match event:
        case ActionRequested():
            _check_request(facts, event, hold)
        case PhaseStarted(kind="phase"):
            _check_phase(facts, event.phase, hold)
        case PhaseStarted(kind="finally" | "recover"):
            unsettled = {name for name in facts.unsettled if facts.requested[name].phase != "finally"}
            assert not unsettled, f"{event.phase} before {unsettled} are undone"
        case RunFinished():
            _check_end(facts, event)


def _check_request(facts: Facts, event: ActionRequested, hold: Hold | None) -> None:
    assert not facts.paused, f"{event.fault_id} is asked for in a pause"
    assert not facts.release, f"{event.fault_id} is asked for after the release"
    assert event.phase == facts.stage, f"{event.fault_id} is asked for in {facts.stage}"
    assert hold is None or facts.aborting, f"{event.fault_id} is asked for under a hold"
    if event.phase != "finally":
        ended = [facts.aborting and "aborted", facts.stopped and "stopped", facts.given_up and "given up", facts.gates and "at a gate"]
        assert not any(ended), f"{event.fault_id} is asked for though the run is {ended}"


def _check_phase(facts: Facts, phase: str, hold: Hold | None) -> None:
    names = [known.name for known in facts.scenario.spec.phases]
    assert facts.phases == names[: names.index(phase)], f"{phase} comes after {facts.phases}"
    assert all(name in facts.over for name in facts.phases), f"{phase} comes before {facts.phases} are over"
    assert not facts.unsettled - facts.late, f"{phase} comes before {facts.unsettled} are settled"
    ends = any((facts.aborting, facts.stopped, facts.given_up, facts.paused, hold))
    assert not ends, f"{phase} begins though the run stands still, or ends"


def _check_standing(facts: Facts, events: Sequence[RunEvent], hold: Hold | None) -> None:
    """A run that stands still has the undo of all that is active asked for; one that is held begins to stand still."""
    ends = facts.aborting or facts.release or facts.finished or any(isinstance(event, RunAborting) for event in events)
    pausing = any(isinstance(event, RunPausing) for event in events)
    if not facts.started or ends:
        return
    assert hold is None or facts.paused or pausing or events, "it is held and goes on"
    if facts.paused or pausing:
        asked = facts.undo | {event.fault_id for event in events if isinstance(event, UndoRequested)}
        given_up = {event.fault_id for event in events if isinstance(event, ActionExpired)}
        assert facts.active <= asked | given_up, f"the run stands still, and {facts.active - asked} are left as they are"


def _check_end(facts: Facts, finished: RunFinished) -> None:
    left = facts.armed - facts.reverted
    assert not left or finished.verdict is Verdict.UNSAFE, f"{left} are not undone, and the run is {finished.verdict}"
    assert not facts.given_up or finished.verdict is Verdict.UNSAFE, f"{facts.given_up} were given up, and the run is {finished.verdict}"
    assert facts.proven or finished.verdict is not Verdict.PASSED, "it passes though something is not proven"
    assert (finished.reason is None) == (finished.verdict is Verdict.PASSED), f"{finished.verdict} for {finished.reason}"
    last = bool(facts.scenario.spec.finally_) and bool(facts.phases)
    assert not last or "finally" in facts.over, "what is finally done was not done"
    assert facts.stage is None, f"{facts.stage} is still on"


def check_journal(lines: Lines) -> None:
    """Whether a whole journal has one end, and nothing of the scheduler's after it."""
    ends = [index for index, line in enumerate(lines) if isinstance(line.event, RunFinished)]
    assert len(ends) == 1, f"{len(ends)} ends"
    after = [line.evidence for line in lines[ends[0] + 1 :] if line.actor == "scheduler"]
    assert not after, f"after the end: {after}"
    end = lines[ends[0]].event
    assert isinstance(end, RunFinished)
    assert end.position == ends[0], "it ended without knowing the newest line"
    for kind in (UndoRequested, ActionRequested, AssertionOpened, PhaseStarted):
        told = [line.entity for line in lines if isinstance(line.event, kind)]
        assert len(told) == len(set(told)), f"{kind.__name__} twice: {told}"


def _names(events: Iterable[RunEvent]) -> list[str]:
    return [evidence_id("scheduler", event) for event in events]


def shape(thing: object) -> object:
    """All that a fold holds, so that two can be compared."""
    if isinstance(thing, dict):
        return [*((key, shape(value)) for key, value in thing.items()), *_fields(thing)]
    if isinstance(thing, list | tuple):
        return [shape(value) for value in thing]
    return _fields(thing) or thing


def _fields(thing: object) -> list[tuple[str, object]]:
    """What an object of the folds' own is made of; messages and plain values are compared as they are."""
    own = type(thing).__module__.startswith("runs.") and hasattr(thing, "__dict__")
    return [(name, shape(value)) for name, value in vars(thing).items()] if own else []

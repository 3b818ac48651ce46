"""A line of plain text for each event of a run that means something to who watches."""

from datetime import timedelta

from messages import fault_events, link_events, observations, run_events
from messages.control_events import ResolveRequested
from messages.events import Recorded, RunEvent
from messages.fault_events import ActionDone, ActionFailed, ActionRefused, HandlerFailed, OwnerChanged
from messages.judgements import AssertionJudged, ReportPublished
from messages.pause_events import GateClosed, GateOpened, RunPausing, RunResumed
from messages.rehearsal_events import FaultRehearsalEnded, FaultRehearsed
from messages.run_events import ActionExpired, AssertionExpired
from messages.values import format_duration
from messages.verdicts import Control, Verdict
from runs.rehearsals import WORDS
from runs.windows import STEADY

MARKS = {
    Verdict.PASSED: "✓",
    Verdict.INCONCLUSIVE: "?",
    Verdict.FAILED: "✗",
    Verdict.ABORTED: "■",
    Verdict.UNSAFE: "‼",
}
_CONTROLS: dict[Control, str] = {"vacuous": "∅ vacuous", "needs_fault": "✓", "control": "-"}
AT_THE_END = 120
"""Letters of a verdict's message in the line that says it: what it is about was told in full when it happened."""
_STEADY = {
    "settle": "steady state before the first fault",
    "recover": "steady state after the last fault",
    "steady": "steady state during the phases",
}


def narrate(recorded: Recorded[RunEvent]) -> str | None:
    """The event in words, without its time; None for summaries and inner steps."""
    event = recorded.event
    if isinstance(event, OwnerChanged):
        return f"! {recorded.actor}: taken over by host {event.host} of {event.instance}"
    return _of_run(event) or _of_people(event, recorded.run) or _of_fault(event) or _of_service(event) or _of_claim(event)


def mark_of(verdict: Verdict, control: Control | None) -> tuple[str, str]:
    """The sign of a judgement and, in a rehearsal, what it means in words."""
    return (MARKS[verdict], "") if control is None else (_CONTROLS[control], WORDS[control])


def shown(span: timedelta) -> str:
    """A span as people read it: no more digits than matter."""
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def short(text: str, letters: int) -> str:
    """The text, or its beginning."""
    return text if len(text) <= letters else f"{text[: letters - 1].rstrip()}…"


def named(assertion: str) -> str:
    """What people call a claim: the steady state by when it is asked about, any other by its id."""
    for mode, told in _STEADY.items():
        if assertion.startswith(STEADY[mode]):
            claim = assertion.removeprefix(STEADY[mode])
            return told if claim == "steady" else f"{told} ({claim})"
    return assertion


def standing(stage: str, words: str) -> str:
    """Why a run stands still, as one says it of a run at this stage."""
    return {"waiting": f"waits: {words}", "gate": f"waits at {words}"}.get(stage, words)


def _of_run(event: RunEvent) -> str | None:  # noqa: PLR0911  one per event
    match event:
        case run_events.RunAccepted():
            rehearsal = ", a rehearsal: all but its faults" if event.rehearsal else ""
            return f"run accepted: {event.scenario.name} on {event.system.name}{rehearsal}"
        case run_events.RunWaiting():
            return f"waiting: {event.why}"
        case run_events.ServicesRequested():
            count = sum(len(level) for level in event.levels)
            return f"starting {count} service{'s' if count != 1 else ''}"
        case run_events.ServicesReleaseRequested():
            return "stopping the services"
        case run_events.PhaseStarted():
            bound = f" ({'up to ' if event.kind != 'phase' else ''}{format_duration(event.bound)})" if event.bound else ""
            return f"{_stage(event.kind, event.phase)} begins{bound}"
        case run_events.PhaseFinished():
            return f"{_stage(event.kind, event.phase)} {'was cut short' if event.cut else 'is over'}"
        case run_events.RunAborting():
            return f"aborting: {event.message}"
        case run_events.RunFinished():
            return f"{MARKS[event.verdict]} {event.verdict.upper()}: {short(event.message, AT_THE_END)}"
        case ReportPublished():
            return "report published"
        case HandlerFailed():
            return f"! {event.handler} failed for good on {event.cause}: {event.error}"
        case _:
            return None


def _of_people(event: RunEvent, run: str) -> str | None:  # noqa: PLR0911  one per event
    """Where the run stands still, and who lets it go on."""
    match event:
        case RunPausing():
            word = "paused" if event.why == "pause" else "held, as all runs are,"
            return f"‖ {word} by {event.by}{_noted(event.note)}"
        case RunResumed():
            return f"▸ resumed by {event.by}"
        case GateOpened():
            who = f"{' or '.join(event.approve)} may answer" if event.approve else "anybody may answer"
            return f"‖ gate before {event.phase}: {event.ask}  ({who}: test-coordinator approve {run}, or reject)"
        case GateClosed(outcome="approved" | "rejected"):
            mark = "✓" if event.outcome == "approved" else "✗"
            return f"{mark} gate before {event.phase}: {event.outcome} by {event.by}{_noted(event.note)}"
        case GateClosed():
            why = "nobody answered in time" if event.outcome == "expired" else "not asked any more, the run stops"
            return f"? gate before {event.phase}: {why}"
        case ResolveRequested():
            return f"✓ {event.fault or 'what was left'}: resolved by {event.principal}{_noted(event.note)}"
        case _:
            return None


def _noted(note: str) -> str:
    return f": {note}" if note else ""


def _of_fault(event: RunEvent) -> str | None:  # noqa: C901, PLR0911, PLR0912  one per event
    match event:
        case run_events.ActionRequested():
            told = "".join(f", {name} {value}" for name, value in event.action.parameters.items())
            return f"{event.fault_id}: {event.action.action} {event.target}{told}"
        case run_events.TargetResolved():
            spared = f" ({', '.join(event.protected)} protected)" if event.protected else ""
            return f"{event.action_id}: chose {', '.join(event.chosen) or 'none'} of {', '.join(event.candidates) or 'none'}{spared}"
        case FaultRehearsed():
            told = "".join(f", {name} {value}" for name, value in event.action.parameters.items())
            return f"{event.fault_id}: {event.action.action} {event.target}{told} (rehearsed: nothing is disturbed)"
        case FaultRehearsalEnded():
            return f"{event.fault_id}: its rehearsal is over"
        case fault_events.FaultInjected():
            return f"{event.fault_id}: injected in {shown(event.took)}"
        case fault_events.FaultEffective():
            return f"{event.fault_id}: effective ({event.how})"
        case fault_events.FaultUnseen():
            return f"? {event.fault_id}: no effect seen within {format_duration(event.within)}"
        case fault_events.FaultReverted():
            return f"{event.fault_id}: {'had come back before the undo' if event.found_undone else f'undone in {shown(event.took)}'}"
        case fault_events.FaultRevertFailed():
            return f"‼ {event.fault_id}: could not be undone: {event.message}"
        case fault_events.FaultGone():
            return f"{event.fault_id}: gone, restored by {event.restored_by}"
        case ActionDone() if event.action_id == "services":
            return "all services are up"
        case ActionDone() if event.action_id == "release":
            return "all services are down"
        case ActionRefused() | ActionFailed():
            return f"✗ {event.action_id}: {event.message}"
        case ActionExpired():
            return f"✗ {event.fault_id}: {event.message}"
        case _:
            return None


def _of_service(event: RunEvent) -> str | None:  # noqa: PLR0911  one per event
    match event:
        case fault_events.ServiceStarted():
            return f"{event.service}: started (pid {event.identity.pid})"
        case fault_events.ServiceAdopted():
            return f"{event.service}: taken over (pid {event.identity.pid})"
        case observations.ServiceDown():
            return f"{event.service}: down ({event.check}: {event.error})"
        case observations.ServiceUp():
            return f"{event.service}: up"
        case fault_events.WorkloadStarted():
            return f"{event.workload}: workload started (pid {event.identity.pid})"
        case fault_events.WorkloadDied():
            return f"✗ {event.workload}: the workload ended by itself{': ' + event.message if event.message else ''}"
        case link_events.LinksLost():
            return f"✗ links: their proxy ended by itself{': ' + event.message if event.message else ''}"
        case observations.RoleSeen():
            return f"{event.service}: {f'now {event.role}' if event.role else 'no role'}"
        case observations.StreamGap():
            return f"? {event.source}: not observed for {shown(event.end - event.start)}: {event.why}"
        case _:
            return None


def _of_claim(event: RunEvent) -> str | None:
    match event:
        case AssertionJudged():
            mark, control = mark_of(event.verdict, event.control)
            return f"{mark} {named(event.assertion)}:{f' {control};' if control else ''} {event.message}"
        case AssertionExpired():
            return f"? {named(event.assertion)}: {event.message}"
        case _:
            return None


def _stage(kind: str, name: str) -> str:
    return f"phase {name}" if kind == "phase" else name

"""Events of a run in plain words, and the instants at which they happened."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from messages import audit_events as a
from messages import control_events as c
from messages import fault_events as f
from messages import judgements as j
from messages import link_events as k
from messages import measurements as m
from messages import observations as o
from messages import pause_events as p
from messages import rehearsal_events as h
from messages import run_events as r
from messages.events import Recorded, RunEvent
from runs.rehearsals import WORDS
from runs.report_values import readable

_AGO = (f.FaultInjected, f.FaultEffective, f.FaultReverted, f.FaultGone, o.ServiceDown, o.ServiceUp, o.RoleSeen, m.AnswerSeen)


def instant_of(recorded: Recorded[RunEvent]) -> datetime:
    """When it happened: its stored time, less what its emitter says had passed by then."""
    event = recorded.event
    if isinstance(event, _AGO):
        return recorded.at - event.ago
    return event.opens if isinstance(event, r.AssertionOpened) else recorded.at


def describe(event: RunEvent) -> str:
    """The event in a few words; its type for one that has no words here."""
    words = _WORDS.get(type(event))
    return words(event) if words is not None else event.type_name()


def _accepted(e: r.RunAccepted) -> str:
    return f"scenario {e.scenario.name} accepted for system {e.system.name}{', to be rehearsed without its faults' if e.rehearsal else ''}"


def _aborting(e: r.RunAborting) -> str:
    return f"the run is being ended by {e.by}: {e.message}"


def _noted(e: c.NotedRequest | p.RunPausing) -> str:
    return f": {e.note}" if e.note else ""


def _gate_opened(e: p.GateOpened) -> str:
    return f"{e.phase} waits at its gate{' for ' + ' or '.join(e.approve) if e.approve else ''}: {e.ask}"


def _gate_closed(e: p.GateClosed) -> str:
    if e.outcome in {"approved", "rejected"}:
        return f"{e.by} {e.outcome} {e.phase}{': ' + e.note if e.note else ''}"
    return f"the gate of {e.phase} {'was not answered in time' if e.outcome == 'expired' else 'is no longer asked: the run stops'}"


def _stage_started(e: r.PhaseStarted) -> str:
    bound = f" ({readable(e.bound)})" if e.bound is not None else ""
    return f"{'phase ' if e.kind == 'phase' else ''}{e.phase} began{bound}"


def _stage_finished(e: r.PhaseFinished) -> str:
    return f"{'phase ' if e.kind == 'phase' else ''}{e.phase} ended{' before its time' if e.cut else ''}"


def _requested(e: r.ActionRequested) -> str:
    told = "".join(f", {name} {value}" for name, value in e.action.parameters.items())
    return f"{e.action.action} {e.target}{told} requested ({e.fault_id})"


def _resolved(e: r.TargetResolved) -> str:
    if not e.chosen and e.protected:
        return f"{e.action_id}: only {', '.join(e.protected)} fits, and is protected"
    if not e.chosen:
        return f"{e.action_id}: none of {', '.join(e.candidates) or 'no candidates'} fits"
    spared = f"; {', '.join(e.protected)} protected" if e.protected else ""
    return f"{e.action_id}: chose {', '.join(e.chosen)} of {', '.join(e.candidates)} (seed {e.seed}){spared}"


def _rehearsed(e: h.FaultRehearsed) -> str:
    return f"{e.action.action} {e.target} rehearsed ({e.fault_id}): nothing is disturbed"


def _undo(e: r.UndoRequested | h.FaultRehearsalEnded) -> str:
    why = {
        "for": "its time has passed",
        "phase": "its phase ends",
        "stop": "the run stops",
        "abort": "the run is aborted",
        "pause": "the run stands still",
    }[e.why]
    if isinstance(e, h.FaultRehearsalEnded):
        return f"rehearsal of {e.fault_id} ended: {why}"
    return f"undo of {e.fault_id} requested: {why}"


def _judged(e: j.AssertionJudged) -> str:
    if e.control is not None:
        return f"{e.assertion} {WORDS[e.control]}: {e.message}"
    return f"{e.assertion} {e.verdict}: {e.message}"


def _effective(e: f.FaultEffective) -> str:
    return f"{e.fault_id} is effective: {e.how}"


def _injected(e: f.FaultInjected) -> str:
    took = f"{e.fault_id} injected; the driver took {readable(e.took)}"
    return f"{took}, after another injector had armed it" if e.resumed else took


def _reverted(e: f.FaultReverted) -> str:
    by = {"request": "on request", "lease": "because its lease ran out", "itself": "by itself"}[e.by]
    return f"{e.fault_id} undone {by}" + (", it had come back before" if e.found_undone else f" in {readable(e.took)}")


def _gone(e: f.FaultGone) -> str:
    by = {"itself": "by itself", "undo": "by the undo", "operator": "by an operator"}[e.restored_by]
    return f"{e.fault_id} is gone: normal again, {by}"


def _revert_failed(e: f.FaultRevertFailed) -> str:
    return f"{e.fault_id} could not be undone after {e.attempts} attempts: {e.message}"


def _stopped(e: f.ServiceStopped) -> str:
    return f"{e.service} {'killed: it outlived its stop grace' if e.killed else 'stopped'} ({readable(e.took)})"


def _dead(e: f.HandlerFailed) -> str:
    return f"{e.handler} gave up on {e.cause}: {e.error}"


def _down(e: o.ServiceDown) -> str:
    return f"{e.service} is down: {e.check}{': ' + e.error if e.error else ''} (±{readable(e.error_bound)})"


def _up(e: o.ServiceUp) -> str:
    return f"{e.service} is healthy (±{readable(e.error_bound)})"


def _summary(e: o.ProbeSummary) -> str:
    missed = f", {e.missed} of them not sent in time" if e.missed else ""
    p99 = e.latency.quantile(0.99) if e.latency is not None else None
    return f"{e.probe}: {e.ok} of {e.count} samples good{missed}, slowest {readable(e.slowest)}{f', p99 {readable(p99)}' if p99 else ''}"


def _operations(e: o.OperationsSeen) -> str:
    odd = f"; not ok: {', '.join(e.samples)}" if e.samples else ""
    return f"{e.workload}: {e.ok} operations ok, {e.failed} failed, {e.unknown} unknown{odd}"


def _died(e: f.WorkloadDied) -> str:
    code = f" with {e.code}" if e.code is not None else ""
    return f"workload {e.workload} ended by itself{code}{': ' + e.message if e.message else ''}"


def _lost(e: k.LinksLost) -> str:
    code = f" with {e.code}" if e.code is not None else ""
    return f"the proxy of the links ended by itself{code}{': ' + e.message if e.message else ''}"


def _answer(e: m.AnswerSeen) -> str:
    return f"{e.assertion}: answered as expected" if e.ok else f"{e.assertion}: {e.got or 'not as expected'} (±{readable(e.error_bound)})"


def _sampled(e: m.MetricSampled) -> str:
    if e.error:
        return f"{e.assertion}: no metrics: {e.error}"
    told = ", ".join(f"{name} = {value:g}" for name, value in list(e.series.items())[:5])
    more = len(e.series) + e.beyond - 5
    return f"{e.assertion}: {told or 'none of its series'}{f', and {more} more' if more > 0 else ''}"


def _logged(e: m.LogMatched) -> str:
    told = f": {' | '.join(e.samples)}" if e.samples else ""
    return f"{e.assertion}: {e.count} of {e.lines} lines matched{told}{' (written while nobody read)' if e.late and e.lines else ''}"


def _listed(e: m.KeysListed) -> str:
    told = f": {', '.join(e.keys[:10])}" if e.keys else ""
    return f"{e.assertion}: {len(e.keys) + e.beyond} keys in {e.answers} answers, nothing new from then on{told}"


def _traced(e: m.TraceMatched) -> str:
    told = f": {' | '.join(e.samples)}" if e.samples else ""
    unknown = e.given_up + e.waiting
    return f"{e.assertion}: {e.count} of {e.spans} spans matched{told}{f'; {unknown} without their parent' if unknown else ''}"


def _read(e: m.SetRead) -> str:
    if e.error:
        return f"{e.assertion}: {e.error}"
    wrong = {"lost": e.lost, "unexpected": e.unexpected, "duplicated": e.duplicated}
    told = "".join(f"; {named.count} {kind}: {', '.join(named.ids[:10])}" for kind, named in wrong.items() if named.count)
    return f"{e.assertion}: {e.acknowledged} of {e.tried} were ok, {e.found} are there{told}"


def _matched(e: o.EventMatched) -> str:
    told = f"{e.count} of {e.seen} events matched"
    if e.keys is not None:
        told += f"; {e.keys.opened} keys opened, {e.keys.closed_once} closed once"
        told += f", {e.keys.open_count} left open: {', '.join(e.keys.open[:10])}" if e.keys.open_count else ""
        told += f", {e.keys.twice_count} closed twice: {', '.join(e.keys.twice[:10])}" if e.keys.twice_count else ""
        told += f", {e.keys.unknown_count} unknown: {', '.join(e.keys.unknown[:10])}" if e.keys.unknown_count else ""
    if e.errors:
        told += f"; {e.errors} could not be evaluated: {e.error}"
    return told + ("; part of the window was not seen" if e.gap else "")


def _published(e: a.FaultPublished) -> str:
    return f"that {e.fault_id} {e.moment} was {f'not published: {e.error}' if e.error else f'published on {e.subject}'}"


def _fed(e: a.AuditFed) -> str:
    about = "the run" if e.about == a.RUN else e.about
    return f"the audit correlator was told that {about} {e.moment}: {e.outcome}{': ' + e.error if e.error else ''}"


def _linked(e: a.AuditLinked) -> str:
    did = f"did not link start and end of {e.fault_id}: {e.error}" if e.error else f"linked start and end of {e.fault_id}"
    return f"the audit correlator {did}"


def _gap(e: o.StreamGap) -> str:
    return f"{e.source} not observed for {readable(e.end - e.start)}: {e.why}"


def _outcome(e: f.ActionRefused | f.ActionFailed) -> str:
    return f"{e.action_id} {'refused' if isinstance(e, f.ActionRefused) else 'failed'} ({e.reason}): {e.message}"


_WORDS: dict[type[RunEvent], Callable[[Any], str]] = {
    r.RunAccepted: _accepted,
    r.RunWaiting: lambda e: f"waits: {e.why}",
    r.RunStarted: lambda _: "the run started",
    r.ServicesRequested: lambda e: f"services requested: {', '.join(s for level in e.levels for s in level)}",
    r.ServicesReleaseRequested: lambda _: "release of the services requested",
    r.PhaseStarted: _stage_started,
    r.PhaseFinished: _stage_finished,
    r.ActionRequested: _requested,
    r.TargetResolved: _resolved,
    r.UndoRequested: _undo,
    h.FaultRehearsed: _rehearsed,
    h.FaultRehearsalEnded: _undo,
    r.ActionExpired: lambda e: f"{e.fault_id} expired ({e.reason}): {e.message}",
    r.AssertionOpened: lambda e: f"{e.assertion} opened: {e.claim.summary()}",
    r.AssertionExpired: lambda e: f"{e.assertion} inconclusive ({e.reason}): {e.message}",
    r.RunAborting: _aborting,
    r.RunFinished: lambda e: f"the run {e.verdict}: {e.message}",
    r.SubmitRequested: lambda e: f"submitted by {e.principal}",
    r.AbortRequested: lambda e: f"{e.principal} asked to end the run{': ' + e.message if e.message else ''}",
    c.PauseRequested: lambda e: f"{e.principal} asked for a pause{_noted(e)}",
    c.ResumeRequested: lambda e: f"{e.principal} let the run go on{_noted(e)}",
    c.ReleaseRequested: lambda e: f"{e.principal} lifted the hold{_noted(e)}",
    c.ApproveRequested: lambda e: f"{e.principal} approved {e.phase}{_noted(e)}",
    c.RejectRequested: lambda e: f"{e.principal} rejected {e.phase}{_noted(e)}",
    c.ResolveRequested: lambda e: f"{e.principal} resolved {e.fault or 'what was left'}{_noted(e)}",
    p.RunPausing: lambda e: f"the run stands still: {'paused' if e.why == 'pause' else 'held'} by {e.by}{_noted(e)}",
    p.RunResumed: lambda e: f"the run goes on, resumed by {e.by}",
    p.GateOpened: _gate_opened,
    p.GateClosed: _gate_closed,
    f.ServiceStarted: lambda e: f"{e.service} started, {e.identity}",
    f.ServiceAdopted: lambda e: f"{e.service} taken over, {e.identity}",
    f.ServiceStopped: _stopped,
    k.LinksOpened: lambda e: f"links opened: {', '.join(f'{name} at {address}' for name, address in e.addresses.items())}",
    k.LinksLost: _lost,
    f.WorkloadStarted: lambda e: f"workload {e.workload} started, {e.identity}",
    f.WorkloadDied: _died,
    f.WorkloadStopped: lambda e: f"workload {e.workload} {'killed: it outlived its stop grace' if e.killed else 'stopped'}",
    f.FaultArmed: lambda e: f"{e.fault_id} armed: {e.action} {e.target}, its undo is durable",
    f.FaultInjected: _injected,
    f.FaultEffective: _effective,
    f.FaultUnseen: lambda e: f"no effect of {e.fault_id} was seen within {readable(e.within)}",
    f.FaultReverted: _reverted,
    f.FaultRevertFailed: _revert_failed,
    f.FaultGone: _gone,
    f.ActionDone: lambda e: f"{e.action_id} done{': ' + e.message if e.message else ''}",
    f.ActionRefused: _outcome,
    f.ActionFailed: _outcome,
    f.HandlerFailed: _dead,
    f.OwnerChanged: lambda e: f"host {e.host} of {e.instance} took the run over",
    o.ServiceDown: _down,
    o.ServiceUp: _up,
    o.ProbeSummary: _summary,
    o.OperationsSeen: _operations,
    o.RoleSeen: lambda e: f"{e.service} has {f'the role {e.role}' if e.role else 'no role'}",
    m.AnswerSeen: _answer,
    m.MetricSampled: _sampled,
    m.LogMatched: _logged,
    m.KeysListed: _listed,
    m.TraceMatched: _traced,
    m.SetRead: _read,
    o.EventMatched: _matched,
    a.FaultPublished: _published,
    a.AuditFed: _fed,
    a.AuditLinked: _linked,
    o.EventCounted: lambda e: f"{sum(e.types.values())} service events",
    o.StreamGap: _gap,
    o.EvidenceStored: lambda e: f"{e.matches} raw matches of {e.stage} stored as {e.name}",
    o.ObservedUntil: lambda e: f"observed to the end of {e.stage}" if e.kind == "end" else f"observing {e.stage}",
    j.AssertionJudged: _judged,
}

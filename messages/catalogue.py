"""Every event there is, by the type that its subject names."""

from messages import (
    audit_events,
    control_events,
    correlations,
    fault_events,
    judgements,
    link_events,
    measurements,
    observations,
    pause_events,
    rehearsal_events,
    run_events,
)
from messages.events import RunEvent

EVENTS: dict[str, type[RunEvent]] = {
    event.type_name(): event
    for event in (
        run_events.RunAccepted,
        run_events.RunWaiting,
        run_events.RunStarted,
        run_events.ServicesRequested,
        run_events.ServicesReleaseRequested,
        run_events.PhaseStarted,
        run_events.PhaseFinished,
        run_events.ActionRequested,
        run_events.TargetResolved,
        run_events.UndoRequested,
        run_events.ActionExpired,
        run_events.AssertionOpened,
        run_events.AssertionExpired,
        run_events.RunAborting,
        run_events.RunFinished,
        control_events.SubmitRequested,
        control_events.AbortRequested,
        control_events.PauseRequested,
        control_events.ResumeRequested,
        control_events.ReleaseRequested,
        control_events.ApproveRequested,
        control_events.RejectRequested,
        control_events.ResolveRequested,
        pause_events.RunPausing,
        pause_events.RunResumed,
        pause_events.GateOpened,
        pause_events.GateClosed,
        rehearsal_events.FaultRehearsed,
        rehearsal_events.FaultRehearsalEnded,
        fault_events.ServiceStarted,
        fault_events.ServiceAdopted,
        fault_events.ServiceStopped,
        link_events.LinksOpened,
        link_events.LinksLost,
        fault_events.WorkloadStarted,
        fault_events.WorkloadDied,
        fault_events.WorkloadStopped,
        fault_events.FaultArmed,
        fault_events.FaultInjected,
        fault_events.FaultEffective,
        fault_events.FaultUnseen,
        fault_events.FaultReverted,
        fault_events.FaultRevertFailed,
        fault_events.FaultGone,
        fault_events.ActionDone,
        fault_events.ActionRefused,
        fault_events.ActionFailed,
        fault_events.HandlerFailed,
        fault_events.OwnerChanged,
        observations.ServiceDown,
        observations.ServiceUp,
        observations.ProbeSummary,
        observations.OperationsSeen,
        observations.RoleSeen,
        measurements.AnswerSeen,
        measurements.MetricSampled,
        measurements.LogMatched,
        measurements.KeysListed,
        measurements.TraceMatched,
        measurements.SetRead,
        observations.EventMatched,
        observations.EventCounted,
        observations.StreamGap,
        observations.EvidenceStored,
        correlations.FaultCorrelated,
        correlations.AuditCorrelated,
        observations.ObservedUntil,
        audit_events.FaultPublished,
        audit_events.AuditFed,
        audit_events.AuditLinked,
        judgements.AssertionJudged,
        judgements.ReportPublished,
    )
}


def decode(type_name: str, body: bytes) -> RunEvent | None:
    """The event of a journal line, or None for a type that this version does not know.

    Raises:
        pydantic.ValidationError: the body does not fit the type.
    """
    event = EVENTS.get(type_name)
    return None if event is None else event.model_validate_json(body)

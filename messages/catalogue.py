"""Every event there is, by the type that its subject names."""

from messages import fault_events, judgements, link_events, measurements, observations, run_events
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
        run_events.SubmitRequested,
        run_events.AbortRequested,
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
        observations.ServiceDown,
        observations.ServiceUp,
        observations.ProbeSummary,
        observations.OperationsSeen,
        observations.RoleSeen,
        measurements.AnswerSeen,
        measurements.MetricSampled,
        measurements.AnswerSeen,
        measurements.MetricSampled,
        observations.EventMatched,
        observations.EventCounted,
        observations.StreamGap,
        observations.EvidenceStored,
        observations.ObservedUntil,
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

"""Tells the audit trail of a run. Each moment is told until the journal says so, also by who takes the run over."""

from collections.abc import AsyncIterator, Mapping

from actors.observer.announcing import RUN_TYPES, cloud_event, fields_of, moments_of
from actors.observer.view import ObserverView
from bus.actor import Run
from bus.errors import EventUntaken
from bus.event_publishing import EventPublisher
from messages.audit_events import RUN, TYPES, AuditFed, AuditLinked, FaultPublished, Moment, event_id
from messages.events import RunEvent
from messages.fault_events import FaultEvent, FaultGone, FaultInjected, FaultReverted
from targets.audit_correlator import AuditCorrelator, Entry
from targets.secrets import secrets_of

FAULT_MOMENTS = (FaultInjected, FaultReverted, FaultGone)
"""What makes a fault's start or end known."""
LINK = "chaos_injection"
"""The type of the link between a fault's start and its end."""


class AuditTrail:
    """Publishes among the events of the system, and feeds an audit correlator if there is one."""

    def __init__(self, publisher: EventPublisher, correlator: AuditCorrelator | None, environment: Mapping[str, str]) -> None:
        """`environment` holds the secrets of systems."""
        self._publisher = publisher
        self._correlator = correlator
        self._environment = environment

    async def publish(self, event: FaultEvent, run: Run[ObserverView]) -> AsyncIterator[FaultPublished]:
        """Publish the moments of a fault that have come, in order. Holds up nothing but itself."""
        view, fault = run.view, event.fault_id
        for moment in moments_of(view, fault):
            subject = view.state.system.audit_subject(TYPES[moment])
            if subject is not None and (fault, moment) not in view.published:
                yield await self._published(view, fault, moment, subject)

    async def feed(self, event: RunEvent, run: Run[ObserverView]) -> AsyncIterator[AuditFed | AuditLinked]:
        """Tell the correlator of the moments of a fault, or of the run, that have come, and then that they belong together."""
        view, about = run.view, event.entity
        for moment in _moments(view, about):
            if self._correlator is not None and (about, moment) not in view.fed:
                entry = Entry((RUN_TYPES if about == RUN else TYPES)[moment], fields_of(view, about, moment, self._secrets(view)))
                told = await self._correlator.tell(entry, again=run.inherited)
                name = event_id(run.id, about, moment)
                yield AuditFed(about=about, moment=moment, id=name, outcome=told.outcome, stored_id=told.stored_id, error=told.error)
        ids = {moment: fed.stored_id for moment in TYPES if (fed := view.fed.get((about, moment))) is not None and fed.stored_id}
        if self._correlator is not None and about != RUN and about not in view.linked and len(ids) == len(TYPES):
            yield AuditLinked(fault_id=about, error=await self._correlator.link(ids["started"], ids["ended"], LINK))

    async def _published(self, view: ObserverView, fault: str, moment: Moment, subject: str) -> FaultPublished:
        event = cloud_event(view, fault, moment, self._secrets(view))
        told = FaultPublished(fault_id=fault, moment=moment, id=event["id"], subject=subject)
        try:
            taken = await self._publisher.publish(subject, event)
        except EventUntaken as error:
            return told.model_copy(update={"error": str(error)})
        return told.model_copy(update={"stream": taken.stream, "sequence": taken.sequence})

    def _secrets(self, view: ObserverView) -> tuple[str, ...]:
        return secrets_of(view.state.system, self._environment)


def _moments(view: ObserverView, about: str) -> tuple[Moment, ...]:
    if about != RUN:
        return tuple(moments_of(view, about))
    return ("started", "ended") if view.state.finished is not None else ("started",)

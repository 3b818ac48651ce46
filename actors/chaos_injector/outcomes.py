"""What came of touching a target, in the words of the journal."""

import time
from datetime import timedelta

from actors.chaos_injector.drivers import Done
from bus.actor import Run
from messages.fault_events import ServiceAdopted, ServiceStarted
from messages.verdicts import Reason
from runs.state import RunState
from targets.disk import VolumeOffLimits
from targets.errors import NotThere, TargetError


def reason_of(error: TargetError) -> Reason:
    """What a target's error means for a verdict."""
    match error:
        case NotThere():
            return Reason.NO_TARGET
        case VolumeOffLimits():
            return Reason.REFUSED_LIMIT
        case _:
            return Reason.UNSUPPORTED_HERE


def service_event(run: Run[RunState], name: str, done: Done) -> ServiceStarted | ServiceAdopted | None:
    """The news about a service's process, if there are any."""
    known = run.view.services.get(name)
    if done.process is None or (known is not None and done.process == known.identity):
        return None
    number = (known.starts if known is not None else 0) + 1
    kind = ServiceStarted if done.started else ServiceAdopted
    return kind(service=name, number=number, identity=done.process, output=known.output if known is not None else "")


def since(moment: float) -> timedelta:
    """From a reading of the monotonic clock until now."""
    return timedelta(seconds=time.monotonic() - moment)

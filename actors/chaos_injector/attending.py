"""Whether somebody is there who would end what is begun: an injector may have a run whose scheduler has died and was not replaced."""

from collections.abc import Callable

import structlog

from bus.actor import Run
from runs.state import RunState
from targets.polling import until

_log = structlog.get_logger()
SCHEDULER = "scheduler"
LOOK = 0.1
"""Seconds from one look to the next."""


def is_attended(run: Run[RunState]) -> bool:
    """Whether a host that lives has the scheduler's share of the run."""
    return run.is_attended(SCHEDULER)


async def until_attended(run: Run[RunState], is_over: Callable[[], bool]) -> None:
    """Wait until the run is attended, or it `is_over` and nothing is to be begun any more."""
    if not is_attended(run) and not is_over():
        _log.warning("run.unattended", run=run.id)
    await until(lambda: is_attended(run) or is_over(), poll=LOOK)

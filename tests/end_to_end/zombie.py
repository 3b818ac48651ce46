"""A host that tells what it stores and does, and that halts itself around one call of a driver: the command line, with a witness.

`ZOMBIE_LOG` is a file to which it appends lines of JSON, each with an instant of the machine's monotonic clock. `ZOMBIE_TRAP` is a file
with `before` or `after`: who finds it as it disturbs a process takes it away, and halts right before the call, or right after.
"""

import json
import os
import signal
import time
from pathlib import Path

from actors.chaos_injector.drivers import Plan, Target
from actors.chaos_injector.process_faults import ProcessFaults
from bus.journal import Guard, Journal
from cli.main import main
from messages.events import RunEvent
from messages.identity import Identity
from targets.process import ProcessDriver

LOG, TRAP = Path(os.environ["ZOMBIE_LOG"]), Path(os.environ["ZOMBIE_TRAP"])
_store, _inject, _resume = Journal._store, ProcessFaults.inject, ProcessDriver.resume


def tell(what: str, name: str = "", run: str = "", actor: str = "", sequence: int = 0) -> None:
    """Append a line."""
    told = {"at": time.monotonic(), "pid": os.getpid(), "what": what, "name": name, "run": run, "actor": actor, "sequence": sequence}
    with LOG.open("a") as log:
        log.write(json.dumps(told) + "\n")


def halt(when: str) -> None:
    """Stand still if it is time, until somebody says to go on."""
    try:
        if TRAP.read_text() != when:
            return
        TRAP.unlink()
    except OSError:
        return
    tell("halting")
    os.kill(os.getpid(), signal.SIGSTOP)
    tell("awake")


async def _told(self: Journal, subject: str, event: RunEvent, headers: dict[str, str], guard: Guard | None) -> tuple[int, bool]:
    sequence, ours = await _store(self, subject, event, headers, guard)
    if ours:
        run, actor = subject.split(".")[3:5]
        tell("stored", event.type_name(), run, actor, sequence)
    return sequence, ours


async def _halting(self: ProcessFaults, target: Target, plan: Plan) -> str:
    halt("before")
    remark = await _inject(self, target, plan)
    tell("disturbed", target.name)
    halt("after")
    return remark


async def _resuming(self: ProcessDriver, identity: Identity) -> None:
    await _resume(self, identity)
    tell("resumed", str(identity))


if __name__ == "__main__":
    Journal._store = _told  # type: ignore[method-assign]
    ProcessFaults.inject = _halting  # type: ignore[method-assign]
    ProcessDriver.resume = _resuming  # type: ignore[method-assign]
    main()

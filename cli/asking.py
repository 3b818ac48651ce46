"""What the levers ask of the coordinator, and what it said: one line that names the run and the next command."""

import json as jsonlib
from dataclasses import dataclass

from cli.access import Access, Bus, joining
from cli.errors import CliError, Exit
from cli.following import find_run
from cli.looping import run_async
from cli.output import say
from messages.control import Done


@dataclass(frozen=True)
class Lever:
    """What is said when it was pulled."""

    said: str
    doing: str
    """Its key in JSON."""


LEVERS = {
    "abort": Lever("aborting {run}; `test-coordinator wait {run}` waits for its end", "aborting"),
    "pause": Lever("pausing {run}: its faults are undone first; `test-coordinator resume {run}` lets it go on", "pausing"),
    "resume": Lever("resuming {run}; `test-coordinator watch {run}` shows it", "resuming"),
    "approve": Lever("approved {run}; `test-coordinator watch {run}` shows it", "approved"),
    "reject": Lever("rejected {run}, so it is aborted; `test-coordinator wait {run}` waits for its end", "rejected"),
}


def lever_command(verb: str, run: str, note: str, access: Access, *, json: bool) -> int:
    """Ask for one of the levers of a run; does not wait for what comes of it."""
    return run_async(_pull(verb, run, note, access, json=json))


def resolve_command(run: str, fault: str | None, note: str, access: Access, *, json: bool) -> int:
    """Take down that what a run left disturbed is in order again: one fault, or all."""
    return run_async(_resolve(run, fault, _said(note, "resolve"), access, json=json))


def hold_command(note: str, access: Access, *, json: bool) -> int:
    """Let nothing start in the namespace."""
    return run_async(_hold(_said(note, "hold"), access, json=json))


def release_command(note: str, access: Access, *, json: bool) -> int:
    """End the hold."""
    return run_async(_release(note, access, json=json))


def _said(note: str, verb: str) -> str:
    if not note.strip():
        raise CliError("the note is empty", f"say why, for those who come next: test-coordinator {verb} … --note 'what happened'")
    return note.strip()


async def _pull(verb: str, wanted: str, note: str, access: Access, *, json: bool) -> int:
    async with joining(access) as bus:
        run, lever = await find_run(bus, wanted), LEVERS[verb]
        _accepted(await _ask(bus, verb, run, note), f"`test-coordinator status {run}` shows where it is")
        say(jsonlib.dumps({"run_id": run, lever.doing: True}) if json else lever.said.format(run=run))
    return Exit.PASSED


async def _ask(bus: Bus, verb: str, run: str, note: str) -> Done:
    ask = {
        "abort": bus.control.abort,
        "pause": bus.control.pause,
        "resume": bus.control.resume,
        "approve": bus.control.approve,
        "reject": bus.control.reject,
    }[verb]
    return await ask(run, note)


async def _resolve(wanted: str, fault: str | None, note: str, access: Access, *, json: bool) -> int:
    async with joining(access) as bus:
        run = await find_run(bus, wanted)
        _accepted(await bus.control.resolve(run, fault, note), "`test-coordinator status` lists what is left")
        what = f"{fault} of {run}" if fault else run
        told = jsonlib.dumps({"run_id": run, "fault": fault, "resolved": True})
        say(told if json else f"resolved {what}: its verdict stays unsafe; `test-coordinator status` shows if anything is left")
    return Exit.PASSED


async def _hold(note: str, access: Access, *, json: bool) -> int:
    async with joining(access) as bus:
        _accepted(await bus.control.hold(note), "`test-coordinator status` shows it")
        told = jsonlib.dumps({"namespace": bus.namespace, "held": True})
        say(told if json else f"held: in namespace {bus.namespace} no run starts and no fault happens until `test-coordinator release`")
    return Exit.PASSED


async def _release(note: str, access: Access, *, json: bool) -> int:
    async with joining(access) as bus:
        _accepted(await bus.control.release(note), "`test-coordinator status` shows what is so")
        told = jsonlib.dumps({"namespace": bus.namespace, "held": False})
        say(told if json else f"released: in namespace {bus.namespace} what waited goes on; `test-coordinator status` shows it")
    return Exit.PASSED


def _accepted(done: Done, do: str) -> None:
    """Raises CliError with what the coordinator said against it."""
    if done.error is not None:
        what, _, right = done.error.partition("; ")
        raise CliError(what, right or do)

"""Whether a network fault shows, and whether all is as it was, by connections that are made anew."""

import asyncio
from datetime import timedelta

from messages.actions.network import NetworkUndo, Probe
from targets.network.filters import count
from targets.network.probing import again

LOOK = 0.05
"""Seconds between two looks."""
SILENCE = timedelta(milliseconds=500)
"""No answer for so long beyond what it took before is no answer. TCP sends a lost SYN again after a second."""
VOLLEY = 20
"""Connections made at once to see that some are lost."""


def telling(undo: NetworkUndo) -> tuple[Probe, ...]:
    """The connections on which the fault can show: who was silent before, or is to be refused and was, tells nothing."""
    mute = {"silent", "refused", "unreachable"} if undo.effect == "refusal" else {"silent"}
    return tuple(entry for entry in undo.probes if entry.before not in mute)


async def seen_by_probes(undo: NetworkUndo) -> str | None:
    """What the connections met that they did not meet before; None unless each of them shows it."""
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(_seen(undo, entry)) for entry in telling(undo)]
    seen = [look.result() for look in looks]
    return seen[0] if seen and all(seen) else None


async def seen_by_packets(undo: NetworkUndo) -> str | None:
    """How many packets met the rules; None if none did."""
    met = sum([(await count(rules, undo.comment))[1] for rules in undo.rules])
    return f"{met} packets met its rules" if met else None


async def is_normal(undo: NetworkUndo) -> bool:
    """Whether every connection that was answered or refused before is so again, and no later."""
    async with asyncio.TaskGroup() as tasks:
        looks = [(entry, tasks.create_task(again(entry, _deadline(undo, entry)))) for entry in undo.probes if entry.before != "silent"]
    late = undo.hold.delay / 2 if undo.hold is not None else SILENCE
    return all(look.result().before != "silent" and look.result().round_trip < entry.round_trip + late for entry, look in looks)


async def _seen(undo: NetworkUndo, before: Probe) -> str | None:
    if undo.effect == "loss":
        return await _some_lost(before)
    now, to = await again(before, _deadline(undo, before)), f"{before.host} port {before.port}"
    if undo.effect == "refusal" and now.before == "refused":
        return f"{to} refuses connections"
    # Who is refused by rules on what comes in does not get the answers to what it began itself.
    if undo.effect in {"silence", "refusal"} and now.before == "silent":
        return f"{to} does not answer"
    if (
        undo.hold is not None
        and now.before != "silent"
        and now.round_trip >= before.round_trip + (undo.hold.delay - undo.hold.jitter) * 0.8
    ):
        return f"connecting to {to} takes {now.round_trip / timedelta(milliseconds=1):.0f} ms"
    return None


async def _some_lost(before: Probe) -> str | None:
    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(again(before, before.round_trip + SILENCE)) for _ in range(VOLLEY)]
    lost = sum(look.result().before == "silent" for look in looks)
    return f"{lost} of {VOLLEY} connections to {before.host} port {before.port} were not answered at once" if lost else None


def _deadline(undo: NetworkUndo, before: Probe) -> timedelta:
    held = (undo.hold.delay + undo.hold.jitter) * 2 if undo.hold is not None else timedelta()
    return before.round_trip + SILENCE + held

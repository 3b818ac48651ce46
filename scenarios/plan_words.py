"""What is planned, in words for a person who decides whether to let it happen."""

from math import ceil
from typing import Literal

from messages.actions import Means
from messages.claims import Claim, RecoveryClaim
from messages.claims.claim import as_tuple
from messages.needs import candidates
from messages.scenario import Action
from messages.system import System
from messages.targets import Selection, picked
from messages.values import format_duration
from scenarios.timing import least_chosen

LEASE = "10s, renewed while we live; then whoever is alive undoes it"
"""What holds a fault (the injector's setting says how long)."""
NOTHING = "nothing"
"""What an action needs for which nothing has to be there."""
_UNDO: dict[Means, str] = {
    "process": "the service is started again",
    "limit": "the limit is put back as it was",
    "link": "the proxy lets everything pass again",
    "network": "our rules are taken out of the packet filter",
    "volume": "the filler file is removed",
    "chaos": "the chaos API is told to end it",
    "nothing": "nothing, for nothing is done",
}
_UNDO_OF = {"pause": "the service goes on (SIGCONT)", "restart": "nothing to undo: it is started again at once"}
_NEEDS: dict[Means, str] = {
    "process": "the right to signal and start the service (its own user, or root)",
    "limit": "the service's own user, or root",
    "link": f"{NOTHING}: the proxy is an ordinary program",
    "network": "root or CAP_NET_ADMIN, and iptables (Linux)",
    "volume": "the right to write to the folder, on a file system of its own",
    "chaos": "the service's chaos API",
    "nothing": "what nobody here has: it will be refused",
}
_NEEDS_OF = {
    "limit_cpu": "root, or a control group that we may write (Linux)",
    "limit_memory": "the service's own user, or root; with how: kill a control group that we may write (Linux)",
}


def undo_of(action: Action) -> str:
    """What undoes a fault."""
    return _UNDO_OF.get(action.action) or _UNDO[action.spec.means]


def end_of(action: Action) -> str:
    """When a fault ends."""
    if action.for_ is not None:
        return f"{format_duration(action.for_)} after it was injected"
    return "by itself, at once" if action.spec.ends_itself else "at the phase's end"


def lease_of(action: Action) -> str:
    """What holds a fault if nobody is left to undo it; empty for what is no fault."""
    return LEASE if action.spec.fault else ""


def needs_of_means(means: Means) -> str:
    """What must be there for anything to be done by this means."""
    return _NEEDS[means]


def needs_of(system: System, action: Action) -> str:
    """What must be there for an action to be done, and which rights."""
    needs = _NEEDS_OF.get(action.action) or _NEEDS[action.spec.means]
    if action.spec.means == "chaos":
        bases = [chaos.http for name in action.targets if (chaos := system.spec.services[name].chaos) is not None]
        return f"{needs} at {', '.join(dict.fromkeys(bases))}" if bases else needs
    return needs


def start_of(action: Action, stage: str) -> str:
    """When an action starts in its stage."""
    delay = format_duration(action.delay) if action.delay else ""
    if action.after is not None:
        return f"{delay} after {action.after} is over" if delay else f"when {action.after} is over"
    return f"{delay} into {stage}" if delay else f"at the start of {stage}"


def target_of(system: System, action: Action) -> str:
    """What the action works on, or how that will be chosen."""
    if not isinstance(action.target, Selection):
        told = ", ".join(action.targets)
    elif action.target.between is not None:
        told = " | ".join(", ".join(as_tuple(side)) for side in action.target.between)
    elif not action.is_live:
        told = f"{action.kind} {', '.join(action.targets)}"
    else:
        told = _choice(system, action, action.target)
    if action.at_once is None:
        return told
    settle = f", {format_duration(action.settle)} between" if action.settle else ""
    lots = ceil(least_chosen(action.target, len(action.targets)) / action.at_once)
    return f"{told}; {action.at_once} at once{settle}" + (f" ({lots} lots)" if not action.is_live else "")


def _choice(system: System, action: Action, selection: Selection) -> str:
    among = candidates(system, action)
    count, never = len(among), [name for name in selection.names if name not in among]
    told = f"{picked(selection.pick, count) if selection.where is None else selection.pick or 'all'} of {count}"
    group = f" in group {selection.group}" if selection.group is not None else f" ({', '.join(among[:8])})"
    spared = f", never {', '.join(never)} (protected)" if never else ""
    where = f" where {selection.where}" if selection.where is not None else ""
    seed = f", seed <run>/{action.id}" if selection.pick is not None else ""
    return f"{told}{group}{where}{spared}, chosen when it starts{seed}"


def window_of(claim: Claim, place: str) -> str:
    """The window of a claim in words."""
    if isinstance(claim, RecoveryClaim):
        return f"from {claim.of}, {format_duration(claim.within)}"
    words: list[Literal["during", "after", "before"]] = ["during", "after", "before"]
    parts = [f"{word} {reference}" for word in words if (reference := getattr(claim, word)) is not None] or [place]
    parts += [f"within {format_duration(claim.within)}"] if claim.within is not None else []
    parts += ["throughout"] if claim.throughout else []
    parts += ["never"] if claim.never else []
    return ", ".join(parts) + (f" + {format_duration(claim.grace)} grace" if claim.grace else "")

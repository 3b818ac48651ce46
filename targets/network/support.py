"""Whether network faults work on this machine: each is tried once, in a namespace that is gone when the trial is over."""

import shutil
import subprocess
import sys
from functools import cache

from messages.actions.network import NETWORK_ACTIONS
from targets.network.delay import READY

PATIENCE = 10
"""Seconds that a trial may take."""
_PROGRAMS = {"nsenter": "util-linux", "unshare": "util-linux", "iptables-restore": "iptables", "iptables-save": "iptables"}
_RULES = {
    "network_drop": "-j DROP",
    "network_reject": "-p tcp -j REJECT --reject-with tcp-reset",
    "network_loss": "-m statistic --mode random --probability 0.5 -j DROP",
    "network_latency": "-j NFQUEUE --queue-num 1 --queue-bypass",
    "network_partition": "-s 192.0.2.1 -j DROP",
}
ACTIONS = frozenset(NETWORK_ACTIONS)


class _Missing(Exception):
    """A trial failed; the text says why and what helps."""


def supported(action: str) -> str | None:
    """Why this action on the network does not work here and what helps; None if it does.

    Blocks for some 10 to 100 ms (when others keep the packet filter busy, for seconds), and no more once it was found to work.
    """
    try:
        _try(action)
    except _Missing as missing:
        return str(missing)
    return None


@cache
def _try(action: str) -> None:
    """A failure is not remembered: its cause may be over the next time."""
    missing = _missing(action)
    if missing is not None:
        raise _Missing(missing)


def _missing(action: str) -> str | None:
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            return f"needs {program}: apt-get install {package}"
    refused = _trial("true", "")
    if refused is not None:
        return f"needs CAP_SYS_ADMIN and CAP_NET_ADMIN: run as root ({refused})"
    table = "mangle" if action == "network_latency" else "filter"
    rule = f'*{table}\n-A INPUT -m comment --comment "chaos:probe" {_RULES[action]}\nCOMMIT\n'
    refused = _trial("iptables-restore --noflush --wait 5", rule)
    if refused is not None:
        return f"needs the kernel's packet filter with this rule: {_RULES[action]} ({refused})"
    if action == "network_latency":
        # A lease of no length: it says that it is ready, and ends.
        refused = _trial('exec "$0" -P -m targets.network.delay --queue 1 --delay 0 --for 0.001', "", says=READY)
        return None if refused is None else f"needs the kernel's nfnetlink_queue: modprobe nfnetlink_queue ({refused})"
    return None


def _trial(script: str, text: str, *, says: str = "") -> str | None:
    """What went wrong with a script in a network namespace of its own; None if nothing did."""
    try:
        done = subprocess.run(
            ["unshare", "--net", "sh", "-c", script, sys.executable],  # noqa: S607 - the system's own
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0 and says in done.stdout:
        return None
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]

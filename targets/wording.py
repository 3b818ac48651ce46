"""Short, readable words for what a check met."""

import errno
import socket
from datetime import timedelta

from messages.values import format_duration

REFUSED = "connection refused"
NO_ANSWER = "no answer within"
UNKNOWN_NAME = "the name is not known"
_LONGEST = 160
_WORDS = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "no route to the network",
    errno.ETIMEDOUT: "connection timed out",
    errno.EMFILE: "this process has too many open files",
}


def no_answer(within: timedelta) -> str:
    """What a check that met its deadline says."""
    return f"{NO_ANSWER} {format_duration(within)}"


def wrong_port(address: str) -> str:
    """What is wrong with the port of `host:port`; empty if it is one. Some clients would take it modulo 65536 and ask someone else."""
    port = int(address.rpartition(":")[2])
    return "" if 0 < port < 65536 else f"there is no port {port}"


def of_os_error(error: OSError) -> str:
    """What the system said."""
    if isinstance(error, socket.gaierror):
        return UNKNOWN_NAME
    words = _WORDS.get(error.errno or 0)
    if words is None and REFUSED in str(error).lower():
        return REFUSED
    return words or shortened((error.strerror or str(error) or type(error).__name__).lower())


def shortened(text: str, longest: int = _LONGEST) -> str:
    """The text on one line, cut to this many characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"

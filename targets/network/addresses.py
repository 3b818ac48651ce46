"""The IP addresses that a process can be reached at, as its network namespace has them (proc(5), /proc/PID/net)."""

import ipaddress
import re

from messages.identity import Identity
from targets.errors import NotThere
from targets.identity import PROC

_LOCAL = re.compile(r"\|-- (\S+)\n\s*/32 host LOCAL")


def addresses_of(process: Identity) -> tuple[str, ...]:
    """Its addresses, without those of the loopback and of single links, IPv4 first.

    Raises:
        NotThere: the process is gone.
    """
    net = PROC / str(process.pid) / "net"
    try:
        found = _LOCAL.findall((net / "fib_trie").read_text("ascii"))
        found += [_sixth(line.split()[0]) for line in (net / "if_inet6").read_text("ascii").splitlines()]
    except OSError as error:
        raise NotThere(process) from error
    addresses = [ipaddress.ip_address(text) for text in dict.fromkeys(found)]
    return tuple(str(address) for address in addresses if not (address.is_loopback or address.is_link_local))


def _sixth(digits: str) -> str:
    return ":".join(digits[start : start + 4] for start in range(0, 32, 4))

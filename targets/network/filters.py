"""Rules of the packet filter, iptables(8): what they say, and setting, counting and removing those that carry our comment."""

import ipaddress
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from messages.actions.network import Direction, Namespace, NetworkReject, Rules, Table, Traffic
from targets.network.errors import NetworkFailed, NoNamespace
from targets.network.namespaces import path_to
from targets.threads import to_the_end

PATIENCE = timedelta(seconds=10)
"""How long one command may take; it may have to wait for the lock of another."""
RULES_TAG = "TEST_COORDINATOR_RULES"
"""In the environment of programs that are setting rules of a fault."""
RESET = "-m tcp --tcp-flags RST NONE -j REJECT --reject-with tcp-reset"
"""Refuses all but resets, which would else be refused themselves."""
TABLES: tuple[Table, ...] = ("filter", "mangle")
_COMMENTED = re.compile(r'-A .*--comment "?(chaos:[A-Za-z0-9_-]+:[A-Za-z0-9_-]+)"?(?: .*)?')
_FAMILIES = (("v4", "iptables"), ("v6", "ip6tables"))


def rules_of(namespace: Namespace, traffic: Traffic, comment: str, verdict: str, table: Table = "filter") -> Rules:
    """The rules that do this to this traffic. `verdict` is the end of a rule from its target on, such as `-j DROP`."""
    v4, v6 = (tuple(_lines(traffic, comment, verdict, version)) for version in (4, 6))
    return Rules(namespace=namespace, table=table, v4=v4, v6=v6 if _has_ipv6() else ())


async def add(rules: Rules, comment: str) -> None:
    """Set the rules, each family at once: in `filter` before the rules of others, in `mangle`, where ours let packets pass, after them.

    A family whose rules are there stays as it is.

    The program that does it can be found by the comment: should we die, it goes on, and who undoes the fault ends it first.

    Raises:
        NoNamespace: the namespace is gone.
        NetworkFailed: iptables did not do it.
    """
    for family, program in _FAMILIES:
        lines: tuple[str, ...] = getattr(rules, family)
        if lines and not await _ours(rules, program, comment):
            option = "-I" if rules.table == "filter" else "-A"
            await _restore(rules, program, [f"{option} {line}" for line in lines], {RULES_TAG: comment})


async def remove(rules: Rules, comment: str) -> None:
    """Remove all rules of this comment; nothing happens where there are none.

    Raises:
        NetworkFailed: iptables did not do it.
    """
    # Where the namespace is gone, so are its rules.
    with suppress(NoNamespace):
        for family, program in _FAMILIES:
            found = [line for line, _ in await _ours(rules, program, comment)] if getattr(rules, family) else []
            if found:
                await _restore(rules, program, [line.replace("-A ", "-D ", 1) for line in found])


async def count(rules: Rules, comment: str) -> tuple[int, int]:
    """How many rules of this comment there are, and how many packets met them.

    Raises:
        NetworkFailed: iptables did not say.
    """
    found: list[tuple[str, int]] = []
    with suppress(NoNamespace):
        for family, program in _FAMILIES:
            found += await _ours(rules, program, comment) if getattr(rules, family) else []
    return len(found), sum(packets for _, packets in found)


async def left_in(namespace: Namespace) -> dict[str, list[Rules]]:
    """The rules of faults in the namespace, by their comment: what an injector that starts may find left.

    Raises:
        NoNamespace: the namespace is gone.
        NetworkFailed: iptables did not say.
    """
    left: dict[str, list[Rules]] = {}
    for table in TABLES:
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for family, program in _FAMILIES if _has_ipv6() else _FAMILIES[:1]:
            for line in (await _run(namespace, [f"{program}-save", "-t", table], "")).splitlines():
                if (match := _COMMENTED.fullmatch(line)) is not None:
                    lines = found.setdefault(match[1], {})
                    lines[family] = (*lines.get(family, ()), line)
        for comment, lines in found.items():
            rules = Rules(namespace=namespace, table=table, v4=lines.get("v4", ()), v6=lines.get("v6", ()))
            left.setdefault(comment, []).append(rules)
    return left


def _has_ipv6() -> bool:
    return shutil.which("ip6tables-restore") is not None and Path("/proc/sys/net/ipv6").exists()


def _lines(traffic: Traffic, comment: str, verdict: str, version: int) -> Iterator[str]:
    peers: list[str | None] = [peer for peer in traffic.peers if ipaddress.ip_network(peer).version == version]
    if traffic.peers and not peers:
        return
    ports = traffic.port is not None or traffic.peer_port is not None
    refuses = isinstance(traffic, NetworkReject)
    for chain in _chains(traffic.direction):
        for peer in peers or [None]:
            for protocol in ("tcp", "udp") if ports or refuses else (None,):
                ending = RESET if refuses and protocol == "tcp" else verdict
                yield " ".join([chain, *_match(traffic, chain, peer, protocol), f'-m comment --comment "{comment}"', ending])


def _chains(direction: Direction) -> tuple[str, ...]:
    return {"in": ("INPUT",), "out": ("OUTPUT",), "both": ("INPUT", "OUTPUT")}[direction]


def _match(traffic: Traffic, chain: str, peer: str | None, protocol: str | None) -> Iterator[str]:
    comes = chain == "INPUT"
    # Who names peers may mean the service itself; else what it says to itself is no traffic.
    yield f"-{'s' if comes else 'd'} {peer}" if peer is not None else f"! -{'i' if comes else 'o'} lo"
    if protocol is not None:
        yield f"-p {protocol}"
    here, there = ("--dport", "--sport") if comes else ("--sport", "--dport")
    if traffic.port is not None:
        yield f"{here} {traffic.port}"
    if traffic.peer_port is not None:
        yield f"{there} {traffic.peer_port}"


async def _ours(rules: Rules, program: str, comment: str) -> list[tuple[str, int]]:
    """Our rules as the system writes them, and how many packets met each."""
    text = await _run(rules.namespace, [f"{program}-save", "-c", "-t", rules.table], "")
    ours = re.compile(rf'\[(\d+):\d+\] (-A .*--comment "?{re.escape(comment)}"?(?: .*)?)')
    return [(match[2], int(match[1])) for line in text.splitlines() if (match := ours.fullmatch(line)) is not None]


async def _restore(rules: Rules, program: str, lines: list[str], tags: Mapping[str, str] | None = None) -> None:
    text = "\n".join([f"*{rules.table}", *lines, "COMMIT", ""])
    await _run(rules.namespace, [f"{program}-restore", "--noflush", "--wait", "5"], text, tags)


async def _run(namespace: Namespace, command: list[str], text: str, tags: Mapping[str, str] | None = None) -> str:
    path = path_to(namespace)
    if path is None:
        raise NoNamespace(namespace.path)
    # In a thread: event loops differ in what they make of a program that ends before it has read its input.
    running = _Running(["nsenter", f"--net={path}", *command], {**os.environ, **(tags or {})})
    return await to_the_end(lambda: running.told(text), hasten=running.hasten)


class _Running:
    """A command that is told its input and ended by force when nobody waits for it any more."""

    def __init__(self, command: list[str], env: Mapping[str, str]) -> None:
        self._command = command
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._hastened = False

    def hasten(self) -> None:
        """End it: what it sets or removes, it does at once or not at all."""
        self._hastened = True
        if self._process is not None:
            self._process.kill()

    def told(self, text: str) -> str:
        """What it says when it is told this; blocks.

        Raises:
            NetworkFailed: it cannot be run, did not end or failed.
        """
        program, pipe = self._command[2], subprocess.PIPE
        try:
            process = subprocess.Popen(self._command, env=self._env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        except OSError as error:
            raise NetworkFailed(f"nsenter cannot be run: {error.strerror}") from error
        with process:
            self._process = process
            if self._hastened:
                process.kill()
            try:
                said, errors = process.communicate(text.encode(), timeout=PATIENCE.total_seconds())
            except subprocess.TimeoutExpired:
                process.kill()
                raise NetworkFailed(f"{program} did not end") from None
        if process.returncode != 0 and not self._hastened:
            raise NetworkFailed(f"{program} failed: {errors.decode(errors='replace').strip()[:300]}")
        return said.decode(errors="replace")

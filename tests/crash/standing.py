"""How the targets of a run stand, asked of themselves: of the kernel, of each service's port, and of the proxy of the links."""

import asyncio
import resource
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path

from targets.find import Tagged, tag_of, tagged_processes
from targets.group import members
from targets.identity import read_stat
from targets.proxy.client import control_proxy
from targets.proxy.starting import SERVICE, find_proxy

PATIENCE = 5.0
"""Seconds within which a service answers that is not disturbed."""
LIMITS = ("RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_FSIZE")
RUNS, FREE = "runs", "nothing on its links"
Standing = dict[str, list[str]]
"""By service, what there is to say of each of its processes; `_links` is the proxy."""


async def look(run: str, links: Path) -> Standing:
    """How they stand now. `links` is the folder in which the proxies of all runs report."""
    found: Standing = {}
    for tagged in tagged_processes(run):
        more = await _carried(links / run) if tagged.service == SERVICE else [await _answer(tagged)]
        found.setdefault(tagged.service, []).append(", ".join([*_kept(tagged), *more]))
    return found


def is_whole(standing: Standing, services: Collection[str]) -> bool:
    """Whether these services and the proxy run, once each, and nothing is disturbed."""
    sound = {SERVICE: FREE} | dict.fromkeys(services, "200 OK")
    alone = {service: words[0] for service, words in standing.items() if len(words) == 1}
    return alone.keys() == sound.keys() == standing.keys() and all(
        word.startswith(RUNS) and word.endswith(sound[service]) for service, word in alone.items()
    )


def _kept(tagged: Tagged) -> Iterator[str]:
    """Whether the kernel lets all of its processes run, and the soft limits that a fault may lower."""
    those = members(tagged.identity)
    stats = [read_stat(member.pid) for member in those]
    yield "halted" if any(stat is not None and stat.halted for stat in stats) else RUNS
    for name in LIMITS:
        yield f"{name} {sorted(resource.prlimit(member.pid, getattr(resource, name))[0] for member in those)}"


async def _answer(tagged: Tagged) -> str:
    port = tag_of(tagged.identity.pid, "PORT")
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port or 0))
            with closing(writer):
                writer.write(b"GET /health HTTP/1.0\r\n\r\n")
                return (await reader.readline()).decode().strip()
    return "no answer"


async def _carried(folder: Path) -> list[str]:
    report = find_proxy(folder)
    if report is None:
        return ["no report"]
    async with control_proxy(report) as proxy:
        toxics = await proxy.toxics()
    return [f"{toxic.action} on {toxic.link}" for toxic in toxics.values()] or [FREE]

"""What runs that are over have left on this machine: found by our tags, and taken away. What is not known to be ours is never touched."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import structlog

from actors.chaos_injector.drivers import foreseen
from messages.identity import Identity
from messages.ids import is_run_id
from targets.disk import fillers, remove_filler
from targets.errors import TargetError
from targets.find import NAMESPACE_TAG, tag_of, tagged_processes
from targets.limits.groups import remove as remove_group
from targets.limits.hierarchy import left_groups
from targets.network.errors import NetworkFailed, NoNamespace
from targets.network.filters import RULES_TAG, left_in
from targets.network.filters import remove as remove_rules
from targets.network.holding import FAULT_TAG, programs
from targets.network.namespaces import named
from targets.process import ProcessDriver
from targets.proxy.starting import clear_folder, find_proxy

_log = structlog.get_logger()
GRACE = timedelta(seconds=2)
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds from a sweep that failed to the next one."""
ROUNDS = 3
"""How often is looked: what a process has started itself is found when that is gone."""
Kind = Literal["program", "rules", "filler", "process", "group", "report"]
IN_TURN: tuple[Kind, ...] = ("program", "rules", "filler", "process", "group", "report")
"""What could be made again by something of an earlier kind, or is in use by it, comes after it."""
IsOver = Callable[[str], Awaitable[bool]]
"""Whether the journal of this namespace knows the run, and that it is finished. A run that it does not know is not over."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something that a run has left that is over."""

    kind: Kind
    run: str
    name: str
    """The service or the fault that it belonged to."""
    what: str
    """What it is, in words."""
    take_away: Callable[[], Awaitable[None]] = field(repr=False, compare=False)


class Sweep:
    """Looks for orphans and removes them. All of it is safe to repeat, and for several injectors to do at once."""

    def __init__(self, namespace: str, driver: ProcessDriver, *, links: Path, volumes: Iterable[str] = ()) -> None:
        """`links` is the folder in which the proxies of runs leave their reports; `volumes` are the folders that may hold fillers."""
        self._namespace = namespace
        self._driver = driver
        self._links = links
        self._volumes = tuple(volumes)
        self._wanted = asyncio.Event()

    def again(self) -> None:
        """Something may have been left since the last sweep."""
        self._wanted.set()

    async def keep(self, is_over: IsOver) -> None:
        """Sweep once, and after each `again`, until cancelled. One that fails is repeated: the bus may not answer for a while."""
        pause = FIRST_PAUSE
        while True:
            self._wanted.clear()
            try:
                await self.sweep(is_over)
            except Exception:  # noqa: BLE001 - a border: what others have left must not keep an injector from its work
                _log.exception("orphans.unknown", again_in=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                await self._wanted.wait()

    async def sweep(self, is_over: IsOver) -> tuple[Orphan, ...]:
        """Remove all orphans; those that were removed. One that cannot be removed is logged, and keeps none of the others."""
        removed: list[Orphan] = []
        for _ in range(ROUNDS):
            found = await self.orphans(is_over)
            done = [orphan for kind in IN_TURN for orphan in await self._remove_all([one for one in found if one.kind == kind])]
            if not done:
                break
            removed += done
        return tuple(removed)

    async def orphans(self, is_over: IsOver) -> tuple[Orphan, ...]:
        """What is there of runs that are over. Other namespaces' things, and those of runs that are open or unknown, are not among them."""
        known: dict[str, bool] = {}
        found = [*await asyncio.to_thread(self._on_this_machine), *[orphan async for orphan in _rules()]]
        for run in {orphan.run for orphan in found}:
            known[run] = is_run_id(run) and await is_over(run)
        return tuple(orphan for orphan in found if known[orphan.run])

    async def remove(self, orphan: Orphan) -> bool:
        """Remove one; whether that worked. Either is logged."""
        told = {"run": orphan.run, "kind": orphan.kind, "name": orphan.name, "what": orphan.what}
        try:
            with foreseen():
                await orphan.take_away()
        except TargetError as error:
            _log.warning("orphan.left", **told, error=str(error))
            return False
        _log.info("orphan.removed", **told)
        return True

    async def _remove_all(self, orphans: list[Orphan]) -> list[Orphan]:
        async with asyncio.TaskGroup() as tasks:
            removals = [(orphan, tasks.create_task(self.remove(orphan))) for orphan in orphans]
        return [orphan for orphan, removal in removals if removal.result()]

    def _on_this_machine(self) -> list[Orphan]:
        return [*self._programs(), *self._processes(), *self._fillers(), *_groups(), *self._reports()]

    def _programs(self) -> Iterator[Orphan]:
        """Those that set rules of a fault, or hold packets back."""
        for tag in (RULES_TAG, FAULT_TAG):
            for comment, identity in programs(tag):
                run, fault = _of_comment(comment)
                if self._may_be_ours(identity, tag_of(identity.pid, NAMESPACE_TAG)):
                    yield Orphan("program", run, fault, f"{identity}, which disturbs packets", partial(self._stop, identity))

    def _processes(self) -> Iterator[Orphan]:
        for tagged in tagged_processes():
            if self._may_be_ours(tagged.identity, tagged.namespace):
                yield Orphan("process", tagged.run, tagged.service, f"{tagged.identity}", partial(self._stop, tagged.identity))

    def _fillers(self) -> Iterator[Orphan]:
        for volume in self._volumes:
            for run, fault, path in fillers(volume):
                yield Orphan("filler", run, fault, path, partial(asyncio.to_thread, remove_filler, path))

    def _reports(self) -> Iterator[Orphan]:
        """The folders of proxies that have ended: each has the secret of one."""
        with suppress(OSError):
            for folder in [folder for folder in sorted(self._links.iterdir()) if find_proxy(folder) is None]:
                yield Orphan("report", folder.name, "links", str(folder), partial(asyncio.to_thread, clear_folder, folder))

    async def _stop(self, identity: Identity) -> None:
        await self._driver.stop(identity, signal="TERM", grace=GRACE)

    def _may_be_ours(self, identity: Identity, namespace: str | None) -> bool:
        """Who does not say whose it is, is ours if its run is; we ourselves may be what somebody else's run tests."""
        return (namespace or self._namespace) == self._namespace and identity.pid not in {os.getpid(), os.getsid(0)}


def _groups() -> Iterator[Orphan]:
    for run, fault, folder in left_groups():
        yield Orphan("group", run, fault, str(folder), partial(remove_group, folder, folder.parent))


async def _rules() -> AsyncIterator[Orphan]:
    """The rules in namespaces that have a name. With any other one they are gone when the last process is."""
    for namespace in await asyncio.to_thread(lambda: list(named())):
        try:
            left = await left_in(namespace)
        except (NoNamespace, NetworkFailed) as error:
            _log.warning("orphans.unknown", where=namespace.path, error=str(error))
            continue
        for comment, those in left.items():
            run, fault = _of_comment(comment)
            for rules in those:
                what = f"{len(rules.v4) + len(rules.v6)} rules in {namespace.path}"
                yield Orphan("rules", run, fault, what, partial(remove_rules, rules, comment))


def _of_comment(comment: str) -> tuple[str, str]:
    """Run and fault; a comment of others has none that anybody knows."""
    parts = comment.split(":")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "chaos" else ("", "")

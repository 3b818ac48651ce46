"""A host in a process of its own, to be killed or halted: it keeps a lease, and owns partitions of one actor.

Each number that it reads is a partition to hold, once it owns it, since it was first asked for; it answers `held` or `lost`.
It begins with the key of its lease.
"""

import asyncio
import sys

import structlog

from bus.connection import connect
from bus.errors import LostRace
from bus.keys import Keys
from bus.membership import MARGIN, Member, Membership
from bus.ownership import Ownership
from bus.share import Share
from bus.subjects import Subjects
from bus.topology import Names


async def serve(share: Share) -> None:
    """As the reader of a host does: serve whatever is owned."""
    while True:
        if share.serving != share.owned:
            share.serve(share.owned)
        await share.changed.wait()


def say(word: str) -> None:
    """On standard output."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def answer(share: Share) -> None:
    """Hold what is asked for."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    since: dict[int, int | None] = {}
    while line := await lines.readline():
        partition = int(line)
        while partition not in since and partition not in share.owned:
            await share.changed.wait()
        try:
            await share.hold(partition, MARGIN, since.setdefault(partition, share.terms.get(partition)))
        except LostRace:
            say("lost")
        else:
            say("held")


async def main(url: str, key: str, actor: str) -> None:
    """Be there until killed."""
    member = Member(host=key, instance="one", offers={actor: "auto"})
    async with connect(url, name=key) as connection, asyncio.TaskGroup() as tasks:
        names = Names("ns")
        membership = Membership(connection, Subjects("ns"), Keys(connection, names.instances), key, lambda: member)
        ownership = Ownership(membership, Keys(connection, names.ownership), (actor,))
        tasks.create_task(membership.run())
        tasks.create_task(ownership.run())
        tasks.create_task(serve(ownership.shares[actor]))
        tasks.create_task(answer(ownership.shares[actor]))
        say(key)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(*sys.argv[1:]))

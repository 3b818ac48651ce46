"""The set claim, on a whole coordinator: a store that is killed under a workload keeps what it acknowledged, or loses it."""

from typing import TYPE_CHECKING

import pytest

from messages.measurements import SetRead
from messages.verdicts import Reason, Verdict
from tests.end_to_end.test_logs import document, verdicts

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Arena

pytestmark = pytest.mark.long
HERE = """
        - {id: up, type: health, target: store, within: 10s}
  assertions:
    - {id: kept, type: set, workload: adders, op: add, read: {http: {url: "http://127.0.0.1:PORT/keys", items: json.keys}}}
"""


def with_claim(text: str) -> str:
    port = text.partition('PORT: "')[2].partition('"')[0]
    return text.replace("PORT/keys", f"{port}/keys")


async def test_a_store_that_keeps_what_it_acknowledged_passes(arena: "Arena") -> None:
    ended = await arena.run(with_claim(document(arena.folder, HERE, file="keys")))

    assert verdicts(ended) == {"up": Verdict.PASSED, "kept": Verdict.PASSED}, ended
    (read,) = [line.event for line in ended.events(SetRead) if isinstance(line.event, SetRead)]
    assert read.acknowledged > 0
    assert read.failed > 0
    assert ended.judged("kept").evidence == ("observer.kept.set.read.0",)


async def test_a_store_that_forgets_when_it_is_killed_has_lost_what_it_acknowledged(arena: "Arena") -> None:
    ended = await arena.run(with_claim(document(arena.folder, HERE)))

    assert (ended.verdict, ended.reason) == (Verdict.FAILED, Reason.CLAIM_FAILED)
    assert ended.judged("kept").verdict is Verdict.FAILED
    assert "lost: 1, 2, 3" in ended.judged("kept").message

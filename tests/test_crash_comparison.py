"""What the crash-point test compares, and what it calls well."""

import asyncio
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from messages.actions.links import Latency
from targets.find import tags_of
from targets.process import ProcessDriver
from targets.proxy.api import LinkPlan
from targets.proxy.client import control_proxy
from targets.proxy.starting import start_proxy
from tests.crash import standing
from tests.crash.__main__ import summary, wrong_references
from tests.crash.lane import Point
from tests.crash.outcome import Outcome
from tests.crash.points import Result, Try, tries
from tests.crash.reference import SERVICE

RUN = f"crash-comparison-{os.getpid()}"
STANDING = {name: ["runs, HTTP/1.1 200 OK"] for name in ("front", "back", "side")} | {"_links": ["runs, nothing on its links"]}
SOUND = Outcome(
    verdict="passed",
    message="",
    judged={"quiet": "passed", "halted": "passed"},
    done=Counter({"halt fault.injected": 1}),
    starts={"front": 2},
    standing=STANDING,
    left=(),
    finished=1,
    reports=1,
    lines=(),
)
BROKEN = replace(SOUND, verdict="failed (claim_failed)", judged={"quiet": "failed (claim_failed)", "halted": "passed"})
GAP = "inconclusive (gap)"


@pytest.mark.parametrize("victim", ["scheduler", "observer"])
def test_a_claim_that_passes_where_it_failed_differs_whoever_died(victim: str) -> None:
    told = replace(BROKEN, judged=SOUND.judged).differs(BROKEN, victim)

    assert told == "quiet: passed for failed (claim_failed)"


@pytest.mark.parametrize(("victim", "excused"), [("scheduler", False), ("observer", True)])
def test_a_gap_differs_unless_the_observer_died(victim: str, *, excused: bool) -> None:
    run = replace(BROKEN, verdict=GAP).differs(BROKEN, victim)
    claim = replace(BROKEN, judged={**BROKEN.judged, "quiet": GAP}).differs(BROKEN, victim)

    assert (not run, not claim) == (excused, excused)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (replace(SOUND, verdict="inconclusive (no_samples)"), "inconclusive (no_samples) () for passed"),
        (replace(SOUND, judged={"quiet": "passed"}), "halted: nothing for passed"),
        (replace(SOUND, done=Counter({"halt fault.injected": 2})), "done halt fault.injected: 2 for 1"),
        (replace(SOUND, starts={"front": 3}), "starts front: 3 for 2"),
        (replace(SOUND, standing={}), "stands _links: nothing for"),
        (replace(SOUND, standing=STANDING | {"side": ["halted, no answer"]}), "stands side: ['halted, no answer'] for"),
        (replace(SOUND, left=("front 7",)), "left front 7"),
        (replace(SOUND, reports=2), "1 ends, 2 reports"),
    ],
)
def test_what_differs_is_told_also_of_an_observer(other: Outcome, told: str) -> None:
    assert SOUND.differs(SOUND, "observer") == ""
    assert other.differs(SOUND, "observer").startswith(told)


def results(count: int, missed: int = 0, differs: str = "") -> list[Result]:
    tried = tries([Point("after", f"line-{number}", "observer") for number in range(count)], 1)
    return [Result(one, replace(SOUND, sprung=number >= missed), differs, 1.0) for number, one in enumerate(tried)]


def test_well_is_when_all_were_tried_hardly_any_missed_and_none_differs() -> None:
    assert summary(results(40, missed=4), 40)[1]
    assert not summary(results(40, missed=5), 40)[1]
    assert not summary(results(39), 40)[1]
    assert not summary(results(40, differs="left front 7"), 40)[1]


def test_every_fourth_point_has_a_stand_by_drawn_by_the_seed() -> None:
    def helped(seed: int) -> list[Try]:
        return [one for one in tries([Point("after", f"line-{number}", "observer") for number in range(40)], seed) if one.standby]

    assert len(helped(1)) == 10
    assert helped(1) == helped(1) != helped(2)


def test_a_reference_that_is_not_as_it_should_be_is_told() -> None:
    assert wrong_references({False: SOUND, True: BROKEN}) == []
    assert wrong_references({False: BROKEN, True: BROKEN})
    assert wrong_references({False: SOUND, True: replace(BROKEN, standing=STANDING | {"side": ["halted, no answer"]})})
    assert wrong_references({False: SOUND, True: replace(BROKEN, standing={})})


@asynccontextmanager
async def serving(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, **tags_of(RUN, "side"), "PORT": str(port)}
    process = await asyncio.create_subprocess_exec(sys.executable, str(SERVICE), env=environment, start_new_session=True)
    try:
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.01)
        yield process
    finally:
        process.kill()
        await process.wait()


async def test_a_service_that_stands_still_or_has_other_limits_says_so(
    unused_port: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(unused_port()) as process:
        before = await standing.look(RUN, tmp_path)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 128))
        lower = await standing.look(RUN, tmp_path)
        process.send_signal(signal.SIGSTOP)
        monkeypatch.setattr(standing, "PATIENCE", 0.2)
        halted = await standing.look(RUN, tmp_path)

    assert before["side"][0].startswith("runs, ")
    assert before["side"][0].endswith("HTTP/1.1 200 OK")
    assert "RLIMIT_NOFILE [64]" in lower["side"][0]
    assert halted["side"][0].startswith("halted, ")
    assert halted["side"][0].endswith("no answer")


async def test_a_fault_that_is_left_on_a_link_is_told_by_the_proxy(tmp_path: Path) -> None:
    driver, folder = ProcessDriver(environment=os.environ), tmp_path / RUN
    report = await start_proxy(driver, RUN, {"way": LinkPlan(service="127.0.0.1:9")}, folder)
    try:
        free = await standing.look(RUN, tmp_path)
        async with control_proxy(report) as proxy:
            await proxy.put("slow", "way", "latency", Latency(delay=timedelta(milliseconds=100)))
        disturbed = await standing.look(RUN, tmp_path)
    finally:
        await driver.kill(report.identity)

    assert free["_links"][0].endswith("nothing on its links")
    assert disturbed["_links"][0].endswith("latency on way")

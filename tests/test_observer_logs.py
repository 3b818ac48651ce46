"""What the observer makes of a log: first without any I/O, then with real files and a real nats-server."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.observer.log_tailing import LATE
from actors.observer.logs import SHOWN, Glance, LogLines, LogSpans, Matches
from messages.claims import LogClaim
from messages.claims.log import LONGEST_LINE
from messages.fault_events import ServiceStarted, WorkloadStarted
from messages.identity import Identity
from messages.judgements import AssertionJudged
from messages.measurements import LogMatched
from messages.observations import ObservedUntil
from messages.system import System
from messages.verdicts import Reason, Verdict
from targets.secrets import hidden, secrets_of
from tests.test_observer_probes import Stage, stage

__all__ = ["stage"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
HIDDEN = "open sesame"
PROCESS = {"driver": {"process": {"command": ["engine"], "env": {"PASSWORD": {"secret": "LOG_TEST_PASSWORD"}}}}}
ME = Identity(pid=1, started=1, boot="elsewhere")


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def glance(seconds: float, count: int = 1, *, since: float | None = None, lost: bool = False, lines: int = 2) -> Glance:
    return Glance(at(seconds), None if since is None else at(since), lost, lines, ("x",) * count, count, through=round(seconds * 100))


def spans(found: Sequence[LogMatched]) -> list[tuple[float, float, int, bool]]:
    return [((s.start - EPOCH).total_seconds(), (s.end - EPOCH).total_seconds(), s.count, s.late) for s in found]


@given(st.lists(st.binary(max_size=30).filter(lambda data: b"\n" not in data)), st.lists(st.integers(1, 9)))
def test_lines_are_the_same_however_the_log_comes_in(written: list[bytes], cuts: list[int]) -> None:
    data, lines = b"".join(text + b"\n" for text in written), LogLines()
    found: list[str] = []
    for cut in cuts:
        found += lines.feed(data[:cut])
        data = data[cut:]

    assert found + lines.feed(data) == [text.rstrip(b"\r").decode(errors="replace") for text in written]
    assert lines.pending == 0


def test_of_a_line_that_is_too_long_the_beginning_counts_and_no_more_is_held() -> None:
    lines = LogLines()

    assert [one for _ in range(100) for one in lines.feed(b"x" * 1000)] == []
    assert lines.pending == 100_000
    assert lines.feed(b"y\nok\n") == ["x" * LONGEST_LINE, "ok"]
    assert lines.feed(b"z" * 9000 + b"\n") == ["z" * LONGEST_LINE]


def test_few_matches_are_named_without_secrets_and_cut_after_that() -> None:
    claim = LogClaim(type="log", target="s", contains="key")
    found = Matches(claim.looking, lambda line: hidden(line, [HIDDEN]))

    for line in ("no", f"key {'x' * (SHOWN - 8)}{HIDDEN}", *(f"key {n}" for n in range(9))):
        found.see(line)
    told = found.glance(at(1), None, 10)

    assert (told.lines, told.count, len(told.matches)) == (11, 10, 3)
    assert told.matches[0] == f"key {'x' * (SHOWN - 8)}***"
    assert not any(len(match) > SHOWN for match in told.matches)


def test_secrets_are_hidden_whole_and_those_of_several_lines_line_by_line() -> None:
    env = '{"A": {"secret": "KEY"}, "B": {"secret": "PIN"}, "C": {"secret": "GONE"}, "D": "plain"}'
    services = '{"s": {"driver": {"process": {"command": ["s"], "env": ' + env + "}}}}"
    system = System.model_validate_json('{"metadata": {"name": "y"}, "spec": {"services": ' + services + "}}")
    secrets = secrets_of(system, {"KEY": "{\nBEGIN-abc\nabcdef\n}", "PIN": "BEGIN-abc-4711", "PLAIN": "plain"})

    assert hidden("a { of BEGIN-abc, BEGIN-abc-4711 and plain }", secrets) == "a { of ***, *** and plain }"
    assert secrets_of(system, {"PIN": ""}) == ()


def test_a_line_on_which_the_expression_errs_is_counted() -> None:
    found = Matches(LogClaim(type="log", target="s", where="int(line) > 5").looking, str)
    for line in ("7", "seven", "3"):
        found.see(line)
    told = found.glance(at(1), None, 10)

    assert (told.lines, told.count, told.errors) == (3, 1, 1)
    assert told.error


def test_spans_follow_each_other_and_are_cut_where_windows_begin_and_end() -> None:
    summed = LogSpans("c", at(0), 0)
    for seconds in (0.3, 2.2, 2.4, 2.9):
        summed.add(glance(seconds))

    assert spans(summed.through(at(0.9), ())) == []
    assert spans(summed.through(at(3), {at(2.3)})) == [(0, 1, 1, False), (1, 2.2, 0, False), (2.2, 2.3, 1, False)]
    assert spans(summed.through(at(4), {at(3.5)})) == [(2.3, 3.3, 2, False), (3.3, 3.5, 0, False)]
    assert spans(summed.through(at(30), ())) == [(3.5, 13.5, 0, False), (13.5, 23.5, 0, False)]


def test_a_span_says_when_its_matches_were_read_and_how_far() -> None:
    summed = LogSpans("c", at(0), 5)
    for seconds, count in ((0.1, 0), (0.3, 2), (0.6, 1), (0.8, 0)):
        summed.add(glance(seconds, count))
    (found,) = summed.through(at(1), ())

    assert (found.lines, found.count, found.first, found.last) == (8, 3, at(0.3), at(0.6))
    assert (found.samples, found.through) == (("x", "x", "x"), 80)


def test_what_was_read_late_has_a_span_of_its_own_that_is_cut_nowhere() -> None:
    summed = LogSpans("c", at(0), 0)
    summed.add(glance(0.5))
    summed.add(glance(3.5, since=0.6))
    summed.add(glance(3.7))

    assert spans(summed.through(at(3.4), {at(2)})) == [(0, 0.6, 1, False)]
    found = summed.through(at(5), {at(2), at(3.6)})
    assert spans(found) == [(0.6, 3.5, 1, True), (3.5, 3.6, 0, False), (3.6, 4.6, 1, False)]
    assert found[0].first is None


def test_where_something_was_lost_there_is_no_span() -> None:
    summed = LogSpans("c", at(0), 0)
    summed.add(glance(0.5))
    summed.add(glance(2.5, since=0.6, lost=True))
    summed.add(glance(2.6, since=2.5, lost=True))
    summed.add(glance(2.8))

    assert spans(summed.through(at(4), {at(2), at(4)})) == [(0, 0.6, 1, False), (2.6, 3.6, 1, False), (3.6, 4, 0, False)]


@given(
    st.lists(st.tuples(st.integers(-3, 20), st.booleans(), st.integers(0, 30)), max_size=12),
    st.sets(st.integers(0, 200), max_size=8),
    st.lists(st.integers(0, 300), max_size=6),
)
def test_every_line_is_told_once_and_nothing_overlaps_whatever_the_clock_does(
    looks: list[tuple[int, bool, int]], edges: set[int], asked: list[int]
) -> None:
    summed, now, found = LogSpans("c", at(0), 0), 0.0, []
    for step, late, until in looks:
        before, now = now, now + step / 10
        summed.add(glance(now, since=before if late else None))
        found += summed.through(at(min(until / 10, now)), {at(edge / 10) for edge in edges})
    for until in sorted(asked):
        found += summed.through(at(until / 10), {at(edge / 10) for edge in edges})
    found += summed.through(at(100), {at(100), *(at(edge / 10) for edge in edges)})

    assert sum(span.lines for span in found) == 2 * len(looks)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert all(span.start < span.end for span in found)
    assert not any(span.start < at(edge / 10) < span.end for span in found if not span.late for edge in edges)


class Log:
    """What a service writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()

    def say(self, *lines: str) -> None:
        with self.path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "engine.log")


def claim(**words: object) -> LogClaim:
    return LogClaim.model_validate({"id": "said", "type": "log", "target": "engine", "contains": "ERROR", "on_fail": "continue", **words})


async def read_from_now_on(stage: Stage) -> None:
    """Until the observer has said thrice how far it has looked, it has met what was said before."""
    await stage.start("settle", "settle")
    after = stage.lines[-1].sequence
    for _ in range(3):
        after = (await stage.until(ObservedUntil, after=after)).sequence
    await stage.finish("settle", "settle")


async def begun(stage: Stage, log: Log, wanted: LogClaim) -> datetime:
    """The service has started, and the phase of the claim; when it did."""
    await stage.begin(wanted, service=PROCESS, workloads={"buyers": {"command": ["buyers"]}})
    await stage.write(ServiceStarted(service="engine", number=1, identity=ME, output=str(log.path)), "chaos-injector")
    await read_from_now_on(stage)
    opens = await stage.start()
    await stage.open(wanted, opens)
    await stage.looked(opens)
    return opens


async def judged(stage: Stage, wanted: LogClaim) -> tuple[Verdict, Reason | None]:
    """By what was read of all that is written by now."""
    await stage.looked(stage.journal.clock.now())
    await stage.looked(await stage.finish())
    found = wanted.judge(stage.history(wanted))
    assert found is not None
    assert found.verdict is not Verdict.PASSED or found.evidence
    return found.verdict, found.reason


@pytest.mark.parametrize(
    ("words", "before", "inside", "expected"),
    [
        ({"never": True}, ("ERROR early",), ("fine",), (Verdict.PASSED, None)),
        ({"never": True}, ("fine",), ("fine", "ERROR late"), (Verdict.FAILED, Reason.CLAIM_FAILED)),
        ({"never": True}, ("fine",), (), (Verdict.INCONCLUSIVE, Reason.NO_SAMPLES)),
        ({}, ("ERROR early",), ("fine",), (Verdict.FAILED, Reason.CLAIM_FAILED)),
        ({}, (), (), (Verdict.FAILED, Reason.CLAIM_FAILED)),
        ({"at_least": 2}, (), ("ERROR one", "ERROR two"), (Verdict.PASSED, None)),
    ],
)
async def test_lines_count_in_the_window_in_which_they_are_written(
    stage: Stage, log: Log, words: dict[str, object], before: tuple[str, ...], inside: tuple[str, ...], expected: object
) -> None:
    wanted = claim(**words)
    async with stage.observer():
        log.say(*before)
        await begun(stage, log, wanted)
        log.say(*inside)

        assert await judged(stage, wanted) == expected


async def test_lines_are_told_without_secrets_and_a_claim_that_is_judged_is_told_no_more(
    stage: Stage, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_TEST_PASSWORD", HIDDEN)
    wanted = claim(within="20s")
    async with stage.observer():
        await begun(stage, log, wanted)
        log.say(f"ERROR wrong password {HIDDEN}", "fine")
        told = (await stage.until(LogMatched, lambda line: line.event.count > 0)).event
        await stage.write(AssertionJudged(assertion="said", verdict=Verdict.PASSED, reason=None, message="m", evidence=()), "validator")
        await stage.looked((await stage.until(AssertionJudged)).at)
        log.say("ERROR again")
        await stage.looked(stage.journal.clock.now() + timedelta(seconds=2))

    assert told.samples == ("ERROR wrong password ***",)
    assert sum(line.event.count for line in stage.found(LogMatched)) == 1


@pytest.mark.long
async def test_a_restarted_observer_tells_what_was_written_while_nobody_read_and_nothing_twice(stage: Stage, log: Log) -> None:
    wanted = claim(at_most=9)
    async with stage.observer():
        await begun(stage, log, wanted)
        log.say("ERROR one", "fine")
        first = await stage.until(LogMatched, lambda line: line.event.count > 0)
    log.say("ERROR two", "fine")
    await stage.write(ServiceStarted(service="engine", number=2, identity=ME, output=str(log.path)), "chaos-injector")
    async with stage.observer():
        second = await stage.until(LogMatched, lambda line: line.event.count > 0, after=first.sequence)
        log.say("ERROR three")
        assert await judged(stage, wanted) == (Verdict.PASSED, None)

    assert second.event.start == max(line.event.end for line in stage.found(LogMatched) if line.sequence < second.sequence)
    assert sum(line.event.count for line in stage.found(LogMatched)) == 3


@pytest.mark.parametrize(
    ("words", "lines", "expected"),
    [
        ({"never": True}, ("fine",), (Verdict.PASSED, None)),
        ({"never": True}, ("ERROR",), (Verdict.INCONCLUSIVE, Reason.GAP)),
        ({}, ("ERROR",), (Verdict.INCONCLUSIVE, Reason.GAP)),
        ({}, ("fine",), (Verdict.FAILED, Reason.CLAIM_FAILED)),
    ],
)
async def test_lines_that_may_be_older_than_the_window_decide_nothing(
    stage: Stage, log: Log, words: dict[str, object], lines: tuple[str, ...], expected: object
) -> None:
    """Nobody read when the window opened."""
    wanted = claim(**words)
    await stage.begin(wanted, service=PROCESS)
    await stage.write(ServiceStarted(service="engine", number=1, identity=ME, output=str(log.path)), "chaos-injector")
    opens = await stage.start()
    await stage.open(wanted, opens)
    log.say(*lines)
    while stage.journal.clock.now() < opens + 2 * LATE:
        await asyncio.sleep(0.05)
    async with stage.observer():
        await stage.until(LogMatched)
        log.say("fine")

        assert await judged(stage, wanted) == expected


async def test_a_log_that_is_not_there_or_was_cut_is_a_gap(stage: Stage, log: Log) -> None:
    wanted = claim(never=True)
    async with stage.observer():
        await begun(stage, log, wanted)
        log.say("fine", "fine")
        await stage.looked(stage.journal.clock.now())
        log.path.write_text("fine\n")
        assert await judged(stage, wanted) == (Verdict.INCONCLUSIVE, Reason.GAP)


async def test_a_service_without_a_log_is_a_gap(stage: Stage, tmp_path: Path) -> None:
    wanted, nowhere = claim(), Log(tmp_path / "x")
    nowhere.path.unlink()
    async with stage.observer():
        await begun(stage, nowhere, wanted)
        assert await judged(stage, wanted) == (Verdict.INCONCLUSIVE, Reason.GAP)


async def test_the_standard_error_of_a_workload_is_a_log_too(stage: Stage, log: Log) -> None:
    wanted = claim(target=None, workload="buyers")
    async with stage.observer():
        await stage.begin(wanted, service=PROCESS, workloads={"buyers": {"command": ["buyers"]}})
        started = WorkloadStarted(workload="buyers", number=1, identity=ME, output=str(log.path) + ".out", errors=str(log.path))
        await stage.write(started, "chaos-injector")
        await read_from_now_on(stage)
        opens = await stage.start()
        await stage.open(wanted, opens)
        await stage.looked(opens)
        log.say("ERROR no money")

        assert await judged(stage, wanted) == (Verdict.PASSED, None)

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop

from messages import system
from messages.identity import Identity
from messages.ids import new_run_id
from targets import group
from targets.errors import NotThere, SecretMissing, StartFailed
from targets.find import find_tagged, tagged_processes, tags_of
from targets.group import halting, members
from targets.identity import ProcessStat, identify, is_alive, of_session, read_proc, read_stat
from targets.polling import until
from targets.process import AT_ONCE, KEPT_LOGS, ProcessDriver, log_of
from targets.secrets import resolve_env

ENVIRONMENT = {"PATH": os.environ["PATH"]}
GRACE = timedelta(seconds=5)
SOON = 20


def command(*argv: str, directory: str | None = None) -> system.ProcessDriver:
    return system.ProcessDriver(command=argv, directory=directory)


def shell(script: str) -> system.ProcessDriver:
    return command("sh", "-c", script)


SLEEPER = command("sleep", "1000")


@pytest.fixture
def run(tmp_path: Path) -> str:
    """Names the test's own processes, also beside those of other sessions."""
    return f"{tmp_path.name}-{os.getpid()}"


@pytest.fixture
async def driver(tmp_path: Path, run: str) -> AsyncIterator[ProcessDriver]:
    """A driver; what the test started and tagged is ended after it."""
    driver = ProcessDriver(environment=ENVIRONMENT, logs=tmp_path)
    yield driver
    while found := tagged_processes(run):
        for tagged in found:
            await driver.kill(tagged.identity)
    await driver.aclose()


@pytest.fixture
def tags(run: str) -> dict[str, str]:
    return tags_of(run, "engine")


def written(tmp_path: Path) -> str:
    """What the service wrote in this test's run."""
    return "".join(log.read_text() for log in tmp_path.glob("*/engine.log"))


async def said(tmp_path: Path, text: str) -> None:
    async with asyncio.timeout(SOON):
        await until(lambda: text in written(tmp_path), poll=0.005)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.contextmanager
def no_pidfd(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(pid: int, flags: int = 0) -> int:
        raise PermissionError(pid, flags)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", refuse)
        yield


async def test_a_started_service_leads_a_session_of_its_own_and_is_identified(driver: ProcessDriver, tags: dict[str, str]) -> None:
    identity = await driver.start("engine", SLEEPER, {}, tags)

    stat = read_stat(identity.pid)
    assert stat is not None
    assert stat.group == stat.session == stat.pid
    assert is_alive(identity)


async def test_environment_directory_and_output_are_as_asked(driver: ProcessDriver, tags: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    spec = system.ProcessDriver(command=("sh", "-c", 'echo "$HTTP_PORT $PWD"; echo oops >&2; echo end'), directory=str(tmp_path / "place"))

    await driver.start("engine", spec, {"HTTP_PORT": "81"}, tags)

    await said(tmp_path, "end")
    assert written(tmp_path) == f"81 {tmp_path}/place\noops\nend\n"


async def test_a_log_is_continued_by_the_next_start(driver: ProcessDriver, tags: dict[str, str], tmp_path: Path) -> None:
    first = await driver.start("engine", shell("echo one"), {}, tags)
    await driver.gone(first, GRACE)

    await driver.start("engine", shell("echo two"), {}, tags)

    await said(tmp_path, "two")
    assert written(tmp_path) == "one\ntwo\n"


async def test_the_output_of_one_run_is_apart_from_that_of_another_and_only_the_newest_runs_are_kept(tmp_path: Path) -> None:
    process = ProcessDriver(environment=os.environ, logs=tmp_path)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [new_run_id(begin + timedelta(seconds=number)) for number in range(KEPT_LOGS + AT_ONCE + 1)]
    (tmp_path / "not-a-run").mkdir()

    for name in runs:
        identity = await process.start("engine", shell(f"echo {name}"), {}, tags_of(name, "engine"))
        await process.gone(identity, GRACE)
    await process.aclose()

    assert sorted(folder.name for folder in tmp_path.iterdir()) == [*runs[AT_ONCE:], "not-a-run"]
    assert log_of(tmp_path, runs[-1], "engine").read_text() == f"{runs[-1]}\n"


async def test_python_is_the_interpreter_that_runs_the_coordinator(driver: ProcessDriver, tags: dict[str, str], tmp_path: Path) -> None:
    await driver.start("engine", command("python", "-c", "import sys; print(sys.executable)"), {}, tags)

    await said(tmp_path, "\n")
    assert written(tmp_path).strip() == sys.executable


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (command("no-such-program"), "there is no program on the PATH called 'no-such-program'"),
        (command("/no/such/program"), "there is no program '/no/such/program'"),
        (command("true", directory="/no/such/place"), "there is no directory '/no/such/place'"),
        (command("true", "a\0b"), "command and environment cannot be passed on: embedded null byte"),
    ],
)
async def test_a_service_that_cannot_be_started_says_why(driver: ProcessDriver, spec: system.ProcessDriver, why: str) -> None:
    with pytest.raises(StartFailed) as caught:
        await driver.start("engine", spec, {}, {})

    assert str(caught.value) == f"engine could not be started: {why}"


@pytest.mark.parametrize(
    ("mode", "why"), [(0o644, "permission denied"), (0o755, "it is no program (a script needs a first line like #!/bin/sh)")]
)
async def test_a_file_that_is_no_program_says_why(driver: ProcessDriver, tmp_path: Path, mode: int, why: str) -> None:
    file = tmp_path / "notes"
    file.write_text("nothing to run")
    file.chmod(mode)

    with pytest.raises(StartFailed) as caught:
        await driver.start("engine", command(str(file)), {}, {})

    assert caught.value.why == f"{str(file)!r} cannot be executed: {why}"


async def test_a_process_that_exits_at_once_counts_as_started_and_is_reaped(driver: ProcessDriver, tags: dict[str, str]) -> None:
    identity = await driver.start("engine", shell("exit 3"), {}, tags)

    assert await driver.gone(identity, GRACE)
    assert driver.exit_code(identity) == 3
    assert read_stat(identity.pid) is None


async def test_a_stop_ends_it_by_the_signal_and_tells_how(driver: ProcessDriver, tags: dict[str, str]) -> None:
    identity = await driver.start("engine", SLEEPER, {}, tags)

    stopped = await driver.stop(identity, signal="TERM", grace=GRACE)

    assert (stopped.killed, stopped.exit_code) == (False, -signal.SIGTERM)
    assert not is_alive(identity)


async def test_what_outlives_its_grace_is_killed(driver: ProcessDriver, tags: dict[str, str], tmp_path: Path) -> None:
    identity = await driver.start("engine", shell("trap '' TERM; echo up; while :; do sleep 1000; done"), {}, tags)
    await said(tmp_path, "up")

    stopped = await driver.stop(identity, signal="TERM", grace=timedelta(milliseconds=50))

    assert (stopped.killed, stopped.exit_code) == (True, -signal.SIGKILL)
    assert stopped.took >= timedelta(milliseconds=50)
    assert members(identity) == ()


async def test_a_paused_process_is_stopped_by_its_signal_and_not_killed(
    driver: ProcessDriver, tags: dict[str, str], tmp_path: Path
) -> None:
    script = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
    identity = await driver.start("engine", command("python", "-S", "-c", script), {}, tags)
    await said(tmp_path, "up")
    await driver.pause(identity)

    stopped = await driver.stop(identity, signal="TERM", grace=GRACE)

    assert (stopped.killed, stopped.exit_code) == (False, 7)


async def test_stopping_what_is_gone_takes_no_time(driver: ProcessDriver, tags: dict[str, str]) -> None:
    identity = await driver.start("engine", SLEEPER, {}, tags)
    await driver.kill(identity)

    stopped = await driver.stop(identity, signal="TERM", grace=GRACE)

    assert (stopped.killed, stopped.took, stopped.exit_code) == (False, timedelta(), -signal.SIGKILL)


async def test_the_children_of_a_wrapper_end_with_it(driver: ProcessDriver, tags: dict[str, str], tmp_path: Path) -> None:
    identity = await driver.start("engine", shell("sleep 1000 & sleep 1000 & echo up; wait"), {}, tags)
    await said(tmp_path, "up")
    assert len(group := members(identity)) == 3

    await driver.stop(identity, signal="TERM", grace=GRACE)

    assert not any(is_alive(member) for member in group)


async def test_a_child_that_outlives_its_wrapper_is_killed_after_the_grace(
    driver: ProcessDriver, tags: dict[str, str], tmp_path: Path
) -> None:
    script = "(trap '' TERM; echo up; while :; do sleep 1000; done) & wait"
    identity = await driver.start("engine", shell(script), {}, tags)
    await said(tmp_path, "up")

    stopped = await driver.stop(identity, signal="TERM", grace=timedelta(milliseconds=100))

    assert (stopped.killed, stopped.exit_code) == (True, -signal.SIGTERM)
    assert members(identity) == ()


async def test_children_left_by_a_wrapper_that_died_by_itself_are_stopped(
    driver: ProcessDriver, tags: dict[str, str], tmp_path: Path
) -> None:
    identity = await driver.start("engine", shell("sleep 1000 & echo up"), {}, tags)
    assert await driver.gone(identity, GRACE)
    assert len(members(identity)) == 1

    await driver.stop(identity, signal="TERM", grace=GRACE)

    assert members(identity) == ()


async def test_pause_halts_the_whole_group_and_resume_is_idempotent(driver: ProcessDriver, tags: dict[str, str], tmp_path: Path) -> None:
    identity = await driver.start("engine", shell("sleep 1000 & echo up; wait"), {}, tags)
    await said(tmp_path, "up")

    await driver.pause(identity)
    paused = [read_stat(member.pid) for member in members(identity)]
    await driver.resume(identity)
    await driver.resume(identity)

    assert [stat.state for stat in paused if stat is not None] == ["T", "T"]
    async with asyncio.timeout(SOON):
        await until(lambda: all((stat := read_stat(m.pid)) is not None and not stat.halted for m in members(identity)), poll=0.001)


async def test_waiting_until_a_group_stands_still_searches_the_machine_for_new_processes_only(
    driver: ProcessDriver, tags: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forking = "import signal, subprocess; signal.pthread_sigmask(0, [10]); print('up', flush=True); signal.sigwait([10]); "
    forking += "subprocess.Popen(['sleep', '1000']); print('forked', flush=True); signal.sigwait([10])"
    identity = await driver.start("engine", shell(f'python -S -c "{forking}" & wait'), {}, tags)
    await said(tmp_path, "up")
    child = next(member for member in members(identity) if member != identity)
    searches: list[None] = []

    def search(session: int) -> Iterator[ProcessStat]:
        searches.append(None)
        return of_session(session)

    monkeypatch.setattr(group, "of_session", search)
    look = halting(identity)
    running = look()
    os.kill(identity.pid, signal.SIGSTOP)
    await wait_for_state(identity, "T")
    half = [look() for _ in range(20)]
    after_half = len(searches)
    os.kill(child.pid, signal.SIGUSR1)
    await said(tmp_path, "forked")
    os.kill(child.pid, signal.SIGSTOP)
    await wait_for_state(child, "T")
    with_a_new_child = look()
    os.killpg(identity.pid, signal.SIGSTOP)
    async with asyncio.timeout(SOON):
        await until(look, poll=0.001)

    assert (running, any(half), after_half) == (False, False, 1)
    assert not with_a_new_child


async def wait_for_state(identity: Identity, state: str) -> None:
    async with asyncio.timeout(SOON):
        await until(lambda: (stat := read_stat(identity.pid)) is not None and stat.state == state, poll=0.001)


async def test_what_is_gone_cannot_be_paused_or_resumed(driver: ProcessDriver, tags: dict[str, str]) -> None:
    identity = await driver.start("engine", SLEEPER, {}, tags)
    await driver.kill(identity)

    with pytest.raises(NotThere):
        await driver.pause(identity)
    with pytest.raises(NotThere):
        await driver.resume(identity)


@pytest.mark.parametrize("other", [{"started": 1}, {"boot": "another"}])
async def test_a_pid_that_is_another_process_now_is_never_signalled(
    driver: ProcessDriver, tags: dict[str, str], other: dict[str, int | str]
) -> None:
    innocent = await driver.start("engine", SLEEPER, {}, tags)
    stale = innocent.model_copy(update=other)

    stopped = await driver.stop(stale, signal="KILL", grace=GRACE)
    with pytest.raises(NotThere):
        await driver.pause(stale)

    assert (stopped.killed, stopped.took) == (False, timedelta())
    assert is_alive(innocent)
    assert await driver.gone(stale, timedelta())


async def test_nothing_is_left_behind_by_fifty_lives(driver: ProcessDriver, tags: dict[str, str]) -> None:
    open_before = open_files()
    lives = [await driver.start("engine", SLEEPER, {}, tags) for _ in range(50)]

    for identity in lives:
        await driver.kill(identity)

    assert [identity for identity in lives if read_stat(identity.pid) is not None] == []
    assert open_files() == open_before


async def test_a_service_outlives_its_starter_and_is_stopped_by_another_driver(driver: ProcessDriver, run: str) -> None:
    script = f"""
import asyncio, os
from messages import system
from targets.find import tags_of
from targets.process import KEPT_LOGS, ProcessDriver, log_of

async def main():
    driver = ProcessDriver(environment=dict(os.environ))
    spec = system.ProcessDriver(command=("sleep", "1000"))
    print((await driver.start("engine", spec, {{}}, tags_of({run!r}, "engine"))).model_dump_json())
    await driver.aclose()

asyncio.run(main())
"""
    root = Path(__file__).parent.parent
    ran = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], cwd=root, capture_output=True, check=True)
    identity = Identity.model_validate_json(ran.stdout)
    assert is_alive(identity)

    stopped = await driver.stop(identity, signal="TERM", grace=GRACE)

    assert (stopped.killed, stopped.exit_code) == (False, None)
    assert not is_alive(identity)


async def test_a_driver_takes_over_the_children_of_a_closed_one(driver: ProcessDriver, tags: dict[str, str]) -> None:
    first = ProcessDriver(environment=ENVIRONMENT)
    identity = await first.start("engine", SLEEPER, {}, tags)
    await first.aclose()
    assert is_alive(identity)

    stopped = await driver.stop(identity, signal="TERM", grace=GRACE)

    assert stopped.exit_code == -signal.SIGTERM
    assert read_stat(identity.pid) is None


async def test_waiting_for_the_end_of_what_lives_on_says_so(driver: ProcessDriver, tags: dict[str, str]) -> None:
    identity = await driver.start("engine", SLEEPER, {}, tags)

    assert not await driver.gone(identity, timedelta(milliseconds=10))


async def test_it_works_without_pidfds(driver: ProcessDriver, tags: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with no_pidfd(monkeypatch):
        identity = await driver.start("engine", SLEEPER, {}, tags)

        stopped = await driver.stop(identity, signal="TERM", grace=GRACE)

    assert (stopped.killed, stopped.exit_code) == (False, -signal.SIGTERM)
    assert read_stat(identity.pid) is None


async def test_tagged_processes_are_found_by_their_run(driver: ProcessDriver, run: str) -> None:
    engine = await driver.start("engine", SLEEPER, {}, tags_of(run, "engine"))
    wrapper = await driver.start("risk", shell("setsid sleep 1000 & echo; wait"), {}, tags_of(run, "risk"))

    async with asyncio.timeout(SOON):
        await until(lambda: len(tagged_processes(run)) == 2, poll=0.005)

    assert find_tagged(run) == {"engine": engine, "risk": wrapper}
    assert find_tagged("another-run") == {}


async def test_a_process_is_found_while_it_loads_its_program_anew(driver: ProcessDriver, tags: dict[str, str], run: str) -> None:
    again = 'if [ "$1" -gt 0 ]; then exec sh -c "$0" "$0" $(($1 - 1)); else exec sleep 1000; fi'
    identity = await driver.start("engine", command("sh", "-c", again, again, "300"), {}, tags)

    looks = 0
    while read_proc(identity.pid, "cmdline") != b"sleep\x001000\x00":
        looks += 1
        assert find_tagged(run) == {"engine": identity}
    assert looks > 1


async def test_of_several_processes_of_one_service_the_newest_is_found(driver: ProcessDriver, tags: dict[str, str], run: str) -> None:
    old = await driver.start("engine", SLEEPER, {}, tags)
    new = await driver.start("engine", SLEEPER, {}, tags)

    assert {tagged.identity for tagged in tagged_processes(run)} == {old, new}
    assert find_tagged(run)["engine"] == max(old, new, key=lambda identity: (identity.started, identity.pid))


async def test_a_name_with_spaces_and_parentheses_does_not_confuse(driver: ProcessDriver, tags: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "a) R (b c"
    program.symlink_to("/bin/sleep")

    identity = await driver.start("engine", command(str(program), "1000"), {}, tags)

    assert identify(identity.pid) == identity


def test_a_life_on_uvloop() -> None:
    async def life() -> tuple[bool, int | None]:
        driver = ProcessDriver(environment=ENVIRONMENT)
        identity = await driver.start("engine", SLEEPER, {}, tags_of("uvloop", "engine"))
        await driver.pause(identity)
        stopped = await driver.stop(identity, signal="INT", grace=GRACE)
        await driver.aclose()
        return is_alive(identity), stopped.exit_code

    assert uvloop.run(life()) == (False, -signal.SIGINT)


def secret(name: str) -> system.Secret:
    return system.Secret.model_validate({"secret": name})


def test_secrets_are_taken_from_the_environment() -> None:
    env: dict[str, str | system.Secret] = {"A": "plain", "B": secret("VAULT")}

    assert resolve_env(env, {"VAULT": "hidden"}) == {"A": "plain", "B": "hidden"}


def test_all_missing_secrets_are_named_at_once() -> None:
    with pytest.raises(SecretMissing, match="the environment has no ONE, TWO") as caught:
        resolve_env({"A": secret("TWO"), "B": secret("ONE")}, {})

    assert caught.value.names == ("ONE", "TWO")


async def test_the_logs_of_a_run_that_is_on_stay_however_many_come_after_it(tmp_path: Path) -> None:
    driver, old, clock = (
        ProcessDriver(environment=ENVIRONMENT, logs=tmp_path),
        new_run_id(datetime(2026, 1, 1, tzinfo=UTC)),
        datetime(2026, 1, 1, tzinfo=UTC),
    )
    spec = system.ProcessDriver(command=("sleep", "30"))
    first = await driver.start("engine", spec, {}, tags_of(old, "engine"))
    try:
        for _ in range(KEPT_LOGS + AT_ONCE + 1):
            clock += timedelta(seconds=1)
            (tmp_path / new_run_id(clock)).mkdir()
        second = await driver.start("engine", spec, {}, tags_of(new_run_id(clock + timedelta(seconds=1)), "engine"))
        await driver.kill(second)
    finally:
        await driver.kill(first)
        await driver.aclose()

    assert log_of(tmp_path, old, "engine").exists()
    assert len(list(tmp_path.iterdir())) <= KEPT_LOGS + 2

"""The chaos-injector on a real journal and real processes; the test plays the scheduler."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from nats.js import JetStreamContext

from actors.chaos_injector import Around, ChaosInjector, undoing
from actors.chaos_injector.actor import NOTHING
from actors.chaos_injector.drivers import Done, Plan, Target
from actors.chaos_injector.drivers import Driver as Disturbing
from actors.chaos_injector.leases import Leases
from bus.actor import TimerDue
from bus.clock import ServerClock
from bus.connection import Connection
from bus.feeding import Reading
from bus.handling import NoMetrics
from bus.journal import Journal, Line
from bus.runtime import ActorRuntime
from bus.share import Place, Share
from bus.subjects import PARTITIONS, Subjects, partition_of
from bus.topology import Names, ensure_topology
from messages.events import Recorded, RunEvent
from messages.fault_events import (
    ActionDone,
    ActionFailed,
    ActionRefused,
    FaultArmed,
    FaultEffective,
    FaultGone,
    FaultInjected,
    FaultReverted,
    FaultRevertFailed,
    FaultUnseen,
    HandlerFailed,
    ServiceAdopted,
    ServiceStarted,
    ServiceStopped,
)
from messages.identity import Identity
from messages.ids import new_run_id
from messages.run_events import (
    ActionExpired,
    ActionRequested,
    RunAborting,
    RunAccepted,
    RunStarted,
    ServicesReleaseRequested,
    ServicesRequested,
    UndoRequested,
)
from messages.scenario import Action, Scenario
from messages.system import System
from messages.undo import AnyUndo, LinkUndo, Undo
from messages.verdicts import Reason
from targets import find
from targets.errors import Unsupported
from targets.find import NAMESPACE_TAG, find_tagged, tagged_processes, tags_of
from targets.group import is_halted
from targets.health import HealthProber
from targets.identity import ProcessStat, is_alive, session_leaders
from targets.process import ProcessDriver
from tests.chaos_service import ChaosService

E_ = TypeVar("E_", bound=RunEvent)
NAMESPACE, KEY = "test-coordinator", "k"
SERVER = """
import signal, socket, sys
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    connection.recv(9999)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    connection.close()
"""


class Stand:
    """A run's journal, and the scheduler's pen."""

    def __init__(self, journal: Journal, url: str, logs: Path) -> None:
        self.journal = journal
        self.logs = logs
        self.lines: list[Line] = []
        self.run = new_run_id(journal.clock.now())
        self.attended = True
        """The run has a scheduler."""
        self.asked = 0
        """How often that was asked."""
        self._url = url
        self._news = asyncio.Event()

    def deliver(self, line: Line) -> None:
        self.lines.append(line)
        self._news.set()

    def _is_attended(self, _actor: str, _partition: int) -> bool:
        self.asked += 1
        return self.attended

    async def asked_again(self) -> None:
        """Wait until it was asked several times whether the run has a scheduler."""
        async with asyncio.timeout(12):
            asked = self.asked
            while self.asked < asked + 4:
                await asyncio.sleep(0.01)

    async def say(self, *events: RunEvent, actor: str = "scheduler") -> None:
        for event in events:
            await self.journal.write(partition_of(KEY), self.run, actor, event, None, None)

    async def until(self, type_: type[E_], entity: str | None = None, count: int = 1) -> Recorded[E_]:
        async with asyncio.timeout(12):
            while len(found := self.all(type_, entity)) < count:
                self._news.clear()
                await self._news.wait()
        return found[-1]

    def all(self, type_: type[E_], entity: str | None = None) -> list[Recorded[E_]]:
        found = [line for line in self.lines if isinstance(line.event, type_) and entity in {None, line.entity}]
        return cast("list[Recorded[E_]]", found)

    async def begin(
        self,
        *,
        phases: Sequence[Any] = ({"name": "chaos"},),
        spec: dict[str, Any] | None = None,
        timeout: str = "10m",  # noqa: ASYNC109 - the run's
        **services: dict[str, Any],
    ) -> System:
        """Accept a run of these services and ask for them; `spec` is what else the system has."""
        named = {name.replace("_", "-"): one for name, one in services.items()}
        document = {"metadata": {"name": "s"}, "spec": {"services": named, **(spec or {})}}
        system = System.model_validate(document, strict=False)
        scenario = Scenario.model_validate(
            {"metadata": {"name": "x"}, "spec": {"system": "s", "phases": list(phases), "timeout": timeout}}, strict=False
        )
        await self.say(RunAccepted(key=KEY, scenario=scenario, system=system, submitted=datetime(2026, 1, 1, tzinfo=UTC)))
        await self.say(RunStarted(), ServicesRequested(levels=system.start_levels()))
        return system

    async def up(self, **services: Any) -> None:
        await self.begin(**services)
        await self.until(ActionDone, "services")

    async def act(self, action: str, target: str = "engine", id_: str = "f", **options: Any) -> None:
        """`target` is the link's name where the option `on` says that it is one."""
        about = Action.model_validate({"id": id_, "target": options.pop("on", target), "action": action, **options}, strict=False)
        await self.say(ActionRequested(fault_id=id_, phase="chaos", target=target, action=about))

    async def undo(self, id_: str = "f") -> None:
        await self.say(UndoRequested(fault_id=id_, why="phase"))

    async def release(self) -> None:
        await self.say(ServicesReleaseRequested())
        await self.until(ActionDone, "release")

    def about(self, fault: str = "f") -> list[type[RunEvent]]:
        return [type(line.event) for line in self.lines if line.entity == fault and line.actor == "chaos-injector"]

    @asynccontextmanager
    async def injector(
        self,
        *,
        lease: float = 10,
        secrets: dict[str, str] | None = None,
        around: Around = NOTHING,
        share: Share | None = None,
    ) -> AsyncIterator[ChaosInjector]:
        """An injector at work until the block ends; then it dies where it stands."""
        driver = ProcessDriver(environment={"PATH": os.environ["PATH"]}, logs=self.logs)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(driver.aclose)
            prober = await stack.enter_async_context(HealthProber())
            span, environment = timedelta(seconds=lease), {NAMESPACE_TAG: NAMESPACE, **(secrets or {})}
            actor = ChaosInjector(driver, prober, environment=environment, nats_url=self._url, lease=span, logs=self.logs, around=around)
            place = Place(share or Share.of_everything(), attended=self._is_attended)
            runtime = ActorRuntime(actor, self.journal, NoMetrics(), place)
            await stack.enter_async_context(runtime.working())
            reading = Reading(self.journal, [runtime])
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(reading.run())
                await reading.caught_up.wait()
                yield actor
                task.cancel()


@pytest.fixture
async def stand(connection: Connection, bus_url: str, tmp_path: Path) -> AsyncIterator[Stand]:
    await ensure_topology(connection.js, NAMESPACE)
    journal = Journal(connection, Subjects(NAMESPACE), Names(NAMESPACE).runs, ServerClock())
    await journal.last_sequence()
    stand = Stand(journal, bus_url, tmp_path)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(journal.follow_partitions(range(PARTITIONS), 0, stand.deliver).run())
        yield stand
        task.cancel()
    while left := tagged_processes(stand.run):
        for tagged in left:
            with suppress(ProcessLookupError, ChildProcessError):
                os.killpg(tagged.identity.pid, signal.SIGKILL)
                os.waitpid(tagged.identity.pid, 0)  # noqa: ASYNC222


@pytest.fixture
def engine(unused_port: Callable[[], int]) -> dict[str, Any]:
    return service(unused_port())


def service(port: int, *options: str, **driver: Any) -> dict[str, Any]:
    process = {"command": ["python", "-S", "-c", SERVER, str(port), *options], "stop_grace": "1s", **driver}
    return {"driver": {"process": process}, "health": {"http": {"url": f"http://127.0.0.1:{port}/"}, "deadline": "200ms"}}


def port_of(described: dict[str, Any]) -> str:
    return str(described["health"]["http"]["url"].split(":")[2].strip("/"))


@pytest.mark.parametrize(("action", "how"), [("stop", ""), ("kill", ""), ("pause", "health ran out of time")])
async def test_a_fault_lives_from_armed_to_gone(stand: Stand, engine: dict[str, Any], action: str, how: str) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        before = (await stand.until(ServiceStarted)).event.identity
        await stand.act(action)
        effective = (await stand.until(FaultEffective)).event
        await stand.undo()
        gone = (await stand.until(FaultGone)).event

    assert stand.about() == [FaultArmed, FaultInjected, FaultEffective, FaultReverted, FaultGone]
    assert effective.how.startswith(how)
    assert gone.restored_by == "undo"
    assert gone.identity is not None
    assert (gone.identity == before) == (action == "pause")
    assert [line.event.number for line in stand.all(ServiceStarted)] == ([1] if action == "pause" else [1, 2])


async def test_a_restart_undoes_itself_and_its_new_process_proves_it(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector() as injector:
        await stand.up(engine=engine)
        await stand.act("restart")
        gone = (await stand.until(FaultGone)).event
        effective = await stand.until(FaultEffective)

    armed, reverted = (await stand.until(FaultArmed)).event, (await stand.until(FaultReverted)).event
    assert armed.undo == Undo(kind="process.start", service="engine", identity=armed.before)
    assert (reverted.by, reverted.found_undone) == ("itself", False)
    assert effective.event.how.startswith(("process gone", "new process"))
    assert gone.identity == stand.all(ServiceStarted)[1].event.identity
    assert injector.active() == ()


async def test_a_service_killed_after_its_grace_is_told(stand: Stand, unused_port: Callable[[], int]) -> None:
    async with stand.injector():
        await stand.up(engine=service(unused_port(), "stubborn", stop_grace="200ms"))
        await stand.act("restart")
        told = (await stand.until(ActionDone, "f")).event

    assert told.message == "engine outlived SIGTERM by 200ms and was killed"


async def test_an_undo_does_not_wait_for_a_stop_that_takes_for_ever(stand: Stand, unused_port: Callable[[], int]) -> None:
    async with stand.injector():
        await stand.up(engine=service(unused_port(), "stubborn", stop_grace="60s"))
        await stand.act("stop")
        await stand.until(FaultArmed)
        await stand.undo()
        gone = (await stand.until(FaultGone)).event

    assert gone.restored_by == "undo"
    assert stand.about()[:2] == [FaultArmed, FaultInjected]


async def test_a_second_fault_on_the_same_target_is_refused_even_at_the_same_moment(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.act("pause", id_="one")
        await stand.act("kill", id_="two")
        refused = (await stand.until(ActionRefused)).event
        await stand.until(FaultInjected, "one")
        await stand.act("stop", id_="three")
        later = (await stand.until(ActionRefused, "three")).event

    assert (refused.action_id, refused.reason) == ("two", Reason.REFUSED_LIMIT)
    assert (later.action_id, later.reason) == ("three", Reason.REFUSED_LIMIT)
    assert "a second fault on engine while one is active" in later.message


async def test_what_cannot_be_done_is_refused_with_the_reason(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector():
        await stand.up(engine=engine, bank={"driver": {"external": {}}})
        await stand.act("stop", target="bank", id_="elsewhere")
        await stand.until(ActionRefused, "elsewhere")
        await stop_by_hand(find_tagged(stand.run)["engine"])
        await stand.act("kill", id_="absent")
        await stand.until(ActionRefused, "absent")
        await stand.say(RunAborting(reason=Reason.CANCELLED, by="me", message="enough"))
        await stand.act("kill", id_="late")
        await stand.until(ActionRefused, "late")

    told = {line.event.action_id: line.event.reason for line in stand.all(ActionRefused)}
    assert told == {"elsewhere": Reason.UNSUPPORTED_HERE, "absent": Reason.NO_TARGET, "late": Reason.CANCELLED}


async def stop_by_hand(identity: Identity) -> None:
    os.killpg(identity.pid, signal.SIGKILL)
    while is_alive(identity):
        await asyncio.sleep(0.01)


async def test_an_undo_that_came_first_cancels_the_fault(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
    await stand.act("kill")
    await stand.undo()
    async with stand.injector():
        refused = (await stand.until(ActionRefused, "f")).event
        alive = find_tagged(stand.run)

    assert (refused.reason, refused.message) == (Reason.CANCELLED, "undone before it was injected")
    assert "engine" in alive
    assert stand.about() == [ActionRefused]


async def test_halting_a_wrapper_whose_server_runs_on_is_an_effect_that_nobody_saw(stand: Stand, unused_port: Callable[[], int]) -> None:
    wrapped = service(unused_port())
    command = wrapped["driver"]["process"]["command"]
    wrapped["driver"]["process"]["command"] = ["sh", "-c", 'setsid "$@" & sleep 999', "sh", sys.executable, *command[1:]]
    wrapped["health"]["deadline"] = "1s"
    async with stand.injector():
        await stand.up(engine=wrapped)
        await stand.act("pause", effect_within="1500ms")
        unseen = (await stand.until(FaultUnseen)).event
        await stand.undo()
        await stand.until(FaultGone)
        await stand.release()

    assert unseen.within == timedelta(milliseconds=1500)
    assert tagged_processes(stand.run) == ()


async def test_a_service_that_came_back_by_itself_is_not_started_twice(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.act("kill")
        await stand.until(FaultEffective)
        with subprocess.Popen([sys.executable, "-S", "-c", SERVER, port_of(engine)]) as supervisor:  # noqa: ASYNC220
            async with HealthProber() as prober:
                health = (await stand.until(RunAccepted)).event.system.spec.services["engine"].health
                while health is None or not (await prober.check(health)).ok:
                    await asyncio.sleep(0.01)
            await stand.undo()
            gone = (await stand.until(FaultGone)).event
            supervisor.kill()

    assert (await stand.until(FaultReverted)).event.found_undone
    assert (gone.restored_by, gone.identity) == ("itself", None)
    assert len(stand.all(ServiceStarted)) == 1


async def test_the_lease_of_a_fault_is_renewed_while_the_injector_lives(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector(lease=1) as injector:
        await stand.up(engine=engine)
        await stand.act("kill")
        await stand.until(FaultInjected)
        await asyncio.sleep(2.5)
        active = injector.active()
        await stand.undo()
        await stand.until(FaultGone)

    assert active == ((stand.run, "f"),)
    assert (await stand.until(FaultReverted)).event.by == "request"


@pytest.mark.parametrize(("away", "attended"), [(0.0, False), (1.5, False), (1.5, True)])
async def test_a_fault_whose_injector_died_is_undone_when_its_lease_runs_out(
    stand: Stand,
    engine: dict[str, Any],
    away: float,
    attended: bool,  # noqa: FBT001
) -> None:
    """Its lease is renewed by nobody: no scheduler lives, or no injector came in time."""
    async with stand.injector(lease=1):
        await stand.up(engine=engine)
        await stand.act("stop")
        await stand.until(FaultEffective)
    await asyncio.sleep(away)
    stand.attended = attended
    async with stand.injector(lease=1):
        reverted = (await stand.until(FaultReverted)).event
        gone = (await stand.until(FaultGone)).event
        await stand.release()

    assert (reverted.by, gone.restored_by) == ("lease", "undo")
    assert len(stand.all(ServiceStarted)) == 2
    assert tagged_processes(stand.run) == ()


async def test_a_fault_is_kept_up_while_the_run_has_a_scheduler_and_no_longer(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector(lease=0.6):
        await stand.up(engine=engine)
        await stand.act("pause")
        injected = await stand.until(FaultInjected)
        stand.attended = False
        reverted = await stand.until(FaultReverted)

    assert reverted.event.by == "lease"
    assert reverted.at - injected.at < timedelta(seconds=3)


async def test_nothing_is_begun_in_a_run_that_has_no_scheduler_until_it_has_one(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
    stand.attended = False
    await stand.act("pause")
    async with stand.injector():
        await stand.asked_again()
        untouched = stand.about()
        stand.attended = True
        await stand.until(FaultInjected)
        await stand.undo()
        await stand.until(FaultGone)

    assert untouched == []


async def test_no_service_is_started_for_a_run_that_has_no_scheduler(stand: Stand, engine: dict[str, Any]) -> None:
    stand.attended = False
    async with stand.injector():
        await stand.begin(engine=engine)
        await stand.asked_again()
        untouched = [line.event for line in stand.lines if line.actor == "chaos-injector"]
        stand.attended = True
        await stand.until(ActionDone, "services")
        await stand.release()

    assert untouched == []


async def test_a_fault_that_was_armed_and_not_injected_ends_with_its_lease_where_the_run_has_no_scheduler(
    stand: Stand, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> str:
        await asyncio.Event().wait()
        return ""

    async with stand.injector(lease=1) as injector:
        await stand.up(engine=engine)
        monkeypatch.setattr(injector._drivers["process"], "inject", never)
        await stand.act("pause")
        await stand.until(FaultArmed)
    stand.attended = False
    async with stand.injector(lease=1):
        reverted = (await stand.until(FaultReverted)).event

    assert reverted.by == "lease"
    assert stand.all(FaultInjected) == []


async def test_a_fault_whose_timer_is_gone_is_undone_by_the_next_injector(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
    before = (await stand.until(ServiceStarted)).event.identity
    await stand.act("kill")
    await stand.say(armed_of(stand, before), actor="chaos-injector")
    async with stand.injector():
        reverted = (await stand.until(FaultReverted)).event
        gone = (await stand.until(FaultGone)).event

    assert (reverted.by, reverted.found_undone, gone.restored_by) == ("lease", True, "itself")
    assert is_alive(before)
    assert stand.about() == [FaultArmed, FaultReverted, FaultGone]


def armed_of(stand: Stand, before: Identity) -> FaultArmed:
    undo = Undo(kind="process.start", service="engine", identity=before)
    until = stand.journal.clock.now() + timedelta(seconds=9)
    return FaultArmed(fault_id="f", target="engine", action="kill", until=until, undo=undo, before=before)


async def test_the_undo_of_an_injector_that_died_before_it_could_say_so_is_adopted(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.act("kill")
        await stand.until(FaultEffective)
    await start_silently(stand, engine)
    await stand.undo()
    async with stand.injector():
        gone = (await stand.until(FaultGone)).event

    assert len(stand.all(ServiceStarted)) == 1
    assert (await stand.until(ServiceAdopted)).event.number == 2
    assert gone.restored_by == "undo"


@pytest.fixture
def gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as ever, but with shorter pauses."""
    monkeypatch.setattr(undoing, "PAUSES", tuple(pause / 20 for pause in undoing.PAUSES))


@pytest.mark.usefixtures("gives_up_soon")
async def test_an_undo_that_cannot_be_done_is_given_up_and_told(stand: Stand, engine: dict[str, Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    engine["driver"]["process"]["directory"] = str(home)
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.act("kill")
        await stand.until(FaultEffective)
        home.rmdir()
        await stand.undo()
        failed = (await stand.until(FaultRevertFailed)).event

    assert failed.attempts == 5
    assert "there is no directory" in failed.message


@pytest.mark.usefixtures("gives_up_soon")
async def test_what_was_given_up_is_undone_when_its_lease_runs_out(stand: Stand, engine: dict[str, Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    engine["driver"]["process"]["directory"] = str(home)
    async with stand.injector(lease=2):
        await stand.up(engine=engine)
        await stand.act("kill")
        await stand.until(FaultEffective)
        home.rmdir()
        await stand.undo()
        await stand.until(FaultRevertFailed)
        home.mkdir()
        reverted = (await stand.until(FaultReverted)).event
        gone = (await stand.until(FaultGone)).event

    assert (reverted.by, gone.restored_by) == ("lease", "undo")
    assert len(stand.all(FaultRevertFailed)) == 1


@pytest.mark.usefixtures("gives_up_soon")
async def test_what_was_given_up_is_not_started_again_behind_its_release(stand: Stand, engine: dict[str, Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    engine["driver"]["process"]["directory"] = str(home)
    async with stand.injector(lease=2):
        await stand.up(engine=engine)
        await stand.act("kill")
        await stand.until(FaultEffective)
        home.rmdir()
        await stand.undo()
        await stand.until(FaultRevertFailed)
        await stand.release()
        home.mkdir()
        await stand.until(TimerDue, "f")
        await asyncio.sleep(0.5)

    assert tagged_processes(stand.run) == ()


async def test_a_fault_is_gone_though_its_lease_cannot_be_taken_back(
    stand: Stand, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> bool:
        raise TimeoutError

    monkeypatch.setattr(JetStreamContext, "purge_stream", refuse)
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.act("pause")
        await stand.until(FaultEffective)
        await stand.undo()
        gone = (await stand.until(FaultGone)).event

    assert gone.restored_by == "undo"


async def test_start_and_resume_do_what_is_left_to_do(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector():
        await stand.up(engine=engine)
        identity = (await stand.until(ServiceStarted)).event.identity
        await stand.act("start", id_="again")
        again = (await stand.until(ActionDone, "again")).event
        os.killpg(identity.pid, signal.SIGSTOP)
        await stand.act("resume", id_="go")
        await stand.until(ActionDone, "go")
        halted = is_halted(identity)
        await stop_by_hand(identity)
        await stand.act("resume", id_="dead")
        dead = (await stand.until(ActionFailed, "dead")).event
        await stand.act("start", id_="anew")
        await stand.until(ActionDone, "anew")

    assert (again.message, halted, dead.reason) == ("already running", False, Reason.NO_TARGET)
    assert [line.event.number for line in stand.all(ServiceStarted)] == [1, 2]


async def test_services_start_level_by_level_and_stop_in_reverse(stand: Stand, unused_port: Callable[[], int]) -> None:
    bank, engine = service(unused_port(), env={"WHERE": "x"}), service(unused_port())
    async with stand.injector():
        await stand.up(engine={**engine, "depends_on": ["bank"]}, bank=bank, desk={**service(unused_port()), "depends_on": ["bank"]})
        identity = find_tagged(stand.run)["engine"]
        environ = Path(f"/proc/{identity.pid}/environ").read_bytes()
        os.killpg(find_tagged(stand.run)["bank"].pid, signal.SIGSTOP)
        await stand.release()

    started = [line.event.service for line in stand.all(ServiceStarted)]
    stopped = [line.event.service for line in stand.all(ServiceStopped)]
    assert (started[0], stopped[-1]) == ("bank", "bank")
    assert set(started) == set(stopped) == {"bank", "engine", "desk"}
    assert b"NATS_URL=nats://127.0.0.1:" in environ
    assert tagged_processes(stand.run) == ()


async def test_services_are_told_where_their_spans_go_unless_they_know_better(stand: Stand, unused_port: Callable[[], int]) -> None:
    theirs = service(unused_port(), env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4317"})
    async with stand.injector():
        await stand.up(spec={"traces": {"listen": "0.0.0.0:14317"}}, engine=service(unused_port()), bank=theirs)
        found = {name: Path(f"/proc/{identity.pid}/environ").read_bytes().split(b"\0") for name, identity in find_tagged(stand.run).items()}
        await stand.release()

    assert {b"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:14317", b"OTEL_EXPORTER_OTLP_PROTOCOL=grpc"} <= set(found["engine"])
    assert b"OTEL_SERVICE_NAME=engine" in found["engine"]
    assert [line for line in found["bank"] if line.startswith(b"OTEL_")] == [b"OTEL_EXPORTER_OTLP_ENDPOINT=http://jaeger:4317"]


async def test_a_process_that_is_not_ours_keeps_the_services_from_starting(stand: Stand, engine: dict[str, Any]) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", SERVER, port_of(engine)]) as stranger:  # noqa: ASYNC220
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", int(port_of(engine)))
                writer.close()
                break
            await asyncio.sleep(0.01)
        async with stand.injector():
            await stand.begin(engine=engine)
            refused = (await stand.until(ActionRefused, "services")).event
        stranger.kill()

    assert refused.reason is Reason.PRECONDITION
    url = engine["health"]["http"]["url"]
    assert refused.message == f"a process that this run did not start already answers {url} (engine); stop it first"


async def test_a_missing_secret_is_named_before_anything_is_started(stand: Stand, unused_port: Callable[[], int]) -> None:
    needy = service(unused_port(), env={"A": {"secret": "TOKEN_A"}, "B": {"secret": "TOKEN_B"}})
    async with stand.injector(secrets={"TOKEN_A": "x"}):
        await stand.begin(bank=service(unused_port()), engine={**needy, "depends_on": ["bank"]})
        refused = (await stand.until(ActionRefused, "services")).event

    assert refused.reason is Reason.PRECONDITION
    assert "engine needs the secret TOKEN_B" in refused.message
    assert stand.all(ServiceStarted) == []


async def test_a_service_that_does_not_get_healthy_is_told_with_its_last_words_but_not_its_secrets(
    stand: Stand, engine: dict[str, Any]
) -> None:
    command = ["sh", "-c", "echo no database at $DB; exit 3"]
    engine["driver"]["process"] |= {"command": command, "ready_within": "800ms", "env": {"DB": {"secret": "DB"}}}
    async with stand.injector(secrets={"DB": "hunter2"}):
        await stand.begin(engine=engine)
        failed = (await stand.until(ActionFailed, "services")).event
        await stand.release()

    assert failed.reason is Reason.PRECONDITION
    assert failed.message == (
        "engine was not healthy within 800ms: connection refused; it ended with code 3; its output: no database at ***"
    )


async def test_a_service_that_has_ended_and_left_nothing_is_told_long_before_its_time_is_over(stand: Stand, engine: dict[str, Any]) -> None:
    engine["driver"]["process"] |= {"command": ["sh", "-c", "echo no database; exit 3"], "ready_within": "10m"}
    async with stand.injector():
        await stand.begin(engine=engine)
        failed = (await stand.until(ActionFailed, "services")).event
        await stand.release()

    assert failed.message == "engine did not get healthy: connection refused; it ended with code 3; its output: no database"


@pytest.mark.parametrize("behind", ['(sleep 1.6; exec "$@") &', 'setsid sh -c \'sleep 1.6; exec "$@"\' sh "$@" &'])
async def test_a_service_that_goes_into_the_background_has_all_its_time(stand: Stand, engine: dict[str, Any], behind: str) -> None:
    command = engine["driver"]["process"]["command"]
    engine["driver"]["process"]["command"] = ["sh", "-c", behind, "sh", sys.executable, *command[1:]]
    async with stand.injector():
        await stand.up(engine=engine)
        await stand.release()

    assert tagged_processes(stand.run) == ()


async def test_a_service_that_was_started_by_an_injector_that_died_is_adopted(stand: Stand, engine: dict[str, Any]) -> None:
    await stand.begin(engine=engine)
    identity = await start_silently(stand, engine)
    await asyncio.sleep(0.2)
    async with stand.injector():
        await stand.until(ActionDone, "services")
        await stand.release()

    assert (await stand.until(ServiceAdopted)).event.identity == identity
    assert (stand.all(ServiceStarted), tagged_processes(stand.run)) == ([], ())


async def test_the_machine_is_searched_once_for_a_run_whose_processes_are_known(
    stand: Stand, engine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[None] = []

    def search() -> Iterator[ProcessStat]:
        searches.append(None)
        return session_leaders()

    async with stand.injector():
        await asyncio.sleep(0.2)
        monkeypatch.setattr(find, "session_leaders", search)
        await stand.up(engine=engine)
        await stand.release()
        found = len(searches)

    assert found == 1
    assert tagged_processes(stand.run) == ()


async def test_a_process_beside_those_of_the_journal_is_stopped_as_well(stand: Stand, unused_port: Callable[[], int]) -> None:
    async with stand.injector():
        await stand.up(engine=service(unused_port()))
        beside = await start_silently(stand, service(unused_port()))
        await stand.release()

    assert not is_alive(beside)
    assert tagged_processes(stand.run) == ()


async def test_a_run_that_ends_while_its_services_start_starts_no_more(stand: Stand, unused_port: Callable[[], int]) -> None:
    never = service(unused_port(), command=["sleep", "999"])
    async with stand.injector():
        await stand.begin(bank=never, engine={**service(unused_port()), "depends_on": ["bank"]})
        await stand.until(ServiceStarted)
        await stand.release()
        failed = (await stand.until(ActionFailed, "services")).event

    assert failed.reason is Reason.CANCELLED
    assert [line.event.service for line in stand.all(ServiceStarted)] == ["bank"]
    assert tagged_processes(stand.run) == ()


async def start_silently(stand: Stand, described: dict[str, Any]) -> Identity:
    """What an injector leaves that dies between the start and its event."""
    environ = {"PATH": os.environ["PATH"], **tags_of(stand.run, "engine")}
    command = [sys.executable, *described["driver"]["process"]["command"][1:]]
    subprocess.Popen(command, env=environ, start_new_session=True).returncode = 0  # noqa: ASYNC220
    while "engine" not in find_tagged(stand.run):
        await asyncio.sleep(0.005)
    return find_tagged(stand.run)["engine"]


def disturbable(base: str, **key: Any) -> dict[str, Any]:
    """A service that is only reached by its chaos API."""
    return {"driver": {"external": {}}, "chaos": {"http": base, **key}}


SLOW, HALF = {"delay_ms": 5}, {"rejection_rate": 0.5}


@pytest.mark.parametrize("lists", [True, False])
async def test_two_faults_that_a_service_can_only_end_together_end_with_their_phase(stand: Stand, lists: bool) -> None:  # noqa: FBT001
    async with ChaosService(lists=lists, stops=False).serving() as bank, stand.injector():
        await stand.begin(bank=disturbable(bank.base))
        await stand.act("inject_latency", target="bank", id_="one", parameters=SLOW)
        await stand.act("reject_orders", target="bank", id_="two", parameters=HALF)
        await stand.until(FaultInjected, "one")
        await stand.until(FaultInjected, "two")
        await stand.say(UndoRequested(fault_id="one", why="phase"), UndoRequested(fault_id="two", why="phase"))
        await stand.until(FaultGone, count=2)

        assert bank.active == {}
    assert stand.all(FaultRevertFailed) == []


@pytest.mark.parametrize("why", ["expired", "aborting", "undo"])
async def test_a_fault_that_was_given_up_while_it_was_planned_touches_nothing(stand: Stand, why: str) -> None:
    async with ChaosService().serving() as bank, ChaosService().serving() as other, stand.injector():
        await stand.begin(bank=disturbable(bank.base), other=disturbable(other.base))
        bank.answering.clear()
        await stand.act("inject_latency", target="bank", parameters=SLOW)
        await bank.asked.wait()
        if why == "expired":
            await stand.say(ActionExpired(fault_id="f", reason=Reason.NO_TARGET, message="no injector answered"))
            await stand.act("inject_latency", target="other", id_="next", parameters=SLOW)
            await stand.until(FaultInjected, "next")
        elif why == "aborting":
            await stand.say(RunAborting(reason=Reason.CANCELLED, by="me", message="enough"))
            await stand.act("inject_latency", target="other", id_="next", parameters=SLOW)
            await stand.until(ActionRefused, "next")
        else:
            await stand.undo()
            await stand.until(UndoRequested)
        bank.answering.set()
        if why == "expired":
            await stand.act("inject_latency", target="bank", id_="last", parameters=SLOW)
            await stand.until(FaultInjected, "last")
        else:
            assert (await stand.until(ActionRefused, "f")).event.reason is Reason.CANCELLED

    assert stand.all(FaultArmed, "f") == []
    assert len(bank.bodies) == (1 if why == "expired" else 0)


async def test_a_fault_that_is_given_up_in_the_moment_of_its_arming_is_undone_and_not_injected(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def arm(leases: Leases, *told: Any) -> datetime | None:
        end = await armed(leases, *told)
        await stand.say(ActionExpired(fault_id="f", reason=Reason.NO_TARGET, message="no injector answered"))
        return end

    armed = Leases.arm
    monkeypatch.setattr(Leases, "arm", arm)
    async with ChaosService().serving() as bank, stand.injector():
        await stand.begin(bank=disturbable(bank.base))
        await stand.act("inject_latency", target="bank", parameters=SLOW)
        await stand.until(FaultReverted, "f")

    assert stand.about()[:2] == [FaultArmed, FaultReverted]
    assert bank.bodies == []


async def test_what_a_driver_did_not_foresee_is_the_outcome_of_its_action(stand: Stand, engine: dict[str, Any]) -> None:
    async with ChaosService().serving() as bank, stand.injector() as injector:
        await stand.begin(bank=disturbable(bank.base), engine=engine)
        await stand.until(ActionDone, "services")
        await stand.act("inject_latency", target="bank", id_="told", parameters={"delay_ms": "soon"})
        told = (await stand.until(ActionRefused, "told")).event
        injector._drivers["limit"] = Careless()
        await stand.act("limit_fds")
        failed = (await stand.until(ActionFailed, "f")).event
        await stand.until(FaultGone, "f")

    assert told.reason is Reason.UNSUPPORTED_HERE
    assert "ValidationError" in told.message
    assert failed.reason is Reason.UNSUPPORTED_HERE
    assert "UnicodeDecodeError" in failed.message
    assert set(stand.about()) == {FaultArmed, FaultReverted, ActionFailed, FaultGone}
    assert stand.all(HandlerFailed) == []


async def test_a_look_that_fails_is_followed_by_another_one(stand: Stand, engine: dict[str, Any]) -> None:
    async with stand.injector() as injector:
        await stand.up(engine=engine)
        injector._drivers["limit"] = Blinking()
        await stand.act("limit_fds")
        await stand.until(FaultEffective)
        await stand.undo()
        await stand.until(FaultGone)
        injector._drivers["limit"] = Blinking(blinks=99)
        await stand.act("limit_fds", id_="blind", effect_within="300ms")
        unseen = (await stand.until(FaultUnseen, "blind")).event

    assert unseen.within == timedelta(milliseconds=300)
    assert stand.all(HandlerFailed) == []


async def test_services_that_share_a_network_namespace_share_its_packets(stand: Stand, engine: dict[str, Any]) -> None:
    for process in (first := {**engine["driver"]["process"]}, second := {**first}):
        process["namespace"] = "shop"
    async with stand.injector() as injector:
        injector._drivers["network"] = Blinking()
        await stand.begin(engine={"driver": {"process": first}}, desk={"driver": {"process": second}})
        await stand.act("network_drop", id_="one")
        await stand.until(FaultInjected, "one")
        await stand.act("network_loss", target="desk", id_="two", parameters={"rate": 0.5})
        refused = (await stand.until(ActionRefused, "two")).event

    assert refused.reason is Reason.REFUSED_LIMIT


async def test_the_missing_key_of_a_chaos_api_is_named_before_anything_is_started(stand: Stand, engine: dict[str, Any]) -> None:
    engine["chaos"] = {"http": "http://127.0.0.1:1/chaos", "key": {"secret": "CHAOS_KEY"}}
    uses = [{"name": "chaos", "actions": [{"id": "f", "target": "engine", "action": "inject_latency", "parameters": SLOW}]}]
    async with stand.injector():
        await stand.begin(phases=uses, engine=engine)
        refused = (await stand.until(ActionRefused, "services")).event

    assert refused.reason is Reason.PRECONDITION
    assert "engine needs the secret CHAOS_KEY for its chaos API" in refused.message
    assert stand.all(ServiceStarted) == []


async def test_the_key_of_a_chaos_api_is_no_part_of_last_words_and_not_needed_by_who_does_not_use_it(
    stand: Stand, engine: dict[str, Any]
) -> None:
    engine["chaos"] = {"http": "http://127.0.0.1:1/chaos", "key": {"secret": "CHAOS_KEY"}}
    engine["driver"]["process"] |= {"command": ["sh", "-c", "echo my key is hunter2; exit 3"], "ready_within": "800ms"}
    bank = disturbable("http://127.0.0.1:1/chaos", key={"secret": "NEVER_USED"})
    async with stand.injector(secrets={"CHAOS_KEY": "hunter2"}):
        await stand.begin(engine=engine, bank=bank)
        failed = (await stand.until(ActionFailed, "services")).event
        await stand.release()

    assert failed.message.endswith("its output: my key is ***")


class Blinking(Disturbing):
    """Does nothing, and is blind now and then."""

    def __init__(self, blinks: int = 2) -> None:
        self._blinks = [blinks, blinks]

    async def plan(self, target: Target) -> Plan:
        return Plan(LinkUndo(toxics={}))

    async def was_injected(self, target: Target, plan: Plan) -> bool:
        return False

    async def inject(self, target: Target, plan: Plan) -> str:
        return ""

    async def undo(self, undo: AnyUndo, target: Target) -> Done:
        return Done()

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        self._blink(0)
        return "something"

    async def saw_normal(self, target: Target, plan: Plan, within: timedelta) -> bool:
        self._blink(1)
        return True

    def _blink(self, which: int) -> None:
        self._blinks[which] -= 1
        if self._blinks[which] >= 0:
            raise Unsupported("nothing to be seen")


class Careless(Blinking):
    """Reads what is not text."""

    async def inject(self, target: Target, plan: Plan) -> str:
        return b"\xff".decode()

    async def saw_effect(self, target: Target, plan: Plan, within: timedelta) -> str | None:
        raise LookupError

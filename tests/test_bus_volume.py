"""The file system of the bus is never filled, though somebody else has started its server and keeps its streams where he likes."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest

from actors.chaos_injector.drivers import Target
from actors.chaos_injector.off_limits import Surroundings
from actors.chaos_injector.outcomes import reason_of
from actors.chaos_injector.volume_faults import VolumeFaults
from bus.server import Server, embedded_server, find_binary
from messages.actions.volumes import FillerUndo
from messages.fault_events import ActionRefused
from messages.run_events import ActionRequested
from messages.scenario import Action
from messages.system import System
from messages.verdicts import Reason
from targets.disk import VolumeOffLimits
from targets.listening import listeners
from tests.test_chaos_injector import Stand, stand
from tests.test_targets_disk import mounted, volume, write

__all__ = ["stand", "volume"]
ELSEWHERE = "nats://192.0.2.7:4222"


def filling(path: Path) -> Target:
    document = {"metadata": {"name": "y"}, "spec": {"services": {"a": {"driver": {"external": {}}}}}}
    document["spec"]["volumes"] = {"files": {"service": "a", "path": str(path)}}  # type: ignore[index]
    action = Action.model_validate({"id": "f", "target": {"volume": "files"}, "action": "disk_full"}, strict=False)
    request = ActionRequested(fault_id="f", phase="p", target="files", action=action)
    return Target("r", request, System.model_validate(document, strict=False), None, lambda _: None)


@pytest.fixture
def bus_folder(tmp_path: Path) -> Iterator[Path]:
    """A small file system for the streams of the bus."""
    folder = tmp_path / "bus"
    folder.mkdir()
    with mounted(folder, "16m"):
        yield folder


@dataclass(frozen=True)
class Bus:
    """A server that is not ours."""

    port: int
    pid: int

    def faults(self, host: str = "127.0.0.1") -> VolumeFaults:
        return VolumeFaults((), Surroundings(f"nats://{host}:{self.port}").bus_ports)


@asynccontextmanager
async def started(port: int, *options: str) -> AsyncIterator[Bus]:
    quiet = asyncio.subprocess.DEVNULL
    argv = [str(find_binary()), "-a", "127.0.0.1", "-p", str(port), *options]
    process = await asyncio.create_subprocess_exec(*argv, stdout=quiet, stderr=quiet)
    try:
        async with asyncio.timeout(20):
            while not listeners(port):
                await asyncio.sleep(0.01)
        yield Bus(port, process.pid)
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def bus(bus_folder: Path, unused_port: Callable[[], int]) -> AsyncIterator[Bus]:
    """With a stream in which something was stored."""
    async with started(unused_port(), "-js", "-sd", str(bus_folder)) as running:
        client = await nats.connect(f"nats://127.0.0.1:{running.port}")
        await client.jetstream().add_stream(name="RUNS", subjects=["runs"])
        await client.jetstream().publish("runs", b"one")
        await client.close()
        yield running


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_volume_on_the_file_system_of_the_bus_is_not_filled_and_another_one_is(
    bus: Bus, bus_folder: Path, volume: Path, host: str
) -> None:
    beside, faults = bus_folder / "volume", bus.faults(host)
    beside.mkdir()

    with pytest.raises(
        VolumeOffLimits, match=rf"{beside} is on the same file system as {bus_folder}/jetstream/.*, which the bus writes; mount"
    ):
        await faults.plan(filling(beside))
    await faults.inject(filling(volume), plan := await faults.plan(filling(volume)))
    full = write(volume, 4096)
    await faults.undo(plan.undo, filling(volume))

    assert list(beside.iterdir()) == []
    assert (full, write(volume, 4096)) == (errno.ENOSPC, 0)


async def test_where_nobody_can_tell_where_a_bus_on_this_machine_keeps_its_streams_nothing_is_filled(
    volume: Path, unused_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.chaos_injector.volume_faults.PATIENCE", 0.05)
    async with started(unused_port()) as without_streams:
        with pytest.raises(VolumeOffLimits, match=r"port \d+ of this machine, and no file of a stream is seen open in its process, so"):
            await without_streams.faults().plan(filling(volume))
        monkeypatch.setattr("targets.listening._pids", lambda: iter(()))
        with pytest.raises(VolumeOffLimits, match=r"and its process may not be looked at, so .* run the injector as the server's user"):
            await without_streams.faults().plan(filling(volume))
    with pytest.raises(VolumeOffLimits, match="and nobody is seen to listen there now"):
        await Bus(unused_port(), 0).faults().plan(filling(volume))


async def test_a_bus_on_another_machine_keeps_no_volume_from_being_filled(volume: Path) -> None:
    plan = await VolumeFaults((), Surroundings(ELSEWHERE).bus_ports).plan(filling(volume))

    assert isinstance(plan.undo, FillerUndo)


async def test_a_server_that_starts_again_is_waited_for(bus_folder: Path, volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.chaos_injector.volume_faults.PATIENCE", 30.0)
    async with embedded_server(bus_folder) as server:
        faults = VolumeFaults((), Surroundings(server.url).bus_ports)
        await server.stop()
        async with asyncio.TaskGroup() as tasks:
            planning = tasks.create_task(faults.plan(filling(volume)))
            await asyncio.sleep(0.05)
            assert not planning.done()
            await server.restart()
            client = await nats.connect(server.url)
            await client.jetstream().add_stream(name="RUNS", subjects=["runs"])
            await client.jetstream().publish("runs", b"one")
            await client.close()

    assert isinstance(planning.result().undo, FillerUndo)


def test_a_volume_that_is_off_limits_is_a_limit() -> None:
    assert reason_of(VolumeOffLimits("no")) is Reason.REFUSED_LIMIT


@pytest.fixture
async def server(bus_folder: Path) -> AsyncIterator[Server]:
    async with embedded_server(bus_folder) as running:
        yield running


async def test_an_injector_refuses_to_fill_the_file_system_of_its_bus(stand: Stand, bus_folder: Path) -> None:
    (bus_folder / "volume").mkdir()
    async with stand.injector():
        await stand.begin(a={"driver": {"external": {}}}, spec={"volumes": {"files": {"service": "a", "path": str(bus_folder / "volume")}}})
        await stand.act("disk_full", "files", on={"volume": "files"})
        refused = (await stand.until(ActionRefused, "f")).event

    assert refused.reason is Reason.REFUSED_LIMIT
    assert "which the bus writes" in refused.message

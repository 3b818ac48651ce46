"""A whole coordinator in this process: a real server, all actors, real services."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent, indent

import pytest

from actors.control import fold_run
from bus.control import ControlClient
from bus.journal import Journal, Line
from bus.server import Server
from deploy.host import ACTORS, Host, Plan, host
from deploy.settings import read_settings
from messages.control import SubmitRequest
from messages.events import RunEvent
from messages.judgements import AssertionJudged, ReportPublished
from messages.run_events import RunFinished
from messages.verdicts import Reason, Verdict
from runs.state import RunState
from tests.ports import free_port

SERVICE = Path(__file__).with_name("service.py")


@dataclass
class Ended:
    """A run that is over."""

    state: RunState
    lines: list[Line] = field(repr=False)

    def __repr__(self) -> str:
        judged = {name: (str(a.verdict), a.message) for name, a in self.state.assertions.items()}
        return f"Ended({self.state.finished!r}, {judged!r}, {[f'{line.entity}:{line.event.type_name()}' for line in self.lines]})"

    @property
    def verdict(self) -> Verdict:
        assert self.state.finished is not None
        return self.state.finished.verdict

    @property
    def reason(self) -> Reason | None:
        assert self.state.finished is not None
        return self.state.finished.reason

    def judged(self, assertion: str) -> AssertionJudged:
        (found,) = [line.event for line in self.lines if isinstance(line.event, AssertionJudged) and line.entity == assertion]
        return found

    def events(self, type_: type[RunEvent]) -> list[Line]:
        return [line for line in self.lines if isinstance(line.event, type_)]


@dataclass
class Arena:
    """Runs documents, and looks at what came of them."""

    url: str
    running: Host
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def journal(self) -> Journal:
        return self.running.journal

    @property
    def control(self) -> ControlClient:
        return self.running.control

    def service(self, name: str, **env: str) -> str:
        """A service of a System document, in flow style."""
        port = self.ports.setdefault(name, free_port())
        told = ", ".join(f'{key}: "{value}"' for key, value in {"PORT": str(port), **env}.items())
        health = f'{{http: {{url: "http://127.0.0.1:{port}/health"}}, every: 50ms, deadline: 1500ms}}'
        return f"{name}: {{driver: {{process: {{command: [python, {SERVICE}], env: {{{told}}}, ready_within: 5s}}}}, health: {health}}}"

    def document(
        self, phases: str, *, services: str | None = None, events: str = "[]", rest: str = "", steady: str = "", system: str = ""
    ) -> str:
        """A scenario with its system."""
        return f"""
apiVersion: chaos.trading/v1
kind: Scenario
metadata: {{name: case}}
spec:
  system: small
  timeout: 40s
  phases: {phases}
{rest}
---
apiVersion: chaos.trading/v1
kind: System
metadata: {{name: small}}
spec:
  events: {events}
  services: {{{services or self.service("one")}}}
  steady_state: {{settle: 5s, recover: 4s, stable: 200ms{steady}}}
{indent(dedent(system), "  ")}
"""

    async def submit(self, document: str, *, rehearse: bool = False) -> str:
        reply = await self.control.submit(SubmitRequest(document=document, file="case.yaml", rehearse=rehearse))
        assert reply.run_id is not None, "\n".join(str(finding) for finding in reply.findings)
        return reply.run_id

    async def wait_for(self, run: str, type_: type[RunEvent], entity: str | None = None) -> Line:
        """The first such event of the run."""
        found: asyncio.Future[Line] = asyncio.get_running_loop().create_future()

        def look(line: Line) -> None:
            if isinstance(line.event, type_) and entity in {None, line.entity} and not found.done():
                found.set_result(line)

        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self.journal.follow(0, look, run=run).run())
            line = await found
            reader.cancel()
        return line

    async def ended(self, run: str) -> Ended:
        """The run, when it is finished and reported."""
        await self.wait_for(run, ReportPublished)
        lines: list[Line] = []
        await self.journal.read_runs([run], await self.journal.last_sequence(), lines.append)
        return Ended(await fold_run(self.journal, run), lines)

    async def run(self, document: str, *, rehearse: bool = False) -> Ended:
        """Submit a document and wait for its end."""
        return await self.ended(await self.submit(document, rehearse=rehearse))

    async def finished(self, run: str) -> RunFinished:
        event = (await self.wait_for(run, RunFinished)).event
        assert isinstance(event, RunFinished)
        return event


@pytest.fixture
async def arena(server: Server, tmp_path: Path) -> AsyncIterator[Arena]:
    plan = Plan(actors=ACTORS, allow_systems=True, logs=tmp_path)
    async with host(read_settings(log_level="WARNING"), server.url, plan) as running:
        await running.ready()
        yield Arena(server.url, running, tmp_path)


@pytest.fixture
def arena_of() -> Callable[[Server, Host, Path], Arena]:
    """An arena around a host that the test runs itself."""
    return lambda server, running, folder: Arena(server.url, running, folder)

"""The processes of a run's services: started with secrets and tags, found again by their tags, waited for, and stopped."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path

from actors.chaos_injector.links import environment_of
from actors.chaos_injector.loose_ends import LooseEnds
from actors.chaos_injector.out_of_reach import elsewhere
from bus.actor import Run
from messages import system as documents
from messages.checks import Health
from messages.fault_events import ServiceAdopted, ServiceStarted, WorkloadStarted
from messages.identity import Identity
from messages.link_events import LinksOpened
from messages.system import Secret, Service, System
from messages.values import format_duration
from runs.state import RunState
from targets.errors import Elsewhere, SecretMissing
from targets.find import find_tagged, tags_of
from targets.group import is_left
from targets.health import HealthProber, Sample, process_sample
from targets.identity import is_alive
from targets.machine import Machine
from targets.process import ProcessDriver, Stopped, log_of
from targets.secrets import hidden, resolve_env, secrets_of

LOOK = timedelta(milliseconds=300)
"""How long somebody may take to answer a health check for whom nobody waits."""
POLL = 0.05
ENDED = 1.0
"""Seconds without an answer after which a service whose process has ended is given up."""
_TAIL_BYTES, _TAIL_LINES, _TAIL_SHOWN = 4096, 6, 600


class Processes:
    """Reaches the services of a run that are processes of this machine."""

    def __init__(
        self,
        driver: ProcessDriver,
        prober: HealthProber,
        *,
        environment: Mapping[str, str],
        nats_url: str,
        logs: Path | None,
        loose_ends: LooseEnds | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.driver = driver
        self._loose_ends = loose_ends or LooseEnds()
        self._machine = machine or Machine()
        self.prober = prober
        self._environment = environment
        self.nats_url = nats_url
        self._logs = logs

    def elsewhere(self, run: Run[RunState]) -> Elsewhere | None:
        """Why nothing of the run can be reached from this machine, if it is so."""
        return elsewhere(run.view, self._machine)

    def missing_secrets(self, service: Service) -> tuple[str, ...]:
        """The secrets of the service that the environment does not hold."""
        try:
            self.resolved(spec_of(service).env)
        except SecretMissing as missing:
            return missing.names
        return ()

    def missing_keys(self, run: Run[RunState]) -> dict[str, str]:
        """Of each service whose chaos API the scenario uses, the secret that is its key and that the environment does not hold."""
        scenario, services = run.view.scenario.spec, run.view.system.spec.services
        actions = [*(action for phase in scenario.phases for action in phase.actions), *scenario.finally_]
        used = {name for action in actions if action.spec.means == "chaos" for name in action.targets}
        keys = {name: service.chaos.key.secret for name, service in services.items() if service.chaos is not None and service.chaos.key}
        return {name: key for name, key in keys.items() if name in used and key not in self._environment}

    def resolved(self, env: Mapping[str, str | Secret]) -> dict[str, str]:
        """The variables with every secret's value. Never log the result.

        Raises:
            SecretMissing: naming all that are not there.
        """
        return resolve_env(env, self._environment)

    async def start(self, run: str, name: str, system: System, links: LinksOpened | None) -> Identity:
        """Start a service, tagged as this run's; it is told to connect through its links.

        Raises:
            TargetError: it could not be started.
        """
        spec = spec_of(system.spec.services[name])
        env = {"NATS_URL": self.nats_url, **_tracing(name, spec, system), **environment_of(system, links, name, self.resolved(spec.env))}
        return await self.driver.start(name, spec, env, tags_of(run, name))

    def vouched(
        self, run: Run[RunState], started: ServiceStarted | ServiceAdopted | WorkloadStarted | LinksOpened
    ) -> AbstractContextManager[None]:
        """Around the `yield` of a start: a process of ours that the journal does not take, since another has the run by now, is ended."""
        if not self.driver.has_started(started.identity):
            return nullcontext()
        return self._loose_ends.left(run, str(started.identity), lambda: self._end_unknown(run, started.identity))

    async def _end_unknown(self, run: Run[RunState], identity: Identity) -> None:
        view = await run.latest()
        known = {state.identity for state in view.services.values()} | {state.identity for state in view.workloads.values()}
        if identity not in known and (view.links is None or identity != view.links.identity):
            await self.driver.kill(identity)

    async def end_released(self, run: Run[RunState], identity: Identity) -> None:
        """End what was started for another's run if all of that is released: it may have been looked for before it was there."""
        if "release" in (await run.latest()).requests:
            await self.driver.kill(identity)

    async def stop(self, identity: Identity, service: Service) -> Stopped:
        """Stop the process as its service wants to be stopped; nothing of ours is open to it then.

        Raises:
            TargetError: something of it is still there.
        """
        await self.let_go(service)
        spec = spec_of(service)
        return await self.driver.stop(identity, signal=spec.stop_signal, grace=spec.stop_grace)

    async def let_go(self, service: Service) -> None:
        """Let no check of ours keep the service from stopping."""
        if service.health is not None:
            await self.prober.let_go(service.health)

    def current(self, run: Run[RunState], name: str) -> Identity | None:
        """The live process that the service is now, by the journal or else by its tags."""
        known = run.view.services.get(name)
        if known is not None and known.identity is not None and is_alive(known.identity):
            return known.identity
        return find_tagged(run.id).get(name)

    async def answers(self, health: Health | None) -> bool:
        """Whether somebody answers this health check."""
        if health is None:
            return False
        return (await self.prober.check(health, deadline=min(LOOK, health.deadline))).ok

    async def sample(self, run: Run[RunState], name: str, service: Service) -> Sample:
        """One look at the service's health, or at its process if it has no health checks."""
        if service.health is None:
            return process_sample(self.current(run, name))
        return await self.prober.check(service.health)

    async def not_ready(self, run: Run[RunState], name: str) -> str:
        """Wait until the service is healthy; what is wrong if it is not when its time is over, or when nothing of it is left.

        Empty as well when the run ends first.
        """
        service = run.view.system.spec.services[name]
        spec = spec_of(service)
        error, clock = "no answer", asyncio.get_running_loop().time
        since: float | None = None
        try:
            async with asyncio.timeout(spec.ready_within.total_seconds()):
                while not is_ending(run.view):
                    sample = await self.sample(run, name, service)
                    if sample.ok:
                        return ""
                    error, now = sample.error, clock()
                    since = (now if since is None else since) if self._exit_code(run, name) is not None else None
                    if since is not None and now - since >= ENDED:
                        if not self._is_left(run, name):
                            return f"{name} did not get healthy: {error}{self._last_words(run, name)}"
                        since = now
                    await asyncio.sleep(POLL)
                return ""
        except TimeoutError:
            return f"{name} was not healthy within {format_duration(spec.ready_within)}: {error}{self._last_words(run, name)}"

    def _last_words(self, run: Run[RunState], name: str) -> str:
        code = self._exit_code(run, name)
        ended = f"; it ended with code {code}" if code is not None else ""
        output = self.words(run, name)
        return f"{ended}; its output: {output}" if output else ended

    def _exit_code(self, run: Run[RunState], name: str) -> int | None:
        known = run.view.services.get(name)
        return self.driver.exit_code(known.identity) if known is not None and known.identity is not None else None

    def _is_left(self, run: Run[RunState], name: str) -> bool:
        """Whether anything of the service still runs: one that puts itself into the background has ended, and serves."""
        known = run.view.services.get(name)
        group = known is not None and known.identity is not None and is_left(known.identity)
        return group or self.current(run, name) is not None

    def output(self, run: str, name: str) -> str:
        """The file that holds what a service, or the standard error of a workload, says in this run; empty where that is not kept."""
        return "" if self._logs is None else str(log_of(self._logs, run, name))

    def words(self, run: Run[RunState], name: str) -> str:
        """The last lines that the service or workload wrote in this run into its log, without the secrets of the system."""
        return "" if self._logs is None else self.tail(run, log_of(self._logs, run.id, name))

    def tail(self, run: Run[RunState], path: Path) -> str:
        """The last lines of a file, without the secrets of the system."""
        if not path.is_file():
            return ""
        with path.open("rb") as log:
            skipped = max(0, path.stat().st_size - _TAIL_BYTES)
            log.seek(skipped)
            text = log.read().decode(errors="replace")
        if skipped:
            text = text.partition("\n")[2]  # the first line is cut, and so may be a secret in it
        text = hidden(text, secrets_of(run.view.system, self._environment))
        return " | ".join(text.split("\n")[-_TAIL_LINES - 1 :]).strip(" |")[-_TAIL_SHOWN:]


def spec_of(service: Service) -> documents.ProcessDriver:
    """How the process is started and stopped. Only of a service that is a process."""
    if service.driver.process is None:
        raise LookupError("the service is no process")
    return service.driver.process


def _tracing(name: str, spec: documents.ProcessDriver, system: System) -> dict[str, str]:
    """What tells a service to send its spans to the observer, unless it knows where they go (OpenTelemetry's variables)."""
    traces = system.spec.traces
    if traces is None or "OTEL_EXPORTER_OTLP_ENDPOINT" in spec.env:
        return {}
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": traces.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_SERVICE_NAME": name}


def is_ending(state: RunState) -> bool:
    """Nothing is started for this run any more."""
    return state.aborting is not None or "release" in state.requests or state.finished is not None

"""Listening for the spans of a system's services, from a run's start to its end."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import structlog

from actors.observer.source import Reach, gap_of
from actors.observer.spans import SpanMatching
from actors.observer.view import ObserverView
from bus.actor import Decision, Run
from messages.claims import TraceClaim, Window
from messages.measurements import TraceMatched
from runs.windows import window_of
from targets.errors import CannotListen
from targets.secrets import hidden, secrets_of
from targets.span_receiver import SpanReceiver, SpanReceivers
from targets.spans import Span

_log = structlog.get_logger()
SPANS = "spans"
RETRY = 0.2
"""Seconds between two attempts to listen at an address that somebody else has."""
TURN = 0.01
"""Seconds of matching after which others have their turn."""
AWAY = "the observer was away"


class Hearing:
    """A source of what `trace` claims match. It listens longer than it is asked: services that stop send what they still have."""

    name = SPANS

    def __init__(self, receivers: SpanReceivers, run: Run[ObserverView], environment: Mapping[str, str]) -> None:
        state = run.view.state
        claims = state.scenario.claims()
        self.claims = {name: (claim, phase) for name, (claim, phase) in claims.items() if isinstance(claim, TraceClaim)}
        self._receivers = receivers
        self._run = run
        self._secrets = secrets_of(state.system, environment)
        self._matching: SpanMatching | None = None
        self._receiver: SpanReceiver | None = None
        self._begun: datetime | None = None
        self._ended: datetime | None = None
        before = run.view.probes_until
        self._deaf_since = before or state.started or run.now()
        self._why = AWAY if before is not None else ""
        """Why nobody listens, or listened, as far as it is to be told."""

    @property
    def until(self) -> datetime:
        if self._ended is not None:
            return self._ended
        behind = self._receiver.behind if self._receiver is not None else None
        return self._run.instant(behind) if behind is not None else self._run.now()

    def aim(self, goal: datetime | None) -> None:
        del goal

    async def listen(self) -> None:
        """Listen until cancelled, if the system says where."""
        traces = self._run.view.state.system.spec.traces
        while traces is not None:
            try:
                async with self._receivers.listening(traces.listen, self) as self._receiver:
                    self._begun = self._run.now()
                    self._matching = SpanMatching((claim for claim, _ in self.claims.values()), self._begun, self._hide)
                    await asyncio.Event().wait()
            except CannotListen as error:
                if self._why != str(error):
                    _log.warning("spans.unheard", run=self._run.id, error=str(error))
                self._why = str(error)
                await asyncio.sleep(RETRY)

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self._ended = self.until

    async def take(self, arrived: float, spans: Sequence[Span]) -> None:
        matching, at, turn = self._matching, self._run.instant(arrived), time.monotonic()
        if matching is None or not self.claims or self._ended is not None:
            return
        for span in spans:
            matching.see(at, span)
            if time.monotonic() - turn > TURN:
                await asyncio.sleep(0)
                turn = time.monotonic()

    def refuse(self, arrived: float) -> None:
        if self._matching is not None and self._ended is None:
            self._matching.refuse(self._run.instant(arrived))

    def say(self, reach: Reach) -> Iterator[Decision]:
        until = self.until
        yield from self._gaps(reach, until)
        matching = self._matching
        if matching is None:
            return
        ends, cuts = until if reach.rest else reach.told(until), {*reach.cuts, *([until] if reach.rest else [])}
        for name, matches in matching.claims.items():
            windows = self._windows(*self.claims[name])
            wanted: list[TraceMatched] = [told for told in matches.through(ends, cuts) if any(_meets(told, one) for one in windows)]
            if wanted:
                yield tuple(wanted)

    def _gaps(self, reach: Reach, until: datetime) -> Iterator[Decision]:
        """Why nobody listened: told when somebody does, or where something ends meanwhile."""
        if not self._why:
            return
        begun, cuts = self._begun, [cut for cut in reach.cuts if cut <= until]
        end = begun or (until if reach.rest else max(cuts, default=self._deaf_since))
        if end > self._deaf_since:
            yield gap_of(self._run.view, SPANS, self._deaf_since, end, self._why)
            self._deaf_since = end
        if begun is not None:
            self._why = ""

    def _windows(self, claim: TraceClaim, phase: str | None) -> tuple[Window, ...]:
        """The claim's own, and the phase that it is to be unlike."""
        state = self._run.view.state
        earlier = state.stages.get(claim.unlike or "")
        return (window_of(state, claim, phase), *([Window(earlier.started, earlier.finished)] if earlier is not None else []))

    def _hide(self, text: str) -> str:
        return hidden(text, self._secrets)


def _meets(told: TraceMatched, window: Window) -> bool:
    opens, closes = window.opens, window.closes
    return opens is not None and told.end > opens and (closes is None or told.start < closes)

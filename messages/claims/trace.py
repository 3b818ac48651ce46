"""`trace`: spans that the services send over OTLP to the observer match, often enough, or never."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from messages.claims.claim import Problem, Scope, expression_problems
from messages.claims.comparing import reference_of, unlike_problems
from messages.claims.counted import CountedClaim
from messages.claims.heard import Heard, heard
from messages.claims.history import History, Judgement, Window, failed, inconclusive, passed
from messages.values import Token, brief
from messages.verdicts import Reason


class TraceClaim(CountedClaim):
    """Spans for which `where` is true are received: at least `at_least` (1 by default), at most `at_most`, or `never`.

    The instant that counts is when the observer receives a span, not what the service's clock says. Exporters send in batches, by default
    5 s late, so `grace` should be longer than that, or `OTEL_BSP_SCHEDULE_DELAY` short. What a service samples out or drops, nobody sees.
    """

    FIGURES = {"count": "count"}
    COUNTED = "a span"

    type: Literal["trace"]
    where: str
    """CEL over `span`: `name`, `kind` (internal, server, client, producer, consumer), `service`, `attributes` and `resource` (maps),
    `duration` (seconds), `status` (unset, ok, error), `error` (true or false), `trace_id`, `span_id`, `parent_id` (empty of a root), and
    `parent` with its `name` and `service` (empty of a root). A span whose `parent` is asked for counts when both were received."""
    unlike: Token | None = None
    """An earlier phase without faults: only what is new since then counts, each `key` once."""
    key: str | None = None
    """CEL over `span`, with `unlike`: what makes two spans the same, such as span.name."""

    @property
    def takes_grace(self) -> bool:
        return True

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        if opens is None:
            return None
        if closes is not None and closes <= opens:
            return inconclusive(Reason.NO_SAMPLES, "the window ended before it opened")
        over = closes is not None and history.all_told(closes)
        known = self._known(history)
        if isinstance(known, Judgement):
            return known if over else None
        seen, most = self._counted(heard(history.traced, opens, closes), known), self.most
        if most is not None and seen.count > most:
            return failed(f"{seen.told}, at most {most} may{seen.sample(opens)}", *seen.matched, count=seen.count)
        if most is None and 0 < self.fewest <= seen.count and self.may_pass_early(history):
            return passed(f"{seen.told}, at least {self.fewest} must{seen.sample(opens)}", *seen.matched, count=seen.count)
        return (self._missed(seen, history) or self._unknown(seen) or self._judge_all(seen)) if over else None

    def _known(self, history: History) -> "_Known | Judgement":
        """What is nothing new, or why nobody can say what is."""
        if self.unlike is None:
            return _Known()
        before = reference_of(self.unlike, history)
        if isinstance(before, Judgement):
            return before
        if before.opens is None:
            return _Known()
        found = heard(history.traced, before.opens, before.closes)
        if found.unheard or found.refused or found.edge_keys or found.unknown:
            return inconclusive(
                Reason.GAP, f"not all spans of the phase {self.unlike} are known{_why(history, before, found)}", *found.evidence
            )
        if not found.spans:
            told = f"no span of any kind came in the phase {self.unlike}, so nobody can say what is new since"
            return inconclusive(Reason.NO_SAMPLES, told, *found.evidence)
        return _Known(found.keys, found.matched or found.evidence)

    def _counted(self, found: Heard, known: "_Known") -> "_Counted":
        if self.unlike is None:
            return _Counted(found, found.count, found.edge + found.unknown, f"{found.count} of {found.spans} spans matched")
        new = found.keys - known.keys
        told = f"{len(new)} keys matched that did not in {self.unlike} ({len(known.keys)} did), in {found.spans} spans"
        return _Counted(found, len(new), len(found.edge_keys - known.keys) + found.unknown, told, known.evidence)

    def _missed(self, seen: "_Counted", history: History) -> Judgement | None:
        """Which spans of the window nobody knows, if it matters, once it is over."""
        found, fewest, most = seen.found, self.fewest, self.most
        if not found.stretches:
            return inconclusive(Reason.GAP, f"no spans were received in the window{_why(history, history.window, found)}")
        enough = most is None and seen.count >= fewest
        if found.unheard and not enough:
            why = f"for {brief(found.unheard)} of the window nobody listened{_why(history, history.window, found)}"
            return inconclusive(Reason.GAP, f"{seen.told}, but {why}", *seen.evidence, count=seen.count)
        if found.refused and not enough:
            told = f"{seen.told}, but {found.refused} requests could not be read, and nobody knows which spans were in them"
            return inconclusive(Reason.GAP, told, *seen.evidence, count=seen.count)
        if not found.spans:
            told = "no span of any kind was received in the window; do the services send any, and does `grace` wait for their batches?"
            return inconclusive(Reason.NO_SAMPLES, told, *seen.evidence)
        return None

    def _unknown(self, seen: "_Counted") -> Judgement | None:
        """Of which spans nobody knows whether they match, if it matters."""
        found, fewest, most = seen.found, self.fewest, self.most
        if found.errors >= found.spans:
            told = f"the expressions could not be evaluated on any span: {found.error}"
            return inconclusive(Reason.JUDGE_ERROR, told, *seen.evidence)
        more = seen.count + seen.perhaps
        if seen.count < fewest <= more or (most is not None and more > most):
            told = f"{seen.told}; {seen.perhaps} more may have: they came at the window's edge, or their parent or key is not known"
            return inconclusive(Reason.GAP, told, *seen.evidence, count=seen.count)
        return None

    def _judge_all(self, seen: "_Counted") -> Judgement:
        found = seen.found
        unread = f"; the expressions could not be evaluated on {found.errors}: {found.error}" if found.errors else ""
        if seen.count < self.fewest:
            return failed(f"{seen.told}, at least {self.fewest} must{unread}", *seen.evidence, count=seen.count)
        limit = f", at most {self.most} may" if self.most is not None else ""
        return passed(f"{seen.told}{limit}{unread}", *seen.evidence, count=seen.count)

    def summary(self) -> str:
        if self.description:
            return self.description
        return f"{self.where} ({self.amount}{f', unlike in {self.unlike}' if self.unlike is not None else ''})"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        if scope.traces is False:
            right = 'add traces: {listen: "127.0.0.1:14317"} to its spec'
            yield Problem((), "the system does not say where its spans are received", right)
        for key, source in (("where", self.where), ("key", self.key)):
            if source is not None:
                for problem in expression_problems(key, source, "span"):
                    yield Problem(problem.path, problem.what, "CEL over span, like span.name == 'submit_order'")
        yield from unlike_problems(self.unlike, self.key, "span.name", scope)
        yield from self.amount_problems()


@dataclass(frozen=True, slots=True)
class _Known:
    """The keys that are nothing new."""

    keys: frozenset[str] = frozenset()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Counted:
    """What counts of the spans of a window: matches, or new keys."""

    found: Heard
    count: int
    perhaps: int
    """So many more may have matched."""
    told: str
    before: tuple[str, ...] = ()
    """What says what is nothing new."""

    @property
    def matched(self) -> tuple[str, ...]:
        return (*self.found.matched, *self.before)

    @property
    def evidence(self) -> tuple[str, ...]:
        return (*(self.found.matched or self.found.evidence), *self.before)

    def sample(self, opens: datetime) -> str:
        """The newest match that is told, in words."""
        told = next((stretch.told for stretch in reversed(self.found.stretches) if stretch.told.samples), None)
        return f"; {brief((told.first or told.start) - opens)} into the window: {told.samples[0]}" if told is not None else ""


def _why(history: History, window: Window, found: Heard) -> str:
    """Why nobody listened in the window, as far as it is told."""
    if not found.unheard and found.stretches:
        return ""
    opens, closes = window.opens, window.closes
    gaps = (gap for gap in history.unheard if (closes is None or gap.start < closes) and (opens is None or gap.end > opens))
    gap = next(gaps, None)
    return f": {gap.why}" if gap is not None else ""

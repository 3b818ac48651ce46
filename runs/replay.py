"""A run judged again from its journal: each judgement by the very judges, at the place where the stored one was made. Pure.

The validator knew some beginning of the journal when it judged: all lines before its own, or a few less, because it reads
behind those who write. A judgement is the same when one of these beginnings gives it, byte for byte.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from messages.events import Recorded, RunEvent
from messages.judgements import AssertionJudged
from messages.run_events import AssertionExpired, RunFinished
from messages.values import Message
from messages.verdicts import Verdict
from runs.judging import Evidence, finished, judge, judged
from runs.state import RunState

NEAR = 64
"""Lines before a judgement at which it is looked whether it would have been another one."""
FAR = 2_000
"""Lines before a judgement in which it is looked for, where the nearest do not give it."""

Outcome = Literal["same", "differs", "expired", "not judged"]
"""Of a claim. `expired`: the scheduler ended the wait for its judgement; `not judged`: the run ended first."""


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the journal, and the event's JSON as it is stored."""

    recorded: Recorded[RunEvent]
    body: bytes


class Earlier(Message):
    """What would have been said at an earlier place of the journal."""

    sequence: int
    """The newest line that was known there."""
    verdict: Verdict


class ClaimAgain(Message):
    """A claim, and what is said of it now."""

    assertion: str
    outcome: Outcome
    stored: AssertionJudged | None
    again: AssertionJudged | None
    """None: nobody could say yet at that place."""
    sequence: int | None
    """Of the stored judgement."""
    known: int | None
    """The newest line that was known when it was judged again."""
    differs: tuple[str, ...] = ()
    """The fields that differ; `bytes` if only the way in which they are written does."""
    earlier: Earlier | None = None
    """The first of the lines before at which another verdict would have been said."""


class RunAgain(Message):
    """The end of the run, and what it comes to now, with the claims as they were judged again."""

    same: bool
    stored: RunFinished
    again: RunFinished
    differs: tuple[str, ...] = ()


class Rejudged(Message):
    """A run that is over, judged again."""

    run_id: str
    lines: int
    claims: tuple[ClaimAgain, ...]
    run: RunAgain

    @property
    def same(self) -> bool:
        """Whether everything came out as it is stored."""
        return self.run.same and all(claim.outcome != "differs" for claim in self.claims)


@dataclass(frozen=True, slots=True)
class _Try:
    """A judgement at one place of the journal."""

    known: int
    event: AssertionJudged | None

    @property
    def body(self) -> bytes:
        return written(self.event) if self.event is not None else b""


def rejudge(lines: Sequence[Told]) -> Rejudged | None:
    """Judge a run again from all of its lines, in stream order; None while it is not over."""
    stored = _decided(lines)
    tries = _tries(lines, {name: (max(0, at - NEAR), at) for name, at in stored.items()})
    strange = {name for name, at in stored.items() if not _matching(tries.get(name, ()), lines[at])}
    tries |= _tries(lines, {name: (max(0, stored[name] - FAR), stored[name]) for name in strange})
    found = {name: _compared(name, lines[at], tries.get(name, ())) for name, at in stored.items()}
    state = _state(lines, {name: claim.again for name, claim in found.items()})
    end = next((line for line in lines if isinstance(line.recorded.event, RunFinished)), None)
    if end is None or not isinstance(end.recorded.event, RunFinished):
        return None
    again = finished(state)
    differs = differing(end.recorded.event, again, end.body)
    claims = (found.get(name) or _unjudged(state, name) for name in {**state.assertions, **found})
    run = RunAgain(same=not differs, stored=end.recorded.event, again=again, differs=differs)
    return Rejudged(run_id=state.id, lines=len(lines), claims=tuple(claims), run=run)


def written(event: RunEvent) -> bytes:
    """The event's JSON, as the journal has it."""
    return event.model_dump_json(by_alias=True).encode()


def differing(stored: RunEvent, again: RunEvent | None, body: bytes) -> tuple[str, ...]:
    """In what a stored event differs from another of its type."""
    if again is None:
        return ("verdict",)
    if written(again) == body:
        return ()
    one, other = stored.model_dump(mode="json", by_alias=True), again.model_dump(mode="json", by_alias=True)
    return tuple(name for name in one if one[name] != other[name]) or ("bytes",)


def _decided(lines: Sequence[Told]) -> dict[str, int]:
    """Where each claim was judged: the first such line counts, unless the wait for it was ended before."""
    found: dict[str, int] = {}
    for index, line in enumerate(lines):
        event = line.recorded.event
        if isinstance(event, RunFinished):
            break
        if isinstance(event, AssertionJudged | AssertionExpired):
            found.setdefault(event.assertion, index)
    return {name: index for name, index in found.items() if isinstance(lines[index].recorded.event, AssertionJudged)}


def _tries(lines: Sequence[Told], places: Mapping[str, tuple[int, int]]) -> dict[str, list[_Try]]:
    """What is said of each claim when the lines before an index are known, for every index after the first and up to the last."""
    begins: dict[int, list[str]] = {}
    for name, (first, last) in places.items():
        if first < last:
            begins.setdefault(first, []).append(name)
    found: dict[str, list[_Try]] = {name: [] for name in places}
    near: set[str] = set()
    view = Evidence(lines[0].recorded.run if lines else "")
    for index in range(max((last for _, last in places.values()), default=0)):
        recorded = lines[index].recorded
        view.apply(recorded)
        near.update(begins.get(index, ()))
        for name in sorted(near):
            here = index + 1 == places[name][1]
            if name in view.state.assertions and (here or recorded.actor != "validator"):
                found[name].append(_try(view, name, recorded.sequence))
            if here:
                near.discard(name)
    return found


def _try(view: Evidence, name: str, known: int) -> _Try:
    assertion = view.state.assertions[name]
    judgement = judge(view.state, view.seen, assertion)
    return _Try(known, judged(assertion, judgement) if judgement is not None else None)


def _matching(tries: Iterable[_Try], line: Told) -> _Try | None:
    """The latest place that gives what is stored."""
    return next((one for one in reversed(list(tries)) if one.event is not None and one.body == line.body), None)


def _compared(name: str, line: Told, tries: Sequence[_Try]) -> ClaimAgain:
    stored = line.recorded.event
    assert isinstance(stored, AssertionJudged)  # noqa: S101  that is how the line was found
    best = _matching(tries, line) or (tries[-1] if tries else None)
    again = best.event if best is not None else None
    differs = differing(stored, again, line.body)
    other = next((t for t in tries if t.event is not None and t.event.verdict is not (again or stored).verdict), None)
    return ClaimAgain(
        assertion=name,
        outcome="differs" if differs else "same",
        stored=stored,
        again=again,
        sequence=line.recorded.sequence,
        known=best.known if best is not None else None,
        differs=differs,
        earlier=Earlier(sequence=other.known, verdict=other.event.verdict) if other is not None and other.event is not None else None,
    )


def _unjudged(state: RunState, name: str) -> ClaimAgain:
    outcome: Outcome = "not judged" if state.assertions[name].verdict is None else "expired"
    return ClaimAgain(assertion=name, outcome=outcome, stored=None, again=None, sequence=None, known=None)


def _state(lines: Sequence[Told], again: Mapping[str, AssertionJudged | None]) -> RunState:
    """The run's state at its end, with the claims as they were judged again."""
    state = RunState(lines[0].recorded.run if lines else "")
    for line in lines:
        event = line.recorded.event
        if isinstance(event, RunFinished):
            break
        if not isinstance(event, AssertionJudged):
            state.apply(line.recorded)
        elif (found := again.get(event.assertion, event)) is not None:
            state.apply(replace(line.recorded, event=found))
    return state

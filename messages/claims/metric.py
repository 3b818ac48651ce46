"""`metric`: what services say of themselves in their metrics, as it is or as it grows; alone or beside an earlier phase."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from messages.checks import Url
from messages.claims.answered import interval_problems
from messages.claims.claim import Claim, Problem, Scope, nearest
from messages.claims.comparing import Limit, NumberLimit, comparison_problems, number_limit, reference_of
from messages.claims.growth import Figure, figures_of
from messages.claims.history import History, Judgement, Window, failed, inconclusive, passed
from messages.claims.measured import Scrape
from messages.claims.selector import Selector, parse_selector
from messages.values import Duration, Token, brief, format_duration
from messages.verdicts import Reason


def _checked(text: str) -> str:
    parse_selector(text)
    return text


class MetricClaim(Claim):
    """The sum of the series of a metric is within limits: its value, its increase over the window, or its rate per second."""

    FIGURES = {"value": "number", "took": "seconds"}

    type: Literal["metric"]
    target: Token | None = None
    """The service whose `metrics` endpoint is scraped."""
    url: Url | None = None
    """What is scraped instead, in Prometheus' text format."""
    metric: Annotated[str, AfterValidator(_checked)] | None = None
    """A metric's name, with or without labels, like orders_total{status="filled"}; of a histogram one of its series, like x_count."""
    promql: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    """PromQL that the system's Prometheus is asked instead, at each interval as of then: a number, or the sum of what it gives."""
    of: Literal["value", "increase", "rate"] = "value"
    """`increase` and `rate` are of counters, between the first and the last scrape of the window; a counter that starts anew counts on."""
    at_least: NumberLimit | None = None
    at_most: NumberLimit | None = None
    equals: float | None = None
    compare: Token | None = None
    """An earlier phase, in which no fault was active; of a value its average there."""
    every: Duration = timedelta(seconds=1)
    """The interval between two scrapes."""
    deadline: Duration = timedelta(seconds=1)

    @property
    def asks_for_something(self) -> bool:
        """That something is counted, too."""
        return super().asks_for_something or (self.of != "value" and self.at_least is not None)

    @property
    def selector(self) -> Selector:
        """The series that are meant, where they are scraped."""
        return parse_selector(self.metric or "")

    def judge(self, history: History) -> Judgement | None:
        opens, closes = history.window.opens, history.window.closes
        if opens is None:
            return None
        if closes is not None and closes <= opens:
            return inconclusive(Reason.NO_SAMPLES, "the window ended before it opened")
        scrapes = _inside(history, history.window)
        over = closes is not None and history.probes_passed(closes)
        bounds = self._bounds(history) if scrapes or over else {}
        if isinstance(bounds, Judgement):
            return bounds if over else None
        figures = figures_of(self.of, scrapes)
        decided = self._decided(history, figures, bounds, opens)
        if decided is not None or not over or closes is None:
            return decided
        return self._judge_all(history, Window(opens, closes), figures, bounds)

    def _decided(self, history: History, figures: list[Figure], bounds: dict[str, float], opens: datetime) -> Judgement | None:
        """What one scrape alone has settled."""
        for figure in figures:
            holds = not _broken(figure.value, bounds)
            told = f"{self._name} was {figure.value:g} {brief(figure.scrape.at - opens)} into the window, {_limits(bounds)}"
            if self.throughout and not holds:
                return failed(told, figure.scrape.evidence, value=f"{figure.value:g}")
            if self.within is not None and holds and self.may_pass_early(history):
                return passed(told, *figure.evidence, value=f"{figure.value:g}", took=figure.scrape.at - opens)
        return None

    def _judge_all(self, history: History, window: Window, figures: list[Figure], bounds: dict[str, float]) -> Judgement:
        missing = self._missing(history, window, figures)
        if missing is not None:
            return missing
        last = figures[-1]
        said = (
            f"{self._name} is {last.value:g}, {_limits(bounds)} ({len(figures)} scrapes, the last {self._age(window, last)} before the end)"
        )
        evidence, told = last.evidence, f"{last.value:g}"
        if self.within is not None and all(_broken(figure.value, bounds) for figure in figures):
            return failed(f"{said}, and was not within {format_duration(self.within)}", *evidence, value=told)
        if self.within is None and _broken(last.value, bounds):
            return failed(said, *evidence, value=told)
        return passed(said, *evidence, value=told)

    def _missing(self, history: History, window: Window, figures: list[Figure]) -> Judgement | None:
        """What is missing to judge by a window that is over."""
        scrapes = _inside(history, window)
        error = next((s.error for s in reversed(scrapes) if s.error), "")
        evidence = tuple(s.evidence for s in scrapes[-1:])
        beyond = max((s.beyond for s in scrapes), default=0)
        if beyond:
            right = "add labels" if self.promql is None else "sum them"
            told = f"{self._text} names {beyond} series more than are read; {right}"
            return inconclusive(Reason.JUDGE_ERROR, told, *evidence)
        if all(s.error for s in scrapes):
            told = "no metrics could be scraped" if self.promql is None else f"no answer to {self._text} could be used"
            return inconclusive(Reason.NO_SAMPLES, f"{told} in the window{': ' if error else ''}{error}", *evidence)
        if not figures and self.of != "value" and any(s.series for s in scrapes):
            told = f"one scrape shows no growth; lengthen the window or scrape more often{f' ({error})' if error else ''}"
            return inconclusive(Reason.TOO_FEW_SAMPLES, told, *evidence)
        if not figures:
            return inconclusive(Reason.NO_SAMPLES, self._nothing, *evidence)
        allowed = max(history.max_gap, 2 * self.every)
        if self._unseen(window, figures) > allowed:
            told = f"nothing was scraped for more than {format_duration(allowed)} of the window{f' ({error})' if error else ''}"
            return inconclusive(Reason.GAP, told, *evidence)
        return None

    def _unseen(self, window: Window, figures: list[Figure]) -> timedelta:
        """The longest stretch without a scrape that matters."""
        opens, closes = window.opens, window.closes
        if opens is None or closes is None:
            return timedelta.max
        if self.of == "value" and self.within is None and not self.throughout:
            return closes - figures[-1].scrape.at
        seen = [opens, *(f.begin for f in figures[:1]), *(f.scrape.at for f in figures), closes]
        return max((later - earlier for earlier, later in pairwise(seen)), default=timedelta())

    def _bounds(self, history: History) -> dict[str, float] | Judgement:
        """The limits as numbers, or why what they are relative to is not known."""
        normal = None
        if self.compare is not None:
            window = reference_of(self.compare, history)
            if isinstance(window, Judgement):
                return window
            figures = figures_of(self.of, _inside(history, window))
            missing = self._missing(history, window, figures)
            if missing is not None:
                return inconclusive(
                    missing.reason or Reason.NO_SAMPLES, f"in the phase {self.compare}: {missing.message}", *missing.evidence
                )
            normal = sum(f.value for f in figures) / len(figures) if self.of == "value" else figures[-1].value
        found = {key: limit.at(normal) for key, limit in self._limits().items()}
        return found if self.equals is None else {**found, "equals": self.equals}

    def _limits(self) -> dict[str, Limit]:
        written = {"at_least": self.at_least, "at_most": self.at_most}
        return {key: number_limit(limit) for key, limit in written.items() if limit is not None}

    def _age(self, window: Window, last: Figure) -> str:
        return brief(window.closes - last.scrape.at) if window.closes is not None else "some time"

    @property
    def _text(self) -> str:
        return self.promql or self.metric or ""

    @property
    def _name(self) -> str:
        return self._text if self.of == "value" else f"the {self.of} of {self._text}"

    @property
    def _nothing(self) -> str:
        """What is said where every answer was empty."""
        if self.promql is None:
            return f"there is no series like {self.metric}"
        return f"{self.promql} gave nothing; where that means 0, write ({self.promql}) or vector(0)"

    def summary(self) -> str:
        written = {**{key: limit.text for key, limit in self._limits().items()}, **({} if self.equals is None else {"equals": self.equals})}
        told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in written.items())
        return self.description or f"{self._name} {told}{f' of {self.compare}' if self.compare else ''}"

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from interval_problems(self.every, self.deadline)
        yield from self._source_problems(scope)
        if self.at_least is None and self.at_most is None and self.equals is None:
            yield Problem((), "the claim has no limit", "add at_least, at_most or equals")
        if self.never or (self.throughout and self.of != "value"):
            yield Problem((), "a metric is at the window's end, or within a time; its value also throughout", "turn the limits round")
        if self.equals is not None and self.compare is not None:
            yield Problem(("equals",), "`equals` is compared with nothing", "use at_least and at_most")
        if self.compare is not None and self.during is None and self.after is None and scope.phase is None:
            yield Problem(("compare",), "the window begins with the run, so no phase is over before it", "add `during` or `after`")
        else:
            yield from comparison_problems(self.compare, self._limits(), scope)

    def _source_problems(self, scope: Scope) -> Iterator[Problem]:
        if (self.metric is None) == (self.promql is None):
            yield Problem((), "a metric claim is about exactly one of metric, promql", "keep one of them")
        if self.promql is not None:
            yield from self._promql_problems(scope)
        elif self.metric is not None and (self.target is None) == (self.url is None):
            yield Problem((), "metrics are scraped from exactly one of target, url", "keep one of them")
        if self.target is not None and self.target not in scope.services:
            yield Problem(("target",), f"the system has no service {self.target!r}", nearest(self.target, scope.services))
        elif self.target is not None and self.promql is None and scope.metrics is not None and self.target not in scope.metrics:
            yield Problem(("target",), f"{self.target!r} has no metrics", "give the service `metrics` in the system, or write url")

    def _promql_problems(self, scope: Scope) -> Iterator[Problem]:
        for key, value in (("target", self.target), ("url", self.url)):
            if value is not None:
                yield Problem((key,), f"promql is asked of the system's Prometheus, not of a {key}", "take it out")
        if self.of != "value":
            right = "take `of` out, and write like rate(orders_total[10s]) or increase(orders_total[10s])"
            yield Problem(("of",), f"PromQL has its own {self.of}", right)
        if scope.prometheus is False:
            right = 'add prometheus: {http: "http://127.0.0.1:9090"} to its spec, or take metric with target or url'
            yield Problem(("promql",), "the system has no Prometheus to ask", right)


def _inside(history: History, window: Window) -> tuple[Scrape, ...]:
    opens, closes = window.opens, window.closes
    return tuple(s for s in history.scrapes if opens is not None and s.at >= opens and (closes is None or s.at < closes))


def _broken(value: float, bounds: dict[str, float]) -> bool:
    return value < bounds.get("at_least", value) or value > bounds.get("at_most", value) or value != bounds.get("equals", value)


def _limits(bounds: dict[str, float]) -> str:
    return " and ".join(f"{'must be' if key == 'equals' else key.replace('_', ' ')} {value:g}" for key, value in bounds.items())

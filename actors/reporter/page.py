"""A report as one page of HTML: nothing from elsewhere, every value escaped, and all of it readable without the script."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from actors.reporter import announced, telling
from actors.reporter.drawing import both
from actors.reporter.figures import tables
from actors.reporter.plan import stages
from actors.reporter.plots import plots
from actors.reporter.readout import readout
from actors.reporter.standing import deeds, stills
from actors.reporter.wording import clock, figure, offset, printable, stamp
from messages.values import brief
from runs.report import Report
from runs.report_findings import AssertionDetail, Evidence

LONGEST = 2_000
"""How many lines of the time line a page lists; report.json has all."""
SAMPLES = 50
"""How many service events a claim shows."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An evidence as a page shows it."""

    id: str
    fact: Evidence
    samples: int
    """How many of its service events are listed; together at most 50 for a claim."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A claim's window inside the run, in percent of its time, and when it was judged."""

    left: float
    width: float
    judged: float | None


def page(report: Report) -> bytes:
    """The page."""
    since = _since(report)
    drawings = both(report)
    html = _template().render(
        r=report,
        t=telling,
        advice=[a for a in report.recommendations if a.text != report.verdict.hint],
        since=since,
        unsafe=telling.unsafe(report),
        facts=list(telling.facts(report)),
        disturbed=[(f, telling.became(f)) for f in report.faults],
        assertions=telling.ordered(report),
        drawings=drawings,
        readout=_embedded(readout(report, plots(report))) if drawings else "",
        curves={series.kind for plot in plots(report) for series in plot.series},
        tables=tables(report),
        stages=stages(report),
        stills=stills(report),
        deeds=deeds(report),
        announced=announced.told(report),
        timeline=report.timeline[:LONGEST],
        left_out=max(len(report.timeline) - LONGEST, 0),
        evidence=lambda ids: _evidence(report, ids),
        bar=lambda detail: _bar(report, detail),
        closer=telling.closer(report),
        css=_asset("style.css"),
        script=_asset("script.js"),
        script_hash=_hash(_asset("script.js")),
    )
    return html.encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("actors.reporter", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {"clock": clock, "stamp": stamp, "offset": offset, "figure": figure, "words": _words}
    environment.filters |= filters | {"px": _px, "fit": _fit, "brief": brief, "ahead": _ahead}
    return environment


@cache
def _template() -> Template:
    return _environment().get_template("report.html")


@cache
def _asset(name: str) -> Markup:
    """A file of ours, to be part of the page as it is."""
    loader = _environment().loader
    return Markup(loader.get_source(_environment(), name)[0] if loader else "")  # noqa: S704 - our own file


def _hash(script: str) -> str:
    """What a content security policy calls the script; no other one may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _embedded(value: dict[str, object]) -> Markup:
    """JSON that cannot end the element it stands in."""
    text = printable(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    for letter, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(letter, escaped)
    return Markup(text)  # noqa: S704 - escaped above


def _clean(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _words(value: str) -> str:
    return value.replace("_", " ")


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _fit(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def _ahead(offset: timedelta | None) -> str:
    """What is known of a source's clock from the shortest way that an event took to the stream."""
    if offset is None:
        return "—"
    return f"{brief(-offset)} ahead" if offset < timedelta() else f"{brief(offset)} behind at most"


def _since(report: Report) -> Callable[[datetime | None], str]:
    zero = report.execution.start or report.execution.accepted
    return lambda instant: offset((instant - zero).total_seconds()) if instant and zero else ""


def _evidence(report: Report, ids: tuple[str, ...]) -> list[Shown]:
    left, found = SAMPLES, []
    for name in ids:
        fact = report.evidence.get(name, Evidence(event=name))
        samples = min(left, len(fact.matches))
        left -= samples
        found.append(Shown(name, fact, samples))
    return found


def _bar(report: Report, detail: AssertionDetail) -> Bar | None:
    start, end = report.execution.start, report.execution.end or report.journal.last
    if start is None or end is None or end <= start or detail.opened is None:
        return None
    whole = (end - start).total_seconds()

    def share(instant: datetime) -> float:
        return round(min(max((instant - start).total_seconds() / whole, 0), 1) * 100, 1)

    left, right = share(detail.opened), share(detail.closes or end)
    return Bar(left, max(right - left, 1.0), share(detail.timestamp) if detail.timestamp else None)

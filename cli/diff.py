"""`diff`: two runs beside each other."""

import json as jsonlib
from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bus.archive import Archive
from bus.patience import asked_again
from cli.access import LOOK_LIMIT, Access, Bus, reading
from cli.errors import CliError, Exit
from cli.following import find_run
from cli.listing import console
from cli.looping import run_async
from cli.narrating import named
from cli.output import say
from runs.comparing import AssertionPair, Comparison, EventsPair, LatencyPair, RecoveryPair, Spread, compare
from runs.report import ReportFold
from runs.report_values import readable

_COLOURS = {"worse": "red", "better": "green", "same": "", "only first": "yellow", "only second": "yellow"}
NONE = "—"


def diff_command(first: str, second: str, access: Access, *, json: bool) -> int:
    """Compare the second run with the first; exit 1 if something got worse."""
    return run_async(_diff(first, second, access, json=json))


async def _diff(first: str, second: str, access: Access, *, json: bool) -> int:
    async with reading(access) as bus:
        one, other = await _fold(bus, first), await _fold(bus, second)
    found = compare(one, other)
    if found is None:
        run = next(fold.state.id for fold in (one, other) if fold.state.finished is None)
        raise CliError(f"run {run} is not over yet", f"`test-coordinator wait {run}` waits for its end")
    if json:
        say(jsonlib.dumps({"worse": found.is_worse, **found.model_dump(mode="json")}, indent=2, ensure_ascii=False))
    else:
        _show(console(), found)
    return Exit.FAILED if found.is_worse else Exit.PASSED


async def _fold(bus: Bus, wanted: str) -> ReportFold:
    run = await find_run(bus, wanted)
    fold = ReportFold(run)
    for line in await asked_again(lambda: Archive(bus.journal).read(run), f"read {run}", LOOK_LIMIT):
        fold.apply(line)
    return fold


def _show(page: Console, found: Comparison) -> None:
    runs = _table("", "RUN", "SCENARIO", "VERDICT", "")
    for title, side in (("first", found.first), ("second", found.second)):
        reason = f" ({side.reason})" if side.reason is not None else ""
        runs.add_row(title, side.run_id, side.scenario, f"{side.verdict}{reason}", _changed(found.verdict) if title == "second" else "")
    page.print(runs)
    _section(page, "ASSERTION", _assertions(found.assertions))
    _section(page, "RECOVERY", _recoveries(found.recoveries))
    _section(page, "LATENCY", _latencies(found.latencies))
    _section(page, "SERVICE EVENTS", _events(found.events))
    page.print("\nthe second run came out worse" if found.is_worse else "\nnothing came out worse in the second run")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    return table


def _section(page: Console, title: str, rows: Sequence[tuple[str | Text, ...]]) -> None:
    if rows:
        table = _table(title, "FIRST", "SECOND", "")
        for row in rows:
            table.add_row(*row)
        page.print()
        page.print(table)


def _changed(change: str) -> Text:
    return Text("" if change == "same" else change, _COLOURS[change])


def _assertions(pairs: Sequence[AssertionPair]) -> list[tuple[str | Text, ...]]:
    rows: list[tuple[str | Text, ...]] = []
    for pair in pairs:
        remark = _changed(pair.change)
        if pair.other_claim:
            remark = Text(", ").join(part for part in (remark, Text("not the same claim", "yellow")) if part.plain)
        rows.append((named(pair.assertion), _told(pair.first), _told(pair.second), remark))
        one, other = pair.first_measured, pair.second_measured
        rows += [(f"  {figure}", _figure(one.get(figure)), _figure(other.get(figure)), "") for figure in {**one, **other}]
    return rows


def _told(outcome: str | None) -> str:
    return outcome.replace("_", " ") if outcome is not None else NONE


def _figure(value: timedelta | int | str | None) -> str:
    return NONE if value is None else readable(value) if isinstance(value, timedelta) else str(value)


def _recoveries(pairs: Sequence[RecoveryPair]) -> list[tuple[str | Text, ...]]:
    return [
        (
            f"{pair.action} {pair.target}" + (f" ({pair.number})" if pair.number > 1 else ""),
            _seconds(pair.first),
            _seconds(pair.second),
            _changed(pair.change) if pair.change != "same" else _by(pair.first, pair.second),
        )
        for pair in pairs
    ]


def _latencies(pairs: Sequence[LatencyPair]) -> list[tuple[str | Text, ...]]:
    rows: list[tuple[str | Text, ...]] = []
    for pair in pairs:
        timed = [spread for spread in (pair.first, pair.second) if spread is not None and spread.p50 is not None]
        if pair.phase is not None and not timed:  # of health in each phase there would be more rows than anybody reads
            continue
        place = f" in {pair.phase}" if pair.phase is not None else ""
        rows.append((f"{pair.name}{place}", _samples(pair.first), _samples(pair.second), ""))
        for figure in ("p50", "p95", "p99", "max"):
            one, other = getattr(pair.first, figure, None), getattr(pair.second, figure, None)
            if one is not None or other is not None:
                rows.append((f"  {figure}", _seconds(one), _seconds(other), _by(one, other)))
    return rows


def _samples(spread: Spread | None) -> str:
    return NONE if spread is None else f"{spread.count} samples, {spread.failed} failed"


def _events(pairs: Sequence[EventsPair]) -> list[tuple[str | Text, ...]]:
    return [(pair.type, str(pair.first), str(pair.second), _by(pair.first, pair.second)) for pair in pairs]


def _seconds(value: float | None) -> str:
    return NONE if value is None else readable(timedelta(seconds=value))


def _by(one: float | None, other: float | None) -> str:
    """By how much the second differs from the first."""
    if one is None or other is None or not one:
        return ""
    share = round((other - one) / one * 100)
    return f"{share:+d}%" if share else ""

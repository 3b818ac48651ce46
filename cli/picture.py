"""The picture of a run on a terminal: bounded lines, nothing below the edge, the same at 80 columns and at 200."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.narrating import MARKS, mark_of, named, narrate, shown, standing
from cli.progress import Disturbance, Progress, moments
from messages.claims import summary_of
from messages.verdicts import Verdict
from runs.faults import ActionState
from runs.rehearsals import WORDS
from runs.report_claims import targets_of
from runs.state import AssertionState

COLOURS = {
    Verdict.PASSED: "green",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.FAILED: "red",
    Verdict.ABORTED: "magenta",
    Verdict.UNSAFE: "bold white on red",
}
_STAGES = {
    "waiting": ("·", "dim"),
    "running": ("▶", "bold cyan"),
    "still": ("‖", "bold yellow"),
    "done": ("✓", "green"),
    "cut": ("✗", "yellow"),
}
_HEIGHTS = "▁▂▃▄▅▆▇█"
_BAR = 20
_STEP = timedelta(seconds=1)
TWO_COLUMNS = 120
"""From this width on, services stand beside the claims."""
_LEAST = 2
"""Lines that every part gets, if it has as many."""


def draw(progress: Progress, now: datetime, *, width: int = 160, height: int = 200) -> RenderableType:
    """The picture of this moment, in at most `height` lines."""
    state = progress.state
    if state.accepted is None:
        return Group(_header(progress, now), Text("waiting to be accepted", style="dim"))
    now = min(now, state.finished_at) if state.finished_at is not None else now
    top = [_header(progress, now), _so_far(progress), *_stages(progress, now, width)]
    top += _stands(progress, now, width)
    left = [("disturbed", _disturbed(progress, now)), ("assertions", _claims(progress))]
    right = [("services", _services(progress, now, width))]
    room = max(height - len(top), 4)
    if width >= TWO_COLUMNS:
        news = min(_news(progress), max(room // 3, 3))
        body = room - news - 1
        columns = Table.grid(padding=(0, 3), expand=True)
        columns.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
        columns.add_column(ratio=2, no_wrap=True, overflow="ellipsis")
        columns.add_row(Group(*_parts(left, body)), Group(*_parts(right, body)))
        return Group(*_clipped(top), columns, *_latest(progress, news))
    parts = [*left, *right]
    news = min(_news(progress), max(room // 4, 2))
    return Group(*_clipped(top), *_parts(parts, room - news - 1), *_latest(progress, news))


def _stands(progress: Progress, now: datetime, width: int) -> list[Text]:
    """Why it does not go on, and what a person may do about it."""
    state = progress.state
    if state.finished is not None:
        told = f"left disturbed: {', '.join(state.left)}; `test-coordinator resolve {state.id} --note TEXT{progress.given}`"
        return [Text(told, "red")] if state.left else []
    if state.aborting is not None:
        return [Text(f"aborting: {state.aborting.message}", style="magenta")]
    waits = state.waits_for()
    if not waits:
        return []
    gate = state.standing.gate
    left = f"  ({shown(max(gate.asked.until - now, timedelta()))} left)" if gate is not None and state.stage_name() == "gate" else ""
    do = {"paused": (f"resume {state.id}",), "gate": (f"approve {state.id}", f"reject {state.id}")}.get(state.stage_name(), ())
    do = ("release",) if state.standing.paused is not None and state.standing.paused.why == "hold" else do
    lines = [Text(f"‖ {standing(state.stage_name(), waits)}{left}", style="bold yellow")]
    lines += [Text(f"  test-coordinator {each}{progress.given}", style="yellow") for each in do]
    return [line for text in lines for line in text.wrap(Console(width=width), width)]


def _clipped(lines: Sequence[Text]) -> list[Text]:
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
    return list(lines)


def _parts(parts: Sequence[tuple[str, list[Text]]], room: int) -> list[Text]:
    """The parts under their names; when there is no room for all lines, the longest give way first."""
    sizes = [len(lines) for _, lines in parts]
    while sum(sizes) + len(parts) > room and max(sizes) > _LEAST:
        sizes[sizes.index(max(sizes))] -= 1
    found: list[Text] = []
    for (name, lines), size in zip(parts, sizes, strict=True):
        found.append(Text(name, style="bold"))
        cut = len(lines) - size
        found += lines if not cut else [*lines[: size - 1], Text(f"  … and {cut + 1} more", style="dim")]
    return _clipped(found)


def _header(progress: Progress, now: datetime) -> Text:
    state = progress.state
    name = state.scenario.name if state.accepted else "…"
    return Text.assemble(
        (name, "bold"),
        f"  run {state.id}  ",
        (shown(progress.elapsed(now)), "cyan"),
        f"  {state.stage_name()}",
        *([("  rehearsal: no fault happens", "bold yellow")] if state.rehearsal else []),
    )


def _so_far(progress: Progress) -> Text:
    """The verdict, or what is known of it."""
    state = progress.state
    if state.finished is not None:
        verdict = state.finished.verdict
        rehearsal = " in rehearsal" if state.rehearsal else ""
        return Text.assemble((f"{MARKS[verdict]} {verdict.upper()}{rehearsal}", COLOURS[verdict]), f"  {state.finished.message}")
    claims = [c for c in progress.claims().values() if c is not None and c.verdict is not None]
    judged = f"{len(claims)} of {len(progress.claims())} assertions judged"
    if any(fault.revert_failed for fault in progress.faults().values()):
        return Text.assemble(("‼ UNSAFE so far", COLOURS[Verdict.UNSAFE]), "  a fault could not be undone")
    worst = max((weight for c in claims if (weight := _weight(c)) is not None), key=lambda v: v.rank, default=Verdict.PASSED)
    if worst is Verdict.PASSED:
        return Text.assemble(("so far nothing against it", "green" if claims else "dim"), f"  {judged}")
    first = next(c for c in claims if _weight(c) is worst)
    vacuous = f"{WORDS['vacuous']}; " if first.control == "vacuous" else ""
    told = f"  {named(first.id)}: {vacuous}{first.message}  "
    return Text.assemble((f"{MARKS[worst]} {worst} so far", COLOURS[worst]), told, (judged, "dim"))


def _weight(claim: AssertionState) -> Verdict | None:
    """What a judgement does to the run: in a rehearsal not always what it says."""
    if claim.control is None:
        return claim.verdict
    return Verdict.INCONCLUSIVE if claim.control == "vacuous" else Verdict.PASSED


def _stages(progress: Progress, now: datetime, width: int) -> list[Text]:
    text = Text()
    for name, how in progress.stages():
        mark, style = _STAGES[how]
        text.append(f"{mark} {name}  ", style)
    return [text, _clock(progress, now, width)] if progress.state.finished is None else [text]


def _clock(progress: Progress, now: datetime, width: int) -> Text:
    """How far the stage that is on has come, and what is left."""
    stage, (left, coming) = progress.state.stage, progress.left(now)
    if stage is None:
        return Text("", "dim")
    if left is None:
        return Text.assemble((f"{stage.name} ", "cyan"), "until its last action is done")
    bound = progress.bounds[stage.name] or timedelta()
    share = min(1 - left / bound, 1.0) if bound else 1.0
    cells = min(_BAR, max(width // 6, 8))
    done = round(share * cells)
    limit = "at most " if stage.kind != "phase" else ""
    more = f", then {shown(coming)} of phases" if coming else ""
    return Text.assemble(
        (f"{stage.name} ", "cyan"), ("█" * done, "cyan"), ("░" * (cells - done), "dim"), f" {limit}{shown(left)} left{more}"
    )


def _disturbed(progress: Progress, now: datetime) -> list[Text]:
    found = [_disturbance(one, now) for one in progress.disturbances()]
    over = [fault for fault in progress.faults().values() if fault.gone is not None]
    refused = [(name, fault.message) for name, fault in progress.faults().items() if fault.outcome not in {None, "done"}]
    found += [Text.assemble("  ", (f"✗ {name}: {message}", "red")) for name, message in refused]
    found += [_over(fault) for fault in reversed(over)]
    found += [_rehearsed(fault) for fault in progress.faults().values() if fault.rehearsed is not None]
    return found or [Text("  nothing", "dim")]


def _over(fault: ActionState) -> Text:
    """A fault that is gone: its life from its request."""
    text = Text(f"  ✓ {fault.request.fault_id}: {fault.request.action.action} {fault.request.target} ", "dim")
    for moment in moments(fault)[1:]:
        text.append(f" {moment.name} +{shown(moment.after)}", "dim")
    return text


def _rehearsed(fault: ActionState) -> Text:
    """A fault that would be, or have been."""
    how = "its rehearsal is over" if fault.rehearsal_ended is not None else "rehearsed now, nothing is disturbed"
    return Text(f"  ◇ {fault.request.fault_id}: {fault.request.action.action} {fault.request.target}  {how}", "dim")


def _disturbance(one: Disturbance, now: datetime) -> Text:
    fault = one.state
    action = fault.request.action
    told = "".join(f" {value}" for value in action.parameters.values())
    text = Text.assemble("  ", ("◆ ", "magenta"), (f"{action.action} {fault.request.target}{told}", "bold"), f"  {one.id}")
    if one.services and one.services != (fault.request.target,):
        text.append(f" on {', '.join(one.services)}", "dim")
    if one.ends is not None:
        text.append(f"  ends in {shown(max(one.ends - now, timedelta()))}", "cyan")
    text.append(f"  for {shown(now - one.since)}")
    if fault.revert_failed is not None:
        text.append(f"  could not be undone: {fault.revert_failed}", "bold red")
    elif fault.reverted is not None:
        text.append("  undone, not yet normal", "yellow")
    else:
        text.append(f"  effective ({fault.effect})" if fault.effective else "  no effect seen yet", "" if fault.effective else "yellow")
    return text


def _claims(progress: Progress) -> list[Text]:
    """Those that are decided against first, then the open ones, the passed ones last."""
    order = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, None: 2, Verdict.PASSED: 4}
    claims = sorted(progress.claims().items(), key=lambda item: order.get(_weight(item[1]), 0) if item[1] else 3)
    return [_claim(progress, name, claim) for name, claim in claims]


def _claim(progress: Progress, name: str, claim: AssertionState | None) -> Text:
    if claim is None:
        return Text(f"  · {named(name)}  not open yet", "dim")
    if claim.verdict is not None:
        (mark, words), style = mark_of(claim.verdict, claim.control), COLOURS[_weight(claim) or claim.verdict]
        return Text.assemble(
            "  ", (f"{mark} {named(name)}", style), (f"  {words}; {claim.message}" if words else f"  {claim.message}", "dim")
        )
    return Text.assemble("  ", (f"… {name}", "cyan"), f"  {_seen(progress, name) or summary_of(claim.claim, targets_of(progress.state))}")


def _seen(progress: Progress, name: str) -> str:
    matched = progress.matched.get(name)
    if matched is None:
        return ""
    if matched.keys is not None:
        return f"{matched.keys.opened} opened, {matched.keys.closed_once} closed once, {matched.keys.open_count} open so far"
    return f"{matched.count} of {matched.seen} events matched so far"


def _services(progress: Progress, now: datetime, width: int) -> list[Text]:
    cells = min(40, max(width // 4 - 2, 15)) if width < TWO_COLUMNS else min(60, width * 2 // 5 - 32)
    found = []
    hit = {name for one in progress.disturbances() for name in one.services}
    for name, up in sorted(progress.services.items(), key=lambda item: (item[1], item[0] not in hit)):
        found.append(_service(progress, name, now, cells, up=up, hit=name in hit))
    down = sum(1 for up in progress.services.values() if not up)
    if found:
        head = f"{len(found) - down}/{len(found)} up" + (
            f" (down: {', '.join(n for n, up in progress.services.items() if not up)})" if down else ""
        )
        found.insert(0, Text(f"  {head}", "red" if down else "green"))
    kind = progress.busiest()
    rate = progress.rate(kind, now)
    if rate is not None:
        rates = progress.rates(kind, now, cells, _STEP)
        highest = max((r for r in rates if r is not None), default=0.0)
        line = "".join(" " if r is None else _HEIGHTS[min(int(r / highest * 7.99), 7)] if highest else _HEIGHTS[0] for r in rates)
        found.insert(1, Text.assemble(f"  {_short(kind + '*'):<22} ", (line, "blue"), f" {rate:.0f}/s"))
    return found or [Text("  none seen yet", "dim")]


def _service(progress: Progress, name: str, now: datetime, cells: int, *, up: bool, hit: bool) -> Text:
    text = Text.assemble(("  ", ""), (f"{_short(name):<22} ", "bold" if hit or not up else ""))
    for healthy in progress.health(name, now, cells, _STEP):
        text.append(*((" ", "") if healthy is None else ("─", "green") if healthy else ("█", "red")))
    return text.append(" up" if up else " DOWN", "green" if up else "bold red")


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"


def _news(progress: Progress) -> int:
    return sum(1 for recorded in progress.newest if narrate(recorded) is not None)


def _latest(progress: Progress, room: int) -> list[Text]:
    told = [(recorded.at, text) for recorded in progress.newest if (text := narrate(recorded)) is not None][-room:] if room > 0 else []
    lines = [Text.assemble((f"  {at:%H:%M:%S}  ", "dim"), text) for at, text in told]
    return _clipped([Text("latest", style="bold"), *lines]) if lines else []

"""`run --dry-run`: what a run would do, for a person to read or as JSON; nothing is started and nobody is asked."""

import json as jsonlib
import secrets
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.access import on_terminal
from cli.documents import Documents
from cli.errors import Exit
from cli.output import say
from messages.values import format_duration
from scenarios.plan import Plan, PlannedAction, PlannedClaim, PlannedPhase, plan_of

SEED_BITS = 32


def plan_command(documents: Documents, *, json: bool) -> int:
    """Print what a run of the documents would do."""
    plan = plan_of(documents.resolved(secrets.randbits(SEED_BITS)))
    if json:
        say(plan.model_dump_json(by_alias=True, indent=2))
    elif on_terminal():
        console = Console(file=sys.stdout, highlight=False)
        for part in _drawn(plan):
            console.print(part)
    else:
        say("\n".join(lines_of(plan)))
    return Exit.PASSED


def lines_of(plan: Plan) -> Iterator[str]:
    """The plan as plain lines."""
    yield from _head(plan)
    for phase in plan.phases:
        yield ""
        yield _title(phase)
        yield from _gate(phase)
        for action in phase.actions:
            yield from _action_lines(action)
        yield from (f"  claim  {_claim_line(claim)}" for claim in phase.claims)
    for title, actions, claims in _tail(plan):
        yield ""
        yield title
        for action in actions:
            yield from _action_lines(action)
        yield from (f"  claim  {_claim_line(claim)}" for claim in claims)


def _head(plan: Plan) -> Iterator[str]:
    about = f": {plan.description}" if plan.description else ""
    yield f"plan of {plan.scenario} on {plan.system}{about}"
    yield f"reach  {plan.reach}" + (f": {', '.join(plan.reach.services)}" if plan.reach.services else "")
    bounds = f"before them {_span(plan.settle)} at most to settle, after them {_span(plan.recover)} at most to recover"
    yield f"time   the phases take at least {_span(plan.least)}; {bounds}; aborted after {_span(plan.timeout)}"
    yield from (f"needs  {need}" for need in plan.needs)
    if plan.seed is not None:
        yield f"seed   {plan.seed} was drawn for this plan only: each run draws its own; write seed: {plan.seed} for this one"


def _tail(plan: Plan) -> Iterator[tuple[str, tuple[PlannedAction, ...], tuple[PlannedClaim, ...]]]:
    if plan.finally_:
        yield "finally, whatever happened", plan.finally_, ()
    if plan.claims:
        yield "over the whole run", (), plan.claims
    if plan.steady:
        yield "steady state", (), plan.steady


def _title(phase: PlannedPhase) -> str:
    length = _span(phase.duration) if phase.duration is not None else "until its last action is over"
    about = "".join(f"; {text}" for text in (phase.description, phase.drawn) if text)
    return f"+{_span(phase.offset)}  phase {phase.name}, {length}{about}"


def _gate(phase: PlannedPhase) -> Iterator[str]:
    gate = phase.gate
    if gate is not None:
        who = " or ".join(gate.approve) or "anybody"
        otherwise = {"abort": "the run is aborted", "continue": "the phase starts"}[gate.otherwise]
        yield f"  gate   asks first “{gate.ask}”; {who} may answer; if nobody does within {_span(gate.timeout)}, {otherwise}"


def _action_lines(action: PlannedAction) -> Iterator[str]:
    at = f"+{_span(action.offset)}  " if action.offset is not None else ""
    yield f"  {at}{action.id}: {action.action} on {action.target}"
    for word, text in _details(action):
        yield f"      {word:<7}{text}"


def _details(action: PlannedAction) -> Iterator[tuple[str, str]]:
    """What is worth a line of its own."""
    yield "does", action.summary
    yield "starts", action.starts
    if action.parameters:
        yield "with", _parameters(action)
    if action.fault:
        yield "ends", action.ends
        yield "undo", action.undo
        yield "lease", action.lease
    yield "needs", action.needs


def _parameters(action: PlannedAction) -> str:
    return ", ".join(f"{name}: {value if isinstance(value, str) else jsonlib.dumps(value)}" for name, value in action.parameters.items())


def _claim_line(claim: PlannedClaim) -> str:
    return f"{claim.id} ({claim.type}): {claim.claims} [{claim.window}] {_on_fail(claim)}".rstrip()


def _on_fail(claim: PlannedClaim) -> str:
    return "" if claim.on_fail == "stop" else f"if it fails: {claim.on_fail}"


def _drawn(plan: Plan) -> Iterator[Table | str]:
    """The plan as tables."""
    first, *more = _head(plan)
    yield f"[bold]{escape(first)}[/bold]"
    yield from (escape(line) for line in more)
    for phase in plan.phases:
        yield f"\n[bold cyan]{escape(_title(phase))}[/bold cyan]"
        yield from (escape(line) for line in _gate(phase))
        yield from _tables(phase.actions, phase.claims)
    for title, actions, claims in _tail(plan):
        yield f"\n[bold cyan]{title}[/bold cyan]"
        yield from _tables(actions, claims)


def _tables(actions: tuple[PlannedAction, ...], claims: tuple[PlannedClaim, ...]) -> Iterator[Table]:
    if actions:
        table = _table("WHEN", "ACTION", "TARGET", "ENDS", "UNDO AND LEASE", "NEEDS")
        for action in actions:
            at = f"+{_span(action.offset)}\n" if action.offset is not None else ""
            told = f"\n{_parameters(action)}" if action.parameters else ""
            undo = f"{action.undo}\nlease {action.lease.partition(',')[0]}" if action.fault else "no fault"
            row = (f"{at}{action.starts}", f"{action.id}: {action.action}{told}", action.target, action.ends, undo, action.needs)
            table.add_row(*(escape(cell) for cell in row))
        yield table
    if claims:
        table = _table("CLAIM", "SAYS", "WINDOW", "IF IT FAILS")
        for claim in claims:
            table.add_row(*(escape(cell) for cell in (claim.id, claim.claims, claim.window, claim.on_fail)))
        yield table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold", header_style="dim")
    return table


_span = format_duration

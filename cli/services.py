"""`services`: what can be done to each target of a system here, and why not the rest."""

import json as jsonlib
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.documents import systems_of
from cli.errors import CliError, Exit
from cli.output import say
from messages.actions import ACTIONS
from messages.system import System
from targets.abilities import Ability, abilities


def services_command(system: str | None, systems: Path | None, *, json: bool) -> int:
    """Prints every service, link and volume of the systems with its actions."""
    known = systems_of(system, systems)
    if not known:
        raise CliError("no systems are known here", "name a folder that holds some with --systems", Exit.INVALID)
    found = {name: list(abilities(known[name])) for name in known}
    if json:
        say(jsonlib.dumps([_told(known[name], those) for name, those in found.items()], indent=2))
        return Exit.PASSED
    console = Console(highlight=False)
    for name, those in found.items():
        console.print(_table(known[name], those))
    return Exit.PASSED


def _told(system: System, found: list[Ability]) -> dict[str, object]:
    targets = [
        {
            "target": target,
            "kind": those[0].kind,
            "actions": [one.action for one in those if one.missing is None],
            "missing": {one.action: one.missing for one in those if one.missing is not None},
        }
        for target, those in _by_target(found).items()
    ]
    return {"system": system.name, "clock": system.spec.clock, "targets": targets}


def _table(system: System, found: list[Ability]) -> Table:
    table = Table(title=f"{system.name}: {system.metadata.description}", title_justify="left", show_lines=True, expand=False)
    for heading in ("target", "what can be done here", "what cannot, and why"):
        table.add_column(heading, overflow="fold")
    for target, those in _by_target(found).items():
        reasons: defaultdict[str, list[str]] = defaultdict(list)
        service = system.spec.services.get(target)
        for one in those:
            if one.missing is not None and not (ACTIONS[one.action].means == "chaos" and service is not None and service.chaos is None):
                reasons[one.missing].append(one.action)
        able = _grouped([one.action for one in those if one.missing is None])
        unable = "\n".join(f"[dim]{escape(_grouped(actions))}[/dim]: {escape(why)}" for why, actions in reasons.items())
        table.add_row(f"[bold]{escape(target)}[/bold]\n{those[0].kind}", escape(able) or "[dim]nothing[/dim]", unable)
    return table


def _grouped(actions: list[str]) -> str:
    """Names of actions; of a chaos API's only how many, when there are many."""
    chaos = [name for name in actions if ACTIONS[name].means == "chaos"]
    others = [name for name in actions if name not in chaos]
    told = chaos if len(chaos) <= 3 else [f"{len(chaos)} calls of a chaos API"]
    return ", ".join([*others, *told])


def _by_target(found: list[Ability]) -> dict[str, list[Ability]]:
    grouped: defaultdict[str, list[Ability]] = defaultdict(list)
    for one in found:
        grouped[one.target].append(one)
    return grouped

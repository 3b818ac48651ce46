"""The options that commands share."""

from pathlib import Path
from typing import Annotated

import typer

RUNNING, BUS, OUTPUT = "Running", "Bus and state", "Output"

Scenario = Annotated[str, typer.Argument(metavar="SCENARIO", help="A file, or the name of a scenario of the library.")]
Suite = Annotated[
    str,
    typer.Argument(metavar="SCENARIO", help="A file, the name of a scenario of the library, or a suite: a folder, or its name there."),
]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of a run, or `last` for the newest one.")]
System = Annotated[str | None, typer.Option("--system", metavar="S", help="Use this system (a name, or a file).", rich_help_panel=RUNNING)]
Systems = Annotated[
    Path | None,
    typer.Option("--systems", metavar="DIR", help="Systems that scenarios may name (default: the library).", rich_help_panel=RUNNING),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--var",
        metavar="K=V",
        help="Set a variable of the scenario, or a parameter of the template; may be repeated.",
        rich_help_panel=RUNNING,
    ),
]
Speed = Annotated[
    float,
    typer.Option(
        "--speed",
        metavar="N",
        help="Run N times as fast, limits down to 15 s; only on a system that says clock: scaled.",
        rich_help_panel=RUNNING,
    ),
]
Tag = Annotated[str | None, typer.Option("--tag", metavar="T", help="Only what has this tag.", rich_help_panel=OUTPUT)]
Nats = Annotated[
    str | None,
    typer.Option("--nats", metavar="URL", help="Use this NATS (or NATS_URL) instead of the embedded one.", rich_help_panel=BUS),
]
State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="Where the embedded NATS keeps its state.", rich_help_panel=BUS),
]
Instance = Annotated[
    str | None, typer.Option("--instance", metavar="NAME", help="Name of this instance (SERVICE_INSTANCE_NAME).", rich_help_panel=BUS)
]
Partitions = Annotated[
    str | None,
    typer.Option(
        "--partitions",
        metavar="auto|0-3",
        help="Which runs this host takes: its even part, or those of these numbers.",
        rich_help_panel=BUS,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would be done, when and to what; nothing is started.", rich_help_panel=RUNNING)
]
Rehearse = Annotated[
    bool,
    typer.Option(
        "--rehearse",
        help="Do all but the faults: claims about a fault that pass without it are vacuous, and are shown so.",
        rich_help_panel=RUNNING,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.", rich_help_panel=OUTPUT)]
Reports = Annotated[Path, typer.Option("--reports", metavar="DIR", help="Reports are put in DIR/<run>.", rich_help_panel=OUTPUT)]
DEFAULT_REPORTS = Path("reports")


def parse_variables(given: list[str] | None) -> dict[str, str]:
    """`K=V` texts as a mapping.

    Raises:
        CliError: one of them has no `=`.
    """
    from cli.errors import CliError

    found: dict[str, str] = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CliError(f"--var {text!r} has no value", "write it as --var NAME=VALUE, for example --var recovery_slo=5s")
        found[name] = value
    return found

"""Commands that run nothing: about documents, the language, and this machine."""

from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.calling import access_of, end, examples

app = typer.Typer()


@app.command(epilog=examples("test-coordinator validate my-scenario.yaml", "test-coordinator validate scenarios/*.yaml --json"))
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files, or names of scenarios of the library.")],
    system: options.System = None,
    systems: options.Systems = None,
    var: options.Variables = None,
    *,
    json: options.Json = False,
) -> None:
    """Check scenarios and systems: every mistake with file, line and column. Needs no NATS."""
    from cli.validate import validate_command

    end(validate_command(files, system, systems, options.parse_variables(var), json=json))


@app.command(
    epilog=examples("test-coordinator scenarios", "test-coordinator scenarios --tag market", "test-coordinator scenarios resilience/")
)
def scenarios(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A folder with scenarios instead of the library.")] = None,
    tag: options.Tag = None,
    *,
    json: options.Json = False,
) -> None:
    """List the scenarios and templates that can be run by name. Needs no NATS."""
    from cli.scenarios import scenarios_command

    end(scenarios_command(folder, tag, json=json))


@app.command(epilog=examples("test-coordinator schema > chaos.schema.json", "test-coordinator schema --format markdown"))
def schema(
    format_: Annotated[str, typer.Option("--format", metavar="json|markdown", help="For editors, or for people.")] = "json",
) -> None:
    """Print the scenario language: a JSON Schema for editors, or its reference. Needs no NATS."""
    from cli.schema import schema_command

    end(schema_command(format_))


@app.command(
    epilog=examples("test-coordinator services", "test-coordinator services my-system.yaml", "test-coordinator services trading --json")
)
def services(
    system: Annotated[str | None, typer.Argument(metavar="[SYSTEM]", help="A system's name or file (default: all).")] = None,
    systems: options.Systems = None,
    *,
    json: options.Json = False,
) -> None:
    """Show what can be done to each service, link and volume here, and why not the rest. Needs no NATS."""
    from cli.services import services_command

    end(services_command(system, systems, json=json))


@app.command(epilog=examples("test-coordinator doctor", "test-coordinator doctor --json"))
def doctor(nats: options.Nats = None, state: options.State = None, systems: options.Systems = None, *, json: options.Json = False) -> None:
    """Look what is missing on this machine, and say what to do about it."""
    from cli.doctor import doctor_command

    end(doctor_command(access_of(nats, state), systems, json=json))

"""`test-coordinator`: the command line. Each command lives in a module that is loaded when it is called."""

import gc
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.calling import access_of, end, examples
from cli.levers import app as levers
from cli.looking import app as looking
from cli.past import app as past

HELP = """Runs chaos scenarios against a system of services and proves what happened.

Exit codes: 0 passed, 1 failed, 2 invalid input or usage, 3 inconclusive, 4 aborted, 5 unsafe, 6 NATS or a needed component
cannot be reached.
"""

app = typer.Typer(
    name="test-coordinator", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich"
)
LOADED = 100_000
"""Objects that may be made before unused ones are looked for: nearly all that loading makes stays. `deploy.pace` sets what suits work."""
Follow = Annotated[bool, typer.Option("--follow", help="Show the run until it is over, and exit with its verdict.")]


@app.command(
    epilog=examples(
        "test-coordinator run restart-during-trading",
        "test-coordinator run my-scenario.yaml --system my-system.yaml --var recovery_slo=5s",
        "test-coordinator run my-scenario.yaml --json > result.json",
        "test-coordinator run restart-during-trading --nats nats://10.0.0.5:4222",
        "test-coordinator run my-scenario.yaml --dry-run",
        "test-coordinator run my-scenario.yaml --rehearse",
        "test-coordinator run stablecoin-depeg --speed 3600",
        "test-coordinator run resilience --reports reports",
    )
)
def run(  # noqa: PLR0913, PLR0917  each is an option
    scenario: options.Suite,
    system: options.System = None,
    systems: options.Systems = None,
    var: options.Variables = None,
    nats: options.Nats = None,
    state: options.State = None,
    instance: options.Instance = None,
    reports: options.Reports = options.DEFAULT_REPORTS,
    speed: options.Speed = 1.0,
    *,
    dry_run: options.DryRun = False,
    rehearse: options.Rehearse = False,
    json: options.Json = False,
) -> None:
    """Run a scenario and say what it came to. Without --nats everything runs in this process.

    A folder is a suite (the library's is called resilience): its scenarios run one after the other, and the exit code is that of the worst
    verdict.
    """
    from cli.run import RunRequest, dry_run_command, run_command
    from scenarios.library import find_suite

    suite = find_suite(scenario)
    name = scenario if suite is None else str(suite)
    request = RunRequest(name, system, systems, options.parse_variables(var), reports, speed, rehearse)
    if suite is not None:
        from cli.suite import suite_command

        end(suite_command(request, access_of(nats, state, instance), dry_run=dry_run, json=json))
    if dry_run:
        end(dry_run_command(request, json=json))
    end(run_command(request, access_of(nats, state, instance), json=json))


@app.command(
    epilog=examples(
        "test-coordinator serve",
        "test-coordinator serve --actors observer,validator --nats nats://10.0.0.5:4222 --instance test-coordinator-Chaos1",
        "test-coordinator serve --partitions 0-3 --nats nats://10.0.0.5:4222",
        "HTTP_PORT=8088 test-coordinator serve --systems /etc/test-coordinator/systems",
    )
)
def serve(
    actors: Annotated[str, typer.Option("--actors", metavar="all|A,B", help="Which actors run in this process.")] = "all",
    systems: options.Systems = None,
    nats: options.Nats = None,
    state: options.State = None,
    instance: options.Instance = None,
    partitions: options.Partitions = None,
) -> None:
    """Run actors until SIGTERM or SIGINT. Open runs are then aborted, undone and reported first; a second signal leaves at once."""
    from cli.serve import serve_command

    end(serve_command(actors, systems, access_of(nats, state, instance, partitions)))


@app.command(
    epilog=examples(
        "test-coordinator submit restart-during-trading",
        "test-coordinator submit my-scenario.yaml --follow --nats nats://10.0.0.5:4222",
    )
)
def submit(  # noqa: PLR0913  each is an option
    scenario: options.Scenario,
    system: options.System = None,
    var: options.Variables = None,
    nats: options.Nats = None,
    state: options.State = None,
    speed: options.Speed = 1.0,
    *,
    follow: Follow = False,
    rehearse: options.Rehearse = False,
    reports: options.Reports = options.DEFAULT_REPORTS,
    json: options.Json = False,
) -> None:
    """Hand a scenario to a running coordinator and print the run's id."""
    from cli.run import RunRequest, submit_command

    request = RunRequest(scenario, system, None, options.parse_variables(var), reports, speed, rehearse)
    end(submit_command(request, access_of(nats, state), follow=follow, json=json))


@app.command(epilog=examples("test-coordinator rerun last", "test-coordinator rerun last --follow"))
def rerun(
    run: options.RunId,
    nats: options.Nats = None,
    state: options.State = None,
    *,
    follow: Follow = False,
    reports: options.Reports = options.DEFAULT_REPORTS,
    json: options.Json = False,
) -> None:
    """Run again what a run did, with its variables and all that was drawn at random, and print the new run's id."""
    from cli.run import rerun_command

    end(rerun_command(run, access_of(nats, state), reports, follow=follow, json=json))


@app.command(
    name="list",
    epilog=examples("test-coordinator list", "test-coordinator list --tag market", "test-coordinator list --json | jq '.[0].verdict'"),
)
def list_(nats: options.Nats = None, state: options.State = None, tag: options.Tag = None, *, json: options.Json = False) -> None:
    """List the runs, the newest first; with --tag those of scenarios that have it."""
    from cli.runs import list_command

    end(list_command(access_of(nats, state), tag, json=json))


@app.command(epilog=examples("test-coordinator status", "test-coordinator status last --json"))
def status(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's id or `last`; without it, whatever is open.")] = None,
    nats: options.Nats = None,
    state: options.State = None,
    *,
    json: options.Json = False,
) -> None:
    """Say where a run is; without one what is open and what it waits for, what was left disturbed, and whether everything is held."""
    from cli.runs import status_command

    end(status_command(run, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator wait last && echo passed"))
def wait(run: options.RunId, nats: options.Nats = None, state: options.State = None, *, json: options.Json = False) -> None:
    """Wait until a run is over and exit with its verdict."""
    from cli.runs import wait_command

    end(wait_command(run, access_of(nats, state), json=json, quiet=True))


@app.command(epilog=examples("test-coordinator watch last"))
def watch(run: options.RunId, nats: options.Nats = None, state: options.State = None, *, json: options.Json = False) -> None:
    """Show a run from its start until it is over, and exit with its verdict."""
    from cli.runs import wait_command

    end(wait_command(run, access_of(nats, state), json=json, quiet=False))


@app.command(
    epilog=examples(
        "test-coordinator report last",
        "test-coordinator report last --format html -o report.html",
        "test-coordinator report last --format markdown | gh pr comment --body-file -",
        "test-coordinator report last --format junit -o -",
    )
)
def report(
    run: options.RunId,
    format_: Annotated[str, typer.Option("--format", metavar="html|json|junit|markdown|text", help="What kind of report.")] = "json",
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="F", help="A file, or - for standard output.")] = None,
    nats: options.Nats = None,
    state: options.State = None,
    *,
    json: options.Json = False,
) -> None:
    """Write the report of a run that is over (to standard output without -o)."""
    from cli.report import report_command

    end(report_command(run, format_, output, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator health", "test-coordinator health --nats nats://10.0.0.5:4222 --json"))
def health(nats: options.Nats = None, state: options.State = None, *, json: options.Json = False) -> None:
    """Say whether NATS answers, and which actors are at work."""
    from cli.health import health_command

    end(health_command(access_of(nats, state), json=json))


app.add_typer(past)
app.add_typer(levers)
app.add_typer(looking)


def main() -> None:
    """The entry point: errors that a user can do something about are lines, not tracebacks."""
    gc.set_threshold(LOADED)
    try:
        app()
    except Exception as error:  # noqa: BLE001 - the border of the program: known errors become lines and exit codes
        from cli.failing import told

        sys.exit(told(error))


if __name__ == "__main__":
    main()

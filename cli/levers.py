"""Commands that take a running test in hand: end it, hold it, let it go on, and say that what it left is in order."""

from typing import Annotated

import typer

from cli import options
from cli.calling import access_of, end, examples

app = typer.Typer()
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why; it is in the report.")]
Needed = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why; needed, since others will ask.", show_default=False)]


@app.command(epilog=examples("test-coordinator abort last", "test-coordinator abort last --note 'wrong environment'"))
def abort(
    run: options.RunId,
    note: Annotated[str, typer.Option("--note", "--message", metavar="TEXT", help="Why; it is in the report.")] = "",
    nats: options.Nats = None,
    state: options.State = None,
    *,
    json: options.Json = False,
) -> None:
    """End a run now; its faults are undone."""
    from cli.asking import lever_command

    end(lever_command("abort", run, note, access_of(nats, state), json=json))


@app.command(name="revert-all", epilog=examples("test-coordinator revert-all", "test-coordinator revert-all --note 'outage in production'"))
def revert_all(note: Note = "", nats: options.Nats = None, state: options.State = None, *, json: options.Json = False) -> None:
    """End every open run and undo all its faults, those of all runs at once. Waits until they are over, at most a minute.

    Exits with 5 if something could not be undone. New runs may start afterwards: `hold` first, if they must not.
    """
    from cli.reverting import revert_all_command

    end(revert_all_command(note, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator hold --note 'incident 4711'", "test-coordinator release"))
def hold(note: Needed, nats: options.Nats = None, state: options.State = None, *, json: options.Json = False) -> None:
    """Let no run start and no fault happen, in all instances of the namespace, until `release`. Faults that are on are undone."""
    from cli.asking import hold_command

    end(hold_command(note, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator release", "test-coordinator release --note 'the incident is over'"))
def release(note: Note = "", nats: options.Nats = None, state: options.State = None, *, json: options.Json = False) -> None:
    """End a `hold`: what waited goes on."""
    from cli.asking import release_command

    end(release_command(note, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator pause last", "test-coordinator pause 01K --note 'let me look at the logs'"))
def pause(
    run: options.RunId, note: Note = "", nats: options.Nats = None, state: options.State = None, *, json: options.Json = False
) -> None:
    """Let a run stand still: its faults are undone first, and its clocks stop until `resume`."""
    from cli.asking import lever_command

    end(lever_command("pause", run, note, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator resume last"))
def resume(
    run: options.RunId, note: Note = "", nats: options.Nats = None, state: options.State = None, *, json: options.Json = False
) -> None:
    """Let a paused run go on."""
    from cli.asking import lever_command

    end(lever_command("resume", run, note, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator approve last", "test-coordinator approve last --note 'dashboards look fine'"))
def approve(
    run: options.RunId, note: Note = "", nats: options.Nats = None, state: options.State = None, *, json: options.Json = False
) -> None:
    """Let a run that asks at a gate begin its next phase."""
    from cli.asking import lever_command

    end(lever_command("approve", run, note, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator reject last --note 'not during the release'"))
def reject(
    run: options.RunId, note: Note = "", nats: options.Nats = None, state: options.State = None, *, json: options.Json = False
) -> None:
    """Turn down a run that asks at a gate: it is aborted."""
    from cli.asking import lever_command

    end(lever_command("reject", run, note, access_of(nats, state), json=json))


@app.command(
    epilog=examples(
        "test-coordinator resolve last --note 'restarted by hand'", "test-coordinator resolve last halt --note 'undone by hand'"
    )
)
def resolve(
    run: options.RunId,
    note: Needed,
    fault: Annotated[str | None, typer.Argument(metavar="[FAULT]", help="One of the faults that are left; without it, all.")] = None,
    nats: options.Nats = None,
    state: options.State = None,
    *,
    json: options.Json = False,
) -> None:
    """Say that what an unsafe run left disturbed is in order again. The verdict stays; `status` no longer lists it."""
    from cli.asking import resolve_command

    end(resolve_command(run, fault, note, access_of(nats, state), json=json))

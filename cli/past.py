"""Commands about runs that are over."""

from pathlib import Path
from typing import Annotated

import typer

from cli import options
from cli.calling import access_of, end, examples

app = typer.Typer()


@app.command(
    epilog=examples(
        "test-coordinator judge last",
        "test-coordinator judge last --json | jq .same",
        "test-coordinator judge last --with stricter.yaml",
    )
)
def judge(
    run: options.RunId,
    with_: Annotated[
        Path | None,
        typer.Option("--with", metavar="FILE", help="Judge by these claims instead: a list under `assertions`, or a scenario's own."),
    ] = None,
    nats: options.Nats = None,
    state: options.State = None,
    *,
    json: options.Json = False,
) -> None:
    """Judge a run that is over again, from its journal alone, and say whether everything comes out as it was stored, byte for byte.

    If so, exit with its verdict, as `run` did; if anything differs, with 1, and it is said what.

    With --with, say what other claims would have come to in that run, from what was recorded of it, and exit with the verdict that it
    would have had. Service events are read from their streams, as long as those hold them; what was not recorded is inconclusive.
    """
    from cli.judging import judge_command

    end(judge_command(run, with_, access_of(nats, state), json=json))


@app.command(epilog=examples("test-coordinator diff 019f0c3e last", "test-coordinator diff 019f0c3e last --json | jq .assertions"))
def diff(
    first: Annotated[str, typer.Argument(metavar="RUN", help="The run to compare with: an id, its beginning, or `last`.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="The run that is compared with it.")],
    nats: options.Nats = None,
    state: options.State = None,
    *,
    json: options.Json = False,
) -> None:
    """Compare two runs: verdicts, what claims measured, recovery times, latencies, service events.

    Exit with 1 if the verdict of the second run, or of one of its assertions, is worse than in the first; else with 0.
    """
    from cli.diff import diff_command

    end(diff_command(first, second, access_of(nats, state), json=json))

"""`schema`: the scenario language, for editors or for people."""

import json

from cli.errors import CliError, Exit
from cli.output import say
from scenarios.reference import json_schema, markdown


def schema_command(wanted: str) -> int:
    """Print the JSON Schema of documents, or the reference of the language."""
    if wanted == "json":
        say(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    elif wanted == "markdown":
        say(markdown().rstrip())
    else:
        raise CliError(f"there is no format {wanted}", "json or markdown")
    return Exit.PASSED

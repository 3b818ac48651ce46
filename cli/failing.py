"""From any error to what the user is told and the exit code."""

import traceback
from collections.abc import Iterator

from bus.errors import BusError, NameInvalid, NameTaken, RequestRefused, StateUnusable
from cli.errors import CliError, Exit
from cli.output import complain
from deploy.errors import DeployError, SettingsInvalid
from scenarios.errors import DocumentErrors


def told(error: BaseException) -> int:
    """Say on standard error what is wrong and what to do; the exit code."""
    for cause in _leaves(error):
        code = _code(cause)
        if code is not None:
            complain(_text(cause))
            return int(code)
    traceback.print_exception(error)
    complain("This is a bug of test-coordinator, so nothing was proven. Please report it with the lines above.")
    return int(Exit.INCONCLUSIVE)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """What task groups have wrapped."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _code(error: BaseException) -> Exit | None:
    match error:
        case CliError():
            return error.code
        case DeployError() | DocumentErrors() | NameInvalid() | NameTaken() | RequestRefused() | StateUnusable():
            return Exit.INVALID
        case BusError():
            return Exit.UNREACHABLE
        case _:
            return None


def _text(error: BaseException) -> str:
    if isinstance(error, CliError):
        return f"{error.what}\n  {error.do}" if error.do else error.what
    if isinstance(error, DocumentErrors | SettingsInvalid):
        return str(error)
    what, _, right = str(error).partition("; ")
    return f"{what}\n  {right}" if right else what

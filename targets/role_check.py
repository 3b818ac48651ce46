"""Asking a service for its role among its like."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import aiohttp

from messages.checks import Role
from messages.expressions import Bindings, ExpressionError, compiled
from targets.command_check import run
from targets.http_check import MAX_BODY, get
from targets.wording import shortened

LONGEST = 64
"""Characters that a role may have."""


async def ask_role(session: aiohttp.ClientSession, role: Role, deadline: timedelta, environment: Mapping[str, str]) -> str:
    """What the service says that its role is, as text; empty when it does not answer in time, or not what was expected."""
    if role.http is not None:
        answer = None
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                answer = await get(session, role.http.url, most=MAX_BODY)
        except TimeoutError:
            return ""
        return "" if isinstance(answer, str) else _value(role.http.value, answer.bindings(role.http.value))
    if role.command is not None:
        output = await run(role.command.argv, deadline, environment)
        return "" if isinstance(output, str) else _value(role.command.value, output.bindings)
    return ""


def _value(source: str, values: Bindings) -> str:
    try:
        value = compiled(source).evaluate(values)
    except (ExpressionError, OverflowError):
        return ""
    return shortened(str(value), LONGEST) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""

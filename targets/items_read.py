"""Reading which items a service holds, over HTTP or by a program."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from messages.checks import CommandItems, HttpItems, HttpUnlike, ItemsRead
from messages.expressions import Bindings, ExpressionError, compiled
from targets.command_check import run
from targets.http_check import get, judge
from targets.wording import no_answer, shortened

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes that an answer may have."""
LONGEST = 200
"""Characters that an item may have."""


async def read_items(session: aiohttp.ClientSession, read: ItemsRead, environment: Mapping[str, str]) -> list[str] | str:
    """The items, in the order of the answer, those that are there twice among them; or why they could not be read."""
    if read.http is not None:
        try:
            async with asyncio.timeout(read.deadline.total_seconds()):
                return await _asked(session, read.http)
        except TimeoutError:
            return no_answer(read.deadline)
    return await _run(read.command, read, environment) if read.command is not None else "there is no way to read them"


async def _asked(session: aiohttp.ClientSession, read: HttpItems) -> list[str] | str:
    answer = await get(session, read.url, most=MAX_ANSWER + 1)
    if isinstance(answer, str):
        return answer
    if not 200 <= answer.status < 300:
        return shortened(f"status {answer.status} {answer.body[:200].decode(errors='replace')!r}")
    if len(answer.body) > MAX_ANSWER:
        return f"the answer has more than {MAX_ANSWER} bytes"
    return items_of(read.items, answer.bindings(read.items))


async def _run(command: CommandItems, read: ItemsRead, environment: Mapping[str, str]) -> list[str] | str:
    output = await run(command.argv, read.deadline, environment, most=MAX_ANSWER)
    if isinstance(output, str):
        return output
    if output.code != 0:
        return shortened(f"code {output.code} {(output.stderr or output.stdout)[:200]!r}")
    return items_of(command.items, output.bindings)


async def check_unlike(session: aiohttp.ClientSession, check: HttpUnlike, *, shown: int, exact: bool) -> str:
    """What is wrong with the answer, or that it has nothing new; empty when it is as expected.

    Raises:
        ExpressionError: `exact`, and that cannot be said.
    """
    answer = await get(session, check.url, most=MAX_ANSWER + 1)
    if isinstance(answer, str):
        return answer
    if wrong := judge(check.expect, answer, shown=shown, exact=exact):
        return wrong
    found = items_of(check.key, answer.bindings(check.key))
    if isinstance(found, str) and exact:
        raise ExpressionError(found)
    if isinstance(found, str) or any(key not in check.known for key in found):
        return found if isinstance(found, str) else ""
    return shortened(f"nothing new: {', '.join(found) or 'nothing at all'}", 100 + shown)


def items_of(source: str, values: Bindings) -> list[str] | str:
    """The items that an expression gives, or why it gives none that can be used."""
    try:
        found = compiled(source).evaluate(values)
    except (ExpressionError, OverflowError) as error:
        return shortened(f"{source} cannot be evaluated: {error}")
    if isinstance(found, str):
        found = [line.rstrip("\r") for line in found.split("\n")]
    if not isinstance(found, list):
        return shortened(f"{source} gives {type(found).__name__}, and must give a list, or a text with an item in each line")
    items = [_text(item) for item in found]
    wrong = next((index for index, item in enumerate(items) if item is None or len(item) > LONGEST), None)
    if wrong is not None:
        return shortened(f"an item is a text of at most {LONGEST} characters or a whole number, not {found[wrong]!r}")
    return [item for item in items if item]


def _text(item: Any) -> str | None:
    return str(item) if isinstance(item, str | int) and not isinstance(item, bool) else None

"""What a document asks for and nobody here can do."""

from pydantic import JsonValue

from messages.actions.spec import ActionSpec, Parameters
from messages.values import Token


class Unsupported(Parameters):
    """An action as it was asked for."""

    wanted: Token
    """Its name."""
    told: dict[str, JsonValue] = {}
    """Its parameters."""


UNSUPPORTED_ACTIONS: dict[str, ActionSpec] = {
    "unsupported": ActionSpec(
        "Is refused when its time comes, and makes the run inconclusive: what an original document asks for and nobody here can do.",
        fault=False,
        means="nothing",
        parameters=Unsupported,
    ),
}

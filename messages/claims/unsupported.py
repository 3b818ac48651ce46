"""`unsupported`: what a document expects and nobody here can judge. Never passed, never failed."""

from typing import Literal

from pydantic import JsonValue

from messages.claims.claim import Claim
from messages.claims.history import History, Judgement, inconclusive
from messages.values import Token
from messages.verdicts import Reason


class UnsupportedClaim(Claim):
    """Inconclusive as soon as its window opens: what an original document expects and no claim of the language says."""

    type: Literal["unsupported"]
    wanted: str
    """What is expected, in the document's words."""
    target: Token | None = None
    """Of which service."""
    parameters: dict[str, JsonValue] = {}
    """What it was to be judged by."""

    def judge(self, history: History) -> Judgement | None:
        if history.window.opens is None:
            return None
        return inconclusive(Reason.UNSUPPORTED_HERE, f"no claim says {self.wanted}; replace it by one that can be judged, or take it out")

    def summary(self) -> str:
        return self.description or self.wanted

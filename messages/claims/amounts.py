"""How often something must come, and whether only what is new counts: what may be wrong with the words that say so."""

from collections.abc import Iterator
from typing import Protocol

from messages.claims.claim import Problem, Scope, nearest


class Amount(Protocol):
    """A claim that counts."""

    @property
    def at_least(self) -> int | None:
        """How many must come."""

    @property
    def at_most(self) -> int | None:
        """How many may come."""

    @property
    def never(self) -> bool:
        """None may come."""

    @property
    def throughout(self) -> bool:
        """Of no use."""


def amount_problems(claim: Amount, what: str) -> Iterator[Problem]:
    """What is wrong with the numbers; `what` is counted, like "a line"."""
    if claim.throughout:
        yield Problem(("throughout",), f"{what} cannot hold throughout", "use at_least, at_most or never")
    if claim.never and (claim.at_least or claim.at_most):
        yield Problem(("never",), "`never` excludes at_least and at_most", "keep one of them")
    if claim.at_least == 0 and not claim.never and claim.at_most is None:
        yield Problem(("at_least",), "at least 0 is always true", "at_least: 1, or never: true")
    if claim.at_least is not None and claim.at_most is not None and claim.at_least > claim.at_most:
        yield Problem(("at_most",), f"at_most {claim.at_most} is less than at_least {claim.at_least}", "swap them")


def newness_problems(unlike: str | None, key: str | None, scope: Scope, example: str) -> Iterator[Problem]:
    """What is wrong with `unlike` and `key`; the example is a key."""
    if (key is None) != (unlike is None):
        missing, right = ("key", f"key: {example}") if key is None else ("unlike", "unlike: and the name of an earlier phase")
        yield Problem((), f"`unlike` and `key` belong together, and there is no `{missing}`", f"add {right}")
    if unlike is not None and scope.earlier is not None and unlike not in scope.earlier:
        what = f"{unlike!r} is no phase that is over before the claim's window opens"
        yield Problem(("unlike",), what, nearest(unlike, scope.earlier))

"""What claims share that count matches: how many there must be, and how many there may be."""

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from messages.claims.claim import Claim, Problem


class CountedClaim(Claim):
    """Something matches at least `at_least` times (1 by default), at most `at_most`, or `never`."""

    COUNTED: ClassVar[str]
    """What is counted, in words."""

    at_least: int | None = Field(default=None, ge=0)
    at_most: int | None = Field(default=None, ge=0)

    @property
    def fewest(self) -> int:
        """How many there must be."""
        if self.at_least is not None:
            return self.at_least
        return 0 if self.never or self.at_most is not None else 1

    @property
    def most(self) -> int | None:
        """How many there may be."""
        return 0 if self.never else self.at_most

    @property
    def asks_for_something(self) -> bool:
        return self.fewest > 0

    @property
    def amount(self) -> str:
        """How many are wanted, in words."""
        return "never" if self.most == 0 else f"at least {self.fewest}" if self.most is None else f"{self.fewest} to {self.most}"

    def amount_problems(self) -> Iterator[Problem]:
        """What is wrong with how many there must or may be."""
        if self.throughout:
            yield Problem(("throughout",), f"{self.COUNTED} cannot hold throughout", "use at_least, at_most or never")
        if self.never and (self.at_least or self.at_most):
            yield Problem(("never",), "`never` excludes at_least and at_most", "keep one of them")
        if self.at_least == 0 and self.most is None:
            yield Problem(("at_least",), "at least 0 is always true", "at_least: 1, or never: true")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            yield Problem(("at_most",), f"at_most {self.at_most} is less than at_least {self.at_least}", "swap them")

"""`http`: what an address answers is as expected, at the window's end, within a time, throughout, or never."""

from collections.abc import Iterator
from typing import Literal

from messages.checks import HttpCheck, Url
from messages.claims.answered import AnsweredClaim
from messages.claims.claim import Problem, Scope, expression_problems


class HttpClaim(AnsweredClaim):
    """A GET of this URL, asked again and again while the window is open, is answered as expected."""

    type: Literal["http"]
    url: Url
    expect: str = "status == 200"
    """CEL over `status` (number), `body` (text), `json` (what the body says, when it is JSON) and `headers` (lower-case names)."""

    @property
    def question(self) -> HttpCheck:
        return HttpCheck(url=self.url, expect=self.expect)

    @property
    def asked(self) -> str:
        return self.url

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from expression_problems("expect", self.expect, "status", "body", "json", "headers")

"""`http`: what an address answers is as expected, at the window's end, within a time, throughout, or never."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from messages.checks import HttpCheck, HttpUnlike, Url
from messages.claims.answered import AnsweredClaim
from messages.claims.claim import Problem, Scope, expression_problems
from messages.claims.comparing import reference_of, unlike_problems
from messages.claims.history import History, Judgement, inconclusive
from messages.values import Token
from messages.verdicts import Reason

VARIABLES = ("status", "body", "json", "headers")


class HttpClaim(AnsweredClaim):
    """A GET of this URL, asked again and again while the window is open, is answered as expected.

    A good answer (2xx) that `expect` cannot be evaluated on is a bad one; a `never` is inconclusive by it.
    """

    type: Literal["http"]
    url: Url
    expect: str = "status == 200"
    """CEL over `status` (number), `body` (text), `json` (what the body says, when it is JSON) and `headers` (lower-case names)."""
    unlike: Token | None = None
    """An earlier phase without faults, in which it is asked too: an answer is as expected only if it has a key that was not there then."""
    key: str | None = None
    """CEL over the same, with `unlike`: the list of what is there, such as json.alerts.map(a, a.alert_id)."""

    @property
    def question(self) -> HttpCheck:
        return HttpCheck(url=self.url, expect=self.expect)

    def question_unlike(self, known: Iterable[str]) -> HttpCheck:
        """The question when these keys are nothing new."""
        return HttpUnlike(url=self.url, expect=self.expect, key=self.key or "[]", known=frozenset(known))

    @property
    def asked(self) -> str:
        return self.url

    def judge(self, history: History) -> Judgement | None:
        closes = history.window.closes
        unknown = self._unknown(history, self.unlike) if self.unlike is not None and history.window.opens is not None else None
        if unknown is not None:
            return unknown if closes is not None and history.probes_passed(closes) else None
        found = super().judge(history)
        if found is None or self.unlike is None or history.listed_evidence is None:
            return found
        return replace(found, evidence=(*found.evidence, history.listed_evidence))

    def _unknown(self, history: History, unlike: str) -> Judgement | None:
        """Why nobody can say what is new, if that is so."""
        before, listed, evidence = reference_of(unlike, history), history.listed, history.listed_evidence or ""
        if isinstance(before, Judgement):
            return before
        if listed is None:
            return inconclusive(Reason.GAP, f"what {self.url} answered in the phase {unlike} was not read to its end")
        if listed.beyond:
            told = f"{self.url} listed {listed.beyond} keys more than are kept in the phase {unlike}, so nobody can say what is new since"
            return inconclusive(Reason.JUDGE_ERROR, told, evidence)
        if not listed.answers:
            told = f"no answer of {self.url} could be read in the phase {unlike}, so nobody can say what is new since: {listed.error}"
            return inconclusive(Reason.NO_SAMPLES, told, evidence)
        allowed = max(history.max_gap, 2 * self.every)
        begun, over = before.opens, before.closes
        if begun is None or over is None or max(listed.start - begun, over - listed.end) > allowed:
            return inconclusive(
                Reason.GAP, f"a part of the phase {unlike} was not asked about, so nobody can say what is new since", evidence
            )
        return None

    def problems(self, scope: Scope) -> Iterator[Problem]:
        yield from super().problems(scope)
        yield from expression_problems("expect", self.expect, *VARIABLES)
        yield from unlike_problems(self.unlike, self.key, "json.map(a, a.alert_id)", scope)
        if self.key is not None:
            yield from expression_problems("key", self.key, *VARIABLES)

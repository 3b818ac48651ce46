"""Words of Assertions documents in a scenario: each becomes the claim that it stands for, told its parameters."""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Literal

from pydantic import Field, JsonValue

from messages.claims import nearest
from messages.values import Document, Duration, Token
from scenarios.errors import shown
from scenarios.naming import claim_id
from scenarios.nodes import Path
from scenarios.parameters import values_of
from scenarios.parts import raw_claims
from scenarios.sheet import Sheet
from scenarios.substitution import fill
from scenarios.vocabulary import CEL, Assertions, Word, words_of_all
from scenarios.wording import check_part

_PARAMETER = re.compile(r"\bparameters\.([A-Za-z_]\w*)")
Given = Mapping[str, tuple[Any, Path]]
"""What a word is told: each value, and where it stands."""


class Asserted(Document):
    """A word of an Assertions document, where a claim may stand. What its claim says itself cannot be said beside it."""

    assert_: Token = Field(alias="assert")
    """The word: of a document in the same file, or of one that the system or the scenario names under `vocabulary`."""
    parameters: dict[Token, JsonValue] = Field(default={})
    """What the word is told."""
    id: Token = "unnamed"
    """Unique in the scenario. Made from the word and the place when left out."""
    description: str = ""
    on_fail: Literal["continue", "stop", "abort"] = "stop"
    """What happens to the run when the claim fails. Whatever it is, the verdict is failed."""
    within: Duration | None = None
    """It must become true in this time from the window's opening."""
    throughout: bool = False
    """It must be true all through the window."""
    never: bool = False
    """It must not become true in the window."""
    during: str | None = None
    """Only while this fault had its effect: from effective to gone."""
    after: str | None = None
    """Only after this fault was gone, or after a moment of it (`ID.effective`)."""
    before: str | None = None
    """Only before a moment of this fault (`ID.injected`)."""
    grace: Duration | None = None
    """How much longer to wait for what belongs to the window."""


def words_for(
    sheet: Sheet, by_system: Iterable[str], own: Mapping[str, Assertions | None], known: Mapping[str, Assertions]
) -> tuple[dict[str, Word], bool]:
    """The words that a scenario may use, and whether these are all there are: `own` documents with mistakes are None.

    They are those of its own text, and of what it names itself or its system names. What does not exist, or twice, is noted.
    """
    found, written = dict(own), sheet.spec.get("vocabulary")
    listed = written if isinstance(written, list) else []
    places: list[tuple[Path, str]] = [(("spec", "system"), name) for name in by_system]
    places += [(("spec", "vocabulary", index), name) for index, name in enumerate(listed) if isinstance(name, str)]
    for path, name in places:
        if name not in found and name not in known:
            sheet.add(path, f"there is no vocabulary {shown(name)}", nearest(name[:80], {**own, **known}))
            found[name] = None
        found.setdefault(name, known.get(name))
    words, twice = words_of_all(one for name, one in found.items() if one is not None)
    for word, names in twice.items():
        if not set(names) <= set(own):
            what = f"{shown(word)} is a word of {' and of '.join(map(shown, names))}"
            sheet.add(("spec", "vocabulary"), what, "rename one of them, or name only one of these documents")
    return words, None not in found.values()


def expand(sheet: Sheet, words: Mapping[str, Word], *, complete: bool) -> None:
    """Put claims in the place of words, and note what is wrong with these. `complete`: a word that is not among them does not exist."""
    claims = list(raw_claims(sheet))
    taken = {claim["id"] for _, claim, _, _ in claims if isinstance(claim.get("id"), str)}
    for path, raw, phase, whole in claims:
        if "assert" not in raw:
            continue
        claim = None if sheet.full else _expanded(sheet, path, raw, words, complete=complete)
        if claim is None:
            sheet.hide(path)
            raw.clear()
            continue
        claim.setdefault("id", claim_id("run" if whole else phase or "phase", str(raw["assert"]), taken))
        raw.clear()
        raw.update(claim)


def claim_of(sheet: Sheet, path: Path, name: str, word: Word, given: Given) -> dict[str, Any] | None:
    """The claim that the word stands for; None when it is told something wrong, which is noted."""
    values = values_of(sheet, path, name, word.parameters, given)
    if values is None:
        return None
    for key, part in word.claim.items():
        named = [one for one in _PARAMETER.findall(str(part)) if one in given]
        if named:
            sheet.moved((*path, key), given[named[0]][1])
    before = len(sheet.findings)
    description: str = fill(sheet, path, word.description, values, cel=())
    claim: dict[str, Any] = fill(sheet, path, deepcopy(word.claim), values, cel=CEL)
    if len(sheet.findings) > before:
        return None
    return {"description": description.replace("{{", "{ {"), **claim}  # two braces would be an expression when the run is read again


def _expanded(sheet: Sheet, path: Path, raw: dict[str, Any], words: Mapping[str, Word], *, complete: bool) -> dict[str, Any] | None:
    if not check_part(sheet, Asserted, raw, path):
        return None
    name = raw["assert"]
    if name not in words:
        if complete:
            sheet.add((*path, "assert"), f"unknown word {shown(name)}", nearest(name[:80], words) if words else _NO_WORDS)
        return None
    given = {key: (value, (*path, "parameters", key)) for key, value in raw.get("parameters", {}).items()}
    claim = claim_of(sheet, path, name, words[name], given)
    if claim is None:
        return None
    beside = {key: value for key, value in raw.items() if key not in {"assert", "parameters"}}
    for key in beside:
        if key in words[name].claim:
            sheet.add((*path, key), f"{shown(name)} says {key!r} itself", "take it out, or use another word", at_key=True)
    return claim | beside


_NO_WORDS = "name an Assertions document under `vocabulary` of the system or the scenario, or put one into the same file"

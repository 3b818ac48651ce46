"""`{{ }}` in a document: every expression is evaluated over the variables, and its value stands in its place."""

import json
import math
import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from messages.claims import nearest
from messages.expression_text import code
from messages.expressions import MAX_SOURCE, Bindings, ExpressionError, compiled
from messages.values import DURATION_HINT, format_duration, parse_duration
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.sheet import Sheet
from scenarios.variables import Typed

MAX_EXPRESSIONS = 500
"""Expressions that a document may have."""
MAX_COMPREHENSIONS = 20
"""Expressions among them that go through a list: their cost is many times their length."""
MAX_VALUE = 64 * 1024
"""Characters that the value of a text with expressions may have."""
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_COMPREHENSION = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one|existsOne)\s*\(")
_TOKEN = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<![\w.])((?:\d+(?:\.\d+)?(?:us|ms|s|m|h|d))+)(?!\w)""")
_VARIABLE = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|\b(variables|parameters)\.([A-Za-z_]\w*)""")
_ASKED = re.compile(r"\{\{[^{}]*\b(variables|parameters)\s*[.\[]", re.IGNORECASE)
_PLACE = "\ue000"
"""Stands for an expression while the text around it is read."""
_NAME = re.compile(r"\.?(?:Variables\.|Parameters\.)?([A-Za-z_][\w-]*)")


class _NoValueError(ValueError):
    """An expression has no value that can stand in a document."""

    def __init__(self, what: str, right: str) -> None:
        self.what = what
        self.right = right
        super().__init__(what)


def substitute(
    sheet: Sheet, variables: Mapping[str, Typed], parameters: Mapping[str, Typed] | None = None, unknown: Collection[str] = ()
) -> None:
    """Put values in the place of expressions, everywhere but in the variables themselves. What needs an `unknown` parameter stays."""
    Substitution(sheet, variables, parameters or {}, unknown).run()


def fill(
    sheet: Sheet, path: Path, part: Any, parameters: Mapping[str, Typed], unknown: Collection[str] = (), *, cel: Collection[str]
) -> Any:
    """The part with values in the place of expressions. Under the keys in `cel` stands CEL, and values there are its literals.

    Mistakes are noted at this path. What needs an `unknown` parameter stays, but for CEL, whose parameters must all have a value.
    """
    return Substitution(sheet, {}, parameters, unknown, cel).walk(path, part)


def refuse_variables(sheet: Sheet) -> None:
    """Note each text that asks for a variable, in a document that takes none. Other braces may be meant for other programs."""
    _refuse(sheet, (), sheet.data)


def _refuse(sheet: Sheet, path: Path, value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse(sheet, (*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse(sheet, (*path, index), item)
    elif isinstance(value, str) and (asked := _ASKED.search(value)):
        kind = asked[1].lower()
        what = f"{kind} belong to {'scenarios' if kind == 'variables' else 'templates'}; a System takes none"
        sheet.add(path, what, "write the value itself")


class Substitution:
    """One walk through a document."""

    def __init__(
        self,
        sheet: Sheet,
        variables: Mapping[str, Typed],
        parameters: Mapping[str, Typed],
        unknown: Collection[str] = (),
        cel: Collection[str] = (),
    ) -> None:
        self._sheet = sheet
        self._cel = frozenset(cel)
        self._known = {"variables": variables, "parameters": parameters}
        written = sheet.spec.get("variables")
        unreadable = set(written if isinstance(written, dict) else ()) - set(variables)
        self._unreadable = {"variables": unreadable, "parameters": set(unknown)}
        self._bindings = Bindings({kind: dict(values) for kind, values in self._known.items()})
        self._count = 0
        self._comprehensions = 0

    def run(self) -> None:
        self.walk((), self._sheet.data)

    def walk(self, path: Path, value: Any) -> Any:
        """The value with every expression replaced; lists and mappings are changed in place."""
        if isinstance(value, dict):
            for key in value:
                if (*path, key) != ("spec", "variables"):
                    value[key] = self.walk((*path, key), value[key])
        elif isinstance(value, list):
            value[:] = [self.walk((*path, index), item) for index, item in enumerate(value)]
        elif isinstance(value, str) and "{{" in value:
            return self._text(path, value)
        return value

    def _text(self, path: Path, text: str) -> Any:
        self._count += text.count("{{")
        is_cel = bool(path) and path[-1] in self._cel
        if not is_cel and any(match[3] in self._unreadable[match[2]] for match in _VARIABLE.finditer(text[:MAX_VALUE]) if match[2]):
            self._sheet.hide(path)
            return text
        try:
            return self._replace(text, is_cel=is_cel)
        except _NoValueError as error:
            self._sheet.add(path, error.what, error.right)
            return text

    def _replace(self, text: str, *, is_cel: bool) -> Any:
        if self._count > MAX_EXPRESSIONS:
            raise _NoValueError(f"more than {MAX_EXPRESSIONS} expressions in a document", "write some of the values out")
        if len(text) > MAX_VALUE:
            raise _NoValueError(f"a text with expressions has at most {MAX_VALUE} characters", "make it shorter")
        if "{{" in _EXPRESSION.sub("", text):
            raise _NoValueError("{{ without an end", "close it with }}")
        if is_cel:
            if code(_EXPRESSION.sub(_PLACE, text)).count(_PLACE) < len(_EXPRESSION.findall(text)):
                raise _NoValueError("{{ }} stands inside quotes, and its value has its own", "take the quotes around it away")
            return _EXPRESSION.sub(lambda match: _as_literal(self._value(match[1])), text)
        whole = _EXPRESSION.fullmatch(text.strip()) if text.count("{{") == 1 else None
        value = self._evaluate(whole[1]) if whole else _EXPRESSION.sub(lambda match: _as_text(self._evaluate(match[1])), text)
        if isinstance(value, str) and len(value) > MAX_VALUE:
            raise _NoValueError(f"the value has more than {MAX_VALUE} characters", "make it shorter")
        return value

    def _evaluate(self, source: str) -> Any:
        return _as_data(self._value(source))

    def _value(self, source: str) -> Any:
        source = source.strip()
        if len(source) > MAX_SOURCE:
            raise _NoValueError(f"an expression has at most {MAX_SOURCE} characters", "make it shorter")
        self._comprehensions += _COMPREHENSION.search(source) is not None
        if self._comprehensions > MAX_COMPREHENSIONS:
            raise _NoValueError(f"more than {MAX_COMPREHENSIONS} expressions go through a list", "write some of the values out")
        for match in _VARIABLE.finditer(source):
            if match[2] and match[3] not in self._known[match[2]]:
                raise _NoValueError(f"there is no {match[2][:-1]} {shown(match[3])}", nearest(match[3], self._known[match[2]]))
        try:
            return compiled(_TOKEN.sub(_as_cel_duration, source)).evaluate(self._bindings)
        except (ExpressionError, ArithmeticError) as error:
            raise _NoValueError(f"{{{{ {source[:80]} }}}} has no value: {error}", self._meant(source)) from error

    def _meant(self, source: str) -> str:
        """What the expression probably was to be."""
        name = _NAME.fullmatch(source)
        for kind, values in self._known.items():
            if name and name[1] in values:
                return f"write {kind}.{name[1]}" if "-" not in name[1] else f'write {kind}["{name[1]}"]'
        return "CEL over `variables`, like variables.slo + 5s"


def _as_cel_duration(match: re.Match[str]) -> str:
    if match[1]:
        return match[1]
    try:
        microseconds = round(parse_duration(match[2]) / timedelta(microseconds=1))
    except ValueError as error:
        raise _NoValueError(str(error), DURATION_HINT) from error
    return f"duration('{microseconds}us')"


def _as_data(value: Any) -> Any:
    """A CEL value as a document has it."""
    if isinstance(value, timedelta):
        if value < timedelta():
            raise _NoValueError("the value is a negative duration", "no duration of the language is negative")
        return format_duration(value)
    if isinstance(value, list):
        return [_as_data(item) for item in value]
    if isinstance(value, bool | str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise _NoValueError(f"the value is {_kind(value)}", "a duration, number, text, truth value or list can stand here")


def _as_literal(value: Any) -> str:
    """A value as CEL writes it, whatever stands around it. Two braces would be an expression again when the document is read anew."""
    if isinstance(value, timedelta):
        return f"duration('{value // timedelta(microseconds=1)}us')"
    if isinstance(value, list):
        return f"[{', '.join(_as_literal(item) for item in value)}]"
    data = _as_data(value)
    if isinstance(data, str):
        return json.dumps(data, ensure_ascii=False).replace("{{", "{\\u007b")
    return repr(float(f"{data:.12g}")) if isinstance(data, float) else _as_text(data)


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        raise _NoValueError("a list cannot stand inside a text", "let the expression be the whole value")
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a map"
    return "nothing" if value is None else type(value).__name__

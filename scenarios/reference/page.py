"""The reference of the scenario language, as Markdown."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from messages.actions import ACTIONS, ActionSpec
from messages.claims import claim_types
from scenarios.original.expectations import EXPECTATIONS
from scenarios.original.translation import BREACHES_IDENTIFIED, IMPLIED, ON_A_SERVICE
from scenarios.parameters import Parameter, words_of
from scenarios.plan_words import needs_of_means
from scenarios.reference.editor import EXPRESSION, json_schema, told_of
from scenarios.reference.examples import ASSERTED, ASSERTIONS, CLAIMS, EXAMPLE, KEYS, RANDOM, TEMPLATE, TOLD
from scenarios.reference.words import INTRODUCTION, MEANS, ORIGINAL, PARTS, SPEED, VALUES
from scenarios.vocabulary import library_vocabularies

Schema = dict[str, Any]
_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`", "object": "keys and values"}
_UNITS = {"10s": "[duration](#values)", "20MiB": "[size](#values)", "50/s": "[rate](#values)", "100kB/s": "[rate](#values)"}
_COMMON = ("description", "on_fail", "within", "throughout", "never", "during", "after", "before", "grace", "without_fault", "id")


def markdown() -> str:
    """The whole page."""
    return "\n".join(_Page(json_schema()["$defs"]).lines()).rstrip() + "\n"


def example_of(action: str) -> str:
    """The action as it stands in a document, told what it must be told."""
    spec = ACTIONS[action]
    told = {key: TOLD.get(f"{action}.{key}", TOLD.get(key, "…")) for key, one in spec.parameters.model_fields.items() if one.is_required()}
    target = {"link": "{link: web-to-db}", "volume": "{volume: data}", "partition": "{between: [[web], [db]]}"}.get(spec.on[0], "web")
    parameters = f", parameters: {{{', '.join(f'{key}: {value}' for key, value in told.items())}}}" if told else ""
    lasts = ", for: 5s" if spec.fault and not spec.ends_itself else ""
    return f"{{target: {target}, action: {action}{parameters}{lasts}}}"


class _Page:
    """Writes the parts one after the other."""

    def __init__(self, defs: Schema) -> None:
        self._defs = defs
        self._titles = {name: title for parts in PARTS.values() for name, title in parts.items()}

    def lines(self) -> Iterator[str]:
        yield from ("# The scenario language", "", INTRODUCTION, *_yaml(EXAMPLE), "", VALUES)
        for heading, names in PARTS.items():
            yield from (f"## {heading}", "")
            for name, title in names.items():
                yield from (f"### {title}", "", self._defs[name]["description"], "")
                yield from self._table(name)
                yield from _SHOWN.get(name, [])
            if heading == "Scenarios":
                yield from self._actions()
                yield from self._claims()
            if heading == "Words":
                yield from _vocabularies()
        yield SPEED
        yield from self._originals()

    def _table(self, name: str, keys: Iterable[str] | None = None) -> Iterator[str]:
        properties, required = self._defs[name].get("properties", {}), self._defs[name].get("required", ())
        shown = [key for key in properties if keys is None or key in keys]
        if not shown:
            return
        yield from ("| key | what | takes | default | example |", "|---|---|---|---|---|")
        for key in shown:
            one = properties[key]
            default = "**required**" if key in required else f"`{_plain(one['default'])}`" if "default" in one and key != "id" else ""
            cells = (f"`{key}`", _bare(one), self._takes(one), default, f"`{key}: {self._example(name, key, one)}`")
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
        yield ""

    def _takes(self, schema: Schema) -> str:
        """What may stand there."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self._link(name)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                told = [self._takes(one) for one in schema[key] if not one.get("$ref", "").endswith(EXPRESSION)]
                return "[claims](#claims)" if any(one.endswith("claim)") for one in told) else " or ".join(dict.fromkeys(told))
        if "enum" in schema:
            values = schema["enum"]
            return ", ".join(f"`{value}`" for value in values) if len(values) < 12 else "an [action](#actions)"
        if schema.get("type") == "array":
            return f"list of {self._takes(schema.get('items', {}))}"
        if "patternProperties" in schema:
            return f"names, each {self._takes(next(iter(schema['patternProperties'].values())))}"
        return f"`{schema['const']}`" if "const" in schema else _scalar(schema)

    def _link(self, name: str) -> str:
        if name in self._titles:
            return f"[{self._titles[name].lower()}](#{_anchor(self._titles[name])})"
        return f"{name.removesuffix('Claim').lower()} claim)" if name.endswith("Claim") else "any value"

    def _example(self, name: str, key: str, schema: Schema) -> str:
        said = KEYS.get(f"{name.partition('.')[0]}.{key}") or TOLD.get(f"{name.partition('.')[0]}.{key}") or TOLD.get(key) or KEYS.get(key)
        return said or next((_plain(value) for one in _alternatives(schema) for value in _samples(one)), "")

    def _actions(self) -> Iterator[str]:
        yield from ("## Actions", "", "What stands under `action`, by the means that does it. A *fault* disturbs, and is undone.", "")
        for means, title in MEANS.items():
            names = [name for name, spec in ACTIONS.items() if spec.means == means]
            yield from (f"### {title}", "", f"Needs: {needs_of_means(means)}.", "")
            for name in names:
                yield from self._action(name, ACTIONS[name])

    def _action(self, name: str, spec: ActionSpec) -> Iterator[str]:
        kind = "A fault that ends by itself" if spec.ends_itself else "A fault" if spec.fault else "No fault"
        yield from (f"#### {name}", "", f"{spec.summary} {kind}, on a {' or '.join(spec.on)}.", "", *_yaml(f"- {example_of(name)}"), "")
        yield from self._table(told_of(name))

    def _claims(self) -> Iterator[str]:
        names = sorted(name for name in self._defs if name.endswith("Claim"))
        yield from ("## Claims", "", "What stands under `assertions`. Every claim has these keys:", "")
        yield from self._table(names[0], _COMMON)
        for name in names:
            kind = self._defs[name]["properties"]["type"]["const"]
            yield from (f"### {kind}", "", self._defs[name]["description"], "", *_yaml(f"- {CLAIMS[kind]}"), "")
            yield from self._table(name, [key for key in self._defs[name]["properties"] if key not in _COMMON])
            yield from _measured(kind)

    def _originals(self) -> Iterator[str]:
        yield from (ORIGINAL, "| type | expects | here |", "|---|---|---|")
        yield from (f"| `{kind}` | `{expect}` | `{{assert: {word}}}` |" for (kind, expect), word in EXPECTATIONS.items())
        yield from ("", "| criterion | here |", "|---|---|")
        yield from (f"| `{name}` | implied by every verdict |" for name in IMPLIED)
        yield f"| `{BREACHES_IDENTIFIED}` | implied where the document's assertions name a breach; else `unsupported`: inconclusive |"
        yield from ("| any other | `unsupported`: inconclusive |", "", "| action on a service | here |", "|---|---|")
        yield from (f"| `{name}` | `{own}` |" for name, own in ON_A_SERVICE.items())


def _measured(kind: str) -> Iterator[str]:
    """What an expression may ask of a claim of this type."""
    figures = next(one.FIGURES for one in claim_types() if get_args(one.model_fields["type"].annotation) == (kind,))
    if figures:
        told = ", ".join(f"`{name}` ({unit})" for name, unit in figures.items())
        yield from (f"An [expression](#expression) may ask for {told}.", "")


def _vocabularies() -> Iterator[str]:
    """The words that come with the coordinator."""
    for name, vocabulary in library_vocabularies().items():
        yield from (f"### The words of {name}", "", f"{vocabulary.metadata.description}.", "")
        yield from ("| word | what | parameters |", "|---|---|---|")
        for word, one in vocabulary.words.items():
            yield f"| `{word}` | {_cell(one.description)} | {'; '.join(map(_told, one.parameters))} |"
        yield ""


def _told(parameter: Parameter) -> str:
    default = "" if parameter.default in ("", ()) or parameter.default is None else f", `{_plain(parameter.default)}` by default"
    return _cell(f"`{parameter.name}` ({words_of(parameter)}{default}): {parameter.description}")


def _scalar(schema: Schema) -> str:
    unit = next((words for example, words in _UNITS.items() if example in schema.get("examples", ())), None)
    if unit is not None:
        return unit
    kinds = schema.get("type", [])
    words = " or ".join(_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)) or "any value"
    if "seconds, or text" in schema.get("description", "") or (isinstance(kinds, list) and "number" in kinds):
        words = "number or [duration](#values)"
    return words + _bounds(schema)


def _bounds(schema: Schema) -> str:
    """The least and the most that a number may be."""
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum", schema.get("exclusiveMaximum"))
    more = "more than " if "exclusiveMinimum" in schema else ""
    if low is not None and high is not None:
        return f", {more or 'from '}{low:g} to {high:g}"
    return f", {more or 'at least '}{low:g}" if low is not None else f", at most {high:g}" if high is not None else ""


def _alternatives(schema: Schema) -> Iterator[Schema]:
    yield schema
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _alternatives(one)


def _samples(schema: Schema) -> Iterator[Any]:
    """Values that may stand there."""
    yield from sorted(schema.get("examples", ()), key=lambda example: example not in _UNITS)
    yield from schema.get("enum", ())
    if "const" in schema:
        yield schema["const"]
    kind = schema.get("type")
    if kind == "boolean":
        yield True
    elif kind in ("integer", "number", ["number", "string"]):
        yield schema.get("minimum", 1) or 1
    elif kind == "array":
        yield "[…]"
    elif kind == "string":
        yield "…"


def _plain(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _bare(schema: Schema) -> str:
    """The description without what the column beside it says."""
    told = re.sub(r"\. \((\w+), or text: [^)]*\)$", r", in \1.", str(schema.get("description", "")))
    return re.sub(r" \(a (duration|size|rate) is [^)]*\)$", "", told)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _yaml(text: str) -> list[str]:
    return ["```yaml", *text.rstrip().split("\n"), "```"]


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


_SHOWN = {
    "Template": [*_yaml(TEMPLATE), ""],
    "RandomAction": [*_yaml(RANDOM), ""],
    "Assertions": [*_yaml(ASSERTIONS), ""],
    "Asserted": [*_yaml(ASSERTED), ""],
}
"""Examples of whole parts."""

"""The reference of the language and its JSON Schema, both made from the models."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from cli.main import app
from messages.actions import ACTIONS
from scenarios import check_text, library_directory, library_scenarios, load_systems, resolve
from scenarios.loader import as_text
from scenarios.reference import json_schema, markdown
from scenarios.reference.editor import told_of
from scenarios.reference.examples import ASSERTED, ASSERTIONS, CLAIMS, EXAMPLE, RANDOM, TEMPLATE
from scenarios.reference.page import example_of
from scenarios.reference.words import PARTS

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCHEMA = json_schema()
SYSTEM = """
kind: System
metadata: {name: shop}
spec:
  services:
    web:
      driver: {process: {command: [python, -m, web], namespace: shop}}
      health: {tcp: {address: "127.0.0.1:18001"}}
      role: {http: {url: "http://127.0.0.1:18001/role", value: json.role}}
      metrics: {http: "http://127.0.0.1:18001/metrics"}
      chaos: {http: "http://127.0.0.1:18001/chaos"}
    db:
      driver: {process: {command: [python, -m, db], namespace: vault}}
      health: {tcp: {address: "127.0.0.1:18002"}}
      role: {command: {argv: [redis-cli, role], value: stdout}}
      metrics: {http: "http://127.0.0.1:18002/metrics"}
      chaos: {http: "http://127.0.0.1:18002/chaos"}
  links: {web-to-db: {from: web, to: db, port: 5432, listen: 15432}}
  groups: {fleet: {members: [web, db]}}
  volumes: {data: {service: db, path: /srv/data}}
  probes: {front: {http: {url: "http://127.0.0.1:18001/"}}}
  events: ["shop.events.>"]
  correlation:
    rules:
      - name: chaos-alert
        trigger: {service: test-coordinator, type: chaos_injection_started}
        effect: {service: web, type: alert}
        max_delay: 2m
  workloads: {writers: {command: [python, -m, writers]}}
  traces: {listen: "127.0.0.1:14317"}
"""
BESIDE = """\
  assertions:
    - {id: before, type: latency, probe: front, percentile: 95, at_most: 1s, before: restart}
    - {id: after, type: latency, probe: front, percentile: 95, at_most: 1s, after: restart}
"""
"""Claims that others name."""


def scenario(*, action: str = "{target: web, action: restart, id: restart}", claim: str = "{type: health, target: web}") -> str:
    head = "kind: Scenario\nmetadata: {name: example}\nspec:\n  system: shop\n  phases:\n    - name: p\n      duration: 1m\n"
    return f"{head}      actions: [{action}]\n      assertions:\n        - {claim}\n"


def mistakes(document: Any) -> list[str]:
    return [f"{list(error.path)}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(document)]


def documents(text: str) -> Iterator[Any]:
    """As an editor reads them: `on` is text there, but dates and the like do not occur."""
    yield from (document for document in yaml.safe_load_all(text) if document is not None)


def valid(text: str) -> None:
    assert check_text(text, file="f.yaml", systems={}) == ()
    assert [mistakes(document) for document in documents(text)] == [[] for _ in documents(text)]


@pytest.mark.parametrize(("file", "made"), [("scenario-language.md", markdown), ("scenario.schema.json", None)])
def test_the_files_in_docs_are_what_the_models_say_now(file: str, made: Any) -> None:
    text = made() if made is not None else json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"

    assert (DOCS / file).read_text() == text, "run `make docs`"


@pytest.mark.parametrize(("arguments", "starts"), [((), "{"), (("--format", "markdown"), "# The scenario language")])
def test_schema_prints_the_one_for_editors_and_with_markdown_the_one_for_people(arguments: tuple[str, ...], starts: str) -> None:
    done = CliRunner().invoke(app, ["schema", *arguments])

    assert done.exit_code == 0
    assert done.output.startswith(starts)


def test_the_schema_is_one_of_the_draft_that_it_names_and_every_reference_in_it_leads_somewhere() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    wanted = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(SCHEMA)))
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert wanted <= set(SCHEMA["$defs"])


def test_no_pattern_needs_more_than_editors_know() -> None:
    assert not re.findall(r"\\\\[AzZ]", json.dumps(SCHEMA))


@pytest.mark.parametrize(
    "file", sorted(path for path in library_directory().iterdir() if path.suffix == ".yaml"), ids=lambda path: path.stem
)
def test_everything_in_the_library_is_right_by_the_schema(file: Path) -> None:
    for document in documents(file.read_text()):
        assert mistakes(document) == []


def test_what_a_scenario_is_resolved_to_is_right_by_the_schema_too() -> None:
    systems = load_systems(library_directory())

    for name, file in library_scenarios().items():
        text = file.read_text()
        if "kind: Template" not in text:
            resolved = json.loads(as_text(resolve(text, file=name, systems=systems).scenario))
            assert mistakes(resolved) == []


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("action: restart", "action: restrat"),
        ("duration: 1m", "duration: 1 minute"),
        ("duration: 1m", "durations: 1m"),
        ("action: restart, id: restart", "action: limit_cpu, parameters: {cores: 900}"),
        ("action: restart, id: restart", "action: limit_cpu, parameters: {cpus: 0.5}"),
        ("action: restart, id: restart", "action: limit_cpu"),
        ("target: web, action: restart", "action: restart"),
        ("{type: health, target: web}", "{type: healthy, target: web}"),
        ("kind: Scenario", "kind: Scenarios"),
        ("kind: Scenario\n", ""),
    ],
)
def test_an_editor_shows_a_mistake_while_it_is_typed(part: str, wrong: str) -> None:
    (document,) = documents(scenario())
    (mistaken,) = documents(scenario().replace(part, wrong, 1))

    assert mistakes(document) == []
    assert mistakes(mistaken)


@pytest.mark.parametrize("value", ["1.5", '"{{ variables.cores * 2.0 }}"'])
def test_an_expression_may_stand_where_a_number_must(value: str) -> None:
    (document,) = documents(scenario(action=f"{{target: web, action: limit_cpu, parameters: {{cores: {value}}}}}"))

    assert mistakes(document) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_the_example_of_every_action_is_right(action: str) -> None:
    valid(f"{scenario(action=example_of(action))}---{SYSTEM}")


@pytest.mark.parametrize("kind", CLAIMS)
def test_the_example_of_every_claim_is_right(kind: str) -> None:
    valid(f"{scenario(claim=CLAIMS[kind])}{BESIDE}---{SYSTEM}")


@pytest.mark.parametrize("text", [EXAMPLE, f"{TEMPLATE}---{SYSTEM}"], ids=["scenario", "template"])
def test_the_examples_of_whole_documents_are_right(text: str) -> None:
    valid(text)


def test_the_examples_of_words_are_right() -> None:
    valid(ASSERTIONS)
    valid(f"{scenario(claim=ASSERTED.strip().removeprefix('- '))}---\n{ASSERTIONS}---{SYSTEM}")


def test_an_editor_shows_a_mistake_in_words_while_it_is_typed() -> None:
    (words,) = documents(ASSERTIONS)

    for part, wrong in (("type: event", "type: evnt"), ("type: string", "type: words"), ("claim:", "claims:")):
        (mistaken,) = documents(ASSERTIONS.replace(part, wrong, 1))
        assert mistakes(mistaken)
    assert mistakes(words) == []


def test_the_example_of_a_random_plan_is_right() -> None:
    phases = "\n".join(f"    {line}" for line in RANDOM.splitlines())
    valid(f"kind: Scenario\nmetadata: {{name: example}}\nspec:\n  system: shop\n  phases:\n{phases}\n---{SYSTEM}")


def test_every_action_claim_and_key_has_a_line_with_a_description_and_an_example() -> None:
    page, defs = markdown(), SCHEMA["$defs"]
    rows = re.findall(r"^\| `([\w.]+)` \| (.*?) \| .* \| `([\w.]+): (.*?)` \|$", page, re.MULTILINE)

    assert {key for key, *_ in rows} >= {key for name, one in defs.items() for key in one.get("properties", {})}
    assert [row for row in rows if not row[1] or row[3] in {"", "…", "[…]"}] == []
    assert all(f"#### {action}\n" in page for action in ACTIONS)
    assert all(f"### {one['properties']['type']['const']}\n" in page for name, one in defs.items() if name.endswith("Claim"))
    assert all(one.get("description") for one in defs.values())


def test_every_part_of_a_document_has_a_section() -> None:
    page = markdown()
    parts = {name for name in SCHEMA["$defs"] if "." not in name and not name.endswith("Claim")} - {"expression", "JsonValue"}

    links = set(re.findall(r"\(#([\w-]+)\)", page))
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}

    assert parts == {name for part in PARTS.values() for name in part}
    assert links <= headings


@pytest.mark.parametrize("action", [name for name, spec in ACTIONS.items() if spec.parameters.model_fields])
def test_every_parameter_of_an_action_is_described_for_editors(action: str) -> None:
    for key, one in SCHEMA["$defs"][told_of(action)]["properties"].items():
        assert one.get("description"), f"{action}.{key} needs a docstring, or a line in scenarios/reference/said.py"

"""Every event and document as it is stored: what was written once must always be read the same."""

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from messages.catalogue import EVENTS, decode
from messages.events import RunEvent, evidence_id
from messages.scenario import Scenario
from messages.system import System
from messages.values import Token

GOLDEN = Path(__file__).parent / "golden"
"""`<type>.json` says every field; `wire/<type>.json` leaves out what has its default, and means the same: a default never changes."""
TYPES = sorted(EVENTS)
ACTORS = {"scheduler", "chaos-injector", "observer", "validator", "reporter", "control"}
TOKEN: TypeAdapter[str] = TypeAdapter(Token)


def golden(name: str) -> bytes:
    """What is stored; a new event or version needs a file here."""
    return (GOLDEN / f"{name}.json").read_bytes()


def decoded(name: str, folder: str = "") -> RunEvent:
    event = decode(name, golden(folder + EVENTS[name].EVENT))
    assert event is not None
    return event


@pytest.mark.parametrize("name", TYPES)
def test_an_event_is_read_and_written_as_it_was(name: str) -> None:
    event = decoded(name)

    assert json.loads(event.model_dump_json(by_alias=True)) == json.loads(golden(event.EVENT))
    assert decode(name, event.model_dump_json().encode()) == event


@pytest.mark.parametrize("name", TYPES)
def test_a_line_of_the_journal_means_what_it_meant_when_defaults_were_left_out(name: str) -> None:
    event = decoded(name, "wire/")

    assert event == decoded(name)
    assert json.loads(event.model_dump_json(by_alias=True, exclude_defaults=True)) == json.loads(golden(f"wire/{event.EVENT}"))


@pytest.mark.parametrize("name", TYPES)
def test_a_field_of_a_later_version_is_ignored(name: str) -> None:
    later = json.loads(golden(EVENTS[name].EVENT)) | {"added_later": {"x": [1]}}

    assert decode(name, json.dumps(later).encode()) == decoded(name)


@pytest.mark.parametrize("name", TYPES)
def test_every_field_but_those_with_a_default_is_needed(name: str) -> None:
    stored = json.loads(golden(EVENTS[name].EVENT))
    needed = [field for field, info in EVENTS[name].model_fields.items() if info.is_required()]

    for field in needed:
        with pytest.raises(ValidationError):
            decode(name, json.dumps({k: v for k, v in stored.items() if k != field}).encode())


@pytest.mark.parametrize("name", TYPES)
def test_an_event_names_its_type_its_actors_and_its_entity(name: str) -> None:
    event = decoded(name)

    assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+\.v[1-9][0-9]*", event.EVENT)
    assert event.type_name() == name
    assert set(event.ACTORS) <= ACTORS
    assert TOKEN.validate_python(event.entity) == event.entity
    assert event.route is None or TOKEN.validate_python(event.route) == event.route
    assert event.ordinal >= 0
    assert evidence_id(event.ACTORS[0], event) == f"{event.ACTORS[0]}.{event.entity}.{name}.{event.ordinal}"


@pytest.mark.parametrize("name", TYPES)
def test_the_docstring_of_an_event_says_who_emits_it(name: str) -> None:
    event = EVENTS[name]
    told = event.__doc__ or ""

    if event.ACTORS == ("control",):
        assert "Emitted by whoever answers the request" in told
    elif len(event.ACTORS) > 1:
        assert "Any actor may emit it" in told
    else:
        assert f"Emitted by the {event.ACTORS[0]}" in told


def concrete(parent: type[RunEvent]) -> set[type[RunEvent]]:
    below = set().union(*(concrete(child) for child in parent.__subclasses__())) if parent.__subclasses__() else set()
    ours = parent.__module__.startswith("messages.") and "EVENT" in vars(parent)
    return below | {parent} if ours else below


def test_every_event_is_in_the_catalogue_and_has_its_files() -> None:
    assert concrete(RunEvent) == set(EVENTS.values())
    assert len({event.EVENT for event in EVENTS.values()}) == len(EVENTS)
    for folder in (GOLDEN, GOLDEN / "wire"):
        files = {file.stem for file in folder.glob("*.v*.json")}
        assert files == {event.EVENT for event in EVENTS.values()}


def test_an_unknown_type_is_no_event_and_a_body_that_does_not_fit_an_error() -> None:
    assert decode("fault.invented", b"{}") is None
    for body in (b"", b"[]", b"{}", b'{"fault_id": "a.b", "took": "PT1S", "ago": "PT1S"}'):
        with pytest.raises(ValidationError):
            decode("fault.injected", body)


@pytest.mark.parametrize(("name", "kind"), [("scenario", Scenario), ("system", System)])
def test_a_document_is_read_and_written_as_it_was(name: str, kind: type[BaseModel]) -> None:
    document = kind.model_validate_json(golden(name))

    assert json.loads(document.model_dump_json(by_alias=True)) == json.loads(golden(name))
    assert kind.model_validate_json(document.model_dump_json()) == document
    assert kind.model_validate_json(document.model_dump_json(by_alias=True, exclude_defaults=True)) == document


@pytest.mark.parametrize(("name", "kind"), [("scenario", Scenario), ("system", System)])
def test_a_misspelt_key_of_a_document_is_an_error(name: str, kind: type[BaseModel]) -> None:
    stored = json.loads(golden(name))
    stored["spec"]["asertions"] = []

    with pytest.raises(ValidationError, match="asertions"):
        kind.model_validate_json(json.dumps(stored))


def test_a_scenario_knows_its_claims_and_faults_and_a_system_the_order_of_its_start() -> None:
    scenario, system = Scenario.model_validate_json(golden("scenario")), System.model_validate_json(golden("system"))

    assert set(scenario.claims()) == {"fills", "story", "others", "quiet", "back", "orders"}
    assert {fault: target for fault, (target, _, _) in scenario.faults().items()} == {
        "restart": "trading-engine",
        "halt-exchange-simulator": "exchange-simulator",
        "halt-custodian-simulator": "custodian-simulator",
    }
    assert system.start_levels() == (("exchange-simulator", "cache"), ("trading-engine",))

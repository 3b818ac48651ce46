"""What a document becomes, and what is said of its structure."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.claims import RecoveryClaim
from messages.scenario import Scenario
from messages.system import System
from scenarios import DocumentErrors, Resolved, check_text, load_systems, resolve

DOCUMENTS = Path(__file__).parent / "documents"
SYSTEMS = load_systems(DOCUMENTS)
OUTAGE = (DOCUMENTS / "outage.yaml").read_text()
SHOP = (DOCUMENTS / "shop.yaml").read_text()


def load(text: str = OUTAGE, **more: str) -> Resolved:
    return resolve(text, file="f.yaml", systems=SYSTEMS, **more)  # type: ignore[arg-type]


def told(text: str) -> list[str]:
    """What is wrong, without the file's name."""
    return [str(found).removeprefix("f.yaml:") for found in check_text(text, file="f.yaml", systems=SYSTEMS)]


def place(text: str, part: str) -> str:
    before = text[: text.index(part)]
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def test_aliases_and_the_word_service_become_the_services_name() -> None:
    scenario = load().scenario

    assert scenario.spec.phases[1].actions[0].targets == ("web",)
    assert scenario.claims()["chaos-audit"][0].model_dump()["target"] == "web"


def test_what_has_no_id_gets_one_from_what_it_is() -> None:
    scenario = load().scenario

    assert list(scenario.faults()) == ["restart-web", "stop-db"]
    assert list(scenario.claims()) == ["calm-event", "chaos-audit", "run-recovery"]
    assert scenario.spec.finally_[0].id == "start-db"


def test_ids_that_are_made_differ_from_each_other_and_from_written_ones() -> None:
    claims = "- {type: event, where: 'true'}\n        - {type: event, where: 'true', id: chaos-event}\n        - {type: audit"

    assert list(load(OUTAGE.replace("- {type: audit", claims)).scenario.claims())[1:3] == ["chaos-event-2", "chaos-event"]


def test_all_stands_for_every_service_in_an_action_and_for_the_monitored_ones_in_a_health_claim() -> None:
    claim = OUTAGE.replace("- {type: recovery, target: web", "- {type: health, target: all}\n    - {type: recovery, target: web")
    action = OUTAGE.replace("{target: db, action: start}", "{target: all, action: start}")

    assert load(claim).scenario.claims()["run-health"][0].model_dump()["target"] == ("web", "db", "bank")
    assert told(action) == [
        f"{place(action, 'all, action')}: 'bank' is external and does not offer start; it is only observed; name other services"
    ]


def test_a_recovery_is_of_the_only_fault_on_its_target() -> None:
    claim = load().scenario.claims()["run-recovery"][0]

    assert isinstance(claim, RecoveryClaim)
    assert claim.of == "restart-web"


def test_a_recovery_on_a_target_with_two_faults_must_name_one() -> None:
    twice = OUTAGE.replace("{target: db, action: stop", "{target: web, action: restart, delay: 2s}\n        - {target: db, action: stop")

    assert "there are 2 faults on 'web'" in "".join(told(twice))


def test_the_steady_state_is_filled_in_and_holds_throughout() -> None:
    (claim,) = load().system.spec.steady_state.claims

    assert SYSTEMS["shop"].spec.steady_state.claims == (claim,)
    assert claim.throughout
    assert claim.model_dump(by_alias=True)["except"] == "disturbed"
    assert claim.model_dump()["target"] == ("web", "db", "bank")


def test_aliases_in_depends_on_are_resolved() -> None:
    assert load().system.spec.services["web"].depends_on == ("db",)


def test_what_is_resolved_survives_json() -> None:
    resolved = load()

    assert Scenario.model_validate_json(resolved.scenario.model_dump_json(by_alias=True)) == resolved.scenario
    assert System.model_validate_json(resolved.system.model_dump_json(by_alias=True)) == resolved.system


def test_what_is_resolved_resolves_to_itself() -> None:
    resolved = load()

    again = resolve(resolved.scenario.model_dump_json(by_alias=True), file="f.json", systems={"shop": resolved.system})

    assert again == resolved


def test_a_system_that_was_never_loaded_is_completed_as_if_it_had_been() -> None:
    made = SYSTEMS["shop"].model_dump(by_alias=True, mode="json")
    made["spec"]["services"]["web"]["depends_on"] = ["store"]
    made["spec"]["steady_state"]["claims"] = []

    resolved = resolve(OUTAGE, file="f.yaml", systems={"shop": System.model_validate_json(json.dumps(made))})

    assert resolved.system == SYSTEMS["shop"]


def test_a_system_in_a_message_is_refused_and_says_which_could_be_named() -> None:
    with pytest.raises(DocumentErrors) as raised:
        load(f"{OUTAGE}---\n{SHOP}")

    (found,) = raised.value.findings
    assert (found.line, found.column) == (OUTAGE.count("\n") + 2, 1)
    assert found.what.startswith("a System inside a message is refused: it contains commands")
    assert found.right == "name one of: shop"


def test_a_system_beside_the_scenario_comes_first_where_it_is_allowed() -> None:
    text = f"{OUTAGE}---\n{SHOP.replace('18001', '18009')}"

    resolved = resolve(text, file="f.yaml", systems=SYSTEMS, allow_systems=True)

    health = resolved.system.spec.services["web"].health
    assert health is not None
    assert health.tcp is not None
    assert health.tcp.address == "127.0.0.1:18009"


def test_another_system_can_be_asked_for() -> None:
    other = SYSTEMS["shop"].model_copy(update={"metadata": SYSTEMS["shop"].metadata.model_copy(update={"name": "other"})})

    resolved = resolve(OUTAGE, file="f.yaml", systems={"other": other}, system="other")

    assert (resolved.system.name, resolved.scenario.spec.system) == ("other", "other")


def test_an_unknown_system_is_named_with_the_nearest() -> None:
    text = OUTAGE.replace("system: shop", "system: shpo")

    assert told(text) == [f"{place(text, 'shpo')}: there is no system 'shpo'; did you mean 'shop'?"]
    with pytest.raises(DocumentErrors, match="--system:1:1: there is no system 'x'; known: shop"):
        load(system="x")


def test_a_text_holds_one_scenario() -> None:
    assert [line.partition(": ")[2] for line in told(f"{OUTAGE}---\n{OUTAGE}")] == [
        "a second scenario; a text holds one; put the others into files of their own"
    ]
    with pytest.raises(DocumentErrors, match="1:1: there is no scenario in the text"):
        resolve(SHOP, file="f.yaml", systems={}, allow_systems=True)


def test_a_text_with_nothing_but_a_system_can_be_checked() -> None:
    assert told(SHOP) == []
    assert "did you mean 'services'?" in "".join(told(SHOP.replace("services:", "servics:")))


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("duration: 10s", "duraton: 10s", "duraton", "unknown key 'duraton'; did you mean 'duration'?"),
        ("duration: 5s", "duration: 5x", "5x", "'5x' is not a duration; a duration is a number and a unit, like 500ms"),
        ("duration: 5s", "duration: 5", "5\n", "5 is not a duration; a duration is a number and a unit"),
        ("kind: Scenario", "kind: Scenaro", "Scenaro", "unknown kind 'Scenaro'; did you mean 'Scenario'?"),
        ("kind: Scenario\n", "", "apiVersion", "'kind' is missing; add kind: Scenario"),
        (
            "chaos.trading/v1",
            "chaos.trading/v2",
            "chaos.trading/v2",
            "'chaos.trading/v2' is not known here; did you mean 'chaos.trading/v1'?",
        ),
        ("type: event", "type: evnt", "evnt", "unknown type 'evnt'; did you mean 'event'?"),
        ("{type: event, ", "{", "{where", "'type' is missing; add type: and one of audit, continuity, event"),
        ("where: ", "were: ", "were: ", "unknown key 'were'; did you mean 'where'?"),
        ("action: restart}", "action: restrat}", "restrat", "unknown action 'restrat'; did you mean 'restart'?"),
        (
            "{target: db, action: start}",
            "{target: dbb, action: start}",
            "dbb, action",
            "the system has no service 'dbb'; did you mean 'db'?",
        ),
        ("action: restart}", "action: restart, parameters: {delay: 1s}}", "delay", "unknown key 'delay'"),
        ("within: 10s", "within: 10s, on_fail: stp", "stp", "'stp' is not known here; did you mean 'stop'?"),
        ("name: calm", "name: so calm", "so calm", "'so calm' cannot stand here; a name of letters, digits"),
        ("sequence: [service.stopping, service.started]", "sequence: []", "[]", "'sequence' is empty; give it at least one entry"),
        ("within: 10s", "within: 10s, never: 'yes'", "'yes'", "'never' cannot be 'yes'; true or false"),
        ("{service: front, action", "{service: 5, action", "5, action", "the number 5 stands where text must; put it into quotes"),
        ("{service: front, action", "{service: {a: b}, action", "a: b}", "unknown key 'a'; known: between, group, link"),
        (
            "      actions:",
            "      actions: {a: 1}\n      parallel_actions:",
            "{a: 1}",
            "'actions' cannot be keys and values; a list of items",
        ),
        ("    - name: calm", "    - text\n    - name: calm", "text", "entry 1 cannot be 'text'; keys and values"),
        ("metadata: {name: outage}", "metadata: {}", "{}", "'name' is missing; add name: a-name"),
        ("  system: shop\n", "", "variables: {", "'system' is missing; add system: trading"),
        ('"{{ variables.slo }}"', "{{ variables.slo }}", "{{ variables.slo }}", "an expression in {{ }} must be quoted"),
    ],
)
def test_a_mistake_is_told_at_its_place_with_what_would_be_right(old: str, new: str, at: str, says: str) -> None:
    text = OUTAGE.replace(old, new, 1)

    assert any(line.startswith(f"{place(text, at)}: {says}") for line in told(text)), told(text)


def test_the_words_of_the_checking_library_never_show() -> None:
    text = (
        OUTAGE.replace("duration: 5s", "duration: [1]")
        .replace("at_least:", "at_most: {a: 1}, at_least:")
        .replace("[order.filled", "[1, {a: 1}")
    )

    assert len(told(text)) >= 3
    assert not any(word in " ".join(told(text)) for word in ("Input should", "tuple", "pydantic", "Value error", "dict"))


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    text = OUTAGE.replace("duration: 5s", "duration: 5x").replace("front", "frnt").replace("type: recovery", "type: recvery")
    text = text.replace("action: start", "action: strt").replace("slo: 10s", "slo: 10s, slo: 5s")

    lines = [int(line.partition(":")[0]) for line in told(text)]

    assert lines == sorted(lines)
    assert {6, 9, 15, 18, 20, 22} <= set(lines)


@given(
    position=st.integers(0, len(OUTAGE) - 1),
    put=st.sampled_from(["x", " ", "{", "}", ":", "'", '"', "-", "\n", "[", "&a ", "*a", "!", "{{", "\t", "5"]),
)
@settings(max_examples=300, deadline=None)
def test_a_slip_of_the_keyboard_gives_a_document_or_its_mistakes(position: int, put: str) -> None:
    text = OUTAGE[:position] + put + OUTAGE[position:]
    try:
        load(text)
    except DocumentErrors as errors:
        placed = all(found.line >= 1 and found.column >= 1 and found.what for found in errors.findings)
    else:
        placed = True

    assert placed


@given(st.text(alphabet=st.characters()) | st.text(alphabet="kind: Scenario\nspec{}[]-,&*!|>'\""))
def test_arbitrary_text_never_raises_anything_but_document_errors(text: str) -> None:
    with pytest.raises(DocumentErrors):
        load(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["10s", "web", "{{ 1 }}", "stop"]),
        lambda v: (
            st.lists(v)
            | st.dictionaries(st.sampled_from(["name", "actions", "assertions", "target", "action", "after", "id", "type", "of"]), v)
        ),
    )
)
@settings(deadline=None)
def test_any_data_at_any_place_never_raises_anything_but_document_errors(value: object) -> None:
    for key in ("phases", "assertions", "variables", "finally", "timeout", "system"):
        spec = {"system": "shop", "phases": [{"name": "a"}], key: value}
        assert isinstance(
            check_text(json.dumps({"kind": "Scenario", "metadata": {"name": "x"}, "spec": spec}), file="f", systems=SYSTEMS), tuple
        )
    for key in ("services", "events", "steady_state"):
        text = json.dumps({"kind": "System", "metadata": {"name": "x"}, "spec": {"services": {"a": value}, key: value}})
        assert check_text(text, file="f", systems={}) != ()


def test_thousands_of_mistakes_are_told_in_bounded_number_and_time() -> None:
    many = "\n".join(f"  key{n}: 1" for n in range(30_000))
    targets = ", ".join(f"w{n}" for n in range(30_000))

    assert len(told(f"{OUTAGE}{many}")) == 100
    assert len(told(OUTAGE.replace("service: front", f"target: [{targets}]"))) <= 100


def test_durations_are_read_into_spans() -> None:
    assert load().scenario.spec.phases[1].duration == timedelta(seconds=10)

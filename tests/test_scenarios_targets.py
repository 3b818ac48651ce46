"""What an action may be done to, by what means and how it is told: each rule by a document that breaks it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.actions.links import Latency
from messages.claims import RecoveryClaim
from messages.scenario import Action
from messages.targets import Selection
from scenarios import DocumentErrors, Resolved, check_text, load_systems, resolve
from scenarios.loader import as_text

FORMS = Path(__file__).parent / "documents" / "forms"
SYSTEMS = load_systems(FORMS)
TEXT = (FORMS / "forms.yaml").read_text()


def load(text: str = TEXT) -> Resolved:
    return resolve(text, file="f.yaml", systems=SYSTEMS)


def told(actions: str, *, claims: str = "[]", duration: str = "30s") -> list[str]:
    """What is wrong; the actions stand in line 6 from column 11, the claims in line 8 from column 15."""
    text = "kind: Scenario\nmetadata: {name: x}\nspec:\n  system: fleet\n  phases: [{name: p, duration: " + duration + ", actions:\n"
    text += f"          {actions}}}]\n  timeout: 10m\n  assertions: {claims}\n"
    return [f"{f.line}:{f.column}: {f.what}; {f.right}" for f in check_text(text, file="f.yaml", systems=SYSTEMS)]


def action(name: str) -> Action:
    return next(a for phase in load().scenario.spec.phases for a in phase.actions if a.id == name)


def test_a_group_without_a_choice_is_the_list_of_its_members() -> None:
    assert action("rolling").target == ("db-1", "db-2", "db-3")
    assert list(action("rolling").faults()) == ["rolling-db-1", "rolling-db-2", "rolling-db-3"]
    assert load().scenario.spec.finally_[0].targets == ("db-1", "db-2", "db-3")


def test_a_choice_keeps_its_group_and_has_its_candidates_beside_it() -> None:
    target = action("leader").target

    assert isinstance(target, Selection)
    assert (target.group, target.of, target.pick) == ("db", ("db-1", "db-2", "db-3"), 1)
    assert action("leader").faults(("db-2",)) == {"leader": "db-2"}


def test_names_of_services_in_any_form_of_a_target_are_resolved() -> None:
    target, parted = action("half").target, action("parted").target

    assert isinstance(target, Selection)
    assert isinstance(parted, Selection)
    assert target.of == ("api", "db-3", "store")
    assert parted.between == (("db-1",), ("db-2", "db-3"))
    assert action("several").target == ("api", "store")
    assert action("all").target == "store"


def test_what_has_no_id_is_named_for_the_link_or_volume_it_works_on() -> None:
    assert {"latency-api-to-db", "disk_full-data"} <= set(load().scenario.faults())


def test_parameters_are_typed_by_their_action() -> None:
    told = action("latency-api-to-db").told

    assert isinstance(told, Latency)
    assert (told.delay, told.jitter) == (timedelta(milliseconds=100), timedelta(milliseconds=20))


def test_a_claim_may_name_a_fault_whose_target_is_chosen_later_and_has_no_target_then() -> None:
    claim = load().scenario.claims()["choosing-recovery"][0]

    assert isinstance(claim, RecoveryClaim)
    assert (claim.target, claim.of) == (None, "leader")


@pytest.mark.parametrize("written", ["as_text", "dump"])
def test_a_resolved_scenario_with_all_forms_loads_to_itself(written: str) -> None:
    resolved = load()

    text = as_text(resolved.scenario) if written == "as_text" else resolved.scenario.model_dump_json(by_alias=True)

    assert load(text).scenario == resolved.scenario
    assert load(json.dumps(json.loads(text))).scenario == resolved.scenario


SERVICES = st.lists(st.sampled_from(["api", "front", "db-1", "db-2", "spare", "store"]), min_size=1, max_size=4)
PICKS = st.sampled_from([1, 2, "50%", "100%", None])
CHOSEN = st.one_of(
    SERVICES,
    st.sampled_from(["store", "all", {"group": "db"}, {"group": "db", "where": "role == 'x' || index > 0", "pick": 1}]),
    st.builds(lambda of, pick: {"of": of, "pick": pick}, SERVICES, PICKS),
    st.builds(lambda pick: {"group": "db", "where": "up", "pick": pick}, PICKS),
)
DONE = st.one_of(
    st.builds(lambda target, more: {"target": target, "action": "kill", **more}, CHOSEN, st.sampled_from([{}, {"at_once": 1}])),
    st.builds(lambda target: {"target": target, "action": "limit_memory", "parameters": {"headroom": "1MiB"}}, CHOSEN),
    st.sampled_from(
        [
            {"target": "db-1", "action": "network_drop", "parameters": {"peers": ["10.0.0.1", "10.0.0.2"], "port": None}},
            {"target": {"link": "api-to-db"}, "action": "latency", "parameters": {"delay": "10ms"}},
            {"target": {"link": ["api-to-db", "bank-to-api"]}, "action": "cut", "settle": "0s"},
            {"target": {"volume": "data"}, "action": "disk_full"},
            {"target": {"between": ["db-3", ["db-1", "db-2"]]}, "action": "network_partition", "parameters": {"one_way": True}},
        ]
    ),
)


@given(st.lists(DONE.map(lambda action: {"for": "1s", **action}), max_size=3))
@settings(deadline=None, max_examples=200)
def test_whatever_can_be_loaded_loads_to_itself_again(actions: list[dict[str, object]]) -> None:
    phases = [{"name": f"p{index}", "actions": [action]} for index, action in enumerate(actions)] or [{"name": "none"}]
    text = json.dumps({"kind": "Scenario", "metadata": {"name": "x"}, "spec": {"system": "fleet", "phases": phases}})
    if check_text(text, file="f.json", systems=SYSTEMS):
        with pytest.raises(DocumentErrors):
            load(text)
        return

    resolved = load(text)

    assert load(as_text(resolved.scenario)) == resolved
    assert load(resolved.scenario.model_dump_json(by_alias=True)) == resolved


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ("[{target: §db, action: kill}]", "the system has no service 'db'; it is a group: write target: {group: db}"),
        ("[{target: §api-to-db, action: kill}]", "the system has no service 'api-to-db'; it is a link: write target: {link: api-to-db}"),
        ("[{target: [api, §stroe], action: kill}]", "the system has no service 'stroe'; did you mean 'store'?"),
        ("[{target: {group: §bd}, action: kill}]", "the system has no group 'bd'; known: db"),
        ("[{target: {group: §store}, action: kill}]", "the system has no group 'store'; it is a service: write target: store"),
        ("[{target: {of: [api, §db-4], pick: 1}, action: kill}]", "the system has no service 'db-4'; did you mean 'db-3'?"),
        ("[{target: {link: §api-to-bd}, action: refuse}]", "the system has no link 'api-to-bd'; did you mean 'api-to-db'?"),
        ("[{target: {link: [api-to-db, §nowhere]}, action: refuse}]", "the system has no link 'nowhere'; known: api-to-db"),
        ("[{target: {volume: §dta}, action: disk_full}]", "the system has no volume 'dta'; did you mean 'data'?"),
        ("[{target: {between: [[api], [§bd-1]]}, action: network_partition}]", "the system has no service 'bd-1'; did you mean 'db-1'?"),
        ("[{target: {between: §[[db-1]]}, action: network_partition}]", "'between' has 1 entries; at least 2"),
        ("[{target: {between: §[db-1, [db-1, db-2]]}, action: network_partition}]", "'db-1' stands on both sides"),
        (
            "[{target: {between: §[[api, store], [db-1]]}, action: network_partition}]",
            "api, store run in no network namespace, so packets cannot be told apart",
        ),
        ("[{target: {between: §[api, [db-2, db-3]]}, action: partition}]", "no link goes between api and db-2, db-3, so there is nothing"),
        ("[{target: {§grup: db}, action: kill}]", "unknown key 'grup'; did you mean 'group'?"),
        ("[{target: §{}, action: kill}]", "a target is exactly one of: a name, a list of names, of, group"),
        ("[{target: §{link: api-to-db, volume: data}, action: kill}]", "a target is exactly one of: a name, a list of names, of"),
        ("[{target: §{link: api-to-db, pick: 1}, action: refuse}]", "where and pick choose among services, not among links"),
        ("[{target: {group: db, of: §[db-1], pick: 1}, action: kill}]", "these are not the members of 'db'; leave `of` out"),
        ("[{target: {group: db, pick: §4}, action: kill}]", "there are 3 candidates, so 4 cannot be picked; at most 3, or a percentage"),
        ("[{target: {group: db, pick: §0}, action: kill}]", "0 is too small; at least 1"),
        ("[{target: {group: db, pick: §0%}, action: kill}]", "0% of the candidates is none; from 1% to 100%"),
        ("[{target: {group: db, pick: §half}, action: kill}]", "'pick' cannot be 'half'; a whole number or a percentage, like 50%"),
        ("[{target: {group: db, where: §rle == 'x'}, action: kill}]", "there is no variable 'rle' in this expression; CEL over name, role"),
        ("[{target: {group: db, where: §role ==}, action: kill}]", "not an expression that can be used"),
        ("[{target: {of: [api, db-1], where: §role == 'x'}, action: kill}]", "api cannot be asked for a role; give each candidate"),
        ("[{target: §api, action: latency, parameters: {delay: 1s}}]", "latency works on a link, not on a service; write target: {link"),
        ("[{target: §{link: api-to-db}, action: kill}]", "kill works on a service, not on a link; write target: the name of a service"),
        ("[{target: §{volume: data}, action: refuse}]", "refuse works on a link, not on a volume"),
        ("[{target: §api, action: disk_full}]", "disk_full works on a volume, not on a service; write target: {volume: …}"),
        ("[{target: §bank, action: limit_fds}]", "'bank' is external and does not offer limit_fds"),
        ("[{target: {of: [api, §bank], pick: 1}, action: kill}]", "'bank' is external and does not offer kill"),
        ("[{target: §store, action: network_drop}]", "'store' runs in no network namespace and does not offer network_drop"),
        ("[{target: §store, action: clear_chaos}]", "'store' has no chaos API and does not offer clear_chaos; give the service `chaos"),
        ("[{target: api, action: limit_fds, parameters: {§fre: 1}}]", "unknown key 'fre'; did you mean 'free'?"),
        ("[§{target: {link: api-to-db}, action: latency}]", "'delay' is missing; add parameters: {delay: 500ms}"),
        ("[{target: {link: api-to-db}, action: latency, parameters: §{jitter: 1s}}]", "'delay' is missing; add delay: 500ms"),
        ("[{target: {link: api-to-db}, action: latency, parameters: {delay: §2m}}]", "'2m' is too large; at most 1m"),
        (
            "[{target: {link: api-to-db}, action: latency, parameters: {delay: §5}}]",
            "5 is not a duration; a duration is",
        ),
        ("[{target: {link: api-to-db}, action: latency, parameters: §{delay: 1s, jitter: 2s}}]", "jitter must not be longer than delay"),
        ("[{target: {link: api-to-db}, action: bandwidth, parameters: {rate: §10B/s}}]", "'10B/s' is too small; at least 100B/s"),
        ("[{target: {link: api-to-db}, action: bandwidth, parameters: {rate: §10/s}}]", "'10/s' is not a rate; a rate is a whole number"),
        ("[{target: {volume: data}, action: disk_full, parameters: {leave: §5x}}]", "'5x' is not a size; a size is a number and a unit"),
        ("[{target: api, action: limit_memory, parameters: {headroom: §1B}}]", "'1B' is too small; at least 64KiB"),
        ("[{target: db-1, action: network_loss, parameters: {rate: §0}}]", "0 is too small; more than 0"),
        ("[{target: {link: api-to-db}, action: cut, parameters: {direction: §uo}}]", "'uo' is not known here; known: both, downstream"),
        ("[{target: db-1, action: network_latency, parameters: {delay: §0s}}]", "'0s' is too small; more than 0s"),
        ("[{target: [api, store], action: stop, §settle: 1s, for: 2s}]", "`settle` is the pause of a rolling action; add at_once: 1"),
        ("[{target: api, action: stop, §at_once: 1, for: 2s}]", "a rolling action needs several targets"),
        ("[{target: {group: db, pick: 1}, action: stop, §at_once: 1, for: 2s}]", "a rolling action needs several targets"),
        ("[{target: [api, store], action: stop, §at_once: 1}]", "a rolling action goes on when its faults are over, and these have no end"),
        ("[{target: {group: db}, action: stop, at_once: §1, for: 20s}]", "its last targets would start 40s into a phase of 30s, so never"),
        ("[{id: §a, target: {of: [api, api], pick: 1}, action: stop}]", "'api' stands here twice; name each once"),
    ],
)
def test_what_cannot_be_done_is_told_with_what_would_be_right(actions: str, says: str) -> None:
    """The mark is where the mistake is to be told."""
    column = 10 + actions.index("§") + 1
    if "stands here twice" in says:
        column = 10 + actions.index("§{" if "§{" in actions else "{of") - 1 + 1

    found = told(actions.replace("§", ""))

    assert any(line.startswith(f"6:{column}: {says}") for line in found), found


PARTED = "{target: {between: [db-1, db-2]}, action: network_partition}"


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ("{target: {link: api-to-db}, action: refuse}, {target: {link: api-to-db}, action: cut}", "the same link 'api-to-db'"),
        (
            "{target: {link: api-to-store}, action: cut}, {target: {between: [[store, db-1], api]}, action: partition}",
            "the same link 'api-to-store'",
        ),
        ("{target: {volume: data}, action: disk_full}, {target: {volume: data}, action: disk_full}", "the same target 'data'"),
        (
            f"{PARTED}, {{target: {{between: [[db-3, db-2], db-1]}}, action: network_partition}}",
            "the network namespace",
        ),
        (f"{PARTED}, {{target: {{between: [db-1, db-3]}}, action: network_partition}}", "the network namespace 'one'"),
        (f"{PARTED}, {{target: db-1, action: network_drop}}", "the network namespace 'one'"),
        ("{target: {group: db, pick: 2}, action: stop}, {target: {group: db, pick: 2}, action: kill}", "the same service, one of db-1"),
        ("{target: {group: db, pick: 100%}, action: stop}, {target: db-2, action: kill}", "the same target 'db-2'"),
        ("{target: db-2, action: stop}, {target: {group: db}, action: kill, for: 1s, at_once: 1, delay: 1s}", "the same target 'db-2'"),
    ],
)
def test_two_faults_that_certainly_meet_are_told(actions: str, says: str) -> None:
    assert any(f"a second fault on {says}" in line for line in told(f"[{actions}]")), told(f"[{actions}]")


@pytest.mark.parametrize(
    "actions",
    [
        "{target: {group: db, pick: 1}, action: stop}, {target: {group: db, pick: 1}, action: kill}",
        "{target: {group: db, where: up}, action: stop}, {target: db-2, action: kill}",
        "{target: {group: db}, action: stop, for: 2s, at_once: 1}, {target: db-2, action: kill, delay: 3s}",
        "{target: api, action: stop}, {target: {link: api-to-db}, action: refuse}",
        "{target: {between: [db-1, db-2]}, action: network_partition}, {target: db-3, action: network_drop}",
        "{target: {between: [db-1, db-2]}, action: network_partition}, {target: db-1, action: kill}",
    ],
)
def test_faults_that_may_but_need_not_meet_are_fine(actions: str) -> None:
    assert told(f"[{actions}]") == []


LEADER = "[{id: leader, target: {group: db, pick: 1}, action: kill, for: 2s}, {id: slow, target: {link: api-to-db}, action: cut}]"


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ("{type: recovery, of: leader, within: 5s, by: any}", None),
        ("{type: recovery, of: slow, target: api, within: 5s}", None),
        ("{type: health, target: api, during: leader}", None),
        ("{type: recovery, of: leader, target: db-1, within: 5s, by: any}", "nobody knows before which service 'leader' will be on"),
        ("{type: recovery, of: leader, within: 5s}", "kill leaves the target down, so the claim must say who brings it back"),
        ("{type: recovery, of: slow, within: 5s}", "'slow' is on no service, so the claim must say which one recovers"),
        ("{type: recovery, within: 5s}", "the claim names neither a fault nor its target"),
        ("{type: health, target: api, during: leader-db-1}", "there is no fault with the id 'leader-db-1'; did you mean 'leader'?"),
        ("{type: latency, probe: quot, percentile: 99, at_most: 1s}", "'quot'"),
    ],
)
def test_a_claim_is_checked_against_faults_on_targets_of_every_kind(claim: str, says: str | None) -> None:
    found = told(LEADER, claims=f"[{claim}]")

    assert found == [] if says is None else any(says in line for line in found), found


def test_a_rolling_action_takes_the_time_of_all_of_its_lots() -> None:
    rolling = "{id: roll, target: {group: db}, action: stop, for: 8s, settle: 1s, at_once: 1}"
    after = f"[{rolling}, {{target: store, action: stop, for: 1s, after: roll}}]"

    assert told(after, duration="30s") == []
    assert any("this starts 26s into a phase of 26s" in line for line in told(after, duration="26s"))


COMPARED = """
kind: Scenario
metadata: {name: x}
spec:
  system: fleet
  phases:
    - {name: before, duration: 5s}
    - {name: after, duration: 5s, actions: [{id: slow, target: {link: api-to-db}, action: latency, parameters: {delay: 10ms}, for: 2s}]}
  assertions: [{type: latency, probe: quote, percentile: 99, at_most: "+10ms", CLAIM}]
"""


@pytest.mark.parametrize(
    ("claim", "good"),
    [
        ("during: slow, compare: before", True),
        ("after: slow.injected, compare: before", True),
        ("during: slow, compare: after", False),
        ("during: slow, compare: bfore", False),
    ],
)
def test_a_claim_compares_with_a_phase_that_is_over_before_its_window_opens(claim: str, *, good: bool) -> None:
    found = check_text(COMPARED.replace("CLAIM", claim), file="f.yaml", systems=SYSTEMS)

    assert all("is no phase that is over" in finding.what for finding in found)
    assert (found == ()) is good

"""What faults need for themselves and whom they disturb: the loader and the injector say the same."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messages.needs import disturbed, needs
from messages.scenario import Action, Scenario
from messages.system import System
from scenarios import DocumentErrors, resolve

SYSTEM = System.model_validate_json(
    json.dumps(
        {
            "metadata": {"name": "mall"},
            "spec": {
                "services": {
                    **{
                        name: {"driver": {"process": {"command": ["x"], "namespace": island}}, "chaos": {"http": "http://127.0.0.1:1/c"}}
                        for name, island in {"desk": "shop", "till": "shop", "bank": "city", "mint": "hill"}.items()
                    },
                    "post": {"driver": {"process": {"command": ["x"]}}},
                },
                "links": {
                    "pay": {"from": "till", "to": "bank", "port": 1, "env": "A"},
                    "ask": {"from": "desk", "to": "post", "port": 2, "env": "B"},
                },
                "volumes": {"files": {"service": "desk", "path": "/srv/files"}},
            },
        }
    )
)


def action(target: object, name: str) -> Action:
    return Action.model_validate({"id": "f", "target": target, "action": name}, strict=False)


@pytest.mark.parametrize(
    ("target", "name", "one", "whom"),
    [
        ("desk", "stop", "desk", ("desk",)),
        ("desk", "network_drop", "desk", ("desk", "till")),
        ("mint", "network_loss", "mint", ("mint",)),
        ({"link": "pay"}, "latency", "pay", ("till",)),
        ({"volume": "files"}, "disk_full", "files", ("desk",)),
        ({"between": ["till", "bank"]}, "partition", "f", ("till",)),
        ({"between": ["till", "bank"]}, "network_partition", "f", ("desk", "till", "bank")),
    ],
)
def test_what_is_done_to_packets_disturbs_all_services_of_their_namespace(
    target: object, name: str, one: str, whom: tuple[str, ...]
) -> None:
    assert set(disturbed(SYSTEM, action(target, name), one)) == set(whom)


def test_what_shares_packets_a_process_a_link_or_a_call_cannot_be_had_twice() -> None:
    drop, loss = action("desk", "network_drop"), action("till", "network_loss")
    parted, latency = action({"between": ["till", "bank"]}, "partition"), action({"link": "pay"}, "latency")

    assert needs(SYSTEM, drop, "desk") == needs(SYSTEM, loss, "till")
    assert needs(SYSTEM, parted, "f") == needs(SYSTEM, latency, "pay")
    assert needs(SYSTEM, action("desk", "stop"), "desk") == needs(SYSTEM, action("desk", "limit_fds"), "desk")
    assert not needs(SYSTEM, action("desk", "price_shock"), "desk") & needs(SYSTEM, action("desk", "market_crash"), "desk")


def load(system: System, actions: list[dict[str, object]], **more: str) -> Scenario:
    phases = [{"name": "p", "duration": "20s", "actions": actions}]
    text = json.dumps({"kind": "Scenario", "metadata": {"name": "x"}, "spec": {"system": system.name, "phases": phases, **more}})
    return resolve(text, file="f.json", systems={system.name: system}).scenario


MALL = ["desk", "till", "bank", "mint"]
NAMES = st.lists(st.sampled_from(MALL), min_size=1, max_size=2, unique=True)
LOSS = {"parameters": {"rate": 0.5}}
DONE = st.one_of(
    st.builds(lambda names: {"target": names, "action": "network_drop"}, NAMES),
    st.builds(lambda names: {"target": {"of": names, "pick": "100%"}, "action": "network_loss", **LOSS}, NAMES),
    st.builds(lambda names: {"target": names, "action": "kill"}, NAMES),
    st.builds(lambda names: {"target": names, "action": "downtime"}, NAMES),
    st.builds(lambda one, two: {"target": {"between": [one, two]}, "action": "network_partition"}, NAMES, NAMES),
    st.sampled_from(
        [
            {"target": {"between": ["till", "bank"]}, "action": "partition"},
            {"target": {"link": ["pay", "ask"]}, "action": "cut"},
            {"target": "till", "action": "limit_fds"},
            {"target": {"volume": "files"}, "action": "disk_full"},
        ]
    ),
)


@given(
    st.lists(st.builds(lambda done, delay: {**done, "for": "4s", "delay": f"{delay}s"}, DONE, st.integers(0, 6)), min_size=2, max_size=3)
)
@settings(deadline=None, max_examples=300)
def test_what_is_valid_asks_the_injector_for_nothing_that_it_always_refuses(actions: list[dict[str, object]]) -> None:
    try:
        scenario = load(SYSTEM, actions)
    except DocumentErrors:
        return

    taken: list[tuple[timedelta, frozenset[tuple[str, str]]]] = []
    for target, about, _ in scenario.faults().values():
        mine = needs(SYSTEM, about, target)
        assert not any(mine & other for start, other in taken if abs(start - about.delay) < timedelta(seconds=4))
        taken.append((about.delay, mine))


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ([{"target": ["desk", "till"], "action": "network_drop"}], "a second fault on the network namespace 'shop'"),
        ([{"target": {"of": ["desk", "till"], "pick": 2}, "action": "network_drop"}], "a second fault on the network namespace 'shop'"),
        (
            [{"target": {"between": ["desk", "till"]}, "action": "network_partition"}],
            "both sides have a service in the network namespace 'shop'",
        ),
    ],
)
def test_services_that_share_a_namespace_cannot_be_disturbed_apart(actions: list[dict[str, object]], says: str) -> None:
    with pytest.raises(DocumentErrors, match=says):
        load(SYSTEM, actions)


@pytest.mark.parametrize(("target", "name"), [("bank", "downtime"), ({"volume": "files"}, "disk_full")])
def test_runs_that_share_a_system_hold_no_faults(target: object, name: str) -> None:
    spec = {"concurrency": "shared", "services": {"bank": {"driver": {"external": {}}, "chaos": {"http": "http://127.0.0.1:1/c"}}}}
    volumes = {"files": {"service": "bank", "path": "/srv/files"}}
    shared = System.model_validate({"metadata": {"name": "mall"}, "spec": {**spec, "volumes": volumes}}, strict=False)
    disturbing = [{"target": target, "action": name}]

    with pytest.raises(DocumentErrors, match=f"{name} is a fault, and a run that shares its system may hold none"):
        load(shared, disturbing, concurrency="shared")
    assert load(shared, disturbing).spec.phases[0].actions
    assert load(shared, [{"target": "bank", "action": "clear_chaos"}], concurrency="shared").spec.phases[0].actions

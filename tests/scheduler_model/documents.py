"""Scenarios and systems for the model of the scheduler: small, valid, and of every kind that makes it decide otherwise."""

import json
from typing import Any

from hypothesis import strategies as st

from messages.scenario import Scenario
from messages.system import System

SERVICES = ("engine", "exchange")
SPANS = ("10s", "3s", "1s", "40s")
_LASTING, _DEEDS = ("stop", "kill", "pause"), ("start", "resume")
_spans = st.sampled_from(SPANS)
Body = dict[str, Any]


def scenario_of(phases: list[Body], claims: list[Body]) -> Scenario:
    """A scenario with these phases, and claims over all of it."""
    spec = {"system": "trading", "phases": phases, "assertions": claims}
    return Scenario.model_validate_json(json.dumps({"metadata": {"name": "s"}, "spec": spec}))


def system_of_ours() -> System:
    """A service that the run starts, without health checks."""
    services = {"engine": {"driver": {"process": {"command": ["engine"]}}}}
    return System.model_validate_json(json.dumps({"metadata": {"name": "trading"}, "spec": {"services": services}}))


@st.composite
def systems(draw: st.DrawFn) -> System:
    """Services of ours or of others, with or without health checks, links and a workload."""
    ours, watched = draw(st.booleans()), draw(st.sampled_from([True, True, False]))
    services: dict[str, Body] = {}
    for number, name in enumerate(SERVICES, start=1):
        services[name] = {"driver": {"process": {"command": [name]}} if ours else {"external": {}}}
        if watched:
            services[name]["health"] = {"tcp": {"address": f"127.0.0.1:{number}"}}
    spec: Body = {"services": services, "steady_state": {"settle": draw(_spans), "recover": draw(_spans)}}
    if watched and draw(st.booleans()):
        well: Body = {"type": "health", "target": "engine"}
        spec["steady_state"]["claims"] = [{"id": f"well-{word}", "on_fail": word, **well} for word in draw(_some_words())]
    if ours and draw(st.booleans()):
        spec["links"] = {"wire": {"from": "engine", "to": "exchange", "port": 1}}
    if draw(st.booleans()):
        spec["workloads"] = {"load": {"command": ["load"]}}
    return System.model_validate_json(json.dumps({"metadata": {"name": "trading"}, "spec": spec}))


def _some_words() -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(["stop", "abort", "continue"]), min_size=1, max_size=2, unique=True)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """One to three phases, their claims, and what is finally done."""
    phases = [draw(_phases(f"p{index}")) for index in range(draw(st.integers(1, 3)))]
    faults = [action["id"] for phase in phases for action in phase["actions"] if action["action"] not in _DEEDS]
    singles = [a["id"] for phase in phases for a in phase["actions"] if a["id"] in faults and isinstance(a["target"], str)]
    for phase in phases:
        phase["assertions"] = draw(_claims(f"{phase['name']}-", singles))
    spec: Body = {"system": "trading", "phases": phases, "assertions": draw(_claims("all-", singles))}
    spec["timeout"] = draw(st.sampled_from(["1m", "60m", "60m", "60m"]))
    spec["finally"] = draw(_actions("finally", lasting=True, deeds_only=True))
    return Scenario.model_validate_json(json.dumps({"metadata": {"name": "s"}, "spec": spec}))


@st.composite
def _phases(draw: st.DrawFn, name: str) -> Body:
    duration = draw(st.none() | _spans)
    phase: Body = {"name": name, "actions": draw(_actions(name, lasting=duration is not None))}
    if duration is not None:
        phase["duration"] = duration
    if draw(st.sampled_from([False, False, True])):
        approve = draw(st.sampled_from([[], ["ann"]]))
        phase["gate"] = {
            "ask": "now?",
            "timeout": draw(_spans),
            "otherwise": draw(st.sampled_from(["abort", "continue"])),
            "approve": approve,
        }
    return phase


@st.composite
def _actions(draw: st.DrawFn, phase: str, *, lasting: bool, deeds_only: bool = False) -> list[Body]:
    """At most three actions; `lasting`: a fault may do without its `for`."""
    actions: list[Body] = []
    for index in range(draw(st.integers(0, 3) if deeds_only else st.sampled_from((1, 0, 2, 3)))):
        known = _DEEDS if deeds_only else (*_LASTING, *_LASTING, "restart", *_DEEDS)
        action: Body = {"id": f"{phase}-{index}", "action": draw(st.sampled_from(known)), "target": draw(_targets())}
        if action["action"] in _LASTING and (not lasting or draw(st.booleans())):
            action["for"] = draw(_spans)
        if isinstance(action["target"], list) and draw(st.booleans()):
            action |= {"at_once": 1, "settle": draw(_spans)}
        if draw(st.sampled_from([False, False, True])):
            action["delay"] = draw(_spans)
        chained = draw(st.booleans())
        if actions and chained:
            action["after"] = draw(st.sampled_from([before["id"] for before in actions]))
        actions.append(action)
    return actions


def _targets() -> st.SearchStrategy[Any]:
    live: list[Body] = [
        {"of": list(SERVICES), "pick": 1},
        {"of": list(SERVICES), "where": "up"},
        {"of": list(SERVICES), "where": "!up", "pick": 1},
    ]
    return st.sampled_from([*SERVICES, *SERVICES, list(SERVICES), *live])


@st.composite
def _claims(draw: st.DrawFn, prefix: str, faults: list[str]) -> list[Body]:
    """At most two claims; they may be about a fault on a single service."""
    claims: list[Body] = []
    for index in range(draw(st.integers(0, 2))):
        claim: Body = {"id": f"{prefix}{index}", "on_fail": draw(st.sampled_from(["continue", "stop", "abort"]))}
        kind = draw(st.sampled_from(["event", "health", "recovery"] if faults else ["event", "health"]))
        claim["type"] = kind
        if kind == "recovery":
            claim |= {"of": draw(st.sampled_from(faults)), "within": draw(_spans), "by": "any"}
        elif kind == "event":
            claim |= {"where": "true", **draw(_event_windows())}
        else:
            claim |= {"target": "engine", **draw(st.sampled_from([{}, {"throughout": True}]))}
        if faults and kind != "recovery" and draw(st.booleans()):
            claim[draw(st.sampled_from(["during", "after", "before"]))] = draw(st.sampled_from(faults))
        claims.append(claim)
    return claims


def _event_windows() -> st.SearchStrategy[Body]:
    return st.sampled_from([{}, {"within": "3s"}, {"throughout": True}, {"never": True}, {"grace": "3s"}])

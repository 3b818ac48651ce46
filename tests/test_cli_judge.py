"""`judge` and `diff` on runs that really were, in the folder that they left behind."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_cli_runs import NEVER_DOWN, RECOVERS, Place

pytestmark = pytest.mark.long
VAIN = "{type: health, target: web, throughout: true, except: disturbed, during: restart}"
"""Only while it is excused, so nobody can say."""


@pytest.fixture
def place(tmp_path: Path, unused_port: Callable[[], int]) -> Place:
    return Place(tmp_path, unused_port())


def test_runs_that_passed_failed_and_could_not_say_come_out_the_same_and_can_be_compared(place: Place) -> None:
    codes, runs = [], []
    for claim in (RECOVERS, NEVER_DOWN, VAIN):
        code, out, err = place.call("run", place.write(claim=claim), "--json")
        codes.append(code)
        runs.append(json.loads(out)["run_id"])
        assert out, err
    assert codes == [0, 1, 3]

    for run, code in zip(runs, codes, strict=True):
        again, out, err = place.call("judge", run, "--json")
        told = json.loads(out)
        assert (again, told["same"]) == (code, True), err or out
        assert {claim["outcome"] for claim in told["claims"]} == {"same"}
        assert len(told["claims"]) == 4
        assert told["run"]["stored"] == told["run"]["again"]
    code, text, _ = place.call("judge", runs[0])
    assert code == 0
    assert "the same, byte for byte" in text

    worse, out, _ = place.call("diff", runs[0], runs[1], "--json")
    told = json.loads(out)
    assert (worse, told["worse"], told["verdict"]) == (1, True, "worse")
    assert [pair["action"] for pair in told["recoveries"]] == ["restart"]
    assert told["recoveries"][0]["first"] > 0
    assert place.call("diff", runs[1], runs[0])[0] == 0, "nothing got worse"
    assert "nothing came out worse" in place.call("diff", runs[0], runs[0])[1]


def test_an_old_run_is_judged_by_new_claims_and_what_is_wrong_with_them_is_told(place: Place) -> None:
    _, out, _ = place.call("run", place.write(), "--json")
    run = json.loads(out)["run_id"]
    new = place.folder / "new.yaml"

    new.write_text(f"assertions:\n  - {RECOVERS}\n  - {{id: always, type: health, target: web, throughout: true}}\n")
    strict, text, err = place.call("judge", run, "--with", "new.yaml")
    assert strict == 1, err
    assert "always" in text
    assert "✗ FAILED (claim_failed)" in text
    new.write_text("assertions: [{type: event, where: \"event.type == 'x'\", never: true}]")
    blind, out, _ = place.call("judge", run, "--with", "new.yaml", "--json")
    (claim,) = json.loads(out)["claims"]
    assert (blind, claim["verdict"], claim["reason"]) == (3, "inconclusive", "no_samples")
    new.write_text("assertions: [{type: recovery, target: web, of: restrat, within: 5s}]")
    invalid, _, err = place.call("judge", run, "--with", "new.yaml")
    assert invalid == 2
    assert "new.yaml:1:48: there is no fault with the id 'restrat'" in err
    assert place.call("judge", run, "--with", "nowhere.yaml")[0] == 2
    assert place.call("judge", "no-such-run")[0] == 2

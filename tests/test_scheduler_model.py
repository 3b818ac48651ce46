"""The scheduler against everybody else at their worst: a model of the bus, the injector, the validator, people, the clock and crashes."""

import os
import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from messages.control import Hold
from messages.control_events import (
    AbortRequested,
    ApproveRequested,
    ControlRequested,
    PauseRequested,
    RejectRequested,
    ReleaseRequested,
    ResumeRequested,
)
from messages.fault_events import FaultRevertFailed
from messages.scenario import Scenario
from messages.system import System
from messages.verdicts import Verdict
from tests.scheduler_model.documents import scenario_of, scenarios, system_of_ours, systems
from tests.scheduler_model.invariants import check_journal, shape
from tests.scheduler_model.journal import BEGIN, Journal, Owner
from tests.scheduler_model.others import failing, goes_well, moves, say

SOAK = int(os.environ.get("SCHEDULER_MODEL_EXAMPLES", "0"))
"""How many runs are played instead of the few that fit into every build."""
JUMPS = 120
"""How often the clock goes on to a wake until a run whose people let it go has ended."""
LONGEST = timedelta(hours=2)
"""How long that may take: the longest timeout is one hour."""
HOLD = Hold(principal="ops", note="outage", since=BEGIN)
VERBS = ("abort", "pause", "pause", "resume", "resume", "approve", "reject", "hold", "release")
LEAPS = (0.001, 0.1, 0.5, 1, 1, 2, 4, 4, 16, 31, 70, 600)
SILENT = ("fault.armed", "fault.effective", "fault.reverted", "fault.gone", "action.done", "assertion.judged")
who = st.integers(0, 1)
which = st.integers(0, 9999)


class SchedulerModel(RuleBasedStateMachine):
    """One run, two schedulers that both believe to have it, and everybody who speaks in its journal."""

    journal: Journal
    owners: tuple[Owner, Owner]

    @initialize(
        scenario=scenarios(),
        system=systems(),
        skew=st.sampled_from((0, 40, -40)),
        ahead=st.integers(0, 8),
        ending=st.sampled_from(("silent", "good", "good", "good", "any")),
        seed=which,
        unsaid=st.sampled_from(((), (), (), *((kind,) for kind in SILENT))),
    )
    def begin(self, scenario: Scenario, system: System, skew: int, ahead: int, ending: str, seed: int, unsaid: tuple[str, ...]) -> None:
        """Accept a run; it has gone well for some steps already."""
        self.journal = Journal(scenario, system)
        self.journal.unsaid = frozenset(unsaid)
        self.owners = Owner(self.journal, timedelta()), Owner(self.journal, timedelta(milliseconds=skew))
        self.ending, self.random, self.number = ending, random.Random(seed), 1
        for _ in range(ahead):
            self.go_on()

    @rule(owner=who)
    def take_a_turn(self, owner: int) -> None:
        self.owners[owner].turn()

    @rule(owner=who, behind=st.integers(0, 6))
    def look(self, owner: int, behind: int) -> None:
        """One scheduler reads, though perhaps not all, and decides."""
        if not self.owners[owner].pending:
            self.owners[owner].read(behind)
            self.owners[owner].decide()

    @precondition(lambda self: any(owner.pending for owner in self.owners))
    @rule(owner=who, count=st.integers(1, 3), acknowledged=st.booleans())
    def store(self, owner: int, count: int, acknowledged: bool) -> None:  # noqa: FBT001 - Hypothesis draws it
        for _ in range(count):
            if self.owners[owner].pending:
                self.owners[owner].store(acknowledged=acknowledged)

    @rule(owner=who)
    def crash(self, owner: int) -> None:
        self.owners[owner].crash()

    @rule(index=which)
    def answer(self, index: int) -> None:
        """Somebody says something, good or bad."""
        possible = moves(self.journal)
        if possible:
            say(self.journal, possible[index % len(possible)])

    @rule(index=which)
    def fail(self, index: int) -> None:
        """A claim fails."""
        waiting = [name for name, claim in self.journal.state.assertions.items() if claim.verdict is None]
        if waiting:
            say(self.journal, failing(waiting[index % len(waiting)]))

    @rule(rounds=st.integers(1, 2))
    def all_is_well(self, rounds: int) -> None:
        for _ in range(rounds):
            self.go_on()

    @rule(verb=st.sampled_from(VERBS), principal=st.sampled_from(("ann", "bob")), heard=st.sampled_from((0, 0, 1, None)))
    def ask(self, verb: str, principal: str, heard: int | None) -> None:
        """People pull a lever, and perhaps a scheduler hears of it at once."""
        if verb in {"hold", "release"}:
            self.journal.hold = HOLD if verb == "hold" else None
        if verb != "hold":
            self.number += 1
            self.journal.tell("control", self.request(verb, principal))
        if heard is not None:
            self.owners[heard].turn()

    def request(self, verb: str, principal: str) -> ControlRequested:
        """What a verb stores."""
        gate = self.journal.state.standing.gate
        phase = gate.asked.phase if gate is not None else "p1"
        match verb:
            case "abort":
                return AbortRequested(principal=principal)
            case "approve":
                return ApproveRequested(principal=principal, phase=phase, number=self.number)
            case "reject":
                return RejectRequested(principal=principal, phase=phase, number=self.number)
        kind = {"pause": PauseRequested, "resume": ResumeRequested, "release": ReleaseRequested}[verb]
        return kind(principal=principal, number=self.number)

    @rule(owner=who)
    def wait_for_a_wake(self, owner: int) -> None:
        wake = self.owners[owner].wake
        if wake is not None:
            self.journal.now = max(self.journal.now, wake)

    @rule(seconds=st.sampled_from(LEAPS))
    def time_passes(self, seconds: float) -> None:
        self.journal.now += timedelta(seconds=seconds)

    @rule(index=which)
    def hear_again(self, index: int) -> None:
        """A line of somebody else's is stored twice: what knew it again had forgotten it."""
        line = self.journal.lines[index % len(self.journal.lines)]
        if line.actor in {"control", "validator"} and self.journal.state.finished is None:
            self.journal.add(line.actor, line.event)

    def go_on(self) -> None:
        """A scheduler does all it can, then others do, or the clock goes on."""
        owner = self.owners[0]
        owner.turn()
        if not goes_well(self.journal, 3, lambda found: found[0]) and owner.wake is not None:
            self.journal.now = max(self.journal.now, owner.wake)

    def teardown(self) -> None:
        """People let the run go; it ends, whatever the others do, and stays as it ended."""
        if not hasattr(self, "journal"):
            return
        self.let_go()
        self.play_to_the_end()
        self.look_back()

    def let_go(self) -> None:
        self.journal.hold = None
        for verb in ("resume", "release"):
            self.ask(verb, "ann", None)

    def play_to_the_end(self) -> None:
        owner, left = self.owners[self.random.randrange(2)], 60
        latest = self.journal.now + LONGEST
        for _ in range(JUMPS):
            owner.turn()
            if self.journal.state.finished is not None:
                assert self.journal.now < latest, "it took longer than its timeout and all its budgets"
                return
            left -= 1
            if self.ending == "good" and goes_well(self.journal, 5, self.random.choice):
                continue
            possible = moves(self.journal)
            if self.ending == "any" and left > 0 and possible and self.random.random() < 0.8:
                say(self.journal, self.random.choice(possible))
                continue
            assert owner.wake is not None, "nothing will ever wake it"
            self.journal.now = max(self.journal.now, owner.wake - owner.skew)
        raise AssertionError([line.evidence for line in self.journal.lines[-20:]])

    def look_back(self) -> None:
        """What comes after the end changes nothing, and whoever reads the journal sees the same."""
        end = self.journal.state.finished
        for _ in range(5):
            possible = moves(self.journal)
            if possible:
                say(self.journal, self.random.choice(possible))
        for owner in self.owners:
            owner.turn()
        check_journal(self.journal.lines)
        whole = shape(self.journal.fold())
        assert self.journal.state.finished == end
        assert all(shape(owner.state) == whole for owner in self.owners), "who read it line by line sees something else"


pytestmark = pytest.mark.timeout(600)  # only a failure takes long: it is made as small as it can be
_effort = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


class TestAnyRun(SchedulerModel.TestCase):  # type: ignore[misc,valid-type]
    """Of whatever scenario, in whatever order its events come: it ends once, undone or unsafe, and never passes unproven."""

    settings = settings(_effort, max_examples=SOAK or 150, stateful_step_count=40)


@given(scenario=scenarios(), system=systems(), seed=which, unsaid=st.sampled_from(SILENT))
@settings(_effort, max_examples=SOAK or 100)
def test_a_run_in_which_all_is_well_but_one_thing_is_never_said_ends_and_does_not_pass_unproven(
    scenario: Scenario, system: System, seed: int, unsaid: str
) -> None:
    model = SchedulerModel()

    model.begin(scenario, system, 0, 0, "good", seed, (unsaid,))

    model.teardown()


def test_a_fault_that_is_undone_after_its_undo_was_given_up_opens_no_window_that_keeps_the_run_from_its_end() -> None:
    fault = {"id": "stop", "target": "engine", "action": "stop", "for": "1s"}
    claim = {"id": "after", "type": "event", "where": "true", "after": "stop"}
    journal = Journal(scenario_of([{"name": "p0", "actions": [fault]}], [claim]), system_of_ours())
    owner = Owner(journal, timedelta())
    journal.unsaid = frozenset({"fault.reverted"})
    while "release" not in journal.state.requests:
        owner.turn()
        goes_well(journal, 1, lambda found: found[0])
        if journal.state.stage_name() == "p0":
            journal.now += timedelta(seconds=1)
        if journal.state.actions.states and journal.state.actions.states["stop"].undo_requested is not None:
            journal.tell("chaos-injector", FaultRevertFailed(fault_id="stop", message="m", attempts=5))

    journal.unsaid = frozenset()
    goes_well(journal, 5, lambda found: found[-1])
    owner.turn()

    assert journal.state.actions.states["stop"].gone is not None
    assert journal.state.finished is not None
    assert journal.state.finished.verdict is Verdict.UNSAFE

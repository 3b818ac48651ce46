"""Verdicts, from best to worst, and the closed list of reasons."""

from enum import StrEnum
from typing import Literal


class Verdict(StrEnum):
    """What a run or a claim came to. Members are ordered from best to worst."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    ABORTED = "aborted"
    UNSAFE = "unsafe"

    @property
    def rank(self) -> int:
        """0 for the best; a run has the worst verdict of its parts."""
        return list(Verdict).index(self)

    @property
    def exit_code(self) -> int:
        """What the command line exits with."""
        return {"passed": 0, "failed": 1, "inconclusive": 3, "aborted": 4, "unsafe": 5}[self.value]


def worst(*verdicts: Verdict) -> Verdict:
    """The worst of the verdicts; `inconclusive` of none, since nothing proves nothing."""
    return max(verdicts, key=lambda v: v.rank, default=Verdict.INCONCLUSIVE)


Control = Literal["vacuous", "needs_fault", "control"]
"""What a rehearsal finds of a claim about a fault: it passes without it; it does not, as it should not; it cannot be judged without it."""


class Reason(StrEnum):
    """Why a verdict is not `passed`."""

    PRECONDITION = "precondition"
    NO_EFFECT = "no_effect"
    NO_SAMPLES = "no_samples"
    TOO_FEW_SAMPLES = "too_few_samples"
    NO_TARGET = "no_target"
    REFUSED_LIMIT = "refused_limit"
    UNSUPPORTED_HERE = "unsupported_here"
    WORKLOAD_DIED = "workload_died"
    JUDGE_ERROR = "judge_error"
    PHASE_CUT = "phase_cut"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    REVERT_FAILED = "revert_failed"
    CLAIM_FAILED = "claim_failed"
    GAP = "gap"
    VACUOUS = "vacuous"


HINTS = {
    Reason.PRECONDITION: "The system was not in its steady state before the first fault. Bring it to health and run again.",
    Reason.NO_EFFECT: "A fault was injected but nothing showed that it had an effect. Check that the target is the process that serves.",
    Reason.NO_SAMPLES: "Nothing was seen that the claim could rest on. Widen the window, drop `except`, or check event streams and probes.",
    Reason.TOO_FEW_SAMPLES: "Too little was seen to judge by. Lengthen the phase or lower what the claim asks for.",
    Reason.NO_TARGET: (
        "No injector that can reach the target answered. Start one with `test-coordinator serve --actors chaos-injector`; "
        "where one is at work, the machine may have been too busy for it to answer in time: run again when there is less to do."
    ),
    Reason.REFUSED_LIMIT: "The system's limits do not allow this fault. Change the scenario, or the system's `limits`.",
    Reason.UNSUPPORTED_HERE: "The target cannot do the action here: see `test-coordinator services`, and `doctor` for what is missing.",
    Reason.WORKLOAD_DIED: "A workload ended by itself, so there was nothing to judge by. Look at its output.",
    Reason.JUDGE_ERROR: "Judging the claim raised an error. Look at its message and at the `where` expression.",
    Reason.PHASE_CUT: "A phase ended before its time, so some claims were never tested.",
    Reason.TIMEOUT: "The run, or a gate of it, took longer than its `timeout` allows. The message says which.",
    Reason.CANCELLED: "The run was ended before it was done. The message says by whom, and why if that was told.",
    Reason.REVERT_FAILED: "A fault could not be undone. Put the target right by hand.",
    Reason.CLAIM_FAILED: "The system did not do what the scenario claims. The assertion's message and evidence say where to look.",
    Reason.GAP: "A part of what had to be seen was not, since an actor was away or links were lost. Run again with all kept up.",
    Reason.VACUOUS: (
        "A claim that passes without its fault does not show that the fault had an effect. Narrow its window or its `where` to what only "
        "the fault brings about; if it is to hold with the fault and without, say `without_fault: holds`."
    ),
}

"""A `Scenario` document: phases of actions, and claims."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from messages.claims import AnyClaim
from messages.claims.claim import Targets, as_tuple
from messages.system import Metadata
from messages.values import Document, Duration, Token

DEFAULT_SLACK = timedelta(minutes=5)
STAGES = ("settle", "finally", "recover")
"""Names of the stages that every run has beside its phases; no phase may have one of them."""

Variable = Duration | float | int | str | tuple[str, ...]


class Parameters(Document):
    """What an action may be told. None of today's actions takes any."""


class Action(Document):
    """Something done to a target. One that disturbs is a fault: it is undone when `for` has passed, or at the phase's end."""

    id: Token = "unnamed"
    """Unique in the scenario. Made from the action and its target when left out."""
    target: Targets
    """A service, or a list of them: one fault each."""
    action: str
    """stop, kill, pause or restart (faults); start or resume."""
    parameters: Parameters = Parameters()
    for_: Duration | None = Field(default=None, alias="for")
    """How long the fault stays; without it, to the phase's end."""
    delay: Duration = timedelta()
    """From the phase's start, or from the end of what `after` names."""
    after: Token | None = None
    """Another action of the phase: this one starts when that is gone."""
    effect_within: Duration = timedelta(seconds=5)
    """How soon after the injection an effect must be seen from outside."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The services, however they were written."""
        return as_tuple(self.target)

    def faults(self) -> dict[str, str]:
        """The id of the fault on each target, or of what is done to it when that is no fault."""
        if len(self.targets) == 1:
            return {self.id: self.targets[0]}
        return {f"{self.id}-{target}": target for target in self.targets}

    @property
    def spec(self) -> "ActionSpec":
        """What is known of the action."""
        return ACTIONS[self.action]


class ActionSpec(Document):
    """What an action is."""

    summary: str
    fault: bool
    """It disturbs, and has an undo."""
    ends_itself: bool = False
    """It is undone at once, by itself."""
    drivers: tuple[str, ...] = ("process",)


ACTIONS: dict[str, ActionSpec] = {
    "stop": ActionSpec(summary="Ends the service with its stop signal and leaves it down until its end.", fault=True),
    "kill": ActionSpec(summary="Kills the service (SIGKILL) and leaves it down until its end.", fault=True),
    "pause": ActionSpec(summary="Halts the service (SIGSTOP) until its end.", fault=True),
    "restart": ActionSpec(summary="Ends the service with its stop signal and starts it again at once.", fault=True, ends_itself=True),
    "start": ActionSpec(summary="Starts the service if it does not run.", fault=False),
    "resume": ActionSpec(summary="Lets a halted service go on (SIGCONT).", fault=False),
}


class Phase(Document):
    """A part of a run. It holds for its duration, else until its last action is done."""

    name: Token
    description: str = ""
    duration: Duration | None = None
    actions: tuple[Action, ...] = ()
    assertions: tuple[AnyClaim, ...] = ()
    """Claims whose window is the phase."""


class ScenarioSpec(Document):
    """What a scenario is made of."""

    system: Token
    """The name of the system under test."""
    timeout: Duration | None = None
    """The run is aborted after this time; by default the phases' sum and 5 minutes."""
    variables: dict[Token, Variable] = Field(default={})
    """Typed values for `{{ variables.name }}`: a duration, number, text or list."""
    phases: tuple[Phase, ...] = Field(min_length=1)
    assertions: tuple[AnyClaim, ...] = ()
    """Claims over the whole run: from the first phase's start to the end of recovery."""
    finally_: tuple[Action, ...] = Field(default=(), alias="finally")
    """Always done, after the undo; no faults."""


class Scenario(Document):
    """What is done to a system, and what must be true of it meanwhile."""

    apiVersion: Literal["chaos.trading/v1"] = "chaos.trading/v1"  # noqa: N815
    kind: Literal["Scenario"] = "Scenario"
    metadata: Metadata
    spec: ScenarioSpec

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.metadata.name

    @property
    def timeout(self) -> timedelta:
        """The bound of a run, from its start."""
        if self.spec.timeout is not None:
            return self.spec.timeout
        return sum((p.duration or timedelta() for p in self.spec.phases), DEFAULT_SLACK)

    def claims(self) -> dict[str, tuple[AnyClaim, str | None]]:
        """Every claim by its id, with the phase it stands in (None: the whole run)."""
        found: dict[str, tuple[AnyClaim, str | None]] = {}
        for phase in self.spec.phases:
            found.update({claim.id: (claim, phase.name) for claim in phase.assertions})
        found.update({claim.id: (claim, None) for claim in self.spec.assertions})
        return found

    def faults(self) -> dict[str, tuple[str, Action, str]]:
        """Every fault by its id: the target, the action and the phase."""
        return {
            fault: (target, action, phase.name)
            for phase in self.spec.phases
            for action in phase.actions
            if action.spec.fault
            for fault, target in action.faults().items()
        }

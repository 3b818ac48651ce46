"""A `Scenario` document: phases of actions, and claims."""

import json
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from messages.actions import ACTIONS, ActionSpec, Parameters, TargetKind
from messages.claims import AnyClaim
from messages.claims.claim import ONE_OF_THEM, as_tuple
from messages.system import Metadata
from messages.targets import Selection, Target
from messages.values import Document, Duration, Token

DEFAULT_SLACK = timedelta(minutes=5)
STAGES = ("settle", "finally", "recover")
"""Names of the stages that every run has beside its phases; no phase may have one of them."""

Variable = Duration | float | int | str | tuple[str, ...]


class Action(Document):
    """Something done to a target. One that disturbs is a fault: it is undone when `for` has passed, or at the phase's end."""

    id: Token = "unnamed"
    """Unique in the scenario. Made from the action and its target when left out."""
    target: Target
    """A service, a list of them (one fault each), `{of: …}`, `{group: …}`, `{link: …}`, `{volume: …}` or `{between: [one, other]}`."""
    action: str
    """What is done: one of the actions of the language."""
    parameters: dict[Token, JsonValue] = Field(default={})
    """What the action is told; each action has its own."""
    for_: Duration | None = Field(default=None, alias="for")
    """How long the fault stays; without it, to the phase's end."""
    delay: Duration = timedelta()
    """From the phase's start, or from the end of what `after` names."""
    after: Token | None = None
    """Another action of the phase: this one starts when that is gone."""
    at_once: Annotated[int, Field(ge=1, le=200)] | None = None
    """A rolling action: this many targets at a time, the next ones when those are gone."""
    settle: Duration = timedelta()
    """The pause of a rolling action between one lot of targets and the next."""
    effect_within: Duration = timedelta(seconds=5)
    """How soon after the injection an effect must be seen from outside."""

    @property
    def kind(self) -> TargetKind:
        """On what kind of target it works."""
        return self.target.kind if isinstance(self.target, Selection) else "service"

    @property
    def is_live(self) -> bool:
        """Whether its targets are chosen when it starts."""
        return isinstance(self.target, Selection) and self.target.is_live

    @property
    def targets(self) -> tuple[str, ...]:
        """The services, links or volumes that it names (candidates, if it is live); a partition is one target, named as the action."""
        if not isinstance(self.target, Selection):
            return as_tuple(self.target)
        return (self.id,) if self.kind == "partition" else self.target.names

    def faults(self, chosen: tuple[str, ...] | None = None) -> dict[str, str]:
        """The id of the fault on each target, or of what is done to it when that is no fault. Of a live target, on those `chosen`."""
        if isinstance(self.target, Selection) and self.target.pick == 1:
            return dict(zip((self.id,), (ONE_OF_THEM,) if chosen is None else chosen, strict=False))
        targets = self.targets if chosen is None else chosen
        return {self.id if len(self.targets) == 1 else f"{self.id}-{target}": target for target in targets}

    @property
    def spec(self) -> ActionSpec:
        """What is known of the action."""
        return ACTIONS[self.action]

    @property
    def told(self) -> Parameters:
        """Its parameters, typed.

        Raises:
            pydantic.ValidationError: they do not fit the action.
        """
        return self.spec.parameters.model_validate_json(json.dumps(self.parameters))


class RandomAction(Document):
    """One of the actions that a random plan draws from."""

    action: str
    target: Target
    """Each draw takes one of these services, links or volumes."""
    parameters: dict[Token, JsonValue] = Field(default={})
    """A value that is a list of two durations, sizes or numbers is drawn from that range."""
    for_: Duration = Field(alias="for")
    """How long each fault stays."""
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """How often it is drawn, beside the others."""


class RandomPlan(Document):
    """A monkey with a seed: at fixed intervals it does one of several actions to one of their targets."""

    seed: int | None = None
    """The same seed draws the same plan; without one each run draws its own, and its journal holds it."""
    every: Duration
    """From one draw to the next; the first is at the phase's start."""
    count: Annotated[int, Field(ge=1, le=200)] | None = None
    """How many draws; by default as many as the phase's duration holds."""
    among: tuple[RandomAction, ...] = Field(min_length=1)
    drawn: bool = False
    """What was drawn stands in the phase's `actions`, and nothing is drawn again. Set when the run is accepted."""


class Gate(Document):
    """A question before a phase. While it waits for an answer everything is undone and the run's clocks stand still."""

    ask: Annotated[str, Field(min_length=1, max_length=500)]
    """What people are asked."""
    approve: tuple[Token, ...] = ()
    """The principals who may say yes or no; nobody named: anybody."""
    timeout: Duration = timedelta(minutes=30)
    """How long it waits, in real time whatever the speed."""
    otherwise: Literal["abort", "continue"] = "abort"
    """What happens when nobody has answered by then."""


class Phase(Document):
    """A part of a run. It holds for its duration, else until its last action is done."""

    name: Token
    description: str = ""
    gate: Gate | None = None
    """A question that must be answered before the phase starts."""
    duration: Duration | None = None
    actions: tuple[Action, ...] = ()
    random: RandomPlan | None = None
    """Actions that are drawn when the run is accepted, and then stand in `actions`."""
    assertions: tuple[AnyClaim, ...] = ()
    """Claims whose window is the phase."""


class GroupLimit(Document):
    """A bound on how many runs of a group there are at once, whatever their systems. Each run has its system alone, too."""

    group: Token
    """Runs whose scenarios name the same group count together, over all instances of the namespace."""
    limit: Annotated[int, Field(ge=1, le=1000)]
    """This scenario starts only while fewer runs of the group than this are on."""


class ScenarioSpec(Document):
    """What a scenario is made of."""

    system: Token
    """The name of the system under test."""
    concurrency: Literal["exclusive", "shared"] | GroupLimit = "exclusive"
    """`shared`: it may run beside other scenarios that say so, on a system that says so too, and holds no faults there.
    `{group: G, limit: N}`: it starts only while fewer than N runs of that group are on."""
    timeout: Duration | None = None
    """The run is aborted after this time; by default the phases' sum and 5 minutes."""
    variables: dict[Token, Variable] = Field(default={})
    """Typed values for `{{ variables.name }}`: a duration, number, text or list."""
    vocabulary: tuple[Token, ...] = Field(default=(), exclude=True)
    """Assertions documents whose words it uses, beside those of its system. A run has the claims that they stand for, and not this."""
    phases: tuple[Phase, ...] = Field(min_length=1)
    assertions: tuple[AnyClaim, ...] = ()
    """Claims over the whole run: from the first phase's start to the end of recovery."""
    finally_: tuple[Action, ...] = Field(default=(), alias="finally")
    """Always done, after the undo; no faults."""
    duration: Duration | None = None
    """What the phases are meant to take together. For readers: the phases' own durations count."""
    success_criteria: tuple[str, ...] = ()
    """The criteria of an original document. What every verdict implies is kept for readers, the others are claims too."""
    reporting: dict[str, JsonValue] = Field(default={})
    """What an original document wants in its report. For readers: every report has all of it."""
    speed: Annotated[float, Field(gt=0)] = 1.0
    """How many times as fast as written; the times of the document are divided by it already. Set when the run is accepted."""
    held: tuple[str, ...] = ()
    """Limits that were not divided as far, each as PATH: LIMIT. Set when the run is accepted."""


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

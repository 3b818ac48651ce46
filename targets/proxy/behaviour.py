"""What an action with its parameters does to the connections of a lane."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from messages.actions.links import (
    Bandwidth,
    Blackhole,
    Cut,
    Direction,
    Latency,
    LimitBytes,
    Refuse,
    Reset,
    SlowClose,
    Way,
    ways_of,
)
from messages.actions.spec import Parameters
from targets.proxy.flow import GateMaker
from targets.proxy.gates import ClosingLate, Delaying, Holding, Limiting, Pace, Pacing, Swallowing


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a lane does while a fault is on it; by default it is transparent."""

    gates: Mapping[Way, GateMaker] = field(default_factory=dict)
    set_up: float = 0.0
    """Seconds that a new connection waits before it goes on to the service; infinite while it must not."""
    reset_after: float | None = None
    """Seconds that a connection may live."""
    refuses: bool = False


TRANSPARENT = Behaviour()


def behaviour_of(parameters: Parameters) -> Behaviour:
    """A new behaviour for one lane; what its connections share, such as a pace, is its own."""
    match parameters:
        case Latency(direction=direction):
            behaviour = Behaviour(_on(direction, _delaying(parameters)), set_up=parameters.delay.total_seconds() * len(ways_of(direction)))
        case Bandwidth(direction=direction):
            behaviour = Behaviour({way: partial(Pacing, pace=Pace(parameters.rate)) for way in ways_of(direction)})
        case Blackhole(direction=direction):
            behaviour = Behaviour(_on(direction, Swallowing), set_up=math.inf if direction == "both" else 0.0)
        case Cut(direction=direction):
            behaviour = Behaviour(_on(direction, Holding), set_up=math.inf)
        case SlowClose():
            behaviour = Behaviour(_on("both", partial(ClosingLate, delay=parameters.delay.total_seconds())))
        case LimitBytes(direction=direction):
            behaviour = Behaviour(_on(direction, partial(Limiting, size=parameters.bytes)))
        case Reset():
            behaviour = Behaviour(reset_after=parameters.after.total_seconds())
        case Refuse():
            behaviour = Behaviour(refuses=True)
        case _:
            raise TypeError(parameters)
    return behaviour


def _on(direction: Direction, gate: GateMaker) -> dict[Way, GateMaker]:
    return dict.fromkeys(ways_of(direction), gate)


def _delaying(parameters: Latency) -> GateMaker:
    return partial(Delaying, delay=parameters.delay.total_seconds(), jitter=parameters.jitter.total_seconds())

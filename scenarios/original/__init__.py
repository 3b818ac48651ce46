"""The original documents of the field, which load unchanged: their words in the language's own.

Where they leave open what they mean:

- `actions` are calls that return at once, so their sequence is that of the calls, not of what they cause: they start together. Only where
  one that ends something (`clear_chaos`) is followed by one on the same service, the later one waits for it. `parallel_actions` start
  with them, after their `delay`.
- A fault ends with its phase, or when its own duration is over, if that comes first. No fault passes into the next phase.
- A phase holds for its duration. `within` may be longer: it counts from the phase's start, and the run waits for it.
- `rollback` is done whatever happens (`finally`), since it only puts things right.
- A document that names no system is about the library's trading system.
- What nobody here can do or judge loads, is refused when its time comes, and makes the run inconclusive.
"""

from scenarios.original.placeholders import take_go_placeholders
from scenarios.original.translation import is_original, translate

__all__ = ["is_original", "take_go_placeholders", "translate"]

"""What makes a service event the same as another: a business key that an expression reads."""

from messages.claims.claim import ServiceEvent
from messages.expressions import Expression, ExpressionError


def key_of(key: Expression, event: ServiceEvent) -> str:
    """The key of an event, as text.

    Raises:
        ExpressionError: it has none, or that is no text or number.
    """
    found = key.evaluate(event.bindings)
    if not isinstance(found, str | int | float) or isinstance(found, bool) or found == "":
        msg = f"the key is {'empty' if found == '' else type(found).__name__}, not a text or number"
        raise ExpressionError(msg)
    return str(found)

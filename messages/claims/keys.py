"""What makes a service event, or a span, the same as another: a business key that an expression reads."""

from messages.expressions import Bindings, Expression, ExpressionError


def key_of(key: Expression, values: Bindings) -> str:
    """The key of an event or a span, as text.

    Raises:
        ExpressionError: it has none, or that is no text or number.
    """
    found = key.evaluate(values)
    if not isinstance(found, str | int | float) or isinstance(found, bool) or found == "":
        msg = f"the key is {'empty' if found == '' else type(found).__name__}, not a text or number"
        raise ExpressionError(msg)
    return str(found)

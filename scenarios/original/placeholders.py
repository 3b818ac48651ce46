"""`{{ .Variables.x }}` and `{{ .Parameters.x }}`, as the original documents write placeholders."""

import re
from typing import Any

_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_NAME = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<![\w\])])\.(Variables|Parameters)\.""")


def take_go_placeholders(value: Any) -> Any:
    """The value with every placeholder in the language's own form; lists and mappings are changed in place."""
    if isinstance(value, dict):
        for key in value:
            value[key] = take_go_placeholders(value[key])
    elif isinstance(value, list):
        value[:] = [take_go_placeholders(item) for item in value]
    elif isinstance(value, str) and "{{" in value:
        return _EXPRESSION.sub(lambda expression: _NAME.sub(_own, expression[0]), value)
    return value


def _own(match: re.Match[str]) -> str:
    return match[1] or f"{match[2].lower()}."

"""Secrets are names until the host that uses them needs the values."""

from collections.abc import Mapping

from messages.system import Secret
from targets.errors import SecretMissing


def resolve_env(env: Mapping[str, str | Secret], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of `env` with every secret's value, taken from `environment`. Never log the result.

    Raises:
        SecretMissing: naming all that `environment` does not hold.
    """
    missing = [value.secret for value in env.values() if isinstance(value, Secret) and value.secret not in environment]
    if missing:
        raise SecretMissing(missing)
    return {name: environment[value.secret] if isinstance(value, Secret) else value for name, value in env.items()}

"""Secrets are names until the host that uses them needs the values."""

from collections.abc import Iterable, Mapping

from messages.system import Secret, System
from targets.errors import SecretMissing

SHORTEST_LINE = 6
"""Characters of a line of a secret that is hidden by itself too: shorter ones, such as a bracket, say nothing."""


def resolve_env(env: Mapping[str, str | Secret], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of `env` with every secret's value, taken from `environment`. Never log the result.

    Raises:
        SecretMissing: naming all that `environment` does not hold.
    """
    missing = [value.secret for value in env.values() if isinstance(value, Secret) and value.secret not in environment]
    if missing:
        raise SecretMissing(missing)
    return {name: environment[value.secret] if isinstance(value, Secret) else value for name, value in env.items()}


def secrets_of(system: System, environment: Mapping[str, str]) -> tuple[str, ...]:
    """What must not be told of a system: the values of all its secrets, and the lines of those that have several; the longest first."""
    spec = system.spec
    envs = [service.driver.process.env for service in spec.services.values() if service.driver.process is not None]
    envs += [workload.env for workload in spec.workloads.values()]
    names = {value.secret for env in envs for value in env.values() if isinstance(value, Secret)}
    names |= {service.chaos.key.secret for service in spec.services.values() if service.chaos is not None and service.chaos.key}
    values = {environment.get(name, "") for name in names}
    lines = {line for value in values if "\n" in value for line in value.splitlines() if len(line) >= SHORTEST_LINE}
    return tuple(sorted(filter(None, values | lines), key=len, reverse=True))


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets in it."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text

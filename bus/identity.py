"""Who we are: every name that derives from the name of an instance."""

import os
import re
import secrets
import socket
from dataclasses import dataclass
from typing import Literal, get_args

from bus.errors import NameInvalid

Environment = Literal["development", "testing", "production", "docker"]
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_RIGHT = "use 1 to 63 letters, digits and inner hyphens, like test-coordinator-Chaos1"
_LONGEST_HOST = 40


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A named deployment. What is left empty derives from the service's name; schema and Redis namespace by the ecosystem's rule G.

    Raises:
        NameInvalid: a name that could not be part of a subject, or an unknown environment; the text says what would be right.
    """

    service: str = "test-coordinator"
    name: str = ""
    environment: Environment = "development"
    namespace: str = ""
    schema: str = ""
    redis_namespace: str = ""

    def __post_init__(self) -> None:
        self._fill("name", self.service)
        self._fill("namespace", self.service)
        for setting, value in (("SERVICE_NAME", self.service), ("SERVICE_INSTANCE_NAME", self.name), ("NAMESPACE", self.namespace)):
            if not _NAME.match(value):
                raise NameInvalid(setting, value, _RIGHT)
        if self.environment not in get_args(Environment):
            raise NameInvalid("ENVIRONMENT", self.environment, f"use one of {', '.join(get_args(Environment))}")
        first, _, rest = self.name.partition("-")
        self._fill("schema", first.lower() if self.is_singleton else self.name.lower().replace("-", "_"))
        self._fill("redis_namespace", f"{first}:{rest}" if rest and not self.is_singleton else first)

    @property
    def key(self) -> str:
        """What two spellings of one name have in common: names that differ only in case are the same instance."""
        return self.name.lower()

    @property
    def derived(self) -> dict[str, str]:
        """The names that no other instance may have too, each with what it is."""
        return {"PostgreSQL schema": self.schema, "Redis namespace": self.redis_namespace}

    @property
    def is_singleton(self) -> bool:
        """Whether it is the only instance of its service."""
        return self.key == self.service.lower()

    def client_name(self, host: str) -> str:
        """How one of its hosts is called in the server's list of connections."""
        return f"{self.name}.{host}"

    def lease_key(self, host: str) -> str:
        """Where one of its hosts keeps its lease."""
        return f"{self.key}.{host}"

    def _fill(self, field: str, value: str) -> None:
        if not getattr(self, field):
            object.__setattr__(self, field, value)


def host_id(hostname: str, pid: int, nonce: str) -> str:
    """The Token of one process: readable, and never the same twice."""
    return f"{re.sub(r'[^A-Za-z0-9-]', '-', hostname)[:_LONGEST_HOST]}-{pid}-{nonce}"


def new_host_id() -> str:
    """The id of this process, another one at each call."""
    return host_id(socket.gethostname(), os.getpid(), secrets.token_hex(4))

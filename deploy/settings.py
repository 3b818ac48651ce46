"""What the environment says about this process, read once and passed down."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from bus.errors import NameInvalid, PartitionsInvalid
from bus.identity import Environment, Instance
from bus.ownership import parse_partitions
from bus.state import default_folder
from deploy.errors import SettingsInvalid
from messages.descriptions import descriptions
from messages.values import format_duration, parse_duration

CONNECT_LIMIT = timedelta(seconds=2)
"""How long NATS may take to answer at the start: with the program's own start well below the five seconds that are promised."""
SHORTEST_RETENTION = timedelta(minutes=1)
"""So long those who follow a run may take to read its end."""
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def _upper(value: Any) -> Any:
    return value.strip().upper() if isinstance(value, str) else value


def _read_retention(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "never":
        return None
    span = parse_duration(value.strip())
    if span < SHORTEST_RETENTION:
        msg = f"shorter than {format_duration(SHORTEST_RETENTION)}"
        raise ValueError(msg)
    return span


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _url(value: Any) -> Any:
    parts = urlsplit(value.strip()) if isinstance(value, str) else None
    if parts is not None and value.strip() and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
        msg = "no address of an HTTP server"
        raise ValueError(msg)
    return value.strip() if isinstance(value, str) else value


Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """The settings of one process, each an environment variable of the same name in capitals; an empty one counts as not set."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    service_name: str = "test-coordinator"
    """1 to 63 letters, digits and inner hyphens."""
    service_instance_name: str = ""
    """1 to 63 letters, digits and inner hyphens, like test-coordinator-Chaos1."""
    service_version: str = "0.1.0"
    """A version, like 0.1.0."""
    environment: Annotated[Environment, BeforeValidator(_lower)] = "development"
    """One of development, testing, production, docker."""
    namespace: str = ""
    """1 to 63 letters, digits and inner hyphens; instances that share their work have the same."""
    nats_url: str = ""
    """An address, like nats://127.0.0.1:4222; several are separated by commas."""
    partitions: str = "auto"
    """Which runs this host takes: auto, or partitions by number like 0-3,7."""
    replicas: Annotated[Literal[1, 3, 5], BeforeValidator(_number)] = 1
    """How many servers of a cluster hold each stream: 1, 3 or 5."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """The address to listen on; 0.0.0.0 for all."""
    http_port: Port | None = None
    """A port from 0 to 65535; 0 picks a free one."""
    grpc_port: Port | None = None
    """A port from 0 to 65535; 0 picks a free one."""
    log_level: Annotated[Level | None, BeforeValidator(_upper)] = None
    """One of debug, info, warning, error, critical, in any case."""
    log_format: Annotated[Literal["json", "console"] | None, BeforeValidator(_lower)] = None
    """json or console."""
    state_dir: Path | None = None
    """A folder that can be written."""
    retention: Annotated[timedelta | None, BeforeValidator(_read_retention)] = timedelta(days=7)
    """A duration of 1m or more, like 7d, after which a reported run moves into the archive, or never."""

    audit_correlator_url: Annotated[str, BeforeValidator(_url)] = ""
    """Where an audit correlator serves, like http://127.0.0.1:8082."""

    _instance: Instance = PrivateAttr()

    def model_post_init(self, _context: Any) -> None:
        self._instance = Instance(
            service=self.service_name, name=self.service_instance_name, environment=self.environment, namespace=self.namespace
        )
        parse_partitions(self.partitions)

    @property
    def instance(self) -> Instance:
        """Who this process belongs to."""
        return self._instance

    def state_folder(self, chosen: Path | None, environ: dict[str, str]) -> Path:
        """Where the embedded server keeps its state: what was chosen, else STATE_DIR, else the user's state folder."""
        return chosen or self.state_dir or default_folder(self.instance.namespace, environ)


@dataclass(frozen=True)
class Collector:
    """Where traces go. Its variables are OpenTelemetry's, which the services under test inherit too."""

    endpoint: str
    insecure: bool | None
    """Without TLS; None: as the address says."""


def read_collector(environ: Mapping[str, str]) -> Collector | None:
    """What the environment says: OpenTelemetry's own variables, else OTEL_EXPORTER_ENDPOINT and OTEL_INSECURE. None: no traces."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "").strip() == "none":
        return None
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_ENDPOINT")
    endpoint = next((value for name in names if (value := environ.get(name, "").strip())), "")
    if not endpoint:
        return None
    names = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE", "OTEL_INSECURE")
    insecure = next((value for name in names if (value := environ.get(name, "").strip().lower())), "")
    return Collector(endpoint, insecure in {"true", "1", "yes"} if insecure else None)


def read_settings(**overrides: object) -> Settings:
    """The settings of the environment; what is given (and not None) goes before.

    Raises:
        SettingsInvalid: names each variable that is wrong, its value and what would be right.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]  # checked by pydantic
    except ValidationError as error:
        raise SettingsInvalid([_line(str(found["loc"][0]), {**os.environ, **overrides}) for found in error.errors()]) from error
    except (NameInvalid, PartitionsInvalid) as error:
        raise SettingsInvalid([str(error)]) from error


def _line(field: str, given: dict[str, object]) -> str:
    value = given.get(field) or next((v for k, v in given.items() if k.upper() == field.upper()), "")
    right = descriptions(Settings).get(field, "").rstrip(".")
    return f"{field.upper()} cannot be {str(value)!r}; use {right[:1].lower()}{right[1:]}"

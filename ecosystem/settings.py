"""The settings of a service: environment variables, read once."""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecosystem.errors import SettingsError

ENVIRONMENTS = ("development", "testing", "production", "docker")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
DAY = 86_400.0
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Settings:
    """What a service was told through its environment."""

    service: str
    instance: str
    version: str
    environment: str
    host: str
    http_port: int
    grpc_port: int
    nats_url: str | None
    exchange_url: str
    custodian_url: str
    market_data_url: str
    order_rate: float
    """Orders a second; 0 submits none."""
    order_hold: float
    """Seconds between `order.submitted` and the request to the exchange (the pre-trade checks)."""
    open_orders_limit: int
    position_limit: float
    latency_limit: float
    """Seconds that the exchange may take to answer (95th percentile) before the risk monitor says so."""
    clock_speed: float
    """How much faster than the world the slow processes of the services are: at 86,400 a day of settlement takes a second."""
    price_interval: float
    """Seconds between two prices of an instrument."""
    report_interval: float
    """Seconds between two figures that a service tells about itself, as positions, backlog, spreads and execution."""
    chaos_api_key: str
    """What `X-API-Key` must say on /chaos; empty asks for none."""
    state_dir: Path
    log_level: str


class Reader:
    """Reads typed values from an environment and remembers what was wrong with them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        """The value; unset or empty gives the default."""
        return self._environment.get(name, "").strip() or default

    def url(self, name: str, default: str) -> str:
        """Like `text`, but empty means: no such peer."""
        return self._environment.get(name, default).strip().rstrip("/")

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            self.problems.append(f"{name}={value!r}: must be one of {', '.join(allowed)}")
        return value

    def name(self, name: str, default: str) -> str:
        value = self.text(name, default)
        if not NAME.fullmatch(value):
            self.problems.append(f"{name}={value!r}: must be letters, digits and inner hyphens, 1 to 63 characters")
        return value

    def port(self, name: str, default: int) -> int:
        value = self.number(name, default, most=65535)
        return int(value) or default

    def number(self, name: str, default: float, *, least: float = 0, most: float = 1e12) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = least - 1.0
        if not least <= number <= most:
            self.problems.append(f"{name}={value!r}: must be a number from {least:g} to {most:g}")
            return default
        return number


def read_settings(service: str, http_port: int, grpc_port: int, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a service, with its own defaults.

    Raises: SettingsError, naming every variable that is wrong.
    """
    reader = Reader(os.environ if environment is None else environment)
    name = reader.name("SERVICE_NAME", service)
    port = reader.port("HTTP_PORT", http_port)
    settings = Settings(
        service=name,
        instance=reader.name("SERVICE_INSTANCE_NAME", name),
        version=reader.text("SERVICE_VERSION", "0.1.0"),
        environment=reader.choice("ENVIRONMENT", "development", ENVIRONMENTS),
        host=reader.text("HOST", "127.0.0.1"),
        http_port=port,
        grpc_port=reader.port("GRPC_PORT", grpc_port),
        nats_url=reader.url("NATS_URL", "") or None,
        exchange_url=reader.url("EXCHANGE_URL", "http://127.0.0.1:18081"),
        custodian_url=reader.url("CUSTODIAN_URL", "http://127.0.0.1:18082"),
        market_data_url=reader.url("MARKET_DATA_URL", "http://127.0.0.1:18084"),
        order_rate=reader.number("ORDER_RATE", 100.0, most=10_000),
        order_hold=reader.number("ORDER_HOLD", 0.05, most=10),
        open_orders_limit=int(reader.number("OPEN_ORDERS_LIMIT", 1000, most=100_000)),
        position_limit=reader.number("POSITION_LIMIT", 1_000_000.0),
        latency_limit=reader.number("LATENCY_LIMIT", 0.25, most=60),
        clock_speed=reader.number("CLOCK_SPEED", DAY, least=1, most=1e9),
        price_interval=reader.number("PRICE_INTERVAL", 1.0, least=0.01, most=3600),
        report_interval=reader.number("REPORT_INTERVAL", 1.0, least=0.05, most=3600),
        chaos_api_key=reader.text("CHAOS_API_KEY", ""),
        state_dir=Path(reader.text("STATE_DIR", f"{tempfile.gettempdir()}/ecosystem-{service}-{port}-{os.getuid()}")),
        log_level=reader.choice("LOG_LEVEL", "INFO", LOG_LEVELS),
    )
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings

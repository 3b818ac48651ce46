"""What a system's structure does not say of how its services are asked: health, role, probes, chaos and metrics."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from messages.claims.claim import expression_problems
from messages.values import format_duration
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.parts import read_duration
from scenarios.sheet import Sheet

HTTP_VARIABLES, COMMAND_VARIABLES = ("status", "body", "json", "headers"), ("code", "stdout", "stderr")
"""What an `expect` or `value` may ask about."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What an environment variable may be called."""
_TICK, _LONG = timedelta(milliseconds=20), timedelta(minutes=1)


def check_service_questions(sheet: Sheet, path: Path, service: dict[str, Any]) -> None:
    """Note what is wrong with the ways in which a service is asked."""
    check_question(sheet, (*path, "health"), mapping(service.get("health")))
    role = mapping(service.get("role"))
    check_question(sheet, (*path, "role"), role)
    _check_span(sheet, (*path, "role", "every"), role.get("every"), _TICK)
    for key, example in (("chaos", "http://127.0.0.1:18081/chaos"), ("metrics", "http://127.0.0.1:18081/metrics")):
        _check_url(sheet, (*path, key, "http"), mapping(service.get(key)).get("http"), example)


def check_prometheus(sheet: Sheet) -> None:
    """Note what is wrong with the address of a system's Prometheus."""
    url = mapping(sheet.spec.get("prometheus")).get("http")
    _check_url(sheet, ("spec", "prometheus", "http"), url, "http://127.0.0.1:9090")


def check_traces(sheet: Sheet) -> None:
    """Note what is wrong with the address at which a system's spans are received."""
    _check_address(sheet, ("spec", "traces", "listen"), mapping(sheet.spec.get("traces")).get("listen"))


def check_probes(sheet: Sheet) -> None:
    """Note what is wrong with the probes of a system."""
    for name, probe in entries(sheet, "probes"):
        path = ("spec", "probes", name)
        check_question(sheet, path, probe)
        _check_span(sheet, (*path, "deadline"), probe.get("deadline"), timedelta(milliseconds=10))


def check_question(sheet: Sheet, path: Path, question: dict[str, Any]) -> None:
    """Note what is wrong with the expressions and addresses of a question."""
    for way, variables, example in (("http", HTTP_VARIABLES, "status == 200"), ("command", COMMAND_VARIABLES, "code == 0")):
        for key in ("expect", "value"):
            source = mapping(question.get(way)).get(key)
            if isinstance(source, str):
                for problem in expression_problems(key, source, *variables):
                    right = f"CEL over {', '.join(variables)}, like {example if key == 'expect' else variables[1]}"
                    sheet.add((*path, way, key), problem.what, right)
    _check_url(sheet, (*path, "http", "url"), mapping(question.get("http")).get("url"), "http://127.0.0.1:18083/api/v1/health")
    for way in ("grpc", "tcp"):
        _check_address(sheet, (*path, way, "address"), mapping(question.get(way)).get("address"))


def _check_address(sheet: Sheet, path: Path, address: Any) -> None:
    port = address.rpartition(":")[2] if isinstance(address, str) else "1"
    if port.isascii() and port.isdigit() and not 1 <= int(port) <= 65535:
        sheet.add(path, f"{port} is no port", "a port is a number from 1 to 65535")


def _check_span(sheet: Sheet, path: Path, written: Any, least: timedelta) -> None:
    span = read_duration(written)
    if span is not None and not least <= span <= _LONG:
        sheet.add(path, f"{shown(written)} is too {'short' if span < least else 'long'}", f"from {format_duration(least)} to 1m")


def _check_url(sheet: Sheet, path: Path, url: Any, example: str) -> None:
    if isinstance(url, str) and url.startswith("http") and not _url_is_good(url):
        sheet.add(path, f"{shown(url)} has no host, or no port from 1 to 65535", f"like {example}")


def _url_is_good(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is keys and values, else nothing."""
    return value if isinstance(value, dict) else {}


def entries(sheet: Sheet, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of a mapping in `spec` that are keys and values themselves."""
    for name, value in mapping(sheet.spec.get(key)).items():
        if isinstance(value, dict):
            yield name, value

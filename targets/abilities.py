"""What can be done to each target of a system on this machine, and why not the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from messages.actions import ACTIONS, ActionSpec, TargetKind
from messages.system import Service, System
from targets import disk
from targets.limits import NEEDS
from targets.limits import supported as limit_supported
from targets.network.support import supported as network_supported


@dataclass(frozen=True, slots=True)
class Ability:
    """Whether an action works on a target here."""

    target: str
    kind: TargetKind
    action: str
    missing: str | None
    """What is missing, and what helps; None when it works."""


def abilities(system: System) -> Iterator[Ability]:
    """Every action on every service, link and volume of the system. Tries on this machine what only a trial shows; some 100 ms."""
    spec = system.spec
    for name, service in spec.services.items():
        for action, known in _actions("service"):
            yield Ability(name, "service", action, _of_service(action, known, service))
    for name in spec.links:
        for action, _ in _actions("link"):
            yield Ability(name, "link", action, None)
    for name, volume in spec.volumes.items():
        folder = None if Path(volume.path).is_dir() else f"there is no folder {volume.path}"
        yield Ability(name, "volume", "disk_full", disk.supported() or folder)


def machine() -> dict[str, str | None]:
    """What each means needs of this machine: what is missing and what helps, or None."""
    limits = {f"{action} (processes)": limit_supported(need) for action, need in NEEDS.items()}
    limits["limit_memory with how: kill"] = limit_supported("memory")
    network = {f"{action} (namespaces)": network_supported(action) for action, spec in ACTIONS.items() if spec.means == "network"}
    return {**limits, "disk_full (volumes)": disk.supported(), **network}


def _actions(kind: TargetKind) -> Iterator[tuple[str, ActionSpec]]:
    return ((name, spec) for name, spec in ACTIONS.items() if kind in spec.on and spec.means != "nothing")


def _of_service(action: str, spec: ActionSpec, service: Service) -> str | None:
    process = service.driver.process
    if spec.means == "chaos":
        return _of_chaos_api(action, service)
    if process is None:
        return f"its driver is {service.driver.kind}; only processes that we start can be disturbed so"
    if spec.means == "limit":
        return limit_supported(NEEDS[action])
    if spec.means == "network":
        needed = "it has no network namespace of its own; `namespace: NAME` of its process names one"
        return needed if process.namespace is None else network_supported(action)
    return None


def _of_chaos_api(action: str, service: Service) -> str | None:
    if service.chaos is None:
        return "it has no chaos API; `chaos: {http: …}` in the system names one"
    return None if action in service.chaos.calls or not service.chaos.calls else "its chaos API has no such call"

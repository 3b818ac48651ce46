"""What a system's structure does not say of its links, groups, volumes and workloads."""

from typing import Any

from messages.claims import nearest
from scenarios.asking import VARIABLE, entries, mapping
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.parts import texts
from scenarios.selections import ALL, Names
from scenarios.sheet import Sheet

_KINDS = {
    "services": "a service",
    "workloads": "a workload",
    "links": "a link",
    "groups": "a group",
    "volumes": "a volume",
    "probes": "a probe",
}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def check_wiring(sheet: Sheet, names: Names) -> None:
    """Resolve the services that links, groups and volumes name, and note what is wrong with them."""
    _check_names(sheet)
    for name, group in entries(sheet, "groups"):
        _check_group(sheet, ("spec", "groups", name), group, names)
    for name, volume in entries(sheet, "volumes"):
        _check_volume(sheet, ("spec", "volumes", name), volume, names)
    for name, workload in entries(sheet, "workloads"):
        check_environment(sheet, ("spec", "workloads", name, "env"), workload)
    _check_links(sheet, names)
    _check_sharing(sheet)


def check_environment(sheet: Sheet, path: Path, holder: dict[str, Any]) -> None:
    """Note names that no environment variable can have."""
    for name in mapping(holder.get("env")):
        if not VARIABLE.fullmatch(name):
            sheet.add((*path, name), f"{shown(name)} cannot name an environment variable", "like HTTP_PORT", at_key=True)


def _check_names(sheet: Sheet) -> None:
    """A name stands for one thing: events and reports tell of all of them by name."""
    seen: dict[str, str] = {}
    for kind, told in _KINDS.items():
        for name in mapping(sheet.spec.get(kind)):
            if name == ALL and kind != "services":
                sheet.add(("spec", kind, name), f"{ALL!r} stands for every service", "take another name", at_key=True)
            elif name in seen:
                sheet.add(("spec", kind, name), f"{shown(name)} is already {seen[name]}", "take another name", at_key=True)
            seen.setdefault(name, told)


def _service(sheet: Sheet, path: Path, holder: dict[str, Any], key: str, names: Names, *others: str) -> None:
    """Resolve the name of a service."""
    word = holder.get(key)
    if not isinstance(word, str):
        return
    holder[key] = names.resolve(word)
    if holder[key] not in (*names.services, *others):
        sheet.add((*path, key), f"the system has no service {shown(word)}", nearest(word[:80], (*names.services, *others)))


def _check_group(sheet: Sheet, path: Path, group: dict[str, Any], names: Names) -> None:
    members = group.get("members")
    if not isinstance(members, list):
        return
    seen: set[str] = set()
    for index, word in enumerate(members):
        if not isinstance(word, str) or sheet.full:
            continue
        members[index] = names.resolve(word)
        if members[index] not in names.services:
            sheet.add((*path, "members", index), f"the system has no service {shown(word)}", nearest(word[:80], names.services))
        elif members[index] in seen:
            sheet.add((*path, "members", index), f"{members[index]!r} stands here twice", "name each once")
        seen.add(members[index])


def groups_of(sheet: Sheet) -> dict[str, tuple[str, ...]]:
    """The members of the groups that can be read."""
    return {name: tuple(texts(group.get("members"))) for name, group in entries(sheet, "groups")}


def _check_volume(sheet: Sheet, path: Path, volume: dict[str, Any], names: Names) -> None:
    _service(sheet, path, volume, "service", names)
    folder = volume.get("path")
    if isinstance(folder, str) and (not folder.startswith("/") or folder.strip("/.") == "" or ".." in folder.split("/")):
        sheet.add((*path, "path"), f"{shown(folder)} cannot be filled", "an absolute path of a folder that is not the root, without `..`")


def _check_links(sheet: Sheet, names: Names) -> None:
    taken: dict[tuple[str, str], str] = {}
    ports: dict[int, str] = {}
    for name, link in entries(sheet, "links"):
        path = ("spec", "links", name)
        _service(sheet, path, link, "from", names, *mapping(sheet.spec.get("workloads")))
        _service(sheet, path, link, "to", names)
        _check_way(sheet, path, link)
        source, variable, port = link.get("from"), link.get("env"), link.get("listen")
        if isinstance(source, str) and isinstance(variable, str):
            if other := taken.get((source, variable)):
                sheet.add((*path, "env"), f"link {other!r} already sets {variable} of {source!r}", "keep one of them")
            taken.setdefault((source, variable), name)
        if isinstance(port, int):
            if other := ports.get(port):
                sheet.add((*path, "listen"), f"the proxy of link {other!r} already listens on {port}", "take another port")
            ports.setdefault(port, name)


def _check_way(sheet: Sheet, path: Path, link: dict[str, Any]) -> None:
    source, variable, listen = link.get("from"), link.get("env"), link.get("listen")
    if not isinstance(source, str):
        return
    if source == link.get("to"):
        sheet.add((*path, "to"), f"{source!r} is at both ends", "a link goes from one service to another")
    if listen is not None and listen == link.get("port") and link.get("host", "127.0.0.1") in _LOOPBACK:
        sheet.add((*path, "listen"), f"{link.get('to')} itself listens on {listen}", "take another port for the proxy")
    if source not in {**mapping(sheet.spec.get("services")), **mapping(sheet.spec.get("workloads"))}:
        return
    environment = _environment_of(sheet, source)
    if environment is None and variable is not None:
        sheet.add((*path, "env"), f"{source!r} is not started by us, so its environment cannot be set", "take `env` out")
    if listen is None and (variable is None or environment is None):
        right = "add listen: and the port to which it connects"
        right += "" if environment is None else ", or env: and the variable that says where"
        sheet.add(path, f"{source!r} does not learn where the proxy is", right)
    if isinstance(variable, str) and environment is not None:
        _check_variable(sheet, path, link, variable, environment)


def _environment_of(sheet: Sheet, source: str) -> dict[str, Any] | None:
    """The environment of a service or workload that we start; None for what we do not start."""
    workloads = mapping(sheet.spec.get("workloads"))
    if source in workloads:
        return mapping(mapping(workloads[source]).get("env"))
    process = mapping(mapping(mapping(sheet.spec.get("services")).get(source)).get("driver")).get("process")
    return mapping(process.get("env")) if isinstance(process, dict) else None


def _check_variable(sheet: Sheet, path: Path, link: dict[str, Any], variable: str, environment: dict[str, Any]) -> None:
    value = environment.get(variable)
    address = f"{link.get('host', '127.0.0.1')}:{link.get('port')}"
    if not VARIABLE.fullmatch(variable):
        sheet.add((*path, "env"), f"{shown(variable)} cannot name an environment variable", "like EXCHANGE_URL")
    elif isinstance(value, dict):
        sheet.add((*path, "env"), f"{variable} is a secret, and where to connect is not", "write its address out")
    elif isinstance(value, str) and address not in value and isinstance(link.get("port"), int):
        what = f"{variable} of {link['from']!r} is {shown(value)}, in which {address} does not stand"
        sheet.add((*path, "env"), what, "let `host` and `port` be what stands there, or name another variable")


def _check_sharing(sheet: Sheet) -> None:
    if sheet.spec.get("concurrency") != "shared":
        return
    services = mapping(sheet.spec.get("services"))
    ours = [name for name, service in services.items() if mapping(mapping(service).get("driver")).get("process") is not None]
    started = ours[:1] or list(mapping(sheet.spec.get("links")))[:1] or list(mapping(sheet.spec.get("workloads")))[:1]
    if started:
        what = f"{started[0]!r} would be started twice if runs shared the system"
        sheet.add(("spec", "concurrency"), what, "leave it out, or let all services be external, without links and workloads")

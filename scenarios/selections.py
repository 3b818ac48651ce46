"""Targets in their final form: aliases become services, `all` and groups their members, and what is chosen later has its candidates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from messages.claims import nearest
from messages.system import System
from messages.targets import picked
from scenarios.errors import shown
from scenarios.nodes import Path
from scenarios.parts import selection_of, texts
from scenarios.sheet import Sheet

ALL = "all"
MAX_TARGETS = 200
"""Services that an action or claim may name."""


@dataclass(frozen=True, slots=True)
class Names:
    """What there is in a system to be named."""

    services: tuple[str, ...]
    monitored: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()

    @classmethod
    def of(cls, system: System) -> "Names":
        """The names in a system."""
        spec = system.spec
        aliases = {alias: name for name, service in spec.services.items() for alias in service.aliases}
        groups = {name: group.members for name, group in spec.groups.items()}
        return cls(tuple(spec.services), system.monitored(), aliases, groups, tuple(spec.links), tuple(spec.volumes))

    def resolve(self, word: str) -> str:
        """The service that goes by this word; the word itself if none does."""
        return word if word in self.services else self.aliases.get(word, word)

    def meant(self, word: str) -> str:
        """What would be right instead of a word that names no service."""
        for key, known in (("group", self.groups), ("link", self.links), ("volume", self.volumes)):
            if word in known:
                return f"it is a {key}: write target: {{{key}: {word}}}"
        return nearest(word[:80], self.services)


def resolve_target(sheet: Sheet, path: Path, item: dict[str, Any], names: Names | None) -> None:
    """Bring `target` (or `service`, the same) of an action or claim into its final form, and note the names that do not exist."""
    if "service" in item:
        word = item.pop("service")
        if "target" in item:
            sheet.add((*path, "service"), "`service` is another word for `target`", "keep one of them", at_key=True)
        item.setdefault("target", word)
    target = item.get("target")
    if names is None or target is None:
        return
    at = (*path, "target")
    if isinstance(target, dict):
        item["target"] = _select(sheet, at, {key: value for key, value in target.items() if value is not None}, names)
    elif isinstance(target, list):
        item["target"] = _services(sheet, at, target, names)
    elif isinstance(target, str):
        found = list(_expand(target, names, item.get("type")))
        _check_services(sheet, at, found, names)
        item["target"] = found[0] if len(found) == 1 else found


def _select(sheet: Sheet, path: Path, target: dict[str, Any], names: Names) -> Any:
    """The target; where nothing is left to be chosen, the services themselves."""
    for key, known in (("link", names.links), ("volume", names.volumes)):
        for at, word in _words(path, target, key):
            if word not in known:
                sheet.add(at, f"the system has no {key} {shown(word)}", nearest(word[:80], known))
    if isinstance(target.get("between"), list):
        target["between"] = [_side(sheet, (*path, "between", index), side, names) for index, side in enumerate(target["between"])]
    if isinstance(target.get("of"), list):
        target["of"] = _services(sheet, (*path, "of"), target["of"], names)
    members = _members(sheet, path, target, names)
    if members is None or set(target) - {"of", "group"}:
        return target | ({"of": members} if members is not None else {})
    return members[0] if len(members) == 1 else members


def _members(sheet: Sheet, path: Path, target: dict[str, Any], names: Names) -> list[str] | None:
    """The services of `of` or `group`, all of them known; None if there are none."""
    group, written = target.get("group"), target.get("of")
    if isinstance(group, str) and group not in names.groups:
        right = f"it is a service: write target: {group}" if names.resolve(group) in names.services else nearest(group[:80], names.groups)
        sheet.add((*path, "group"), f"the system has no group {shown(group)}", right)
        return None
    if isinstance(written, list):
        if isinstance(group, str) and sorted(texts(written)) != sorted(names.groups[group]):
            sheet.add((*path, "of"), f"these are not the members of {group!r}", "leave `of` out; they are taken from the group")
        return written if written and len(texts(written)) == len(written) else None
    return list(names.groups[group]) if isinstance(group, str) and written is None else None


def _side(sheet: Sheet, path: Path, side: Any, names: Names) -> Any:
    """One side of a partition: its services, those of groups among them."""
    if not isinstance(side, list | str):
        return side
    words = side if isinstance(side, list) else [side]
    found: list[Any] = []
    for index, word in enumerate(words):
        members = names.groups.get(word) if isinstance(word, str) else None
        if members is None or word in names.services:
            at = (*path, index) if isinstance(side, list) else path
            members = tuple(_services(sheet, at, [word], names, at_entry=False))
        found += members
    return list(dict.fromkeys(found)) if len(texts(found)) == len(found) else found


def _services(sheet: Sheet, path: Path, words: list[Any], names: Names, *, at_entry: bool = True) -> list[Any]:
    if len(words) > MAX_TARGETS:
        sheet.add(path, f"{len(words)} targets are too many", f"at most {MAX_TARGETS}")
        return []
    found: list[Any] = []
    for index, word in enumerate(words):
        meant = list(_expand(word, names, None))
        _check_services(sheet, (*path, index) if at_entry else path, meant, names)
        found += meant
    return found


def _check_services(sheet: Sheet, path: Path, found: list[Any], names: Names) -> None:
    for name in texts(found):
        if name not in names.services and not sheet.full:
            sheet.add(path, f"the system has no service {shown(name)}", names.meant(name))


def _expand(word: Any, names: Names, claim: Any) -> Iterator[Any]:
    if word == ALL and claim in {None, "health"}:
        yield from names.monitored if claim == "health" and names.monitored else names.services
    else:
        yield names.resolve(word) if isinstance(word, str) else word


def _words(path: Path, target: dict[str, Any], key: str) -> Iterator[tuple[Path, str]]:
    value = target.get(key)
    if isinstance(value, str):
        yield (*path, key), value
    elif isinstance(value, list):
        yield from (((*path, key, index), word) for index, word in enumerate(value) if isinstance(word, str))


def most_chosen(target: Any) -> int:
    """How many services, links or volumes a target comes to at most."""
    selection = selection_of(target)
    if selection is None:
        return len(texts(target))
    return picked(selection.pick, len(selection.names))

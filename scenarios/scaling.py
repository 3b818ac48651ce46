"""`--speed N`: the times of a scenario divided by N, for systems whose own times are a model's."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from messages.actions import ACTIONS
from messages.scenario import DEFAULT_SLACK
from messages.system import System
from messages.values import format_duration
from scenarios.errors import finding
from scenarios.naming import unique
from scenarios.parts import groups, raw_actions, raw_choices, raw_claims, raw_plan, read_duration
from scenarios.sheet import Sheet

SLOWEST, FASTEST = 0.01, 100_000.0
FLOOR = timedelta(seconds=15)
"""No limit gets shorter than this, or than it is written: what is waited for takes real time."""
MOMENT = timedelta(milliseconds=1)
TIMES = ("_s", "_seconds", "_minutes", "_hours", "delay_duration")
"""How the parameters of chaos APIs end that are times of the scenario. Those in milliseconds are what a service does to each request."""
_FILE = "--speed"


def scale(sheet: Sheet, speed: float, system: System) -> None:
    """Divide the times of a scenario, its limits no further than they can bear, and write down what was done."""
    before = sheet.spec.get("speed", 1.0)
    scaled = isinstance(before, int | float) and before != 1
    if scaled and system.spec.clock != "scaled":
        sheet.add(("spec", "speed"), *_refusal(system))
    if speed == 1:
        return
    if not SLOWEST <= speed <= FASTEST:
        sheet.findings.append(finding(_FILE, (1, 1), f"a speed of {speed:g} cannot be", f"from {SLOWEST:g} to {FASTEST:g}"))
    elif scaled:
        sheet.findings.append(finding(_FILE, (1, 1), f"the scenario already runs at speed {before}", "leave --speed out"))
    elif system.spec.clock != "scaled":
        sheet.findings.append(finding(_FILE, (1, 1), *_refusal(system)))
    elif sheet.spec:
        _Scaling(sheet, speed).run()


def _refusal(system: System) -> tuple[str, str]:
    what = f"the times of system {system.name!r} are real: scaling a real system would falsify its claims"
    return what, "leave --speed out; a system whose times are a model's says clock: scaled"


class _Scaling:
    """One walk through a scenario. What cannot be read is left for others to refuse."""

    def __init__(self, sheet: Sheet, speed: float) -> None:
        self._sheet = sheet
        self._speed = speed
        self._held: dict[str, str] = {}
        self._names: set[str] = set()

    def run(self) -> None:
        written, scaled = self._phases(), timedelta()
        for group in groups(self._sheet):
            if group.is_phase:
                scaled += self._span(group.raw, "duration") or timedelta()
            for _, action in raw_actions(group):
                self._action(action, unique(str(action.get("id", "action")), self._names))
            for _, choice in raw_choices(group):
                self._choice(choice)
            for _, plan in filter(None, [raw_plan(group)]):
                self._span(plan, "every")
        for path, claim, _, _ in raw_claims(self._sheet):
            name = str(claim.get("id", ".".join(map(str, path[1:]))))
            for key in ("within", "grace"):
                self._limit(claim, key, f"{name}.{key}")
        self._timeout(written, scaled)
        self._span(self._sheet.spec, "duration")
        self._sheet.spec["speed"] = float(self._speed)
        self._sheet.spec["held"] = [f"{name}: {limit}" for name, limit in self._held.items()]

    def _phases(self) -> timedelta:
        """How long the phases are as written."""
        spans = (read_duration(group.raw.get("duration")) for group in groups(self._sheet) if group.is_phase)
        return sum((span for span in spans if span is not None), timedelta())

    def _action(self, action: dict[str, Any], name: str) -> None:
        for key in ("for", "delay", "settle"):
            self._span(action, key)
        self._limit(action, "effect_within", f"{name}.effect_within")
        self._parameters(action)

    def _choice(self, choice: dict[str, Any]) -> None:
        self._span(choice, "for")
        self._parameters(choice)

    def _parameters(self, action: dict[str, Any]) -> None:
        """Times of the scenario that a chaos API is told; of a range that is drawn from, both ends."""
        told, kind = action.get("parameters"), action.get("action")
        if not isinstance(told, dict) or not isinstance(kind, str) or kind not in ACTIONS or ACTIONS[kind].means != "chaos":
            return
        for key, value in told.items():
            if key.endswith(TIMES):
                told[key] = [self._time(one) for one in value] if isinstance(value, list) else self._time(value)
        config = told.get("config")
        if isinstance(config, dict):
            for key in [key for key in config if key.endswith(TIMES)]:
                config[key] = self._time(config[key])

    def _time(self, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value / self._speed
        span = read_duration(value)
        return value if span is None else format_duration(self._divided(span))

    def _divided(self, span: timedelta) -> timedelta:
        """To whole milliseconds, and never to nothing."""
        return max(MOMENT, round(span / self._speed / MOMENT) * MOMENT) if span else span

    def _span(self, holder: dict[str, Any], key: str) -> timedelta | None:
        """Divide what is no limit; what it is then."""
        span = read_duration(holder.get(key))
        if span is None:
            return None
        divided = self._divided(span)
        holder[key] = format_duration(divided)
        return divided

    def _limit(self, holder: dict[str, Any], key: str, name: str) -> None:
        """Divide a limit, no further than it can bear."""
        span = read_duration(holder.get(key))
        if span is not None:
            self._put(holder, key, name, divided=self._divided(span), least=min(span, FLOOR))

    def _timeout(self, written: timedelta, scaled: timedelta) -> None:
        """What a timeout has beyond the phases is for starting, settling and undoing, which take real time."""
        timeout = read_duration(self._sheet.spec.get("timeout"))
        if timeout is not None:
            least = scaled + min(max(timeout - written, FLOOR), DEFAULT_SLACK)
            self._put(self._sheet.spec, "timeout", "timeout", divided=self._divided(timeout), least=min(timeout, least))

    def _put(self, holder: dict[str, Any], key: str, name: str, *, divided: timedelta, least: timedelta) -> None:
        if divided < least:
            self._held[name] = format_duration(least)
        holder[key] = format_duration(max(divided, least))


def chaos_times(action: str) -> Iterator[str]:
    """The parameters of an action that `--speed` divides."""
    if action in ACTIONS and ACTIONS[action].means == "chaos":
        yield from (name for name in ACTIONS[action].parameters.model_fields if name.endswith(TIMES))

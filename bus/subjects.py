"""Every subject of a namespace, made and read in one place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from messages.events import RunEvent

PARTITIONS = 16
"""How many shares the runs of a namespace are split into; fixed for its life."""


@dataclass(frozen=True, slots=True)
class Address:
    """What the subject of a journal line or of a timer that fired says."""

    kind: Literal["run", "due"]
    partition: int
    run: str
    actor: str
    entity: str
    """Of a due timer: its name."""
    type: str
    """Of a due timer: the reach that it is for, if any."""


@dataclass(frozen=True, slots=True)
class Subjects:
    """The subjects of one namespace."""

    namespace: str

    @property
    def scenarios(self) -> str:
        """Where scenarios are published, followed by a key."""
        return f"{self.namespace}.scenarios"

    @property
    def journal(self) -> str:
        """Every line of every journal."""
        return f"{self.namespace}.run.>"

    def of_partition(self, partition: str) -> tuple[str, str]:
        """Every line and every timer that fires in one partition; `*` for all of them."""
        return f"{self.namespace}.run.{partition}.>", f"{self.namespace}.due.{partition}.>"

    def event(self, partition: int, run: str, actor: str, event: RunEvent) -> str:
        """Where this event of this run is stored."""
        end = f".{event.route}" if event.route else ""
        return f"{self.namespace}.run.{partition}.{run}.{actor}.{event.entity}.{event.type_name()}{end}"

    def of_run(self, run: str, partition: int | None = None) -> str:
        """Every line of one run's journal."""
        return f"{self.namespace}.run.{'*' if partition is None else partition}.{run}.>"

    def of_actor(self, partition: int, run: str, actor: str) -> str:
        """Every line that one actor wrote in one run."""
        return f"{self.namespace}.run.{partition}.{run}.{actor}.>"

    def everywhere(self, actor: str, entity: str, type_name: str) -> str:
        """This event of every run."""
        return f"{self.namespace}.run.*.*.{actor}.{entity}.{type_name}"

    def of_run_event(self, run: str, actor: str, entity: str, type_name: str) -> str:
        """This event of one run."""
        return f"{self.namespace}.run.*.{run}.{actor}.{entity}.{type_name}"

    def timers_of(self, run: str) -> tuple[str, str]:
        """Every timer of one run, those that have fired too."""
        return f"{self.namespace}.timer.*.{run}.>", f"{self.namespace}.due.*.{run}.>"

    def timer(self, partition: int, run: str, actor: str, name: str) -> str:
        """The scheduled message of a timer."""
        return f"{self.namespace}.timer.{partition}.{run}.{actor}.{name}"

    def timer_due(self, partition: int, run: str, actor: str, name: str) -> str:
        """Where that timer fires."""
        return f"{self.namespace}.due.{partition}.{run}.{actor}.{name}"

    def scenario(self, key: str) -> str:
        """Where a scenario with this key is published."""
        return f"{self.namespace}.scenarios.{key}"

    def rejected(self, key: str) -> str:
        """Where a scenario that could not be accepted ends."""
        return f"{self.namespace}.rejected.{key}"

    def alive(self, host: str) -> str:
        """What the host with this lease answers as long as it is connected."""
        return f"{self.namespace}.alive.{host}"

    def control(self, verb: str, principal: str) -> str:
        """Where a principal asks for something."""
        return f"{self.namespace}.control.{verb}.{principal}"

    def read(self, subject: str) -> Address | None:
        """What a subject under `run` or `due` says; None for anything else."""
        if not subject.startswith(f"{self.namespace}."):
            return None
        tokens = subject[len(self.namespace) + 1 :].split(".")
        if tokens[0] == "run" and len(tokens) >= 6 and tokens[1].isdigit():
            return Address("run", int(tokens[1]), tokens[2], tokens[3], tokens[4], ".".join(tokens[5:]))
        if tokens[0] == "due" and len(tokens) >= 5 and tokens[1].isdigit():
            return Address("due", int(tokens[1]), tokens[2], tokens[3], tokens[4], ".".join(tokens[5:]))
        return None


def partition_of(key: str) -> int:
    """The partition of a key, as the server's `partition()` transform computes it: FNV-1a, 32 bits."""
    value = 2166136261
    for byte in key.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value % PARTITIONS


def covers(wide: str, narrow: str) -> bool:
    """Whether every subject that matches `narrow`, itself perhaps a pattern, matches `wide`."""
    words, others = wide.split("."), narrow.split(".")
    for index, word in enumerate(words):
        if word == ">":
            return len(others) > index
        if index >= len(others) or others[index] == ">" or word not in {"*", others[index]}:
            return False
    return len(words) == len(others)


def widest(subjects: Sequence[str]) -> list[str]:
    """The subjects without those that another one covers: a stream may not capture one twice, nor a consumer ask for it twice."""
    kept = dict.fromkeys(subjects)
    return [subject for subject in kept if not any(other != subject and covers(other, subject) for other in kept)]

"""Defects that can be switched on, so that a test of the coordinator can prove that it finds a real one."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecosystem.errors import SettingsError, StartError
from ecosystem.settings import Reader


@dataclass(frozen=True)
class Switches:
    """Which defects this process has."""

    lose_order: int
    """Exchange: this order, counted from the process's start, is accepted and then forgotten. 0: none."""
    double_fill: int
    """Exchange: this order gets two fills. 0: none."""
    no_recovery: bool
    """Trading engine: open orders are forgotten at a restart."""
    drop_audit: bool
    """Audit correlator: what it is told by REST is answered with 201 and dropped, as by the real one without its data adapter."""
    slow_start: float
    """Seconds to sleep before listening."""
    exit_on_start: bool
    fail_after_restart: bool
    """Only the first start within a state directory succeeds."""


def read_switches(environment: Mapping[str, str] | None = None) -> Switches:
    """The switches in the environment.

    Raises: SettingsError.
    """
    reader = Reader(os.environ if environment is None else environment)
    switches = Switches(
        lose_order=int(reader.number("BUG_LOSE_ORDER", 0)),
        double_fill=int(reader.number("BUG_DOUBLE_FILL", 0)),
        no_recovery=reader.number("BUG_NO_RECOVERY", 0) > 0,
        drop_audit=reader.number("BUG_DROP_AUDIT", 0) > 0,
        slow_start=reader.number("BUG_SLOW_START", 0, most=3600),
        exit_on_start=reader.number("BUG_EXIT_ON_START", 0) > 0,
        fail_after_restart=reader.number("BUG_FAIL_AFTER_RESTART", 0) > 0,
    )
    if reader.problems:
        raise SettingsError(reader.problems)
    return switches


def disturb_start(switches: Switches, marker: Path) -> None:
    """Does to a starting service what its switches ask for; `marker` tells a first start from a later one.

    Raises: StartError.
    """
    if switches.exit_on_start:
        raise StartError("BUG_EXIT_ON_START is set")
    if switches.fail_after_restart:
        if marker.exists():
            raise StartError(f"BUG_FAIL_AFTER_RESTART is set and {marker} says that this is a restart")
        marker.touch()
    time.sleep(switches.slow_start)

"""The scheduler: decides what happens next in a run, as a pure function of its journal."""

from actors.scheduler.actor import Scheduler

__all__ = ["Scheduler"]

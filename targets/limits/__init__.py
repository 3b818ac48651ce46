"""Faults that deny a process what it needs: each with its undo, its effect as seen from outside, and whether it works on this machine."""

from targets.limits.errors import LimitFailed, NoControlGroup, NothingToLower
from targets.limits.groups import GroupLimits
from targets.limits.resources import ResourceLimits
from targets.limits.support import NEEDS, Need, need_of, supported

__all__ = [
    "NEEDS",
    "GroupLimits",
    "LimitFailed",
    "Need",
    "NoControlGroup",
    "NothingToLower",
    "ResourceLimits",
    "need_of",
    "supported",
]

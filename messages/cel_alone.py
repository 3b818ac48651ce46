"""The package `cel` without its command line, which it loads too: 0.1 s of every start and 14 MB, and nothing of it is used here."""

import sys
from types import ModuleType

sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402 - what stands above is for it

__all__ = ["cel"]

"""The loader that turns YAML into the documents of `messages`, and the library of scenarios and systems."""

from scenarios.errors import DocumentErrors
from scenarios.library import find_scenario, library_directory, library_scenarios
from scenarios.loader import Resolved, check_text, resolve
from scenarios.systems import load_systems

__all__ = [
    "DocumentErrors",
    "Resolved",
    "check_text",
    "find_scenario",
    "library_directory",
    "library_scenarios",
    "load_systems",
    "resolve",
]

"""The scenario language as its models have it: a JSON Schema for editors, and a reference for people."""

from scenarios.reference.editor import json_schema
from scenarios.reference.page import markdown

__all__ = ["json_schema", "markdown"]

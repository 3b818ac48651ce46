"""The reporter: what a journal says of its run, as JSON, JUnit XML and one page of HTML."""

from actors.reporter.actor import Reporter
from actors.reporter.rendering import FORMATS, render

__all__ = ["FORMATS", "Reporter", "render"]

"""The reporter: what a journal says of its run, as JSON, JUnit XML, one page of HTML, Markdown and text."""

from actors.reporter.actor import Reporter
from actors.reporter.archiving import Archiving
from actors.reporter.plain import brief
from actors.reporter.rendering import FORMATS, STORED, render

__all__ = ["FORMATS", "STORED", "Archiving", "Reporter", "brief", "render"]

"""A report in one of its formats. The same report gives the same bytes."""

from collections.abc import Callable

from actors.reporter.junit import junit
from actors.reporter.markdown import markdown
from actors.reporter.page import page
from actors.reporter.plain import plain
from runs.report import Report


def document(report: Report) -> bytes:
    """The report as JSON, keys in the order of its model."""
    return report.model_dump_json(by_alias=True, indent=2).encode() + b"\n"


_RENDERERS: dict[str, tuple[str, Callable[[Report], bytes]]] = {
    "json": ("report.json", document),
    "html": ("report.html", page),
    "junit": ("junit.xml", junit),
    "markdown": ("report.md", markdown),
    "text": ("report.txt", plain),
}
FORMATS: dict[str, str] = {name: file for name, (file, _) in _RENDERERS.items()}
"""The formats, and the name of a file of each."""
STORED = ("json", "html", "junit")
"""Those that are kept at the run's end; the others are made when somebody asks."""


def render(report: Report, format: str) -> bytes:  # noqa: A002 - the command line's own word
    """The report in this format, one of `FORMATS`.

    Raises:
        KeyError: there is no such format.
    """
    return _RENDERERS[format][1](report)

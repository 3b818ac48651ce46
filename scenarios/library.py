"""The scenarios and systems that come with the coordinator."""

from pathlib import Path

from messages.claims import nearest
from messages.control import Finding
from scenarios.errors import DocumentErrors, finding, shown
from scenarios.reading import read
from scenarios.systems import RUNNABLE, SUFFIXES, kind_of, read_file, sheets


def library_directory() -> Path:
    """The directory that holds the library's files; its subdirectories with scenarios are suites."""
    return Path(__file__).resolve().parent


def library_scenarios(directory: Path | None = None) -> dict[str, Path]:
    """The files that hold a scenario or template, those in suites too, by its name."""
    found: dict[str, Path] = {}
    for file in sorted((directory or library_directory()).rglob("*")):
        if file.suffix in SUFFIXES and file.is_file():
            reading = read(read_file(file, []), str(file))
            for sheet in sheets(reading.documents, str(file), ()):
                if kind_of(sheet) in RUNNABLE:
                    found[sheet.name or file.stem] = file
    return found


def find_scenario(name_or_path: str, directory: Path | None = None) -> tuple[str, str]:
    """The text of a scenario and its file's name: the file at this path, else the library's scenario of this name.

    Raises:
        DocumentErrors: there is neither, or the file cannot be read.
    """
    path = Path(name_or_path)
    if not _is_file(path):
        library = library_scenarios(directory)
        files = {file.stem: file for file in library.values()} | library
        if name_or_path not in files:
            right = nearest(name_or_path[:80], files)
            raise DocumentErrors(
                [finding(name_or_path[:200], (1, 1), f"there is no file or library scenario {shown(name_or_path)}", right)]
            )
        path = files[name_or_path]
    findings: list[Finding] = []
    text = read_file(path, findings)
    if findings:
        raise DocumentErrors(findings)
    return text, str(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False

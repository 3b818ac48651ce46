"""The scenarios and systems that come with the coordinator."""

from collections.abc import Callable
from pathlib import Path

from messages.claims import nearest
from messages.control import Finding
from scenarios.errors import DocumentErrors, finding, shown
from scenarios.reading import read
from scenarios.systems import RUNNABLE, SUFFIXES, kind_of, read_file, sheets


def library_directory() -> Path:
    """The directory that holds the library's files; a directory in it that holds scenarios is a suite."""
    return Path(__file__).resolve().parent


def library_scenarios(directory: Path | None = None) -> dict[str, Path]:
    """The files of a directory that hold a scenario or template, by its name; by default those of the library and its suites."""
    files = directory.iterdir() if directory is not None else (*library_directory().glob("*"), *library_directory().glob("*/*"))
    found: dict[str, Path] = {}
    for file in sorted(files):
        if file.suffix in SUFFIXES and file.is_file():
            reading = read(read_file(file, []), str(file))
            for sheet in sheets(reading.documents, str(file), ()):
                if kind_of(sheet) in RUNNABLE:
                    found[sheet.name or file.stem] = file
    return found


def find_suite(name_or_path: str) -> Path | None:
    """The directory at this path, else the library's suite of this name; None if it is the name of something else."""
    path, suite = Path(name_or_path), library_directory() / name_or_path
    if _is(Path.is_dir, path):
        return path
    if suite.parent != library_directory() or _is(Path.is_file, path) or not _is(Path.is_dir, suite):
        return None
    return suite if any(file.suffix in SUFFIXES for file in suite.iterdir()) else None


def find_scenario(name_or_path: str, directory: Path | None = None) -> tuple[str, str]:
    """The text of a scenario and its file's name: the file at this path, else the library's scenario of this name.

    Raises:
        DocumentErrors: there is neither, or the file cannot be read.
    """
    path = Path(name_or_path)
    if not _is(Path.is_file, path):
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


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    try:
        return kind(path)
    except (OSError, ValueError):
        return False

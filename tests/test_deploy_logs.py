import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from deploy.logs import configure_logs


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines_go_to_standard_error_with_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json", instance="one")

    structlog.get_logger("x").info("run.accepted", run="01A")

    out, err = capsys.readouterr()
    line = json.loads(err)
    assert out == ""
    assert (line["event"], line["instance"], line["run"], line["level"]) == ("run.accepted", "one", "01A", "info")


def test_what_is_below_the_level_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("WARNING", "console")

    structlog.get_logger("x").info("run.accepted")

    assert capsys.readouterr().err == ""


def test_the_logs_of_libraries_are_routed_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json", instance="one")

    logging.getLogger("some.library").warning("lost %s", "it")

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["logger"], line["instance"]) == ("lost it", "some.library", "one")


def test_an_exception_is_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "json")

    structlog.get_logger("x").error("actor.crashed", exc_info=ValueError("why"))

    assert "ValueError: why" in json.loads(capsys.readouterr().err)["exception"]


def test_a_console_line_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("INFO", "console")

    structlog.get_logger("x").warning("run.late", run="01A")

    assert "run.late" in capsys.readouterr().err

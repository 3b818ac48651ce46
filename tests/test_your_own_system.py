"""The guide to one's own system, done as it says: a Redis of the distribution, from the command line."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "docs" / "your-own-system.md"
EXAMPLES = ROOT / "docs" / "examples"
PORT = "6390"
KEPT, IN_MEMORY = "--appendonly, yes, --appendfsync, always", '--save, ""'
MISTAKES = {
    '--port, "6390"': "--port, 6390",
    "target: {link: writer-to-redis}": "target: writer-to-redis",
    ", by: undo": "",
}
"""What the guide shows the findings of, and how it is made."""
SLOWER = {"delay: 50ms}, for: 5s": "delay: 100ms}, for: 12s", '"+200ms"': '"+400ms"', '"+90ms"': '"+190ms"'}
"""So that what a busy machine takes for an answer is not taken for the latency."""
needs_redis = pytest.mark.skipif(
    not (shutil.which("redis-server") and shutil.which("redis-cli")), reason="needs redis-server and redis-cli (redis-tools)"
)


def blocks(language: str) -> list[str]:
    """The fenced blocks of the guide in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """A run from the command line that is over."""

    code: int
    said: dict[str, Any]
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads(self._read("json")))

    def _read(self, kind: str) -> str:
        return (self.folder / str(self.said["reports"][kind])).read_text()

    @property
    def judged(self) -> dict[str, str]:
        """Each claim's verdict, by its id."""
        return {one["id"]: one["verdict"] for one in self.report["validation_results"]["assertion_details"]}

    def has_reports(self) -> bool:
        return all(self._read(kind) for kind in ("json", "html", "junit"))


class Reader:
    """Someone who follows the guide in an empty folder, on a port of their own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        (folder / "data").mkdir()
        (folder / "writer.py").write_text(blocks("python")[0])
        self.write(blocks("yaml")[0].replace(PORT, str(port)))
        for before, after in SLOWER.items():
            self.change(before, after)

    def write(self, document: str) -> None:
        (self.folder / "redis.yaml").write_text(document)

    def change(self, before: str, after: str) -> None:
        document = (self.folder / "redis.yaml").read_text()
        assert before in document
        self.write(document.replace(before, after))

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        ours = {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(self.folder / "state"), "HOME": str(self.folder), "PATH": os.environ["PATH"]}
        line = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.run(line, env=ours, cwd=self.folder, capture_output=True, text=True, timeout=110, check=False)

    def run(self, *arguments: str) -> Ended:
        done = self.call("run", "redis.yaml", "--json", *arguments)
        assert done.stdout, done.stderr
        return Ended(done.returncode, json.loads(done.stdout), self.folder)

    def redis_answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def reader(tmp_path: Path, unused_port: Callable[[], int]) -> Reader:
    return Reader(tmp_path, unused_port())


def test_the_files_beside_the_guide_are_those_in_it() -> None:
    assert blocks("yaml")[0] == (EXAMPLES / "redis.yaml").read_text()
    assert blocks("python")[0] == (EXAMPLES / "writer.py").read_text()


def test_every_document_that_the_guide_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)", GUIDE.read_text())

    assert len(links) > 3
    assert [link for link in links if not (GUIDE.parent / link).exists()] == []


def test_the_mistakes_of_the_guide_are_told_as_it_shows_them(reader: Reader) -> None:
    told = []
    for right, wrong in MISTAKES.items():
        reader.write(blocks("yaml")[0].replace(right, wrong))
        told.append(reader.call("validate", "redis.yaml").stdout)

    assert "".join(told) == blocks("text")[0]


def test_the_plan_is_that_of_the_guide(reader: Reader) -> None:
    reader.write(blocks("yaml")[0])
    valid, plan = (
        reader.call(*line.split()[2:]) for line in ("$ test-coordinator validate redis.yaml", "$ test-coordinator run redis.yaml --dry-run")
    )
    shown = next(block for block in blocks("console") if "--dry-run" in block).splitlines()[1:]

    assert (valid.returncode, plan.returncode) == (0, 0)
    assert [line for line in shown if line not in {"…", *plan.stdout.splitlines()}] == []
    assert not reader.redis_answers()


@needs_redis
@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_redis_that_is_slowed_down_and_killed_passes_and_is_gone_afterwards(reader: Reader) -> None:
    ended = reader.run()

    assert (ended.code, ended.said["verdict"]) == (0, "passed"), ended.judged
    assert set(ended.judged) == {"normal", "writer-feels-it", "redis-does-not", "back", "nothing-lost", "healthy"}
    assert ended.has_reports()
    assert not reader.redis_answers()


@needs_redis
@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_bound_that_cannot_be_kept_fails_with_exit_code_1(reader: Reader) -> None:
    ended = reader.run("--var", "slo=1s")

    assert (ended.code, ended.said["verdict"]) == (1, "failed"), ended.judged
    assert ended.judged["back"] == "failed"
    assert ended.has_reports()
    assert not reader.redis_answers()


@needs_redis
@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_redis_that_loses_what_it_acknowledged_fails_though_it_is_back_in_time(reader: Reader) -> None:
    assert f"`{IN_MEMORY}` instead of `{KEPT}`" in GUIDE.read_text()
    reader.change(KEPT, IN_MEMORY)

    ended = reader.run()

    assert (ended.code, ended.said["verdict"]) == (1, "failed"), ended.judged
    assert {name for name, verdict in ended.judged.items() if verdict == "failed"} == {"nothing-lost"}
    assert ended.judged["back"] == "passed"

"""The queue: one process at a time, and whatever becomes of it, the queue goes on."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from diffusion2.viewer import jobs as module
from diffusion2.viewer.jobs import Jobs

SLEEP = "import time; time.sleep(60)"
STOPPABLE = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(130)); "
    "print('ready', file=sys.stderr, flush=True); time.sleep(60)"
)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """A queue whose commands are lines of Python."""

    def start(arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-S", "-c", *arguments], stderr=subprocess.PIPE)

    monkeypatch.setattr(module, "_start", start)
    with Jobs() as queue:
        yield queue


def wait(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_one_runs_and_the_others_wait_in_their_order(jobs: Jobs) -> None:
    first, second, third = (jobs.add(Path(name), [SLEEP]) for name in "abc")
    wait(lambda: first.state == "running")
    assert [second.state, third.state] == ["waiting", "waiting"]
    assert [jobs.ahead_of(second), jobs.ahead_of(third)] == [1, 2]
    assert jobs.add(Path("b"), ["other"]) is second
    jobs.stop(second.run)
    assert second.state == "stopped"
    jobs.stop(first.run)
    wait(lambda: third.state == "running")
    assert first.state == "stopped"


def test_a_failure_is_its_one_line_and_the_next_begins(jobs: Jobs) -> None:
    code = "import sys; sys.exit('error: this is no picture: give another')"
    failed, after = jobs.add(Path("a"), [code]), jobs.add(Path("b"), ["pass"])
    wait(lambda: after.state == "done")
    assert (failed.state, failed.error) == ("failed", "error: this is no picture: give another")


def test_a_process_that_is_killed_fails_alone(jobs: Jobs) -> None:
    killed = jobs.add(Path("a"), ["import os; os.kill(os.getpid(), 9)"])
    wait(lambda: killed.state == "failed")
    assert "ended by signal 9" in killed.error


def test_a_program_that_does_not_start_fails_alone(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError("out of processes")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_start", refuse)
        failed = jobs.add(Path("a"), ["pass"])
        wait(lambda: failed.state == "failed")
    assert "out of processes" in failed.error
    after = jobs.add(Path("b"), ["pass"])
    wait(lambda: after.state == "done")


def test_what_was_stopped_can_go_on(jobs: Jobs) -> None:
    first = jobs.add(Path("a"), [STOPPABLE])
    wait(lambda: first.state == "running")
    jobs.stop(first.run)
    wait(lambda: first.process is not None and first.process.poll() is not None)
    again = jobs.add(Path("a"), ["pass"])
    wait(lambda: again.state == "done")
    assert jobs.find(Path("a")) is again
    assert first.state == "stopped"


def test_closing_stops_what_runs_and_what_waits_never_begins(jobs: Jobs) -> None:
    first, second = jobs.add(Path("a"), [SLEEP]), jobs.add(Path("b"), [SLEEP])
    wait(lambda: first.state == "running")
    jobs.close()
    assert (first.state, second.state) == ("stopped", "stopped")
    assert first.process is not None
    assert first.process.poll() is not None
    assert second.process is None

"""Runs that wait for their turn: one goes on at a time, each in a process of its own.

What happens to a run, a failure, the system's lack of memory, a stop, happens to that process alone.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

State = Literal["waiting", "running", "stopped", "failed", "done"]

INTERRUPTED = 130
"""What `diffusion2` answers when it was interrupted and can go on."""
STOP_S = 30.0
"""How long a run may take to stop before it is killed; it goes on from its last checkpoint all the same."""
LONGEST_ERROR = 2000


@dataclass
class Job:
    """A run that was asked for.

    Attributes:
        run: its folder.
        arguments: of the command `diffusion2`.
        state: where it is.
        error: the one line that it ended with, where it failed.
    """

    run: Path
    arguments: tuple[str, ...]
    state: State = "waiting"
    error: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)


class Jobs:
    """The queue, and the thread that works on it; also a context manager."""

    def __init__(self) -> None:
        self._jobs: dict[Path, Job] = {}
        self._waiting: list[Job] = []
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __enter__(self) -> Jobs:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.close()

    def add(self, run: Path, arguments: Sequence[str]) -> Job:
        """Let a run begin, or go on, when its turn comes; one that waits or runs already stays as it is."""
        with self._changed:
            job = self._jobs.get(run)
            if job is None or job.state not in ("waiting", "running"):
                job = Job(run, tuple(arguments))
                self._jobs.pop(run, None)
                self._jobs[run] = job
                self._waiting.append(job)
                self._changed.notify()
            return job

    def stop(self, run: Path) -> None:
        """Stop a run, which can go on later, or take it out of the queue."""
        with self._changed:
            job = self._jobs.get(run)
            if job is None:
                return
            if job in self._waiting:
                self._waiting.remove(job)
                job.state = "stopped"
            elif job.process is not None and job.state == "running":
                job.state = "stopped"
                job.process.terminate()
                threading.Timer(STOP_S, _kill, [job.process]).start()

    def find(self, run: Path) -> Job | None:
        """Return what was asked for in a folder, if anything was."""
        return self._jobs.get(run)

    def all(self) -> list[Job]:
        """Return all that was asked for, in that order."""
        with self._changed:
            return list(self._jobs.values())

    def ahead_of(self, job: Job) -> int:
        """Count the runs that come before one that waits."""
        with self._changed:
            running = any(other.state == "running" for other in self._jobs.values())
            return (self._waiting.index(job) if job in self._waiting else 0) + running

    def close(self) -> None:
        """Stop the run that goes on and wait until it has; those that wait never begin."""
        with self._changed:
            self._is_closed = True
            for job in self._waiting:
                job.state = "stopped"
            self._waiting.clear()
            running = [job for job in self._jobs.values() if job.state == "running"]
            self._changed.notify()
        for job in running:
            self.stop(job.run)
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if self._is_closed:
                    return
                job = self._waiting.pop(0)
                try:
                    job.process = _start(job.arguments)
                    job.state = "running"
                except OSError as error:
                    job.state, job.error = "failed", f"error: no process could be started: {error}"
                    continue
            said = _last_words(job.process)
            with self._changed:
                _end(job, job.process.wait(), said)


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "diffusion2", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _last_words(process: subprocess.Popen[bytes]) -> str:
    """Read what a process says of errors until it ends; give the last line."""
    assert process.stderr is not None
    last = ""
    with process.stderr:
        for line in process.stderr:
            last = line.decode(errors="replace").strip()[:LONGEST_ERROR] or last
    return last


def _end(job: Job, code: int, said: str) -> None:
    if code == 0:
        job.state = "done"
    elif job.state == "stopped" or code == INTERRUPTED:
        job.state = "stopped"
    else:
        job.state = "failed"
        killed = f"error: the run's process was ended by signal {-code}; memory may have been too short"
        job.error = said if said.startswith("error:") else killed if code < 0 else f"error: {said}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        process.kill()

"""What long work reports. The terminal and the run's log only listen.

A function that takes long has a parameter `report: Report = ignore` and calls it with events; it
never prints. `stage` times a stage and makes its events.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class RunStarted:
    """A run begins: from what, where, with which preset ("none": with settings of none), and why that one."""

    source: str
    out: Path
    preset: str
    reason: str


@dataclass(frozen=True)
class StageStarted:
    """A stage begins."""

    stage: str


@dataclass(frozen=True)
class StageProgress:
    """A stage has done `done` of `total` units.

    Attributes:
        stage: the stage's name.
        done: units of work done.
        total: units of work in all.
        seconds: time since the stage began.
        eta: seconds that are probably left, None before the first unit is done.
        detail: what was last done, e.g. "sigma 3.1, loss 0.02"; may be empty.
    """

    stage: str
    done: int
    total: int
    seconds: float
    eta: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class StageFinished:
    """A stage is done and took this long."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class Warned:
    """Something the user should know; the work goes on."""

    message: str


@dataclass(frozen=True)
class ResultWritten:
    """A result is on disk: `kind` is "matrix", "asset", "video", "viewer" ..."""

    kind: str
    path: Path


@dataclass(frozen=True)
class RunFinished:
    """The run is complete and took this long in all."""

    seconds: float


Event = RunStarted | StageStarted | StageProgress | StageFinished | Warned | ResultWritten | RunFinished


class Report(Protocol):
    """What takes the events of long work: any function of one event, such as a list's `append`."""

    def __call__(self, event: Event, /) -> object:
        """Take one event."""
        ...


def ignore(event: Event) -> None:
    """Listen to nothing: the default where a caller does not care."""


def both(first: Report, second: Report) -> Report:
    """Let two listen, the first one first."""

    def report(event: Event) -> None:
        first(event)
        second(event)

    return report


def to_record(event: Event) -> dict[str, object]:
    """Return an event as plain JSON values, its class name under "event"."""
    fields = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(event).items()}
    return {"event": type(event).__name__, **fields}


class Progress(Protocol):
    """Takes how far work has come; `stage` makes the one that reports it."""

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Take that `done` of `total` units are done, and what was done last."""
        ...


class _StageCounter:
    """Counts the units of one stage and reports them."""

    def __init__(self, report: Report, name: str) -> None:
        self._report, self._name = report, name
        self._start = time.perf_counter()
        self._first: int | None = None

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Report that `done` of `total` units are done.

        The first call fixes where counting began: a resumed stage that starts at unit 20 estimates
        the rest from the units done since then. Call it with the starting unit before the work.
        """
        seconds = time.perf_counter() - self._start
        if self._first is None:
            self._first = done if done < total else 0
        since = done - self._first
        eta = seconds / since * (total - done) if since > 0 else None
        self._report(StageProgress(self._name, done, total, seconds, eta, detail))


@contextmanager
def stage(report: Report, name: str) -> Iterator[Progress]:
    """Report the begin and end of a stage, with its time; yields what reports its progress.

    An exception passes through, and the stage is then not reported as finished.
    """
    start = time.perf_counter()
    report(StageStarted(name))
    yield _StageCounter(report, name)
    report(StageFinished(name, time.perf_counter() - start))


def duration(seconds: float) -> str:
    """Say a time span as people do: 3.2 s, 48 s, 2 min 05 s, 1 h 02 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"

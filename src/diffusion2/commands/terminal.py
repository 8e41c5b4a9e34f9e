"""Events on a terminal: a live bar where it is one, plain lines where it is not."""

import sys
import time
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from diffusion2.events import (
    Event,
    ResultWritten,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    Warned,
    duration,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

PLAIN_WIDTH = 200
"""Columns of a table that is not written to a terminal."""

PLAIN_SECONDS = 10.0
"""Time between two lines of progress where there is no live bar."""


class Terminal:
    """Shows events on a stream; use as a context manager and as a `Report`.

    Args:
        stream: where to write; a live bar appears if it is a terminal.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._last = 0.0
        self._bar = _Bar(self._stream) if self._stream.isatty() else None

    def __enter__(self) -> "Terminal":
        """Begin to show."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live bar away."""
        if self._bar:
            self._bar.close()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._bar and isinstance(event, StageStarted | StageProgress | StageFinished):
            self._bar.update(event)
        if isinstance(event, StageProgress):
            if self._bar or not self._is_due(event):
                return
        elif isinstance(event, StageStarted):
            self._last = time.monotonic()
            return
        self._print(describe(event))

    def _is_due(self, event: StageProgress) -> bool:
        if event.done == event.total or time.monotonic() - self._last < PLAIN_SECONDS:
            return False
        self._last = time.monotonic()
        return True

    def _print(self, line: str) -> None:
        if self._bar:
            self._bar.print(line)
        else:
            print(line, file=self._stream, flush=True)


def describe(event: Event) -> str:
    """Say an event in one line."""
    match event:
        case RunStarted():
            made_with = event.reason if event.preset == "none" else f"preset {event.preset} ({event.reason})"
            return f"{event.source} -> {event.out}, {made_with}"
        case StageStarted():
            return f"{event.stage} ..."
        case StageProgress():
            left = f", {duration(event.eta)} left" if event.eta is not None else ""
            detail = f", {event.detail}" if event.detail else ""
            return f"{event.stage} {event.done}/{event.total}{left}{detail}"
        case StageFinished():
            return f"{event.stage} done in {duration(event.seconds)}"
        case Warned():
            return f"note: {event.message}"
        case ResultWritten():
            return f"wrote {event.path}"
        case RunFinished():
            return f"finished in {duration(event.seconds)}"


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Print a table, as wide as the terminal; long texts in the last column are wrapped.

    Args:
        columns: their headings.
        rows: the cells.
        numbers: the columns that are aligned on the right.
        stream: where to write; None for the standard output.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        last = column == columns[-1]
        table.add_column(
            column, justify="right" if column in numbers else "left", no_wrap=not last, overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    file = stream or sys.stdout
    console = Console(file=file, highlight=False, width=None if file.isatty() else PLAIN_WIDTH)
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().splitlines()
    print("\n".join(line.rstrip() for line in lines), file=file, flush=True)


class _Bar:
    """One live line: stage, bar, count, time left, detail."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[left]}"),
            TextColumn("[dim]{task.fields[detail]}"),
            console=Console(file=stream, highlight=False),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def update(self, event: StageStarted | StageProgress | StageFinished) -> None:
        if isinstance(event, StageStarted):
            self._progress.start()
            self._tasks[event.stage] = self._progress.add_task(event.stage, total=1, left="", detail="")
        elif isinstance(event, StageFinished):
            if (finished := self._tasks.pop(event.stage, None)) is not None:
                self._progress.remove_task(finished)
        elif (task := self._tasks.get(event.stage)) is not None:
            left = "" if event.eta is None else f"{duration(event.eta)} left"
            self._progress.update(
                task, completed=event.done, total=event.total, left=left, detail=event.detail
            )

    def print(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()

"""A run's log: `events.jsonl`, one event a line."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from diffusion2.events import Event, StageProgress, to_record


class EventLog:
    """Appends events to `events.jsonl`; of a stage's progress at most one line a second.

    A last line that was cut short, as on a full disk, is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0.0
        if path.is_file():
            written = path.read_bytes()
            whole = written.rfind(b"\n") + 1
            if whole < len(written):
                os.truncate(path, whole)

    def __call__(self, event: Event) -> None:
        """Write one event with the time of day."""
        if isinstance(event, StageProgress) and event.done < event.total:
            if time.monotonic() - self._last < 1:
                return
            self._last = time.monotonic()
        record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **to_record(event)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

"""A run as it is seen from outside, while it goes on and afterwards: by its log and its files alone.

So it makes no difference who makes the run, and nothing that happens to it can harm who watches.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from diffusion2.errors import Diffusion2Error
from diffusion2.gaussians import Asset4D
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.lock import LOCK
from diffusion2.runs.run_folder import RunFolder
from diffusion2.viewer.sheet import Sheet, read_sheet

QUIET_S = 60.0
"""After so long without news, a run that should go on is said to be silent."""


@dataclass(frozen=True)
class Stand:
    """How far a run is.

    Attributes:
        stage: what is done now, or was done last; "" before anything is.
        done: units of it, of `total`.
        total: units in all; 0 where they are not counted.
        eta: seconds that are probably left, where that is known.
        notes: what the user should know.
        is_going_on: some process works in the folder.
        is_finished: everything is there.
        silent_s: seconds since the last sign of life.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    eta: float | None = None
    notes: tuple[str, ...] = ()
    is_going_on: bool = False
    is_finished: bool = False
    silent_s: float = 0.0


@dataclass(frozen=True)
class News:
    """What was seen since the last look; None where nothing is new.

    Attributes:
        stand: how far the run is, always.
        sheet: the image matrix, as guessed now or finished.
        asset: the object, as learned so far or finished.
        is_final: that asset is the result.
        error: why the result can't be shown.
    """

    stand: Stand
    sheet: Sheet | None = None
    asset: Asset4D | None = None
    is_final: bool = False
    error: str = ""


class RunFeed:
    """Looks at a run's folder whenever it is asked to.

    Args:
        folder: of the run; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.run = RunFolder(folder)
        self._live = LiveFiles(folder)
        self._stand = Stand()
        self._read = 0
        self._seen: dict[Path, int] = {}

    def look(self) -> News:
        """Read what is new; errors of files become part of it, as nobody waits for them."""
        stand = self._follow_log()
        if self._is_new(self.run.asset_path):
            try:
                asset, error = Asset4D.load(self.run.asset_path), ""
            except Diffusion2Error as wrong:
                asset, error = None, str(wrong)
            return News(stand, self._finished_sheet(), asset, is_final=asset is not None, error=error)
        if self.run.has_matrix and self._is_new(self.run.path / "cameras.json"):
            return News(stand, read_sheet(self.run))
        if self.run.asset_path.exists():
            return News(stand)
        return News(stand, self._guessed_sheet(), self._learned_asset())

    def _finished_sheet(self) -> Sheet | None:
        self._is_new(self.run.path / "cameras.json")
        return read_sheet(self.run) if self.run.has_matrix else None

    def _guessed_sheet(self) -> Sheet | None:
        path = self._live.matrix_path
        if self.run.has_matrix or not self._is_new(path):
            return None
        return read_sheet(self.run, path)

    def _learned_asset(self) -> Asset4D | None:
        if not self._is_new(self._live.asset_path):
            return None
        try:
            return Asset4D.load(self._live.asset_path)
        except Diffusion2Error:  # it was just removed
            return None

    def _is_new(self, path: Path) -> bool:
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            return False
        is_new = self._seen.get(path) != changed
        self._seen[path] = changed
        return is_new

    def _follow_log(self) -> Stand:
        """Read the lines of the log that are new and whole."""
        path = self.run.events_path
        try:
            if path.stat().st_size < self._read:  # another run took its place
                self._read, self._stand, self._seen = 0, Stand(), {}
            with path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            silent = max(time.time() - path.stat().st_mtime, 0.0)
        except OSError:
            new, silent = b"", 0.0
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._stand = _after(self._stand, line)
        return replace(
            self._stand,
            is_going_on=(self.run.path / LOCK).exists(),
            is_finished=self.run.is_finished,
            silent_s=silent,
        )


def _after(stand: Stand, line: bytes) -> Stand:
    """Return how far a run is after one more line of its log; what is not understood changes nothing."""
    try:
        event = json.loads(line)
        match event["event"]:
            case "RunStarted":
                return Stand()
            case "StageStarted":
                return replace(stand, stage=str(event["stage"]), done=0, total=0, eta=None)
            case "StageProgress":
                done, total, eta = int(event["done"]), int(event["total"]), event["eta"]
                return replace(stand, stage=str(event["stage"]), done=done, total=total, eta=eta)
            case "Warned":
                return replace(stand, notes=(*stand.notes, str(event["message"])))
    except (ValueError, KeyError, TypeError):
        pass
    return stand

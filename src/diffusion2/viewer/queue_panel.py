"""The part of the page that lists runs: which one is shown, which one beside it, what waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import viser

from diffusion2.runs.run_folder import RunFolder
from diffusion2.viewer.feed import Stand
from diffusion2.viewer.jobs import Job, Jobs
from diffusion2.viewer.words import Tone, paragraph, percent

NONE_YET, NOTHING = "none yet", "nothing"


class QueuePanel:
    """The list.

    Args:
        server: whose page gets it, in the container that is open.
        runs: the folder of all runs.
        jobs: what was asked for.
        resume: called with the folder of a run that shall go on.
    """

    def __init__(
        self, server: viser.ViserServer, runs: Path, jobs: Jobs, resume: Callable[[Path], None]
    ) -> None:
        self._runs, self._jobs = runs, jobs
        none_yet, nothing = [NONE_YET], [NOTHING]
        self._shown = server.gui.add_dropdown("Run", none_yet)
        self._beside = server.gui.add_dropdown("Compare", nothing, hint="Another run, beside it")
        self._stop = server.gui.add_button("Stop", icon=viser.Icon.PLAYER_STOP, color="red", visible=False)
        self._resume = server.gui.add_button("Resume", icon=viser.Icon.PLAYER_PLAY, visible=False)
        self._list = server.gui.add_html("")
        self._stop.on_click(lambda _: self.selected and jobs.stop(self.selected))
        self._resume.on_click(lambda _: self.selected and resume(self.selected))

    @property
    def selected(self) -> Path | None:
        """The run that is shown."""
        name = self._shown.value
        return None if name == NONE_YET else self._runs / name

    @property
    def beside(self) -> Path | None:
        """The run that it is compared with."""
        name = self._beside.value
        return None if name in (NOTHING, self._shown.value) else self._runs / name

    def select(self, run: Path) -> None:
        """Show a run."""
        self.update(None)
        self._shown.value = run.name

    def update(self, stand: Stand | None) -> None:
        """Bring the lists up to date.

        Args:
            stand: of the run that is selected; None where that isn't known.
        """
        names = self._names()
        _offer(self._shown, names or (NONE_YET,))
        others = [
            name for name in names if name != self._shown.value and (self._runs / name / ASSET).exists()
        ]
        _offer(self._beside, (NOTHING, *others))
        run = self.selected
        job = None if run is None else self._jobs.find(run)
        is_busy = job is not None and job.state in ("waiting", "running")
        if stand is not None:
            self._stop.visible = is_busy
            self._resume.visible = run is not None and not (is_busy or stand.is_finished or stand.is_going_on)
        lines = [paragraph(*self._line(job, stand if job.run == run else None)) for job in self._jobs.all()]
        self._list.content = "".join(lines)

    def _names(self) -> tuple[str, ...]:
        """The runs of the folder, the newest first."""
        known = {job.run for job in self._jobs.all()}
        found: list[tuple[float, str]] = []
        for path in self._runs.iterdir():
            if path.name.startswith(".") or not path.is_dir():
                continue
            config = path / "config.json"
            if path in known or config.is_file() or RunFolder(path).asset_path.is_file():
                at = config if config.is_file() else path
                found.append((at.stat().st_mtime, path.name))
        return tuple(name for _, name in sorted(found, reverse=True))

    def _line(self, job: Job, stand: Stand | None) -> tuple[str, Tone]:
        name = job.run.name
        match job.state:
            case "waiting":
                return f"⏳ {name}: waits, {self._jobs.ahead_of(job)} before it", "quiet"
            case "running":
                far = f"{percent(stand):.0f} % of {stand.stage}" if stand and stand.stage else "goes on"
                return f"▶ {name}: {far}", "plain"
            case "stopped":
                return f"■ {name}: stopped", "quiet"
            case "failed":
                return f"✖ {name}: {job.error}", "error"
            case _:
                return f"✔ {name}: done", "quiet"


ASSET = "asset.safetensors"


def _offer(dropdown: viser.GuiDropdownHandle[str], options: tuple[str, ...]) -> None:
    """Change what a list offers, and keep what is chosen where it is still there."""
    if dropdown.options != options:
        chosen = dropdown.value
        dropdown.options = options
        dropdown.value = chosen if chosen in options else options[0]

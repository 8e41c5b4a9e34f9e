"""What a run leaves on disk, and how a run is replaced. See docs/conventions.md."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffusion2.atomic_files import check_writable, remove, write_json
from diffusion2.config import PRESETS, GenerateSettings, name_preset, settings_from_dict
from diffusion2.errors import AssetFormatError, ExportError, InputError, in_one_line
from diffusion2.events import Report, Warned
from diffusion2.runs.checkpoints import Checkpoints
from diffusion2.runs.lock import LOCK, refuse_file
from diffusion2.runs.source import Source, recorded_source

ENTRIES = (
    "config.json",
    "events.jsonl",
    "conditions",
    "latents",
    "matrix",
    "cameras.json",
    "asset.safetensors",
    "orbit.mp4",
    "viewer.html",
    "evaluation.json",
    "evaluation.html",
)
INPUT = "input"
"""What the page of `diffusion2 app` was given for a run; it may be there before the run, and stays."""
PREVIOUS = ".previous"
SETTING_ASIDE = ".previous.part"
"""Where a run is gathered that becomes the previous one when all of it is there."""
DISCARDED = ".previous.old"
"""What the previous run is called while it is removed."""


@dataclass(frozen=True)
class RunFolder:
    """A folder in the layout of a run.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config_path(self) -> Path:
        """Settings, versions, hashes."""
        return self.path / "config.json"

    @property
    def events_path(self) -> Path:
        """The log, one event a line."""
        return self.path / "events.jsonl"

    @property
    def asset_path(self) -> Path:
        """The moving Gaussians."""
        return self.path / "asset.safetensors"

    @property
    def orbit_path(self) -> Path:
        """A video in which the camera turns while time runs."""
        return self.path / "orbit.mp4"

    @property
    def viewer_path(self) -> Path:
        """One page that plays offline."""
        return self.path / "viewer.html"

    @property
    def conditions_path(self) -> Path:
        """Folder of what the matrix is conditioned on, given or made."""
        return self.path / "conditions"

    @property
    def given_path(self) -> Path:
        """Says which of the conditions were given."""
        return self.conditions_path / "given.json"

    @property
    def picture_path(self) -> Path:
        """The input as the priors see it."""
        return self.conditions_path / "picture.png"

    @property
    def video_path(self) -> Path:
        """Folder of the reference view over time."""
        return self.conditions_path / "video"

    @property
    def views_path(self) -> Path:
        """Folder of the views at the reference time."""
        return self.conditions_path / "views"

    @property
    def checkpoints(self) -> Checkpoints:
        """States of stage 1."""
        return Checkpoints(self.path / "latents")

    @property
    def previous_path(self) -> Path:
        """Where a run that is being replaced is kept until the new one is complete."""
        return self.path / PREVIOUS

    @property
    def has_matrix(self) -> bool:
        """Whether stage 1 is complete: `cameras.json` is written last."""
        return (self.path / "cameras.json").is_file() and (self.path / "matrix").is_dir()

    @property
    def is_finished(self) -> bool:
        """Whether both stages are complete, and all results there."""
        return self.has_matrix and self.asset_path.is_file() and self.is_shown

    @property
    def is_shown(self) -> bool:
        """Whether all is there that shows the asset."""
        return self.orbit_path.is_file() and self.viewer_path.is_file()

    def holds_run(self) -> bool:
        """Tell whether a run is there: its settings, a complete matrix, or an asset.

        Only such a folder is ever replaced; one that merely has a file of the same name is not.
        """
        try:
            self.read_config()
        except AssetFormatError:
            return self.has_matrix or self.asset_path.is_file()
        return True

    # -- beginning and ending -------------------------------------------------------------------

    @contextmanager
    def writing(self, next_step: str) -> Iterator[None]:
        """Say in one line, with what to do then, that the folder can't be written any more.

        Raises:
            ExportError: a write failed, as on a full disk; what was complete before is there.
        """
        try:
            yield
        except OSError as error:
            raise ExportError(
                f"the run in {self.path} stopped: {in_one_line(error)}; when that is mended, {next_step}"
            ) from error

    def check(self, *, overwrite: bool = False, resume: bool = False) -> None:
        """Refuse a folder that a run must not be written into. Changes nothing that was there.

        Only a run that was being set aside when that was cut short is put back first.

        Raises:
            InputError: it is no folder, can't be written to, holds a run (and neither `overwrite` nor
                `resume` is given) or other files, or there is no run to resume.
        """
        if overwrite and resume:
            raise InputError("choose one of --overwrite (start again) and --resume (continue)")
        refuse_file(self.path)
        self.restore()
        if resume and not self.config_path.is_file():
            raise InputError(f"there is no run to resume in {self.path}: leave out --resume to start one")
        if self.path.is_dir():
            if self.holds_run() and not (overwrite or resume):
                raise InputError(
                    f"{self.path} already holds a run: choose another folder, or add --resume to continue it "
                    "or --overwrite to replace it"
                )
            ours = (PREVIOUS, DISCARDED, LOCK, INPUT)
            others = sorted(p.name for p in self.path.iterdir() if p.name not in ours)
            if others and not self.holds_run():
                raise InputError(f"{self.path} holds other files ({others[0]} …): give a new or empty folder")
        self.check_writable()

    def check_writable(self) -> None:
        """Try to write a file where the run will be; leave nothing behind.

        Raises:
            InputError: it can't be written.
        """
        try:
            check_writable(self.path)
        except OSError as error:
            raise InputError(f"can't write to {self.path}: {in_one_line(error)}") from error

    def start(self, config: dict[str, Any]) -> None:
        """Begin a new run. A run that was there is set aside in `.previous` until `complete`.

        Of two runs that are there, one set aside before and an unfinished one that was to replace it, the
        finished one is kept.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self.holds_run() and (self.is_finished or not self.previous_path.exists()):
            self._set_aside()
        for name in reversed(ENTRIES):  # what says that a run is here goes last
            remove(self.path / name)
        write_json(self.config_path, config)

    @contextmanager
    def completing(self, report: Report) -> Iterator[None]:
        """Do the rest of a run's work: `complete` it, or say where the run is kept that it was to replace."""
        try:
            yield
        except BaseException:
            if self.previous_path.is_dir():
                with suppress(OSError):  # of a log on a full disk: the first error is the one to tell
                    report(Warned(f"the run that was there before is kept in {self.previous_path}"))
            raise
        self.complete()

    def complete(self) -> None:
        """Remove what is not needed once all results are there: the run that was replaced."""
        self._discard_previous()

    def restore(self) -> None:
        """Put a run back that was being set aside when that was cut short.

        Raises:
            InputError: it can't be put back.
        """
        part = self.path / SETTING_ASIDE
        if not part.is_dir():
            return
        try:
            for entry in part.iterdir():
                os.replace(entry, self.path / entry.name)
            part.rmdir()
        except OSError as error:
            raise InputError(f"can't write to {self.path}: {in_one_line(error)}") from error

    def _discard_previous(self) -> None:
        discarded = self.path / DISCARDED
        remove(discarded)
        if self.previous_path.exists():
            os.replace(self.previous_path, discarded)  # at once: half a run is no run to keep
            remove(discarded)

    def _set_aside(self) -> None:
        """Make the run in the folder the previous one, at once when all of it is gathered."""
        part = self.path / SETTING_ASIDE
        part.mkdir(exist_ok=True)
        for name in reversed(ENTRIES):
            if (self.path / name).exists():
                os.replace(self.path / name, part / name)
        self._discard_previous()
        os.replace(part, self.previous_path)

    def forget_shown(self) -> None:
        """Remove what shows or measures the asset, before another takes its place.

        Scores of the matrix stay.
        """
        remove(self.orbit_path)
        remove(self.viewer_path)
        try:
            measured = json.loads((self.path / "evaluation.json").read_text(encoding="utf-8"))["compared"]
        except (OSError, ValueError, KeyError, TypeError):
            measured = None
        if measured != "matrix":
            remove(self.path / "evaluation.json")
            remove(self.path / "evaluation.html")

    def forget_asset(self) -> None:
        """Remove the asset, and what shows or measures it."""
        self.forget_shown()
        remove(self.asset_path)

    # -- settings -------------------------------------------------------------------------------

    def read_config(self) -> dict[str, Any]:
        """Read `config.json`.

        Raises:
            AssetFormatError: it is missing or not JSON.
        """
        try:
            config = json.loads(self.config_path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AssetFormatError(f"{self.config_path} can't be read: {in_one_line(error)}") from error
        if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
            raise AssetFormatError(f'{self.config_path} has no "settings"')
        return config

    def read_settings(self) -> GenerateSettings:
        """Read the settings this run was started with.

        Raises:
            AssetFormatError: `config.json` is missing or not JSON.
            InputError: it has a setting that is unknown to this version, or a value that does not fit.
        """
        config = self.read_config()
        try:
            settings = name_preset(settings_from_dict(config["settings"]))
        except InputError as error:
            raise InputError(f"{self.config_path}: {error}") from error
        recorded = config.get("preset")
        if "preset" not in config["settings"] and settings.preset == "none" and recorded in PRESETS:
            return replace(settings, preset=recorded)  # an older version noted it beside the settings
        return settings

    def read_source(self) -> Source:
        """Read what this run started from.

        Raises:
            AssetFormatError: `config.json` is missing or not JSON.
            InputError: it has a setting that is unknown to this version, or a value that does not fit.
        """
        try:
            return recorded_source(self.read_input())
        except InputError as error:
            raise InputError(f"{self.config_path}: {error}") from error

    def read_input(self) -> dict[str, Any]:
        """Read the record of what this run started from; empty where another program wrote the folder."""
        record = self.read_config().get("input")
        return record if isinstance(record, dict) else {}

    def settings_or_defaults(self) -> GenerateSettings:
        """Get the settings the run began with, or the plain ones where another program wrote the folder."""
        return self.read_settings() if (self.path / "config.json").is_file() else GenerateSettings()

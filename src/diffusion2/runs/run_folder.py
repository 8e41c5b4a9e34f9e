"""What a run leaves on disk; its checkpoints; how it is resumed. See docs/conventions.md."""

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from diffusion2.atomic_files import atomic_path, remove, write_json
from diffusion2.config import GenerateSettings, settings_from_dict
from diffusion2.errors import AssetFormatError, InputError
from diffusion2.events import Event, StageProgress, to_record
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
PREVIOUS = ".previous"
VERSIONED = ("diffusion2", "torch", "numpy", "diffusers", "transformers", "numba", "safetensors")
CHECKPOINTS_KEPT = 2


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
    def previous_path(self) -> Path:
        """Where a run that is being replaced is kept until the new one is complete."""
        return self.path / PREVIOUS

    @property
    def has_matrix(self) -> bool:
        """Whether stage 1 is complete: `cameras.json` is written last."""
        return (self.path / "cameras.json").is_file() and (self.path / "matrix").is_dir()

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

    def check(self, *, overwrite: bool = False, resume: bool = False) -> None:
        """Refuse a folder that a run must not be written into. Changes nothing that was there.

        Raises:
            InputError: it is no folder, can't be written to, holds a run (and neither `overwrite` nor
                `resume` is given) or other files, or there is no run to resume.
        """
        if overwrite and resume:
            raise InputError("choose one of --overwrite (start again) and --resume (continue)")
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"the output {self.path} is a file: give a folder, new or empty")
        if resume and not self.config_path.is_file():
            raise InputError(f"there is no run to resume in {self.path}: leave out --resume to start one")
        if self.path.is_dir():
            if self.holds_run() and not (overwrite or resume):
                raise InputError(
                    f"{self.path} already holds a run: choose another folder, or add --resume to continue it "
                    "or --overwrite to replace it"
                )
            others = sorted(p.name for p in self.path.iterdir() if p.name != PREVIOUS)
            if others and not self.holds_run():
                raise InputError(f"{self.path} holds other files ({others[0]} …): give a new or empty folder")
        self.check_writable()

    def check_writable(self) -> None:
        """Try to write a file where the run will be; leave nothing behind.

        Raises:
            InputError: it can't be written.
        """
        made: list[Path] = []
        probe = self.path / f".write-test-{os.getpid()}"
        try:
            for folder in reversed([self.path, *self.path.parents]):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
            probe.write_bytes(b"")
        except OSError as error:
            raise InputError(f"can't write to {self.path}: {error.strerror or error}") from error
        finally:
            probe.unlink(missing_ok=True) if probe.parent.is_dir() else None
            for folder in reversed(made):
                folder.rmdir()

    def start(self, config: dict[str, Any]) -> None:
        """Begin a new run. A run that was there is set aside in `.previous` until `complete`."""
        self.path.mkdir(parents=True, exist_ok=True)
        previous = self.previous_path
        if self.holds_run() and not previous.exists():
            previous.mkdir()
            for name in ENTRIES:
                if (self.path / name).exists():
                    os.replace(self.path / name, previous / name)
        for name in ENTRIES:
            remove(self.path / name)
        write_json(self.config_path, config)

    def complete(self) -> None:
        """Remove what is not needed once all results are there: the run that was replaced."""
        remove(self.previous_path)

    def forget_asset(self) -> None:
        """Remove the asset and what shows or measures it; scores of the matrix stay."""
        for name in ("asset.safetensors", "orbit.mp4", "viewer.html"):
            remove(self.path / name)
        try:
            measured = json.loads((self.path / "evaluation.json").read_text(encoding="utf-8"))["compared"]
        except (OSError, ValueError, KeyError, TypeError):
            measured = None
        if measured != "matrix":
            remove(self.path / "evaluation.json")
            remove(self.path / "evaluation.html")

    # -- settings -------------------------------------------------------------------------------

    def read_config(self) -> dict[str, Any]:
        """Read `config.json`.

        Raises:
            AssetFormatError: it is missing or not JSON.
        """
        try:
            config = json.loads(self.config_path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AssetFormatError(f"{self.config_path} can't be read: {error}") from error
        if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
            raise AssetFormatError(f'{self.config_path} has no "settings"')
        return config

    def read_settings(self) -> GenerateSettings:
        """Read the settings this run was started with.

        Raises:
            AssetFormatError: `config.json` is missing or not JSON.
            InputError: it has a setting that is unknown to this version, or a value that does not fit.
        """
        try:
            return settings_from_dict(self.read_config()["settings"])
        except InputError as error:
            raise InputError(f"{self.config_path}: {error}") from error

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
        """Give the settings the run began with, or the plain ones where another program wrote the folder."""
        return self.read_settings() if (self.path / "config.json").is_file() else GenerateSettings()

    # -- checkpoints of stage 1 -----------------------------------------------------------------

    def save_checkpoint(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Keep the state of sampling after `step` steps; older checkpoints but one are removed."""
        folder = self.path / "latents"
        folder.mkdir(exist_ok=True)
        with atomic_path(folder / f"step_{step:03d}.safetensors") as temporary:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary)
        for old in self._checkpoints()[:-CHECKPOINTS_KEPT]:
            old.unlink()

    def latest_checkpoint(self) -> tuple[int, dict[str, Tensor]] | None:
        """Read the newest checkpoint that can be read: (steps done, tensors), or None."""
        for path in reversed(self._checkpoints()):
            try:
                with safe_open(path, framework="pt") as file:
                    tensors = {key: file.get_tensor(key) for key in file.keys()}
            except (OSError, SafetensorError):
                continue
            return int(path.stem.removeprefix("step_")), tensors
        return None

    def _checkpoints(self) -> list[Path]:
        paths = (self.path / "latents").glob("step_*.safetensors")
        return sorted((p for p in paths if p.stem[5:].isdecimal()), key=lambda p: int(p.stem[5:]))


class EventLog:
    """Appends events to `events.jsonl`; of a stage's progress at most one line a second."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0.0

    def __call__(self, event: Event) -> None:
        """Write one event with the time of day."""
        if isinstance(event, StageProgress) and event.done < event.total:
            if time.monotonic() - self._last < 1:
                return
            self._last = time.monotonic()
        record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **to_record(event)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def make_config(
    settings: GenerateSettings,
    *,
    preset: str,
    reason: str,
    source: Source,
    device: str,
    weights: dict[str, str],
) -> dict[str, Any]:
    """Give the contents of `config.json` for a new run.

    Args:
        settings: what decides the result.
        preset: the preset's name.
        reason: why that preset.
        source: what the run starts from; its paths and their hashes are kept.
        device: where the networks run.
        weights: sha256 of each file of weights, by name.
    """
    return {
        "settings": asdict(settings),
        "preset": preset,
        "preset_reason": reason,
        "input": source.to_record(),
        "device": device,
        "weights": weights,
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found

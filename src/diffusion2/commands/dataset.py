"""The command that renders ground truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from diffusion2.commands.terminal import Terminal
from diffusion2.errors import InputError
from diffusion2.events import duration

if TYPE_CHECKING:
    from diffusion2.meshes import AnimatedModel
    from diffusion2.meshes.ground_truth import Window

MAX_GB = 32.0
BYTES_PER_PIXEL = 16


@dataclass(frozen=True)
class RenderDataset:
    """Render an animated glTF model as a true image matrix: V views by F frames, in the layout of a run."""

    model: Positional[Path]
    """A .glb or .gltf file."""
    out: Path | None = None
    """Folder of the result, new or empty."""
    list_clips: Annotated[bool, arg(name="list")] = False
    """List the model's clips and how long they last, and stop."""
    clip: str | None = None
    """Which clip; the first if not given."""
    still: bool = False
    """Show one pose in all frames: of --clip at --start, or the model at rest."""
    start: float = 0.0
    """Second of the clip at which the frames begin."""
    duration: float | None = None
    """Seconds that the frames cover; the rest of the clip if not given, all of it if it is a loop."""
    fps: float | None = None
    """Frames per second, in place of --duration."""
    views: int = 12
    """Number of views, evenly around the model; the last is the reference view."""
    azimuths_deg: tuple[float, ...] = ()
    """Azimuths of the views relative to the reference camera, in place of --views."""
    frames: int = 12
    """Number of frames."""
    size: int = 128
    """Height and width in pixels."""
    elevation_deg: float = 10.0
    """Elevation of all cameras."""
    azimuth_deg: float = 0.0
    """Where the reference camera stands around the model; 0 looks at its front."""
    object_size: float = 0.7
    """Share of the picture that the longer side of the model fills in the reference picture."""
    overwrite: bool = False
    """Replace the run or data set that is in the folder."""

    def run(self) -> None:
        """Render, or list the clips."""
        from diffusion2.meshes import load_model

        with Terminal() as terminal:
            model = load_model(self.model, terminal)
        if self.list_clips:
            for name, clip in model.clips.items():
                print(f"{clip.duration:8.3f} s  {name}")
            if not model.clips:
                print(f"{self.model} has no animation")
            return
        if self.out is None:
            raise InputError("--out is missing: the folder of the result (or --list, to see the clips)")
        self._check(self.out)
        self._render(model, self._window(model), self.out)

    def _check(self, out: Path) -> None:
        """Refuse numbers that make no pictures, and a folder that must not be written into."""
        from diffusion2.runs.run_folder import RunFolder

        ranges = (
            ("views", self.views, 1, 1000),
            ("frames", self.frames, 1, 1000),
            ("size", self.size, 8, 4096),
            ("elevation-deg", self.elevation_deg, -89, 89),
            ("azimuth-deg", self.azimuth_deg, -3600, 3600),
            ("object-size", self.object_size, 0.05, 1),
            ("start", self.start, 0, 1e6),
            ("duration", self.duration, 1e-3, 1e6),
            ("fps", self.fps, 1e-3, 1e4),
            *(("azimuths-deg", azimuth, -3600, 3600) for azimuth in self.azimuths_deg),
        )
        for name, value, low, high in ranges:
            if value is not None and not low <= value <= high:
                raise InputError(f"--{name} must lie between {low:g} and {high:g}, not {value:g}")
        pictures = (len(self.azimuths_deg) or self.views) * self.frames
        size = pictures * self.size**2 * BYTES_PER_PIXEL / 1e9
        if size > MAX_GB:
            raise InputError(
                f"{pictures} pictures of {self.size} x {self.size} pixels take {size:.0f} GB of memory, more "
                f"than {MAX_GB:g}: choose fewer views, fewer frames or a smaller size"
            )
        folder = RunFolder(out)
        if out.is_dir() and folder.holds_run() and not self.overwrite:
            raise InputError(
                f"{out} already holds a run: choose another folder, or --overwrite to replace it"
            )
        folder.check(overwrite=self.overwrite)

    def _window(self, model: "AnimatedModel") -> "Window":
        from diffusion2.meshes.ground_truth import choose_window, still_window

        if self.still:
            if self.duration is not None or self.fps is not None:
                raise InputError("--still shows one pose: it goes with neither --duration nor --fps")
            return still_window(model, self.clip, self.frames, start=self.start)
        if not model.clips:
            raise InputError(f"{self.model} has no animation: add --still to show it at rest in all frames")
        clip = next(iter(model.clips)) if self.clip is None else self.clip
        return choose_window(model, clip, self.frames, start=self.start, duration=self.duration, fps=self.fps)

    def _render(self, model: "AnimatedModel", window: "Window", out: Path) -> None:
        from diffusion2.cameras import make_cameras, orbit
        from diffusion2.meshes.ground_truth import render_clip, write_truth

        if self.azimuths_deg:
            cameras = make_cameras(list(self.azimuths_deg), self.elevation_deg, height=self.size)
        else:
            cameras = orbit(self.views, self.elevation_deg, height=self.size)
        azimuth_deg = self.azimuth_deg + model.front_deg
        with Terminal() as terminal:
            matrix = render_clip(
                model,
                window,
                cameras,
                azimuth_deg=azimuth_deg,
                object_size=self.object_size,
                report=terminal,
            )
        write_truth(out, matrix, self.model, window, azimuth_deg=azimuth_deg, object_size=self.object_size)
        if window.duration > 0:
            shown = f"{window.clip} from {window.start:g} s for {duration(window.duration)}"
            shown += ", a loop" if window.closed else ""
        else:
            shown = f"{window.clip or 'the rest pose'}, still"
        print(f"wrote {out}: {matrix.views} views, {matrix.frames} frames at {matrix.fps:.4g} fps; {shown}")

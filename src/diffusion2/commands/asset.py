"""Commands that show and pass on a finished asset."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from diffusion2.commands.terminal import Terminal
from diffusion2.config import ExportSettings
from diffusion2.events import ResultWritten


@dataclass(frozen=True)
class Render:
    """Render an asset from any cameras at any times."""

    asset: Positional[Path]
    """asset.safetensors, or a run's folder."""
    out: Path
    """FILE.png for one picture, FILE.mp4, .webm, .webp, .apng or .gif for a video, or a folder for rgb, alpha
    and depth of each frame."""
    azimuths_deg: tuple[float, ...] = (0.0,)
    """Azimuth of each frame's camera; one counts for all frames."""
    elevations_deg: tuple[float, ...] = (10.0,)
    """Elevation of each frame's camera; one counts for all frames."""
    times: tuple[float, ...] = (0.0,)
    """Time of each frame in [0, 1]; one counts for all frames."""
    orbit: int = 0
    """Instead of azimuths and times: so many frames of one turn while the time runs once."""
    radius: float = 2.0
    """Distance of the cameras from the object's middle."""
    fov_deg: float = 33.8
    """Vertical field of view."""
    width: int = 512
    """Width in pixels."""
    height: int = 512
    """Height in pixels."""
    background: float = 1.0
    """Grey of the background, 0 black to 1 white."""
    fps: float = 12.0
    """Frames per second of a video."""

    def run(self) -> None:
        """Render and write."""
        from diffusion2.exporters.render_files import camera_path, render_to_files
        from diffusion2.gaussians import load_asset

        azimuths, times = self.azimuths_deg, self.times
        if self.orbit > 0:
            azimuths = tuple(360.0 * k / self.orbit for k in range(self.orbit))
            times = tuple(k / max(self.orbit - 1, 1) for k in range(self.orbit))
        cameras, times = camera_path(
            azimuths,
            self.elevations_deg,
            times,
            radius=self.radius,
            fov_deg=self.fov_deg,
            height=self.height,
            width=self.width,
        )
        asset = load_asset(self.asset)
        written = render_to_files(asset, cameras, times, self.out, background=self.background, fps=self.fps)
        print(f"wrote {written}")


@dataclass(frozen=True)
class Export:
    """Write an asset for other programs; the suffix says what it becomes. See docs/exports.md.

    .glb: a textured mesh, moved by bones (needs the extra mesh). .html: a page that plays offline.
    .mp4, .gif: a video; .webm, .webp, .apng: one with alpha. NAME_*.png, or a folder with --as png: pictures
    with alpha; with --as depth: depth; NAME_*.exr: depth as floats (needs the extra exr).
    .ply: the Gaussians at one moment; NAME_*.ply, or a folder with --as ply: at each frame. .splat: smaller;
    .compressed.ply and .spz: smaller still (need the extra splats); .gltf-splats.glb, or .glb with
    --as splats: as glTF. NAME_*.obj: a mesh for each frame (needs the extra mesh).
    .usdc, .usda, .usdz: the mesh, or .usdc and .usda with --as splats: the Gaussians, moving (need the extra
    usd). .abc: the mesh, moving (needs the extra alembic).
    A folder with --as dataset: the run's pictures with their cameras, for D-NeRF, COLMAP and their like.
    """

    asset: Positional[Path]
    """asset.safetensors, or a run's folder."""
    out: Positional[Path]
    """FILE, NAME_*.SUFFIX for a file per frame, or a folder."""
    as_format: Annotated[str | None, arg(name="as")] = None
    """The format, where the suffix leaves a choice or there is none."""
    settings: Annotated[ExportSettings, arg(name="")] = field(default_factory=ExportSettings)

    def run(self) -> None:
        """Load and export."""
        from diffusion2.exporters import export
        from diffusion2.exporters.formats import DATASET, export_matrix, find_format
        from diffusion2.gaussians import load_asset
        from diffusion2.runs.condition_files import recorded_model_frame
        from diffusion2.runs.matrix_files import read_matrix
        from diffusion2.runs.run_folder import RunFolder

        chosen = find_format(self.out, self.as_format)  # refuses what can't be before an asset is read
        run = RunFolder(self.asset)
        matrix = read_matrix(run.path) if chosen.sees_matrix and run.has_matrix else None
        with Terminal() as terminal:
            if matrix is not None and chosen.name == DATASET and not run.asset_path.is_file():
                model = recorded_model_frame(run)
                written = export_matrix(matrix, self.out, self.settings, model=model, report=terminal)
            else:
                asset = load_asset(self.asset)
                written = export(
                    asset, self.out, self.settings, name=self.as_format, matrix=matrix, report=terminal
                )
            terminal(ResultWritten("export", written))

"""From the matrix in a run's folder to the asset, and to what shows it."""

from dataclasses import replace

from diffusion2.cameras import ModelFrame
from diffusion2.config import GenerateSettings
from diffusion2.events import Report, ResultWritten, stage
from diffusion2.exporters import write_orbit_video, write_viewer
from diffusion2.gaussians import Asset4D, load_asset
from diffusion2.image_matrix import ImageMatrix
from diffusion2.pipeline.lifting import lift_reference
from diffusion2.reconstruction import reconstruct_matrix
from diffusion2.runs.condition_files import recorded_model_frame, was_video_given
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.matrix_files import read_matrix
from diffusion2.runs.run_folder import RunFolder


def make_asset(
    run: RunFolder,
    settings: GenerateSettings,
    report: Report,
    live: LiveFiles,
    matrix: ImageMatrix | None = None,
    model_frame: ModelFrame | None = None,
) -> None:
    """Reconstruct the matrix in the folder; what shows or measures a former asset goes with it."""
    asset = make_3d(matrix or read_matrix(run.path), run, settings, report, live)
    model_frame = model_frame or recorded_model_frame(run)
    if model_frame is not None:
        asset = replace(asset, metadata=replace(asset.metadata, model_frame=model_frame))
    run.forget_shown()
    asset.save(run.asset_path)
    report(ResultWritten("asset", run.asset_path))


def make_3d(
    matrix: ImageMatrix, run: RunFolder, settings: GenerateSettings, report: Report, live: LiveFiles
) -> Asset4D:
    """Reconstruct a matrix of a run, and show it meanwhile."""
    return reconstruct_matrix(
        matrix,
        settings.reconstruction,
        report,
        seed=settings.seed,
        start=lift_reference(run, settings),
        video_given=was_video_given(run),
        on_state=lambda asset: live.show_asset(asset.save),
    )


def make_results(run: RunFolder, report: Report) -> None:
    """Show the asset in the folder, in whatever way it isn't shown yet."""
    asset = load_asset(run.asset_path)
    if not run.orbit_path.exists():
        with stage(report, "video") as progress:
            write_orbit_video(asset, run.orbit_path, progress=progress)
        report(ResultWritten("video", run.orbit_path))
    if not run.viewer_path.exists():
        with stage(report, "viewer"):
            write_viewer(asset, run.viewer_path, title=run.path.resolve().name)
        report(ResultWritten("viewer", run.viewer_path))

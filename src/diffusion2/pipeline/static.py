"""The static asset that one picture is lifted to, in seconds and without sampling anything."""

from pathlib import Path

from diffusion2.config import PRESETS, GenerateSettings
from diffusion2.distributed import ALONE
from diffusion2.events import Report, ResultWritten, ignore, stage
from diffusion2.gaussians import Asset4D, AssetMetadata
from diffusion2.image_matrix import Conditions, view_cameras
from diffusion2.pipeline.lifting import lift, load_lifter
from diffusion2.pipeline.results import make_results
from diffusion2.pipeline.work import begin
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source


def preview(
    source: str | Path | Source,
    out: str | Path,
    settings: GenerateSettings = PRESETS["mini"],
    *,
    overwrite: bool = False,
    report: Report = ignore,
) -> RunFolder:
    """Lift a picture to a static asset, by the mini pair's lifter alone.

    `generate` with `resume` goes on from it to the moving one.

    Args:
        source: as for `generate`; of a video or a 3D model the reference picture is taken.
        out: the run's folder, new or empty.
        settings: how the picture is framed, and its elevation; the lifter learned with those of "mini".
        overwrite: replace the run in `out`; it is kept until the new one is complete.
        report: takes the events of the work.

    Raises:
        InputError: the input, the folder or a setting can't be used. Nothing has been changed then.
        WeightsError: the mini pair's weights are missing. Nothing has been changed then.
    """
    again = "start it again with --overwrite"
    with begin(
        source, out, settings, overwrite, False, report, ALONE, lambda *_: load_lifter(), again
    ) as work:
        assert work.networks is not None
        with stage(work.report, "lift"):
            gaussians = lift(work.networks, work.conditions.picture, work.settings.elevation_deg)
            Asset4D(gaussians, None, _metadata(work.conditions, work.settings)).save(work.run.asset_path)
        work.report(ResultWritten("asset", work.run.asset_path))
        make_results(work.run, work.report)
    return work.run


def _metadata(conditions: Conditions, settings: GenerateSettings) -> AssetMetadata:
    cameras = view_cameras(settings)
    return AssetMetadata(
        fps=settings.fps,
        frames=1,
        elevation_deg=settings.elevation_deg,
        radius=cameras.radii[-1],
        fov_deg=cameras.fov_deg,
        height=cameras.height,
        width=cameras.width,
        model_frame=conditions.model_frame,
    )

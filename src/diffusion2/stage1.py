"""Stage 1 with its checkpoints: conditions, references and image matrix in a run folder."""

from dataclasses import replace

from diffusion2.cameras import orbit
from diffusion2.config import GenerateSettings
from diffusion2.events import Report
from diffusion2.image_matrix import Conditions, ImageMatrix, frame_times
from diffusion2.matrix_files import read_pictures, to_8_bit, write_matrix, write_picture, write_pictures
from diffusion2.priors.mini import load_pair
from diffusion2.run_folder import RunFolder
from diffusion2.sampling import decode_matrix, sample_matrix, sample_references
from diffusion2.weights import mini_folder


def sample_matrix_into(
    run: RunFolder, conditions: Conditions, settings: GenerateSettings, report: Report
) -> None:
    """Sample the image matrix and write it, with its conditions, into the run's folder.

    What is there already (references, checkpoints) is used; the result is the same. References are
    rounded to 8 bits before the matrix is conditioned on them, because that is what the folder holds.
    """
    pair = load_pair(settings.priors, mini_folder())
    run.picture_path.parent.mkdir(exist_ok=True)
    write_picture(run.picture_path, conditions.picture)
    conditions = _read_references(run, conditions)
    if conditions.video is None or conditions.views is None:
        conditions = sample_references(pair, conditions, settings, report)
        assert conditions.video is not None
        assert conditions.views is not None
        video, views = to_8_bit(conditions.video), to_8_bit(conditions.views)
        write_pictures(run.video_path, video, "frame")
        write_pictures(run.views_path, views, "view")
        conditions = replace(conditions, video=video, views=views)
    latents = sample_matrix(
        pair,
        conditions,
        settings,
        report,
        on_checkpoint=run.save_checkpoint,
        start=run.latest_checkpoint(),
    )
    write_matrix(
        run.path,
        ImageMatrix(
            decode_matrix(pair, latents, report),
            orbit(settings.views, settings.elevation_deg, height=settings.size, width=settings.size),
            frame_times(settings.frames),
            settings.fps,
        ),
    )


def _read_references(run: RunFolder, conditions: Conditions) -> Conditions:
    """Take the references that an interrupted run has left; each folder is whole or not there."""
    video = read_pictures(run.video_path, "frame")[0] if run.video_path.is_dir() else conditions.video
    views = read_pictures(run.views_path, "view")[0] if run.views_path.is_dir() else conditions.views
    return replace(conditions, video=video, views=views)

"""Both stages, or the first alone: the flow on one page."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from diffusion2.config import GenerateSettings
from diffusion2.distributed import ALONE, ProcessGroup
from diffusion2.errors import OutOfMemory
from diffusion2.events import Report, ResultWritten, ignore
from diffusion2.gaussians import render_matrix
from diffusion2.image_matrix import Conditions, turn_time
from diffusion2.pipeline.results import make_3d, make_asset, make_results
from diffusion2.pipeline.work import Work, begin
from diffusion2.priors.loading import LoadPriors, load_priors
from diffusion2.priors.prior import PriorPair
from diffusion2.runs.condition_files import read_made_references, write_made_references
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.matrix_files import write_matrix
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source
from diffusion2.sampling import (
    Preview,
    assemble_matrix,
    decode_matrix,
    matrix_images,
    sample_matrix,
    sample_references,
)
from diffusion2.sampling.parallel import available_cores
from diffusion2.sampling.sharing import share_conditions, share_state


def generate(
    source: str | Path | Source,
    out: str | Path,
    preset: str | GenerateSettings | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    report: Report = ignore,
    group: ProcessGroup = ALONE,
    load: LoadPriors | None = None,
) -> RunFolder:
    """Turn whatever is known of a moving object into a moving 3D asset.

    Args:
        source: a picture, a video, a folder of frames or a 3D model; or a `Source`, for words or several.
        out: the run's folder, new or empty.
        preset: a name in `PRESETS`; or settings, such as `dataclasses.replace(PRESETS["mini"], seed=3)`; None
            for the best preset whose weights are here. A run is resumed with what it began with.
        overwrite: replace the run in `out`; it is kept until the new one is complete.
        resume: continue the run in `out`; the result is the same as without the interruption.
        report: takes the events of the work.
        group: processes that share stage 1, of which this is the first; the others call `assist`.
        load: gives the pair of priors, such as a `KeptPriors` that several runs share; None: it is loaded.

    Raises:
        InputError: the input, the folder or a setting can't be used. Nothing has been changed then.
        WeightsError: the preset's weights are missing. Nothing has been changed then.
        NumericalError: a stage left the finite numbers.
    """
    with begin(source, out, preset, overwrite, resume, report, group, load or load_priors) as work:
        _make_matrix(work)
        if not work.run.asset_path.exists():
            make_asset(work.run, work.settings, work.report, work.live)
        make_results(work.run, work.report)
    return work.run


def sample(
    source: str | Path | Source,
    out: str | Path,
    preset: str | GenerateSettings | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    report: Report = ignore,
    group: ProcessGroup = ALONE,
) -> RunFolder:
    """Run stage 1 alone: the source becomes the image matrix, from which `reconstruct` goes on.

    Arguments and errors are those of `generate`.
    """
    with begin(source, out, preset, overwrite, resume, report, group, load_priors) as work:
        _make_matrix(work)
    return work.run


def _make_matrix(work: Work[PriorPair]) -> None:
    """Sample what is not known of the references, then the matrix, from where its last checkpoint is."""
    run, settings, given, priors = work.run, work.settings, work.conditions, work.networks
    report, group = work.report, work.group
    if priors is None:
        return
    known = share_conditions(group, read_made_references(run, given, settings))
    references = sample_references(priors, known, settings, report, group)
    references = write_made_references(run, references, settings)
    latents = sample_matrix(
        priors,
        references,
        settings,
        report,
        on_checkpoint=run.checkpoints.save,
        on_estimate=_show_estimates(work.live, priors, references, settings),
        redraw=partial(_redraw, work),
        start=share_state(group, run.checkpoints.latest(report)),
        group=group,
    )
    images = decode_matrix(priors, latents, report, settings.sampling.threads, group)
    if group.size > 1:
        torch.set_num_threads(available_cores())  # the others are done, and torchrun had said 1
    run.forget_asset()  # of a preview, from which this run goes on
    write_matrix(run.path, assemble_matrix(images, given, settings))
    work.report(ResultWritten("matrix", run.path / "matrix"))


def _redraw(work: Work[PriorPair], images: Tensor) -> Tensor:
    """Reconstruct the images (V, F, P, H, W) of a matrix, and draw what that gives from its cameras."""
    settings = work.settings
    matrix = assemble_matrix(images, work.conditions, settings)
    asset = make_3d(matrix, work.run, settings, work.report, work.live)
    return matrix_images(render_matrix(asset, matrix), settings, images.shape[2])


def _show_estimates(
    live: LiveFiles, priors: PriorPair, references: Conditions, settings: GenerateSettings
) -> Callable[[Tensor], None]:
    """Return what shows a clean estimate of the matrix's latents while the run goes on."""
    known = [pictures for pictures in (references.video, references.views) if pictures is not None]
    try:
        preview = Preview(priors.codec, torch.cat(known), settings.frames)
    except OutOfMemory:  # a look in passing is not worth a failure
        return lambda latents: None
    return lambda latents: live.show_matrix(lambda: turn_time(preview(latents), settings, dim=1))

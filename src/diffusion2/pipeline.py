"""The flow on one page: conditions, priors, references, matrix, asset, results.

What passes from stage to stage is what lies in the run folder (pictures of 8 bits), so a resumed run,
or a stage that is run alone, continues identically.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from diffusion2.cameras import ModelFrame
from diffusion2.config import GenerateSettings, ReconstructionSettings
from diffusion2.distributed import ALONE, Message, ProcessGroup
from diffusion2.errors import InputError, OutOfMemory
from diffusion2.events import (
    Event,
    Report,
    ResultWritten,
    RunFinished,
    RunStarted,
    Warned,
    both,
    ignore,
    stage,
)
from diffusion2.exporters import write_orbit_video, write_viewer
from diffusion2.gaussians import load_asset
from diffusion2.image_matrix import Conditions, ImageMatrix, turn_time
from diffusion2.inputs import read_conditions
from diffusion2.inputs.captures import is_capture, read_capture
from diffusion2.priors.devices import choose_device, choose_dtype
from diffusion2.priors.loading import LoadPriors, load_priors
from diffusion2.priors.prior import PriorPair
from diffusion2.reconstruction import reconstruct_matrix
from diffusion2.runs.condition_files import (
    read_made_references,
    read_recorded_conditions,
    recorded_model_frame,
    write_conditions,
    write_made_references,
)
from diffusion2.runs.event_log import EventLog
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.lock import locked
from diffusion2.runs.matrix_files import read_matrix, write_matrix
from diffusion2.runs.plan import check_shared_facts, facts_to_share, plan_resumed, plan_run
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source
from diffusion2.sampling import Preview, assemble_matrix, decode_matrix, sample_matrix, sample_references
from diffusion2.sampling.parallel import available_cores
from diffusion2.sampling.roles import assign
from diffusion2.sampling.sharing import share_conditions, share_state
from diffusion2.weights.catalogue import check_available

MINI_DOMAIN = "the mini pair has only seen low-poly toy creatures: other objects run, but will not look good"


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
    load = load or load_priors
    with _begin(source, out, preset, overwrite, resume, report, group, load) as work:
        _make_matrix(work)
        if not work.run.asset_path.exists():
            _make_asset(work.run, work.settings, work.report, work.live)
        _make_results(work.run, work.report)
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
    with _begin(source, out, preset, overwrite, resume, report, group, load_priors) as work:
        _make_matrix(work)
    return work.run


def assist(group: ProcessGroup) -> None:
    """Do this process's share of stage 1 of the run that the first process of a group makes.

    It needs neither the run's folder nor its input, both of which only the first process sees.

    Raises:
        InputError: versions, weights or arguments differ from the first process's.
        WeightsError: the weights are missing here.
        BackendUnavailable: the run's device isn't here.
        NumericalError: an estimate isn't finite.
    """
    facts = group.broadcast().note
    if not facts:
        return
    settings = check_shared_facts(facts)
    group.work_on(settings.sampling.device)
    priors = load_priors(settings, assign(settings, group.size).networks(group.rank))
    known = share_conditions(group)
    references = sample_references(priors, known, settings, group=group).as_written()
    start = share_state(group)
    latents = sample_matrix(priors, references, settings, start=start, group=group)
    decode_matrix(priors, latents, threads=settings.sampling.threads, group=group)


def reconstruct(
    folder: str | Path,
    settings: ReconstructionSettings | None = None,
    *,
    seed: int | None = None,
    overwrite: bool = False,
    report: Report = ignore,
) -> RunFolder:
    """Run stage 2 alone on a folder with `matrix/` and `cameras.json`, whoever wrote them, or on a capture.

    A capture is pictures with the cameras of nerfstudio, D-NeRF or COLMAP; docs/inputs.md. The asset's
    `model_frame` leads back into its world.

    Args:
        folder: the folder; the asset and all results are written into it.
        settings: None: those that the run began with, or the plain defaults where there are none.
        seed: of all that is drawn; None: the run's, or 0 where there is none.
        overwrite: replace the asset that is there.
        report: takes the events of the work.

    Raises:
        AssetFormatError: a part of the matrix is missing or can't be read.
        InputError: the folder has an asset already, with all that shows it, and `overwrite` is not given; a
            capture or a setting can't be used.
        NumericalError: the optimisation left the finite numbers.
    """
    early = list[Event]()
    run = RunFolder(Path(folder))
    if not run.path.is_dir():
        raise InputError(f"there is no folder {run.path}")
    with locked(run.path, report):
        run.restore()
        has_asset = run.asset_path.exists() and not overwrite
        if has_asset and run.is_shown:
            raise InputError(f"{run.asset_path} is there already: add --overwrite to replace it")
        if has_asset:  # left by a process that was ended before it had shown it
            note = "is there already, and what shows it is made: add --overwrite to replace it"
            both(report, early.append)(Warned(f"{run.asset_path} {note}"))
        matrix, frame = (None, None) if has_asset else _read_given_matrix(run, both(report, early.append))
        began = run.settings_or_defaults()
        began = replace(
            began, seed=began.seed if seed is None else seed, reconstruction=settings or began.reconstruction
        )
        run.check_writable()
        with run.writing("start it again with --overwrite"):
            log = EventLog(run.events_path)
            for event in early:
                log(event)
            report = both(report, log)
            with run.completing(report), LiveFiles(run.path) as live:
                if not has_asset:
                    _make_asset(run, began, report, live, matrix, frame)
                _make_results(run, report)
    return run


@dataclass(frozen=True)
class _Work:
    """A run that has begun: its folder, what it is made of and with, who listens, what shows it meanwhile.

    `priors` is None where the matrix is in the folder already.
    """

    run: RunFolder
    settings: GenerateSettings
    conditions: Conditions
    priors: PriorPair | None
    report: Report
    group: ProcessGroup
    live: LiveFiles


@contextmanager
def _begin(
    source: str | Path | Source,
    out: str | Path,
    preset: str | GenerateSettings | None,
    overwrite: bool,
    resume: bool,
    report: Report,
    group: ProcessGroup,
    load: LoadPriors,
) -> Iterator[_Work]:
    """Read the conditions and load the priors, which refuses what can't be used; then begin or go on."""
    began, early = time.perf_counter(), list[Event]()
    run = RunFolder(Path(out))
    with locked(run.path, report):
        run.check(overwrite=overwrite, resume=resume)
        source = source if isinstance(source, Source) else Source(source)
        plan = plan_resumed(run, source, preset) if resume else plan_run(source, preset)
        settings = plan.settings
        check_available(settings.priors, settings.weights)
        has_matrix = resume and run.has_matrix
        if not has_matrix:
            _enlist(group, settings)
        recorded = read_recorded_conditions(run, settings) if resume else None
        conditions = recorded or read_conditions(plan.source, settings, both(report, early.append))
        networks = assign(settings, group.size).networks(group.rank)
        priors = None if has_matrix else load(settings, networks)
        if priors is not None:
            conditions = conditions.with_channels(priors.codec.picture_channels)
        with run.writing("the same command with --resume goes on from the last checkpoint"):
            if not resume:
                run.start(plan.to_config(choose_device(settings.sampling.device, settings.priors)))
            log = EventLog(run.events_path)
            both(report, log)(RunStarted(str(plan.source), run.path, settings.preset, plan.reason))
            for event in early:
                log(event)
            report = both(report, log)
            if settings.priors == "mini":
                report(Warned(MINI_DOMAIN))
            with run.completing(report), LiveFiles(run.path) as live:
                if recorded is None:
                    write_conditions(run, conditions, settings)
                yield _Work(run, settings, conditions, priors, report, group, live)
            report(RunFinished(time.perf_counter() - began))


def _make_matrix(work: _Work) -> None:
    """Sample what is not known of the references, then the matrix, from where its last checkpoint is."""
    run, settings, given, priors = work.run, work.settings, work.conditions, work.priors
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
        start=share_state(group, run.checkpoints.latest(report)),
        group=group,
    )
    images = decode_matrix(priors, latents, report, settings.sampling.threads, group)
    if group.size > 1:
        torch.set_num_threads(available_cores())  # the others are done, and torchrun had said 1
    write_matrix(run.path, assemble_matrix(images, given, settings))
    work.report(ResultWritten("matrix", run.path / "matrix"))


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


def _enlist(group: ProcessGroup, settings: GenerateSettings) -> None:
    """Tell the other processes what is made, with what this machine would choose."""
    if group.size == 1:
        return
    device = choose_device(settings.sampling.device, settings.priors)
    precision = str(choose_dtype(settings.sampling.precision, device)).removeprefix("torch.")
    sampling = replace(settings.sampling, device=device, precision=precision)
    group.broadcast(Message(note=facts_to_share(replace(settings, sampling=sampling))))
    group.work_on(device)


def _read_given_matrix(run: RunFolder, report: Report) -> tuple[ImageMatrix, ModelFrame | None]:
    """Read the matrix that is in a folder: our own, else a capture, with where its world stands."""
    has_ours = (run.path / "cameras.json").is_file()
    if not has_ours and is_capture(run.path):
        capture = read_capture(run.path, report)
        return capture.matrix, capture.frame
    if has_ours and is_capture(run.path):
        report(
            Warned(f"{run.path}: cameras.json and matrix/ are taken, the cameras of other programs are not")
        )
    return read_matrix(run.path), recorded_model_frame(run)


def _make_asset(
    run: RunFolder,
    settings: GenerateSettings,
    report: Report,
    live: LiveFiles,
    matrix: ImageMatrix | None = None,
    model_frame: ModelFrame | None = None,
) -> None:
    """Reconstruct the matrix in the folder; what shows or measures a former asset goes with it."""
    asset = reconstruct_matrix(
        matrix or read_matrix(run.path),
        settings.reconstruction,
        report,
        seed=settings.seed,
        on_state=lambda asset: live.show_asset(asset.save),
    )
    model_frame = model_frame or recorded_model_frame(run)
    if model_frame is not None:
        asset = replace(asset, metadata=replace(asset.metadata, model_frame=model_frame))
    run.forget_shown()
    asset.save(run.asset_path)
    report(ResultWritten("asset", run.asset_path))


def _make_results(run: RunFolder, report: Report) -> None:
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

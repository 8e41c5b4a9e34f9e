"""The flow on one page: picture, conditions, image matrix, asset, results.

What passes from stage to stage is what lies in the run folder (pictures of 8 bits), so a resumed run,
or a stage that is run alone, continues identically.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion2.config import PRESETS, GenerateSettings, InputSettings, ReconstructionSettings
from diffusion2.errors import AssetFormatError, ExportError, InputError
from diffusion2.events import Event, Report, ResultWritten, RunFinished, RunStarted, Warned, ignore, stage
from diffusion2.exporters import write_orbit_video, write_viewer
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import ImageMatrix
from diffusion2.inputs import read_conditions
from diffusion2.reconstruction import reconstruct
from diffusion2.runs.condition_files import read_recorded_conditions, recorded_model_frame, write_conditions
from diffusion2.runs.matrix_files import read_matrix
from diffusion2.runs.run_folder import EventLog, RunFolder, make_config
from diffusion2.runs.source import Source
from diffusion2.weights.catalogue import check_available, choose_preset, weights_hashes

if TYPE_CHECKING:
    from diffusion2.stage1 import Stage1

MINI_DOMAIN = "the mini pair has only seen low-poly toy creatures: other objects run, but will not look good"
EXPORTERS: dict[str, Callable[[Asset4D, Path], object]] = {
    ".mp4": write_orbit_video,
    ".html": write_viewer,
}


def generate(
    source: str | Path | Source,
    out: str | Path,
    preset: str | None = None,
    *,
    settings: GenerateSettings | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: Report = ignore,
    reason: str = "as asked",
    stage1_only: bool = False,
) -> RunFolder:
    """Turn whatever is known of a moving object into a moving 3D asset.

    Args:
        source: a picture, a video, a folder of frames or a 3D model; or a `Source`, for words or several.
        out: the run's folder, new or empty.
        preset: a name in `PRESETS`; None for the best one whose weights are here.
        settings: what decides the result; None for the preset's. A run is resumed with the settings it
            began with.
        overwrite: replace the run in `out`; it is kept until the new one is complete.
        resume: continue the run in `out`; the result is the same as without the interruption.
        report: takes the events of the work.
        reason: why this preset, for the log.
        stage1_only: stop when the image matrix is there.

    Raises:
        InputError: the input, the folder or a setting can't be used. Nothing has been changed then.
        WeightsError: the preset's weights are missing. Nothing has been changed then.
        NumericalError: a stage left the finite numbers.
    """
    began, heard = time.perf_counter(), []
    run = RunFolder(Path(out))
    run.check(overwrite=overwrite, resume=resume)
    source = source if isinstance(source, Source) else Source(source)
    plan = _resumed(run, source, preset, settings) if resume else _planned(source, preset, settings, reason)
    settings = plan.settings
    check_available(settings.priors, settings.weights)
    conditions = read_recorded_conditions(run, settings) if resume else None
    if conditions is None:
        conditions = read_conditions(plan.source, settings, _both(report, heard.append))
    stage1 = None if resume and run.has_matrix else _load_stage1(settings)
    if not resume:
        run.start(_config(plan, stage1))
    report = _begin_log(run, plan, report, heard)

    try:
        write_conditions(run, conditions, settings)
        if stage1 is not None:
            stage1(run, conditions, settings, report)
            report(ResultWritten("matrix", run.path / "matrix"))
        if not stage1_only:
            _finish(run, settings.reconstruction, settings.seed, report)
    except BaseException:
        if run.previous_path.is_dir():
            report(Warned(f"the run that was there before is kept in {run.previous_path}"))
        raise
    run.complete()
    report(RunFinished(time.perf_counter() - began))
    return run


def reconstruct_folder(
    folder: str | Path,
    settings: ReconstructionSettings | None = None,
    *,
    seed: int = 0,
    overwrite: bool = False,
    report: Report = ignore,
) -> RunFolder:
    """Run stage 2 on a folder with `matrix/` and `cameras.json`, whoever wrote them.

    Without settings it uses those that the run began with, or the plain defaults where there are none.

    Raises:
        AssetFormatError: a part of the matrix is missing or can't be read.
        InputError: the folder has an asset already, and `overwrite` is not given.
    """
    run = RunFolder(Path(folder))
    if not run.path.is_dir():
        raise InputError(f"there is no folder {run.path}")
    if run.asset_path.exists() and not overwrite:
        raise InputError(f"{run.asset_path} is there already: add --overwrite to replace it")
    matrix = read_matrix(run.path)
    run.check_writable()
    report = _both(report, EventLog(run.events_path))
    settings = settings or run.settings_or_defaults().reconstruction
    _finish(run, settings, seed, report, matrix=matrix, again=True)
    return run


def load_asset(path: str | Path) -> Asset4D:
    """Load an asset from its file or from the folder of its run.

    Raises:
        AssetFormatError: there is none, or it can't be read.
    """
    path = Path(path)
    if path.is_dir():
        if not RunFolder(path).asset_path.is_file():
            raise AssetFormatError(
                f"there is no asset.safetensors in {path}: run diffusion2 reconstruct on it"
            )
        path = RunFolder(path).asset_path
    return Asset4D.load(path)


def export(asset: Asset4D, path: str | Path) -> Path:
    """Write an asset for other programs; the suffix says what it becomes (.mp4, .html).

    Raises:
        ExportError: the suffix is unknown, or the file can't be written.
    """
    path = Path(path)
    exporter = EXPORTERS.get(path.suffix.lower())
    if exporter is None:
        raise ExportError(f"{path}: an asset can't be written as {path.suffix or 'that'}: use {_choices()}")
    exporter(asset, path)
    return path


@dataclass(frozen=True)
class _Plan:
    """What a run is made of and with, all choices made."""

    source: Source
    preset: str
    settings: GenerateSettings
    reason: str


def _planned(source: Source, preset: str | None, settings: GenerateSettings | None, reason: str) -> _Plan:
    """Choose what is left open for a new run."""
    if preset is None:
        preset, reason = choose_preset(settings.weights if settings else None)
    if preset not in PRESETS:
        raise InputError(f"there is no preset {preset!r}: choose one of {', '.join(PRESETS)}")
    return _Plan(source, preset, settings or PRESETS[preset], reason)


def _resumed(run: RunFolder, source: Source, preset: str | None, settings: GenerateSettings | None) -> _Plan:
    """Go on with what a run began with; refuse anything else."""
    began = _Plan(
        run.read_source(), str(run.read_config().get("preset")), run.read_settings(), "as the run began"
    )
    if (
        preset not in (None, began.preset)
        or settings not in (None, began.settings)
        or source.settings not in (InputSettings(), began.source.settings)
    ):
        raise InputError(
            f"the run in {run.path} was begun with other settings: resume it without options, or start again "
            "with --overwrite"
        )
    if not source.is_recorded(run.read_input()):
        raise InputError(f"{source} is not the input that the run in {run.path} was begun with")
    return began


def _config(plan: _Plan, stage1: "Stage1 | None") -> dict[str, object]:
    return make_config(
        plan.settings,
        preset=plan.preset,
        reason=plan.reason,
        source=plan.source,
        device="cpu" if stage1 is None else stage1.device,
        weights=weights_hashes(plan.settings.priors, plan.settings.weights),
    )


def _begin_log(run: RunFolder, plan: _Plan, report: Report, heard: list[Event]) -> Report:
    """Let the run's log listen, too; tell it what was heard before it was there."""
    log = EventLog(run.events_path)
    report = _both(report, log)
    report(RunStarted(str(plan.source), run.path, plan.preset, plan.reason))
    for event in heard:
        log(event)
    if plan.settings.priors == "mini":
        report(Warned(MINI_DOMAIN))
    return report


def _load_stage1(settings: GenerateSettings) -> "Stage1":
    """Load the networks, late: their libraries take seconds, and bad input has been refused by now."""
    from diffusion2.stage1 import Stage1

    return Stage1.load(settings)


def _finish(
    run: RunFolder,
    settings: ReconstructionSettings,
    seed: int,
    report: Report,
    *,
    matrix: ImageMatrix | None = None,
    again: bool = False,
) -> None:
    """Go from the matrix in the folder to all results; what is there is kept unless `again`."""
    if again or not run.asset_path.exists():
        asset = reconstruct(matrix or read_matrix(run.path), settings, report, seed=seed)
        model_frame = recorded_model_frame(run)
        if model_frame is not None:
            asset = replace(asset, metadata={**asset.metadata, "model_frame": model_frame.to_dict()})
        run.forget_asset()
        asset.save(run.asset_path)
        report(ResultWritten("asset", run.asset_path))
    asset = load_asset(run.asset_path)
    if again or not run.orbit_path.exists():
        with stage(report, "video") as progress:
            write_orbit_video(asset, run.orbit_path, progress=progress)
        report(ResultWritten("video", run.orbit_path))
    if again or not run.viewer_path.exists():
        with stage(report, "viewer"):
            write_viewer(asset, run.viewer_path, title=run.path.resolve().name)
        report(ResultWritten("viewer", run.viewer_path))


def _both(first: Report, second: Report) -> Report:
    def report(event: Event) -> None:
        first(event)
        second(event)

    return report


def _choices() -> str:
    return " or ".join(EXPORTERS)

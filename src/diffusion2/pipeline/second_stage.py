"""Stage 2 alone."""

from dataclasses import replace
from pathlib import Path

from diffusion2.cameras import ModelFrame
from diffusion2.config import ReconstructionSettings
from diffusion2.errors import InputError
from diffusion2.events import Event, Report, Warned, both, ignore
from diffusion2.image_matrix import ImageMatrix
from diffusion2.inputs.captures import is_capture, read_capture
from diffusion2.pipeline.results import make_asset, make_results
from diffusion2.runs.condition_files import recorded_model_frame
from diffusion2.runs.event_log import EventLog
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.lock import locked
from diffusion2.runs.matrix_files import read_matrix
from diffusion2.runs.run_folder import RunFolder


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
                    make_asset(run, began, report, live, matrix, frame)
                make_results(run, report)
    return run


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

"""A result and a reference, brought to the same views, times and size; never silently."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch

from diffusion2.cameras import ModelFrame
from diffusion2.config import Between, Settings
from diffusion2.errors import InputError
from diffusion2.evaluation.alignment import (
    align,
    cameras_difference,
    in_degrees,
    mirror_gain,
    views_difference,
)
from diffusion2.evaluation.resampling import (
    SAME_AZIMUTH_DEG,
    match_azimuths,
    resize,
)
from diffusion2.evaluation.view_folders import ViewPictures, count_view_folders, read_view_folders
from diffusion2.events import Report, ignore, stage
from diffusion2.gaussians import Asset4D, render
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.pictures import to_8_bit
from diffusion2.runs.run_folder import RunFolder

PAPER_AZIMUTHS_DEG = (0.0, -75.0, 15.0, 105.0, 195.0)
"""The views of the paper's evaluation; Consistent4D's test data has the last four, `eval_0` to `eval_3`."""

PAPER_FRAMES = 25
PAPER_SIZE = 512
MIRRORED_DB = 1.0
"""A result that fits so much better with its views mirrored was probably made with a mirrored orbit."""

SUSPICIOUS = "suspicious"
"""Notes that begin with this say that something is probably wrong."""

_RENDERED_AT_ONCE = 8


@dataclass(frozen=True)
class PairingSettings(Settings):
    """How a result and a reference are brought together.

    Attributes:
        protocol: "matrix" compares all pictures of the reference; "paper" its views at `PAPER_AZIMUTHS_DEG`,
            its first 25 frames, at 512 x 512.
        source: what of a run is compared: its "matrix", its "asset" rendered by the reference's cameras, or
            "auto", the matrix where its cameras are those of the reference, else the asset.
        resample: whether differences in views, frames and size are evened out instead of refused.
        azimuths_deg: of folders of views that come without cameras.
    """

    protocol: Literal["matrix", "paper"] = "matrix"
    source: Literal["auto", "matrix", "asset"] = "auto"
    resample: bool = False
    azimuths_deg: tuple[Annotated[float, Between(-720, 720)], ...] = ()


@dataclass(frozen=True)
class MatrixPair:
    """What is to be compared: same views, frames and size on both sides.

    Attributes:
        result: V x F pictures.
        reference: V x F pictures.
        source: what the result's pictures are, "matrix" or "asset".
        cameras_known: whether all of the reference's cameras are known, not the azimuths alone.
        notes: what was done to bring them together, and what is suspicious; one line each.
    """

    result: ImageMatrix
    reference: ImageMatrix
    source: str
    cameras_known: bool
    notes: tuple[str, ...] = ()


def read_pair(
    result: Path, reference: Path, settings: PairingSettings | None = None, report: Report = ignore
) -> MatrixPair:
    """Read a result and a reference and bring them together.

    Args:
        result: a run's folder, an `asset.safetensors`, or a folder of views.
        reference: a folder in the layout of a run, a capture, or a folder of views. A capture stands where
            the result's own model frame says, if it has one.
        settings: how; None for the defaults.
        report: takes the events of rendering.

    Raises:
        InputError: they differ in views, frames or size and `resample` is not set, or can't be compared.
        AssetFormatError: a file is missing or can't be read.
    """
    settings = settings or PairingSettings()
    notes: list[str] = []
    path, drawn, source = _asset_of(result), None, settings.source
    asset = None if path is None else Asset4D.load(path)
    truth = _read(reference, settings, asset and asset.metadata.model_frame, report)
    if settings.protocol == "paper":
        truth = _paper_reference(truth, reference, notes)
    if source == "matrix" or (source == "auto" and (asset is None or RunFolder(result).has_matrix)):
        drawn = _read(result, settings, asset and asset.metadata.model_frame, report)
        if settings.protocol == "paper":
            drawn = _paper_result(drawn, truth, result)
        difference = views_difference(drawn, truth) or cameras_difference(drawn, truth)
        if source == "auto" and difference and asset is not None:
            notes.append(f"the asset is compared, not the matrix: {difference}")
            drawn = None
    if drawn is not None:
        ours, theirs = align(drawn, truth, notes, resample=settings.resample, any_cameras=source == "matrix")
    elif asset is not None:
        ours, theirs = _render(asset, truth, settings, notes, report), truth.matrix
    else:
        raise InputError(f"there is no asset.safetensors in {result}: diffusion2 reconstruct makes it")
    ours, theirs = _both_seen(ours, theirs)
    if (gain := mirror_gain(ours, theirs)) > MIRRORED_DB:
        notes.append(f"{SUSPICIOUS}: the result fits {gain:.1f} dB better with its views mirrored (-azimuth)")
    return MatrixPair(ours, theirs, "matrix" if drawn else "asset", truth.cameras_known, tuple(notes))


def _both_seen(ours: ImageMatrix, theirs: ImageMatrix) -> tuple[ImageMatrix, ImageMatrix]:
    """Make white on both sides what the cameras of one of them didn't see."""
    parts = [seen for seen in (ours.seen, theirs.seen) if seen is not None]
    if not parts:
        return ours, theirs
    seen = torch.stack(parts).all(dim=0)[:, None]
    first, second = (
        replace(
            side,
            images=torch.where(seen, side.images, 1.0),
            alphas=None if side.alphas is None else side.alphas * seen,
        )
        for side in (ours, theirs)
    )
    return first, second


def _read(folder: Path, settings: PairingSettings, frame: ModelFrame | None, report: Report) -> ViewPictures:
    """Read one side; the paper's protocol knows the azimuths of four or five folders."""
    azimuths = settings.azimuths_deg
    if settings.protocol == "paper" and not azimuths:
        known = {4: PAPER_AZIMUTHS_DEG[1:], 5: PAPER_AZIMUTHS_DEG}
        azimuths = known.get(count_view_folders(folder), ())
    return read_view_folders(folder, azimuths, frame, report)


def _asset_of(result: Path) -> Path | None:
    if result.is_file() and result.suffix == ".safetensors":
        return result
    path = RunFolder(result).asset_path
    return path if path.is_file() else None


def _paper_reference(truth: ViewPictures, folder: Path, notes: list[str]) -> ViewPictures:
    """Take the paper's views and frames of a reference; say what it has not."""
    azimuths = np.array(PAPER_AZIMUTHS_DEG)
    pairs = match_azimuths(azimuths, truth.matrix.cameras.azimuths_deg, SAME_AZIMUTH_DEG)
    if not pairs:
        raise InputError(
            f"{folder} has no view at one of the paper's azimuths, {in_degrees(azimuths)}, but at "
            f"{in_degrees(truth.matrix.cameras.azimuths_deg)}: use --protocol matrix"
        )
    missing = np.delete(azimuths, [k for k, _ in pairs])
    if len(missing):
        notes.append(
            f"the reference has no view at {in_degrees(missing)}: {len(pairs)} of 5 views are compared"
        )
    if truth.matrix.frames < PAPER_FRAMES:
        notes.append(f"the reference has {truth.matrix.frames} frames, the paper compares {PAPER_FRAMES}")
    return _paper_part(truth, [view for _, view in pairs], folder)


def _paper_result(drawn: ViewPictures, truth: ViewPictures, folder: Path) -> ViewPictures:
    """Take a result's views that the reference has, too, if it has all of them, and its first frames."""
    ours, theirs = drawn.matrix.cameras.azimuths_deg, truth.matrix.cameras.azimuths_deg
    pairs = match_azimuths(theirs, ours, SAME_AZIMUTH_DEG)
    views = [view for _, view in pairs] if len(pairs) == len(theirs) else list(range(len(ours)))
    return _paper_part(drawn, views, folder)


def _paper_part(pictures: ViewPictures, views: list[int], folder: Path) -> ViewPictures:
    """Take the first frames of some views at the paper's size; the time runs from 0 to 1 over them."""
    matrix = pictures.matrix
    height, width = matrix.images.shape[-2:]
    if height != width:
        raise InputError(
            f"{folder}: the paper's protocol compares square pictures, these are {width} x {height}: "
            "use --protocol matrix"
        )
    frames = min(PAPER_FRAMES, matrix.frames)
    part = replace(matrix[views, :frames], times=frame_times(frames))
    return replace(pictures, matrix=resize(part, PAPER_SIZE, PAPER_SIZE))


def _render(
    asset: Asset4D, truth: ViewPictures, settings: PairingSettings, notes: list[str], report: Report
) -> ImageMatrix:
    """Draw the result's asset as the reference's cameras see it, at the reference's times and size."""
    matrix, cameras, frames = truth.matrix, truth.matrix.cameras, asset.metadata.frames
    if settings.protocol == "paper" and frames != matrix.frames:
        notes.append(f"the asset was made from {frames} frames: they are taken to last as long")
    if not truth.cameras_known:
        cameras = asset.metadata.reference_cameras(list(cameras.azimuths_deg), cameras.height, cameras.width)
        notes.append("the asset is drawn with its own elevation, distance and field of view")
    images, alphas = [], []
    with stage(report, "rendering") as progress:
        for view in range(len(cameras)):
            progress(view, len(cameras))
            for times in matrix.times.split(_RENDERED_AT_ONCE):
                drawn = render(asset, cameras[[view] * len(times)], times)
                images.append(to_8_bit(drawn.rgb.permute(0, 3, 1, 2)))
                alphas.append(to_8_bit(drawn.alpha.permute(0, 3, 1, 2)))
    shape = (len(cameras), matrix.frames)
    return replace(
        matrix,
        images=torch.cat(images).unflatten(0, shape),
        alphas=torch.cat(alphas).unflatten(0, shape),
        cameras=cameras,
    )

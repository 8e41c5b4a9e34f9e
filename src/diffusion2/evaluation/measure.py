"""All scores of a result against a reference: in all, and view by view."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from diffusion2.cameras import azimuths_apart
from diffusion2.errors import InputError
from diffusion2.evaluation.resampling import SAME_AZIMUTH_DEG, resize
from diffusion2.evaluation.scores import HIGHER_IS_BETTER, Evaluation, Score
from diffusion2.events import Report, ignore, stage
from diffusion2.image_matrix import ImageMatrix
from diffusion2.kernels.masks import estimate_alphas
from diffusion2.metrics.consistency import (
    MOST_ROWS,
    frame_changes,
    silhouette_agreement,
    temporal_errors,
)
from diffusion2.metrics.fvd import Fvd, fvd_of_logits, paired_fvd_of_logits
from diffusion2.metrics.i3d import MIN_FRAMES
from diffusion2.metrics.lpips import SMALLEST
from diffusion2.metrics.networks import Networks, load_networks
from diffusion2.metrics.pixels import WINDOW, psnr, ssim_map, ssim_of_map

__all__ = ["Evaluation", "Networks", "Score", "load_networks", "measure", "object_masks"]

STILL = 1e-4
"""A reference whose pictures change less than this stands still: a fortieth of an 8-bit step in the mean."""


@dataclass
class _Rows:
    """What was found, one entry for each view: values of its pictures or steps, NaN where there is none."""

    cells: dict[str, list[Tensor]] = field(default_factory=dict)
    motion: list[tuple[float, float]] = field(default_factory=list)
    logits: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    agreement: list[tuple[Tensor, Tensor]] = field(default_factory=list)


def measure(
    result: ImageMatrix,
    reference: ImageMatrix,
    networks: Networks,
    *,
    views: Sequence[int] | None = None,
    cameras_known: bool = True,
    report: Report = ignore,
) -> Evaluation:
    """Compare a result with a reference of the same views, frames and size.

    Args:
        result: V x F pictures.
        reference: V x F pictures of the same cameras and times.
        networks: from `load_networks`; a score whose network is missing has no value and says why.
        views: which rows count; None for all. Views are held against all others in any case.
        cameras_known: whether elevation, distance and field of view are the real ones; silhouettes can't be
            compared otherwise.
        report: takes the events of the work.

    Raises:
        InputError: the two differ in views, frames, size or azimuths, or a view is not there.
    """
    _check_pair(result, reference)
    chosen = list(range(reference.views)) if views is None else list(views)
    if not chosen or not all(0 <= view < reference.views for view in chosen):
        raise InputError(f"there are views 0 to {reference.views - 1}, but {chosen} are to be measured")
    masks = object_masks(reference)
    rows = _Rows()
    with stage(report, "pictures") as progress:
        for done, view in enumerate(chosen):
            progress(done, len(chosen), f"view {view}")
            _measure_row(rows, result.images[view], reference.images[view], masks[view], networks)
    if cameras_known and reference.views > 1:
        rows.agreement = _compare_silhouettes(result, reference, chosen, report)
    why_not = _reasons(reference, networks, cameras_known)
    every = list(range(len(chosen)))
    per_view = [_scores(rows, [k], why_not) for k in every]
    return Evaluation(_scores(rows, every, why_not), per_view, _settings(reference, chosen, networks))


def object_masks(matrix: ImageMatrix) -> Tensor:
    """Return where the object is, (V, F, 1, H, W), 0 or 1: alpha above a half, or estimated from white."""
    if matrix.alphas is not None:
        return (matrix.alphas > 0.5).float()
    return torch.stack([estimate_alphas(row)[0] for row in matrix.images])


def _check_pair(result: ImageMatrix, reference: ImageMatrix) -> None:
    for what, ours, theirs in (
        ("views", result.views, reference.views),
        ("frames", result.frames, reference.frames),
        ("height", result.images.shape[-2], reference.images.shape[-2]),
        ("width", result.images.shape[-1], reference.images.shape[-1]),
    ):
        if ours != theirs:
            raise InputError(f"the result has {what} {ours} and the reference {theirs}: they must be equal")
    apart = azimuths_apart(result.cameras.azimuths_deg, reference.cameras.azimuths_deg)
    if (apart > SAME_AZIMUTH_DEG).any():
        view = int(apart.argmax())
        raise InputError(
            f"view {view} stands at azimuth {result.cameras.azimuths_deg[view]:g}° in the result "
            f"and at {reference.cameras.azimuths_deg[view]:g}° in the reference"
        )


def _measure_row(rows: _Rows, images: Tensor, references: Tensor, masks: Tensor, networks: Networks) -> None:
    """Add what one view (F, 3, H, W) gives."""
    found = {
        "psnr": psnr(images, references),
        "psnr_foreground": psnr(images, references, masks),
        "temporal_error": temporal_errors(images, references, masks),
    }
    side = min(images.shape[-2:])
    if side >= WINDOW:
        similarity = ssim_map(images, references)
        found["ssim"], found["ssim_foreground"] = ssim_of_map(similarity), ssim_of_map(similarity, masks)
    for name in ("lpips_alex", "lpips_vgg", "clip"):
        if name in networks.loaded and (name == "clip" or side >= SMALLEST):
            found[name] = networks.loaded[name](images, references)
    for name, values in found.items():
        rows.cells.setdefault(name, []).append(values)
    if len(images) > 1:
        rows.motion.append((float(frame_changes(images).mean()), float(frame_changes(references).mean())))
    if "i3d" in networks.loaded and len(images) >= MIN_FRAMES:
        i3d = networks.loaded["i3d"]
        rows.logits.append((i3d(images[None]), i3d(references[None])))


def _compare_silhouettes(
    result: ImageMatrix, reference: ImageMatrix, chosen: list[int], report: Report
) -> list[tuple[Tensor, Tensor]]:
    """Return the agreement (F,) of each chosen view's silhouettes, in the result and in the reference."""
    if result.alphas is None or reference.alphas is None:  # found in the same way, or they can't be compared
        result, reference = _small_without_alphas(result), _small_without_alphas(reference)
    ours, theirs = object_masks(result), object_masks(reference)
    pairs = []
    with stage(report, "silhouettes") as progress:
        for frame in range(reference.frames):
            progress(frame, reference.frames)
            pairs.append(
                (
                    silhouette_agreement(ours[:, frame], reference.cameras),
                    silhouette_agreement(theirs[:, frame], reference.cameras),
                )
            )
    first, second = (torch.stack(part, dim=1) for part in zip(*pairs, strict=True))
    return [(first[view], second[view]) for view in chosen]


def _small_without_alphas(matrix: ImageMatrix) -> ImageMatrix:
    """Return the pictures alone, no larger than silhouettes are compared: estimating them takes long."""
    height, width = matrix.images.shape[-2:]
    if height > MOST_ROWS:
        matrix = resize(matrix, MOST_ROWS, max(1, round(width * MOST_ROWS / height)))
    return replace(matrix, alphas=None)


def _scores(rows: _Rows, chosen: list[int], why_not: dict[str, str]) -> dict[str, Score]:
    """Sum up some of the rows."""
    scores = {name: _mean(name, [found[k] for k in chosen]) for name, found in rows.cells.items()}
    if rows.motion:
        scores["motion_ratio"] = _motion_ratio([rows.motion[k] for k in chosen])
    if rows.logits:
        ours, theirs = (torch.cat(part) for part in zip(*(rows.logits[k] for k in chosen), strict=True))
        scores["fvd"] = _fvd("fvd", fvd_of_logits(ours, theirs))
        scores["fvd_paired"] = _fvd("fvd_paired", paired_fvd_of_logits(ours, theirs))
    if rows.agreement:
        scores["multiview_consistency"] = _agreement([rows.agreement[k] for k in chosen])
    return {
        name: scores.get(name) or Score(name, None, better, why_not.get(name, ""))
        for name, better in HIGHER_IS_BETTER.items()
    }


def _mean(name: str, rows: list[Tensor]) -> Score:
    """Average the pictures' scores, without those that have none."""
    values = torch.cat(rows)
    good = values[values.isfinite()]
    if not len(values):
        return Score(name, None, HIGHER_IS_BETTER[name], "one frame does not move")
    if not len(good):
        return Score(name, None, HIGHER_IS_BETTER[name], "the reference shows no object")
    missing = len(values) - len(good)
    note = f"{missing} of {len(values)} left out: the reference shows no object there" if missing else ""
    return Score(name, float(good.double().mean()), HIGHER_IS_BETTER[name], note)


def _motion_ratio(rows: list[tuple[float, float]]) -> Score:
    ours, theirs = (sum(part) / len(rows) for part in zip(*rows, strict=True))
    if theirs < STILL:
        return Score("motion_ratio", None, None, "the reference stands still")
    return Score("motion_ratio", ours / theirs, None)


def _fvd(name: str, found: Fvd) -> Score:
    clips = f"{found.clips} clip{'s' if found.clips > 1 else ''}"
    return Score(name, found.value, False, f"{clips}: {found.note}" if found.note else clips)


def _agreement(rows: list[tuple[Tensor, Tensor]]) -> Score:
    ours, theirs = (torch.cat(part) for part in zip(*rows, strict=True))
    name = "multiview_consistency"
    if not bool(ours.isfinite().any()):
        return Score(name, None, True, "the result shows no object")
    own = float(theirs.nanmean()) if bool(theirs.isfinite().any()) else None
    note = "" if own is None else f"the reference gets {own:.3f}"
    return Score(name, float(ours.nanmean()), True, note, own)


def _reasons(reference: ImageMatrix, networks: Networks, cameras_known: bool) -> dict[str, str]:
    """Say of each score why it has no value, should it have none."""
    side = min(reference.images.shape[-2:])
    small = f"pictures of {side} px are too small"
    reasons = {name: networks.why_not(name) for name in ("lpips_alex", "lpips_vgg", "clip")}
    for name in reasons:
        if name in networks.loaded:
            reasons[name] = small
    fvd = networks.why_not("i3d")
    if "i3d" in networks.loaded:
        fvd = f"I3D needs at least {MIN_FRAMES} frames, there are {reference.frames}"
    silhouettes = "one view has no other to agree with" if cameras_known else "the cameras are not known"
    return reasons | {
        "ssim": small,
        "ssim_foreground": small,
        "motion_ratio": "one frame does not move",
        "fvd": fvd,
        "fvd_paired": fvd,
        "multiview_consistency": silhouettes,
    }


def _settings(reference: ImageMatrix, chosen: list[int], networks: Networks) -> dict[str, Any]:
    return {
        "views": chosen,
        "azimuths_deg": [float(reference.cameras.azimuths_deg[view]) for view in chosen],
        "frames": reference.frames,
        "height": reference.images.shape[-2],
        "width": reference.images.shape[-1],
        "object": "the reference's alpha" if reference.alphas is not None else "what is not white",
        "networks": sorted(networks.loaded),
    }

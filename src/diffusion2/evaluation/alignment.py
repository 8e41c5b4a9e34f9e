"""Two matrices side by side: in what they differ, and what they have in common."""

import numpy as np
import torch

from diffusion2.errors import InputError
from diffusion2.evaluation.resampling import (
    SAME_AZIMUTH_DEG,
    match_azimuths,
    nearest_times,
    resize,
)
from diffusion2.evaluation.view_folders import ViewPictures
from diffusion2.image_matrix import ImageMatrix
from diffusion2.metrics.pixels import psnr

_SAME_ELEVATION_DEG = 1.0
_SAME_SHARE = 0.01
_SAME_STEP = 0.5
"""Share of the time between two frames that equally many frames may be apart."""


def views_difference(drawn: ViewPictures, truth: ViewPictures) -> str:
    """Say how the result's azimuths differ from the reference's; empty if they don't."""
    ours, theirs = drawn.matrix.cameras.azimuths_deg, truth.matrix.cameras.azimuths_deg
    if len(ours) != len(theirs):
        return f"the result has {len(ours)} views and the reference {len(theirs)}"
    if len(match_azimuths(ours, theirs, SAME_AZIMUTH_DEG)) < len(theirs):
        return f"the result's views stand at {in_degrees(ours)}, the reference's at {in_degrees(theirs)}"
    return ""


def cameras_difference(drawn: ViewPictures, truth: ViewPictures) -> str:
    """Say how the cameras differ in other ways than azimuth; empty if they don't, or aren't known."""
    if not (drawn.cameras_known and truth.cameras_known):
        return ""
    ours, theirs = drawn.matrix.cameras, truth.matrix.cameras
    for what, a, b, tolerance in (
        ("elevation", ours.elevations_deg.mean(), theirs.elevations_deg.mean(), _SAME_ELEVATION_DEG),
        ("distance", ours.radii.mean(), theirs.radii.mean(), _SAME_SHARE * theirs.radii.mean()),
        ("field of view", ours.fov_deg, theirs.fov_deg, _SAME_SHARE * theirs.fov_deg),
    ):
        if abs(a - b) > tolerance:
            return f"the cameras' {what} is {a:g} in the result and {b:g} in the reference"
    return ""


def align(
    drawn: ViewPictures,
    truth: ViewPictures,
    notes: list[str],
    *,
    resample: bool = False,
    any_cameras: bool = False,
) -> tuple[ImageMatrix, ImageMatrix]:
    """Put the views of a result into the order of the reference's, and refuse what differs.

    Args:
        drawn: the result.
        truth: the reference.
        notes: gets a line for everything that was done.
        resample: even out differences instead: compare the views at common azimuths, the frames nearest in
            time, at the smaller size.
        any_cameras: compare though elevation, distance or field of view differ.

    Raises:
        InputError: there are differences that must not be evened out.
    """
    difference = cameras_difference(drawn, truth)
    if difference and not any_cameras:
        raise InputError(f"{difference}: add --from matrix to compare them all the same")
    if difference:
        notes.append(f"{difference}: the scores include that")
    ours, theirs = _same_views(drawn, truth, notes, resample)
    ours, theirs = _same_times(ours, theirs, notes, resample)
    return _same_size(ours, theirs, notes, resample)


def _same_views(
    drawn: ViewPictures, truth: ViewPictures, notes: list[str], resample: bool
) -> tuple[ImageMatrix, ImageMatrix]:
    ours, theirs = drawn.matrix, truth.matrix
    difference = views_difference(drawn, truth)
    if difference and not resample:
        raise InputError(f"{difference}: add --resample to compare the views that both have")
    known = drawn.cameras_known and truth.cameras_known
    elevations = (theirs.cameras.elevations_deg, ours.cameras.elevations_deg) if known else None
    pairs = match_azimuths(
        theirs.cameras.azimuths_deg, ours.cameras.azimuths_deg, SAME_AZIMUTH_DEG, elevations
    )
    if not pairs:
        raise InputError(f"{difference}: they have no view in common")
    if difference:
        notes.append(f"{difference}: the {len(pairs)} views that both have are compared")
    return ours[[k for _, k in pairs]], theirs[[k for k, _ in pairs]]


def _same_times(
    ours: ImageMatrix, theirs: ImageMatrix, notes: list[str], resample: bool
) -> tuple[ImageMatrix, ImageMatrix]:
    if ours.frames == theirs.frames:
        apart = float((ours.times - theirs.times).abs().max())
        if apart <= _SAME_STEP / max(ours.frames - 1, 1):
            return ours, theirs
        difference = f"the frames of result and reference are up to {apart:.2f} of the sequence apart"
    else:
        difference = f"the result has {ours.frames} frames and the reference {theirs.frames}"
    if not resample:
        raise InputError(f"{difference}: add --resample to compare the frames nearest in time")
    first, second, apart = nearest_times(ours.times, theirs.times)
    notes.append(
        f"{difference}: {len(first)} frames are compared, each with the nearest in time "
        f"(up to {apart:.3f} of the sequence apart)"
    )
    return ours[:, first], theirs[:, second]


def _same_size(
    ours: ImageMatrix, theirs: ImageMatrix, notes: list[str], resample: bool
) -> tuple[ImageMatrix, ImageMatrix]:
    (height, width), (other_height, other_width) = ours.images.shape[-2:], theirs.images.shape[-2:]
    if (height, width) == (other_height, other_width):
        return ours, theirs
    difference = f"the result is {width} x {height} pixels and the reference {other_width} x {other_height}"
    if abs(width / height - other_width / other_height) > _SAME_SHARE:
        raise InputError(f"{difference}: they differ in shape, and can't be compared")
    if not resample:
        raise InputError(f"{difference}: add --resample to make the larger ones smaller")
    smaller = min((height, width), (other_height, other_width))
    notes.append(f"{difference}: both are compared at {smaller[1]} x {smaller[0]}")
    return resize(ours, *smaller), resize(theirs, *smaller)


def mirror_gain(result: ImageMatrix, reference: ImageMatrix) -> float:
    """Return by how many dB the result fits better when each view is taken from the other side, at -azimuth.

    It is measured on some frames of the views that are not in front or behind; minus infinity where such
    views have no partners.
    """
    azimuths = reference.cameras.azimuths_deg
    aside = np.abs(np.sin(np.deg2rad(azimuths))) > 0.3
    pairs = [p for p in match_azimuths(azimuths, -azimuths, SAME_AZIMUTH_DEG) if aside[p[0]]]
    if not aside.any() or len(pairs) < aside.sum():
        return float("-inf")
    frames = sorted({0, reference.frames // 2, reference.frames - 1})
    gains = [
        psnr(result.images[other][frames], reference.images[view][frames])
        - psnr(result.images[view][frames], reference.images[view][frames])
        for view, other in pairs
    ]
    return float(torch.cat(gains).mean())


def in_degrees(azimuths_deg: np.ndarray) -> str:
    """Write azimuths as people do, the first few of them."""
    shown = ", ".join(f"{azimuth:g}°" for azimuth in azimuths_deg[:6])
    return shown + (" …" if len(azimuths_deg) > 6 else "")

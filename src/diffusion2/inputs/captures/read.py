"""A capture as an image matrix in our world."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from diffusion2.cameras import ModelFrame
from diffusion2.errors import InputError
from diffusion2.events import Report, Warned, ignore, stage
from diffusion2.image_matrix import ImageMatrix
from diffusion2.inputs.captures.cuts import Cut, Notes, cut_row
from diffusion2.inputs.captures.folder import read_shots
from diffusion2.inputs.captures.rectify import make_cameras_of, rectify
from diffusion2.inputs.captures.rig import Rig, make_rig
from diffusion2.inputs.captures.world import Sight, choose_reference, misfit, place
from diffusion2.inputs.videos.frames import FOLDER_FPS


@dataclass(frozen=True)
class Capture:
    """Pictures of other cameras, in our world.

    Attributes:
        matrix: V cameras by F times; cells without a picture are white.
        frame: our world from the capture's.
        present: (V, F) which cells have a picture.
    """

    matrix: ImageMatrix
    frame: ModelFrame
    present: np.ndarray

    def complete(self, notes: list[str]) -> ImageMatrix:
        """The cameras that have a picture at every time, or else the times at which all cameras have one.

        Raises:
            InputError: there is neither.
        """
        cameras, times = self.present.shape
        views, frames = np.flatnonzero(self.present.all(axis=1)), np.flatnonzero(self.present.all(axis=0))
        if len(views) == cameras:
            return self.matrix
        if len(views) and len(views) * times >= len(frames) * cameras:
            notes.append(
                f"{cameras - len(views)} of {cameras} cameras lack a picture at some time and are left out"
            )
            return self.matrix[views]
        if len(frames):
            notes.append(
                f"at {times - len(frames)} of {times} times a camera lacks a picture; they are left out"
            )
            return self.matrix[:, frames]
        raise InputError(
            "no camera of the capture has a picture at every time, and at no time all cameras have one"
        )


def read_capture(
    folder: Path, report: Report = ignore, *, held_out: bool = False, frame: ModelFrame | None = None
) -> Capture:
    """Read a folder of pictures with the cameras of another program; see docs/inputs.md.

    Args:
        folder: the capture.
        report: hears what was chosen and guessed.
        held_out: take the part that is meant for testing, where a capture has parts.
        frame: our world from the capture's, where it is known, as from a reconstruction; None to choose it.

    Raises:
        InputError: a file is missing, can't be read or makes no sense; cameras move or see single times
            only; or nothing tells the object from its background.
    """
    notes: list[str] = []
    shots, all_times = read_shots(folder, notes, held_out=held_out)
    rig = make_rig(shots, all_times, folder)
    cuts = _cut_all(rig, folder, report, notes)
    if frame is None:
        frame, what = place(_sight(rig, cuts))
        notes.append(_describe(folder, frame, what))
    else:
        notes.append(_describe_given(folder, misfit(_sight(rig, cuts), frame)))
    if len(rig.times) > 1:
        notes.append(f"{folder}: nothing says how fast it is, so {FOLDER_FPS:g} frames a second are taken")
    views, frames = rig.present.shape
    cameras, as_they_are = make_cameras_of(rig.centres, cuts, frames, frame)
    if not as_they_are:
        notes.append(_describe_turned(folder, cuts, cameras.width, cameras.height))
    images, alphas, seen = rectify(cameras, cuts, frames, frame)
    if missing := int((~rig.present).sum()):
        notes.append(
            f"{folder}: {missing} of {views * frames} pictures ({views} cameras, {frames} times) are not "
            "there; those cameras count as blind then"
        )
    for note in notes:
        report(Warned(note))
    matrix = ImageMatrix(
        images,
        cameras,
        torch.as_tensor(rig.times, dtype=torch.float32),
        FOLDER_FPS,
        None if all(cut.on_white for cut in cuts.values()) else alphas,
        rig.reference_frame,
        choose_reference(cameras.positions),
        None if bool(seen.all()) else seen,
    )
    return Capture(matrix, frame, rig.present)


def _cut_all(rig: Rig, folder: Path, report: Report, notes: list[str]) -> dict[tuple[int, int], Cut]:
    """Cut the object out of all pictures, camera by camera."""
    cuts, said = {}, Notes(folder)
    views = len(rig.centres)
    with stage(report, "capture") as progress:
        for view in range(views):
            row = rig.row(view)
            progress(view, views, row[0][1].name)
            found = cut_row([shot for _, shot in row], said.listener(row[0][1].name))
            cuts |= {(view, time): cut for (time, _), cut in zip(row, found, strict=True) if cut is not None}
    notes += said.lines()
    if not all(cut.on_white for cut in cuts.values()):  # all in one way: alpha counts for the whole matrix
        cuts = {cell: replace(cut, on_white=False) for cell, cut in cuts.items()}
    return cuts


def _sight(rig: Rig, cuts: dict[tuple[int, int], Cut]) -> Sight:
    """See how cameras stand to the object at the reference time, or the time nearest to it that shows it.

    Cameras that see only a part of the object know its middle badly; they don't count if others do.
    """
    chosen: dict[int, Cut] = {}
    for (view, _), cut in sorted(cuts.items(), key=lambda item: abs(item[0][1] - rig.reference_frame)):
        chosen.setdefault(view, cut)
    whole = {view: cut for view, cut in chosen.items() if not cut.cut_off}
    chosen = whole if len(whole) >= min(3, len(chosen)) else chosen
    views = sorted(chosen)
    poses = np.stack([chosen[view].pose for view in views])
    middles = np.stack([chosen[view].middle() for view in views])
    corners = np.stack([chosen[view].corners() for view in views])
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    corners /= np.linalg.norm(corners, axis=2, keepdims=True)
    cosines = np.einsum("vci,vi->vc", corners, middles).min(axis=1)
    return Sight(
        rig.centres[views],
        poses[:, :3, :3],
        np.einsum("vij,vj->vi", poses[:, :3, :3], middles),
        np.sqrt(1 / np.square(cosines) - 1),
    )


def _describe(folder: Path, frame: ModelFrame, what: str) -> str:
    origin = ", ".join(f"{x:.4g}" for x in np.round(frame.center @ frame.axes, 6) + 0.0)
    up = ", ".join(f"{x:.3g}" for x in np.round(frame.axes[2], 3) + 0.0)
    return (
        f"{folder}: our origin is its point ({origin}), {what}; up is its ({up}); one of its units is "
        f"{frame.scale:.4g} of ours; the asset's model_frame leads back"
    )


def _describe_given(folder: Path, away: str) -> str:
    where = f"{folder} is placed by the world of the result (its asset's model_frame)"
    return f"{where}; but {away}: is it the same world?" if away else where


def _describe_turned(folder: Path, cuts: dict[tuple[int, int], Cut], width: int, height: int) -> str:
    lenses = {cut.lens for cut in cuts.values()}
    straight = "straightened, " if any(lens.is_distorted for lens in lenses) else ""
    cut_off = sum(cut.cut_off for cut in cuts.values())
    beyond = f"; {cut_off} of them cut the object off, and what is beyond counts as unseen" if cut_off else ""
    return (
        f"{folder}: its pictures are {straight}turned to the origin and brought to {width} x {height} "
        f"pixels, so that all cameras have one lens{beyond}"
    )

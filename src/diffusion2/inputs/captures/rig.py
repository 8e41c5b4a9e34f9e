"""A capture's pictures by camera and time: which of them were taken from one place, and when.

A camera is a place. It may turn and zoom, as every picture is turned to the object anyway (`rectify.py`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from diffusion2.errors import InputError
from diffusion2.inputs.captures.shots import Shot
from diffusion2.inputs.videos.folder import NUMBER

SAME_PLACE = 5e-3
"""Pictures this near to each other, as a share of the cameras' spread, are of one camera; poses that were
found anew for every picture differ by that."""
LEAST_FULL = 0.5
"""Share of the cameras' pictures over time that must be there."""


@dataclass(frozen=True)
class Rig:
    """V cameras by F times.

    Attributes:
        cells: the shot of each camera and time that has one.
        centres: (V, 3) places of the cameras in the capture's world.
        times: (F,) in [0, 1], ascending.
        reference_frame: the first time that most cameras saw.
    """

    cells: dict[tuple[int, int], Shot]
    centres: np.ndarray
    times: np.ndarray
    reference_frame: int

    @property
    def present(self) -> np.ndarray:
        """(V, F) which cells have a picture."""
        found = np.zeros((len(self.centres), len(self.times)), dtype=bool)
        found[tuple(np.array(list(self.cells)).T)] = True
        return found

    def row(self, view: int) -> list[tuple[int, Shot]]:
        """A camera's shots, each with its frame, in the order of time."""
        return sorted(
            ((f, shot) for (v, f), shot in self.cells.items() if v == view), key=lambda pair: pair[0]
        )


def make_rig(shots: Sequence[Shot], all_times: Sequence[float], source: Path) -> Rig:
    """Order shots by camera and time.

    Args:
        shots: all of a capture or a part of it.
        all_times: times of the other parts, too: time 0 and 1 are the first and last of all.
        source: the capture, for messages.

    Raises:
        InputError: nothing says when a picture was taken, two are of one place and time, or most cameras
            didn't see most times, as those of a camera that moves.
    """
    groups = _by_place(shots)
    whens = _times(shots, groups, source)
    moments = np.unique([*whens, *all_times]) if all_times else np.unique(whens)
    low, high = moments[0], moments[-1]
    used = np.unique(whens)
    cells: dict[tuple[int, int], Shot] = {}
    for shot, view, when in zip(shots, groups, whens, strict=True):
        cell = (int(view), int(np.searchsorted(used, when)))
        if cell in cells:
            raise InputError(
                f"{source}: {cells[cell].name} and {shot.name} were taken from one place at one time: take "
                'one of them out, or say in "time" when each was taken'
            )
        cells[cell] = shot
    views = int(groups.max()) + 1
    _check_full(cells, views, len(used), source)
    centres = np.stack([np.mean([s.pose[:3, 3] for s, g in zip(shots, groups, strict=True) if g == v], axis=0)
                        for v in range(views)])  # fmt: skip
    seen_by = np.bincount([frame for _, frame in cells])
    times = (used - low) / (high - low) if high > low else np.zeros(1)
    return Rig(cells, centres, times, int(seen_by.argmax()))


def _by_place(shots: Sequence[Shot]) -> np.ndarray:
    """Number the cameras in the order in which they come: (N,) of each shot."""
    centres = np.stack([shot.pose[:3, 3] for shot in shots])
    spread = np.median(np.linalg.norm(centres - centres.mean(axis=0), axis=1))
    places: list[np.ndarray] = []
    groups = np.zeros(len(shots), dtype=int)
    for k, centre in enumerate(centres):
        apart = np.linalg.norm(np.array(places).reshape(-1, 3) - centre, axis=1)
        if len(apart) and apart.min() <= SAME_PLACE * spread + 1e-9:
            groups[k] = apart.argmin()
        else:
            groups[k] = len(places)
            places.append(centre)
    return groups


def _times(shots: Sequence[Shot], groups: np.ndarray, source: Path) -> np.ndarray:
    """Find when each shot was taken, (N,): by the file, the frame's folder, or the numbers in the names."""
    for name in ("time", "folder_number"):
        values = [getattr(shot, name) for shot in shots]
        known = [value is not None for value in values]
        if all(known):
            return np.array(values, dtype=np.float64)
        if any(known):
            raise InputError(
                f'{source}: {shots[known.index(False)].name} has no "time", while others have one'
            )
    if len(set(groups.tolist())) == len(shots):
        return np.zeros(len(shots))  # every place once: nothing moves
    return np.array(_numbers_that_count(shots, groups, source))


def _numbers_that_count(shots: Sequence[Shot], groups: np.ndarray, source: Path) -> list[float]:
    """Find the one number in the names that changes from picture to picture of a camera."""
    numbers = [
        [Decimal(found) for found in NUMBER.findall(str(Path(shot.name).with_suffix("")))] for shot in shots
    ]
    by_camera = defaultdict(list)
    for k, group in enumerate(groups.tolist()):
        by_camera[group].append(numbers[k])
    lengths = {len(found) for found in numbers}
    if len(lengths) == 1:
        changing = {
            i
            for rows in by_camera.values()
            for i in range(lengths.copy().pop())
            if len({row[i] for row in rows}) > 1
        }
        if len(changing) == 1:
            position = changing.pop()
            return [float(found[position]) for found in numbers]
    same = next(group for group, rows in by_camera.items() if len(rows) > 1)
    first, second = [shot.name for shot, group in zip(shots, groups, strict=True) if group == same][:2]
    raise InputError(
        f"{source}: {first} and {second} are from one place, and neither a time nor one number in the names "
        'says when: write "time" into the frames, or number the pictures of each camera'
    )


def _check_full(cells: dict[tuple[int, int], Shot], views: int, frames: int, source: Path) -> None:
    if len(cells) >= LEAST_FULL * views * frames:
        return
    at_once = len(cells) / frames
    which = "one camera at" if at_once < 1.5 else f"about {at_once:.0f} cameras at"
    raise InputError(
        f"{source} has {len(cells)} pictures from {views} places at {frames} times, so {which} each time, "
        "which moves on: stage 2 needs cameras that stand still and see (nearly) all times together; give "
        "such a capture, the pictures of one time alone, or the pictures as a video to diffusion2 generate"
    )

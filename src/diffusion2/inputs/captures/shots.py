"""One picture of a capture with its camera, and what is checked of every one."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diffusion2.errors import InputError
from diffusion2.inputs.captures.lens import Lens
from diffusion2.inputs.videos.folder import PICTURES
from diffusion2.pictures import open_picture

SAME_SHAPE = 0.01
"""How far a picture's proportions may be from those that its camera's file says."""
NOT_TURNED = 0.02
"""How far the axes of a rotation may be from lengths and angles of one, as files round them."""


@dataclass(frozen=True)
class Shot:
    """One picture.

    Attributes:
        picture: its file.
        name: what its camera's file calls it, for messages.
        lens: which pixel sees which direction.
        pose: (4, 4) camera to the capture's world; the camera is OpenCV's.
        time: as the file says it, in any unit; None where it says nothing.
        folder_number: number of the frame's folder, where there is one a frame.
        mask: file of the object's mask, or None.
    """

    picture: Path
    name: str
    lens: Lens
    pose: np.ndarray
    time: float | None = None
    folder_number: float | None = None
    mask: Path | None = None


def check_pose(pose: np.ndarray, what: str) -> np.ndarray:
    """Check a matrix (3 or 4, 4) that brings a camera into the world; its rotation is made exact.

    Raises:
        InputError: it isn't finite, or neither turns nor moves but deforms.
    """
    if pose.shape not in ((3, 4), (4, 4)):
        raise InputError(f"{what} has shape {pose.shape}, not (4, 4)")
    if not np.isfinite(pose).all():
        raise InputError(f"{what} holds values that are not finite: this camera was not found, leave it out")
    turned = pose[:3, :3]
    if np.abs(turned.T @ turned - np.eye(3)).max() > NOT_TURNED or np.linalg.det(turned) < 0:
        lengths = ", ".join(f"{length:.3g}" for length in np.linalg.norm(turned, axis=0))
        kind = "a mirrored one" if np.linalg.det(turned) < 0 else f"axes of lengths {lengths}"
        raise InputError(
            f"{what} is no rotation and shift (it has {kind}): write camera-to-world without scale or "
            "mirroring"
        )
    u, _, v = np.linalg.svd(turned)
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = u @ v, pose[:3, 3]
    return found


def find_picture(folder: Path, name: str) -> Path | None:
    r"""Find a picture by the name in a file: relative to a folder, `\` as `/`, any usual suffix.

    Of a path of another computer (`/home/me/fox/images/0.png`) its last parts count.
    """
    name = name.replace("\\", "/")
    places = [folder / name]
    if name.startswith("/") or name[1:2] == ":":
        parts = name.split("/")
        places += [folder.joinpath(*parts[k:]) for k in range(max(1, len(parts) - 3), len(parts))]
    for place in filter(lambda place: place.name, places):
        for path in (place, *(place.with_name(place.name + suffix) for suffix in sorted(PICTURES))):
            if path.is_file():
                return path
    return None


def check_missing(missing: list[str], all_names: int, source: Path) -> None:
    """Refuse a capture some of whose pictures are not there.

    Raises:
        InputError: names them.
    """
    if missing:
        some = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        raise InputError(
            f"{source} names {all_names} pictures, and {len(missing)} are not there: {some}; put them in the "
            "folder, or take them out of that file"
        )


def fit_lens(lens: Lens, picture: Path) -> Lens:
    """Fit a lens to its picture as it is stored; a picture of another size but the same shape was scaled.

    Args:
        lens: with a width and height of 0 where its file doesn't say them.
        picture: the file.

    Raises:
        InputError: their proportions differ, or the picture can't be read.
    """
    with open_picture(picture) as opened:
        width, height = opened.size
    if not lens.width:
        return replace(lens, width=width, height=height)
    if (width, height) == (lens.width, lens.height):
        return lens
    if abs(width * lens.height / (height * lens.width) - 1) > SAME_SHAPE:
        raise InputError(
            f"{picture} is {width} x {height} pixels, but its camera's picture {lens.width} x {lens.height}: "
            "give the pictures that the cameras were found for"
        )
    return lens.scaled(width / lens.width, width, height)

"""An image matrix as files: `matrix/view_000/frame_000.png …` and `cameras.json`.

Another program may have written them. A picture with alpha has straight (not premultiplied)
colours; it is composited on white when it is read.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion2.atomic_files import atomic_path, remove, write_json
from diffusion2.cameras import Cameras
from diffusion2.errors import AssetFormatError, InputError, in_one_line
from diffusion2.image_matrix import ImageMatrix
from diffusion2.pictures import read_on_white, with_alpha, write_picture


def read_image(path: Path) -> tuple[Tensor, Tensor | None]:
    """Read a run's picture: (3, H, W) on white and, where the file has it, alpha (1, H, W), both in [0, 1].

    Raises:
        AssetFormatError: the file is missing, too large, or not a picture.
    """
    try:
        return read_on_white(path)
    except InputError as error:
        raise AssetFormatError(str(error)) from error


def write_pictures(folder: Path, images: Tensor, name: str) -> None:
    """Write pictures on white as `folder/name_000.png …`; `folder` is replaced as a whole.

    Args:
        folder: gets them.
        images: (N, 3, H, W), or (N, 4, H, W) with alpha.
        name: of each, before its number.
    """
    with atomic_path(folder) as temporary:
        temporary.mkdir(parents=True)
        for index, image in enumerate(images):
            write_picture(temporary / f"{name}_{index:03d}.png", image)
        remove(folder)


def read_pictures(folder: Path, name: str) -> tuple[Tensor, Tensor | None]:
    """Read `folder/name_000.png …` in the order of their numbers; see `read_sequence`.

    Raises:
        AssetFormatError: there are none, one can't be read, or their sizes differ.
    """
    return read_sequence(_numbered(folder, name))


def read_sequence(paths: Sequence[Path]) -> tuple[Tensor, Tensor | None]:
    """Read N pictures of one size, at least one: (N, 3, H, W), and alphas (N, 1, H, W) if all have them.

    Raises:
        AssetFormatError: one can't be read, or their sizes differ.
    """
    images, alphas = [], []
    for path in paths:
        image, alpha = read_image(path)
        if images and image.shape != images[0].shape:
            raise AssetFormatError(
                f"{path} is {image.shape[2]} x {image.shape[1]} pixels, "
                f"but {paths[0].name} is {images[0].shape[2]} x {images[0].shape[1]}"
            )
        images.append(image)
        alphas.append(alpha)
    return torch.stack(images), None if any(a is None for a in alphas) else torch.stack(alphas)


def write_matrix(folder: Path, matrix: ImageMatrix) -> None:
    """Write a matrix and its cameras into a run folder; `cameras.json` comes last."""
    with atomic_path(folder / "matrix") as temporary:
        for view in range(matrix.views):
            temporary.mkdir(exist_ok=True)
            alphas = None if matrix.alphas is None else matrix.alphas[view]
            write_pictures(temporary / f"view_{view:03d}", with_alpha(matrix.images[view], alphas), "frame")
        remove(folder / "matrix")
    write_json(folder / "cameras.json", cameras_to_dict(matrix))


def read_matrix(folder: str | Path) -> ImageMatrix:
    """Read the matrix of a run folder, which any program may have written.

    Raises:
        AssetFormatError: a part is missing, can't be read, or does not belong to the others.
    """
    folder = Path(folder)
    rows = [read_pictures(path, "frame") for path in _numbered(folder / "matrix", "view")]
    shapes = {tuple(images.shape) for images, _ in rows}
    if len(shapes) > 1:
        raise AssetFormatError(f"the views in {folder / 'matrix'} differ in their frames or sizes")
    (frames, _, height, width) = shapes.pop()
    cameras, times, fps, frame, view = read_cameras(folder / "cameras.json", height, width)
    if len(cameras) != len(rows) or len(times) != frames:
        raise AssetFormatError(
            f"{folder / 'cameras.json'} has {len(cameras)} views and {len(times)} frames, "
            f"but matrix/ has {len(rows)} and {frames}"
        )
    alphas = None if any(a is None for _, a in rows) else torch.stack([a for _, a in rows if a is not None])
    images = torch.stack([images for images, _ in rows])
    return ImageMatrix(images, cameras, times, fps, alphas, reference_frame=frame, reference_view=view)


def cameras_to_dict(matrix: ImageMatrix) -> dict[str, object]:
    """Return the contents of `cameras.json`: plain values, angles in degrees."""
    cameras = matrix.cameras
    viewmats, intrinsics = cameras.viewmats, cameras.Ks
    views = [
        {
            "azimuth_deg": float(cameras.azimuths_deg[k]),
            "elevation_deg": float(cameras.elevations_deg[k]),
            "radius": float(cameras.radii[k]),
            "fov_deg": float(cameras.fov_deg),
            "viewmat": viewmats[k].tolist(),
            "K": intrinsics[k].tolist(),
        }
        for k in range(len(cameras))
    ]
    found = {
        "height": cameras.height,
        "width": cameras.width,
        "fps": float(matrix.fps),
        "views": views,
        "frames": [{"time": float(t)} for t in matrix.times],
        "reference_frame": matrix.reference_frame,
    }
    if matrix.reference_view != matrix.views - 1:
        found["reference_view"] = matrix.reference_view
    return found


def read_cameras(path: Path, height: int, width: int) -> tuple[Cameras, Tensor, float, int, int]:
    """Read `cameras.json`: the cameras, the times (F,), the frames per second, the reference frame and view.

    The angles, radius and field of view count; `viewmat` and `K` are for other programs.

    Raises:
        AssetFormatError: the file is missing, not JSON, or a number is missing or out of range.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AssetFormatError(f"{path} can't be read: {in_one_line(error)}") from error
    views, frames = _list(path, content, "views"), _list(path, content, "frames")

    def column(name: str, low: float, high: float) -> np.ndarray:
        return np.array([_number(path, view, name, low, high) for view in views])

    fovs = column("fov_deg", 1, 170)
    if np.ptp(fovs) > 1e-6:
        raise AssetFormatError(f"{path}: the views differ in fov_deg, and all must have the same")
    cameras = Cameras(
        column("azimuth_deg", -1e4, 1e4),
        column("elevation_deg", -90, 90),
        column("radius", 1e-3, 1e6),
        float(fovs[0]),
        height,
        width,
    )
    times = torch.tensor([_number(path, frame, "time", 0, 1) for frame in frames], dtype=torch.float32)
    frame = _position(path, content, "reference_frame", "frames", 0)
    view = _position(path, content, "reference_view", "views", len(views) - 1)
    return cameras, times, _number(path, content, "fps", 1e-3, 1e4), frame, view


def _numbered(folder: Path, name: str) -> list[Path]:
    """Return the entries `name_<number>` of a folder, by number."""
    found = {}
    for path in folder.glob(f"{name}_*"):
        number = path.stem.removeprefix(f"{name}_")
        if number.isdecimal():
            found[int(number)] = path
    if not found:
        raise AssetFormatError(f"there is no {name}_000 in {folder}: that is no folder of a run's pictures")
    if sorted(found) != list(range(len(found))):
        missing = next(i for i in range(len(found)) if i not in found)
        raise AssetFormatError(f"{name}_{missing:03d} is missing in {folder}")
    return [found[i] for i in sorted(found)]


def _list(path: Path, content: Any, name: str) -> list[Any]:
    values = content.get(name) if isinstance(content, dict) else None
    if not isinstance(values, list) or not values:
        raise AssetFormatError(f'{path} has no list "{name}"')
    return values


def _position(path: Path, content: Any, name: str, of: str, usual: int) -> int:
    value = content.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(content[of]):
        raise AssetFormatError(f'{path}: "{name}" must be an index into "{of}", not {value!r}')
    return value


def _number(path: Path, holder: Any, name: str, low: float, high: float) -> float:
    value = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise AssetFormatError(f'{path}: "{name}" must be a number, not {value!r}')
    if not low <= value <= high:
        raise AssetFormatError(f'{path}: "{name}" must lie between {low:g} and {high:g}, not {value:g}')
    return float(value)

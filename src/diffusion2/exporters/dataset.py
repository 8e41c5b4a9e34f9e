"""An image matrix as a dataset of other programs: their lists of cameras, and a PNG file for each cell.

Pictures have straight alpha where it is known. Cameras keep their order, and so do times. The world is ours,
z up, the object at its origin; or that of the capture or model that it was made from.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import Cameras, ModelFrame, make_cameras
from diffusion2.config import ExportSettings
from diffusion2.errors import InputError
from diffusion2.events import Report, Warned, ignore, stage
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.writing import writing_folder
from diffusion2.gaussians import Asset4D, render
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.pictures import to_bytes, with_alpha, write_picture
from diffusion2.quaternions import quats_from_matrices

VIEWS, SIZE = 12, 512
"""Of the pictures of an asset that doesn't say from how many views, and how large ones, it was made."""
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""From OpenGL's axes of a camera (x right, y up, looking along -z) to OpenCV's, and back."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Cells:
    """The pictures to be written, and where their cameras stand in the dataset's world.

    Attributes:
        matrix: the pictures.
        poses: (V, 4, 4) float64, camera (OpenCV) to the dataset's world.
        points: places (P, 3) in the dataset's world and colours (P, 3) uint8 at a time, where they are known.
    """

    matrix: ImageMatrix
    poses: np.ndarray
    points: Callable[[float], tuple[np.ndarray, np.ndarray]] | None

    def write(self, view: int, frame: int, path: Path) -> None:
        """Write a picture."""
        alphas = self.matrix.alphas
        image = with_alpha(self.matrix.images[view, frame], None if alphas is None else alphas[view, frame])
        write_picture(path, image)


def write_dataset(job: Job) -> None:
    """Write a run's own pictures, or of an asset alone what the cameras see that it was made for.

    Raises:
        ExportError: the folder holds other files, or can't be written.
        InputError: so many views can't be held out.
    """
    matrix = job.matrix or render_matrix(job.asset, job.report)
    write_matrix_as_dataset(
        matrix, job.path, job.settings, model=job.model_frame, asset=job.asset, report=job.report
    )


def write_matrix_as_dataset(
    matrix: ImageMatrix,
    path: Path,
    settings: ExportSettings,
    *,
    model: ModelFrame | None = None,
    asset: Asset4D | None = None,
    report: Report = ignore,
) -> None:
    """Write an image matrix as a dataset.

    Args:
        matrix: its pictures and cameras.
        path: the folder.
        settings: its layout.
        model: the dataset's world; None for ours.
        asset: whose Gaussians are the points that COLMAP's files have, if any.
        report: takes the events of the work.

    Raises:
        ExportError: the folder holds other files, or can't be written.
        InputError: so many views can't be held out.
    """
    points = None if asset is None else _points_of(asset, model)
    cells = _Cells(matrix, _poses(matrix.cameras, model), points)
    write, fits = _LAYOUTS[settings.layout]
    held_out = choose_held_out(matrix, settings.held_out)
    with stage(report, "dataset") as progress, writing_folder(path, "the dataset", fits) as folder:
        write(cells, folder, held_out, progress)
    size = f"{matrix.views} views, {matrix.frames} times, to be played at {matrix.fps:.4g} a second"
    report(Warned(f"{size}; {_notes(settings.layout, matrix, held_out, points is not None)}"))


def render_matrix(asset: Asset4D, report: Report = ignore) -> ImageMatrix:
    """Render what the cameras see that an asset says it was made for, all around it, the reference last."""
    known = asset.metadata
    views, height = known.views or VIEWS, known.height or known.width or SIZE
    cameras = make_cameras(
        known.azimuth_deg + 360.0 * np.arange(1, views + 1) / views, known.elevation_deg, radius=known.radius,
        fov_deg=known.fov_deg, height=height, width=known.width or height,
    )  # fmt: skip
    times = frame_times(known.frames if asset.deformation is not None else 1)
    frames = []
    with stage(report, "pictures") as progress:
        for number, time in enumerate(times.tolist()):
            frames.append(render(Asset4D(asset.at(time)), cameras))
            progress(number + 1, len(times))
    images, alphas = (
        torch.stack([getattr(frame, name) for frame in frames], dim=1).movedim(-1, -3).clamp(0, 1)
        for name in ("rgb", "alpha")
    )
    return ImageMatrix(images, cameras, times, known.fps, alphas)


def choose_held_out(matrix: ImageMatrix, count: int) -> list[int]:
    """Choose so many views, spread evenly over all but the reference view.

    Raises:
        InputError: no view would be left but the reference.
    """
    others = [view for view in range(matrix.views) if view != matrix.reference_view]
    if count and count >= len(others):
        raise InputError(f"of {matrix.views} views {count} can't be held out: at most {len(others) - 1}")
    return [others[int((k + 0.5) * len(others) / count)] for k in range(count)]


def _write_dnerf(cells: _Cells, folder: Path, held_out: Sequence[int], progress: Progress) -> None:
    """Write D-NeRF's layout: transforms_train.json and its like, whose names of pictures have no suffix."""
    matrix, learnt = cells.matrix, [v for v in range(cells.matrix.views) if v not in held_out]
    done = 0
    for part, views in (("train", learnt), ("test", held_out)):
        for view in views:
            (folder / part).mkdir(exist_ok=True)
            for frame in range(matrix.frames):
                cells.write(view, frame, folder / part / f"{_name(view, frame)}.png")
                done += 1
                progress(done, matrix.views * matrix.frames)
    parts = {"train": learnt, "val": held_out or _some(learnt), "test": held_out or _some(learnt)}
    for part, views in parts.items():
        where = "test" if held_out and part != "train" else "train"
        text = json.dumps(_transforms(cells, views, where), indent=1, allow_nan=False)
        (folder / f"transforms_{part}.json").write_text(text + "\n", encoding="utf-8")


def _transforms(cells: _Cells, views: Sequence[int], where: str) -> dict[str, Any]:
    matrix, cameras = cells.matrix, cells.matrix.cameras
    focal = float(cameras.Ks[0, 0, 0])
    frames = [
        {
            "file_path": f"./{where}/{_name(view, frame)}",
            "time": round(float(matrix.times[frame]), 7),
            "transform_matrix": (cells.poses[view] @ OPENGL).tolist(),
        }
        for frame in range(matrix.frames)
        for view in views
    ]
    return {
        "camera_angle_x": 2 * math.atan(cameras.width / 2 / focal),
        "w": cameras.width,
        "h": cameras.height,
        "fl_x": focal,
        "fl_y": focal,
        "cx": cameras.width / 2,
        "cy": cameras.height / 2,
        "frames": frames,
    }


def _name(view: int, frame: int) -> str:
    return f"view_{view:03d}_frame_{frame:03d}"


def _some(views: Sequence[int]) -> list[int]:
    """A quarter of the views, at least one."""
    return list(views[::4])


def _write_colmap(cells: _Cells, folder: Path, held_out: Sequence[int], progress: Progress) -> None:
    """Write a folder for each frame: images/, and sparse/0/ with COLMAP's text files."""
    matrix, cameras = cells.matrix, cells.matrix.cameras
    focal, width, height = float(cameras.Ks[0, 0, 0]), cameras.width, cameras.height
    lens = f"1 PINHOLE {width} {height} {focal!r} {focal!r} {width / 2!r} {height / 2!r}\n"
    poses = "".join(
        f"{view + 1} {' '.join(map(repr, _world_to_camera(pose)))} 1 view_{view:03d}.png\n\n"
        for view, pose in enumerate(cells.poses)
    )
    for frame in range(matrix.frames):
        inner = folder / f"frame_{frame:03d}"
        model = inner / "sparse" / "0"
        model.mkdir(parents=True)
        (inner / "images").mkdir()
        for view in range(matrix.views):
            cells.write(view, frame, inner / "images" / f"view_{view:03d}.png")
        (model / "cameras.txt").write_text(f"# id model width height fx fy cx cy\n{lens}", encoding="utf-8")
        (model / "images.txt").write_text(f"# id qw qx qy qz tx ty tz camera name\n{poses}", encoding="utf-8")
        (model / "points3D.txt").write_text("".join(_point_lines(cells, frame)), encoding="utf-8")
        progress(frame + 1, matrix.frames)


def _world_to_camera(pose: np.ndarray) -> list[float]:
    """Turn a pose, camera to world (4, 4), into COLMAP's seven numbers: quaternion wxyz and shift."""
    inverse = np.linalg.inv(pose)
    quat = quats_from_matrices(torch.from_numpy(inverse[:3, :3]))
    return [*quat.tolist(), *inverse[:3, 3].tolist()]


def _point_lines(cells: _Cells, frame: int) -> Iterator[str]:
    yield "# id x y z r g b error track\n"
    if cells.points is not None:
        places, colours = cells.points(float(cells.matrix.times[frame]))
        for number, (place, colour) in enumerate(zip(places.tolist(), colours.tolist(), strict=True), 1):
            yield f"{number} {' '.join(f'{x:.6g}' for x in place)} {' '.join(map(str, colour))} 0\n"


def _write_eval(cells: _Cells, folder: Path, held_out: Sequence[int], progress: Progress) -> None:
    """Write eval_0/0.png and so on: a folder for each view, as scripts that measure results read them."""
    for view in range(cells.matrix.views):
        (folder / f"eval_{view}").mkdir()
        for frame in range(cells.matrix.frames):
            cells.write(view, frame, folder / f"eval_{view}" / f"{frame}.png")
        progress(view + 1, cells.matrix.views)


_LAYOUTS = {
    "dnerf": (_write_dnerf, re.compile(r"train|test|transforms_(train|val|test)\.json")),
    "colmap": (_write_colmap, re.compile(r"frame_\d+")),
    "eval": (_write_eval, re.compile(r"eval_\d+")),
}


def _notes(layout: str, matrix: ImageMatrix, held_out: Sequence[int], has_points: bool) -> str:
    if layout == "dnerf" and held_out:
        return f"held out for validation and test: views {', '.join(map(str, held_out))}"
    if layout == "dnerf":
        return "val and test repeat some views of train: --held-out keeps some out of it"
    if layout == "colmap":
        return "a folder for each time; its points are " + (
            "the Gaussians' middles" if has_points else "missing, as there is no asset"
        )
    azimuths = " ".join(f"{a:.6g}" for a in matrix.cameras.azimuths_deg % 360)
    return f"there are no cameras in this layout: the views' azimuths are {azimuths}"


def _poses(cameras: Cameras, model: ModelFrame | None) -> np.ndarray:
    """Find where cameras stand in the dataset's world, (V, 4, 4), as rotations without scale."""
    poses = np.linalg.inv(cameras.viewmats)
    if model is not None:
        poses[:, :3, :3] = model.axes.T @ poses[:, :3, :3]
        poses[:, :3, 3] = model.to_model(poses[:, :3, 3])
    return poses


def _points_of(asset: Asset4D, model: ModelFrame | None) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    def points(time: float) -> tuple[np.ndarray, np.ndarray]:
        still = asset.at(time)
        places = _numbers(still.means)
        return places if model is None else model.to_model(places), to_bytes(still.colors).numpy()

    return points


def _numbers(values: Tensor) -> np.ndarray:
    return values.detach().double().numpy()

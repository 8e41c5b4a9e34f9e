"""A static 3D model as the views at the reference time: meshes and 3D Gaussians, drawn from all sides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from diffusion2.cameras import Cameras, ModelFrame, turn
from diffusion2.config import InputSettings
from diffusion2.errors import Diffusion2Error, InputError, in_one_line
from diffusion2.events import Report, Warned, ignore
from diffusion2.inputs.kinds import ModelFormat, model_format
from diffusion2.inputs.models.mesh_file import read_mesh
from diffusion2.inputs.models.splats import is_splats, read_splats, render_splats
from diffusion2.meshes import AnimatedModel, Framing, MeshRenderer, frame_reference, load_model
from diffusion2.meshes.gltf import WORLD_FROM_GLTF, Node

MAX_BYTES = 1 << 30
MAX_SIZE = 1e12
"""Coordinates beyond this, or an extent below its inverse, are no model's."""

# Each brings the named axis of a file to glTF's up, +y, and what is usually the front to its front, +z.
GLTF_FROM_UP = {
    "y": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1.0]]),
    "-y": np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1.0]]),
    "z": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]]),
    "-z": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0.0]]),
    "x": np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]),
    "-x": np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]]),
}
USUAL_UP: dict[ModelFormat, str] = {"gltf": "y", "obj": "y", "ply": "z", "stl": "z"}
USUAL_UP_OF_SPLATS = "-y"
"""Gaussians are mostly trained from OpenCV cameras, whose y points down."""


def render_model(
    path: Path, cameras: Cameras, settings: InputSettings, object_size: float, report: Report = ignore
) -> tuple[list[Image.Image], ModelFrame]:
    """Draw a model from all cameras, centred and as large as fits.

    Args:
        path: glTF, OBJ, STL, or PLY with a mesh or 3D Gaussians, whatever its suffix. An animated model
            stands still.
        cameras: the views.
        settings: which way is up, and from where the reference camera looks.
        object_size: how much of the reference picture the model fills; less where others would cut it off.
        report: takes notes of what is guessed and left out.

    Returns:
        V pictures, RGBA, and where the model stands in them.

    Raises:
        InputError: the file is damaged, too large, or holds nothing to draw.
        BackendUnavailable: a library that drawing needs is missing.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is too large: at most {MAX_BYTES >> 30} GiB")
        draw = _draw_splats if is_splats(path) else _draw_mesh
        rgba, frame = draw(path, cameras, settings, object_size, report)
    except Diffusion2Error:
        raise
    except Exception as error:  # readers raise anything on broken data
        raise InputError(
            f"{path} can't be read as a 3D model: it may be damaged ({in_one_line(error)})"
        ) from error
    if not (rgba[-1, ..., 3] > 127).any():
        raise InputError(
            f"{path} shows nothing from the reference camera: it is too thin from there, or transparent; "
            "turn it with --model-azimuth-deg or --model-up"
        )
    return [Image.fromarray(view) for view in rgba], frame


def _draw_mesh(
    path: Path, cameras: Cameras, settings: InputSettings, object_size: float, report: Report
) -> tuple[np.ndarray, ModelFrame]:
    kind = model_format(path) or "gltf"
    model = load_model(path, report) if kind == "gltf" else read_mesh(path, kind, report)
    axes = turn(model.front_deg) @ _axes(settings, USUAL_UP[kind])
    if model.front_deg:
        report(Warned(f"{path} is an avatar of VRM 0, which looks backwards: it is turned to the front"))
    model = _stand(model, axes, settings.model_clip)
    points = np.concatenate([positions for positions, _ in model.pose()])
    framing = _frame(path, points, cameras, object_size)
    renderer = MeshRenderer(model, cameras.height, cameras.width)
    try:
        rgba = renderer.render(cameras, framing)
    finally:
        renderer.close()
    return rgba, ModelFrame(axes, framing.center, framing.scale)


def _draw_splats(
    path: Path, cameras: Cameras, settings: InputSettings, object_size: float, report: Report
) -> tuple[np.ndarray, ModelFrame]:
    gaussians = read_splats(path)
    axes = _axes(settings, gaussians.up or USUAL_UP_OF_SPLATS)
    points = gaussians.solid_points() @ axes.T
    framing = _frame(path, points, cameras, object_size)
    frame = ModelFrame(axes, framing.center, framing.scale)
    return render_splats(gaussians, frame, cameras), frame


def _axes(settings: InputSettings, usual_up: str) -> np.ndarray:
    """Return the rotation from the file's axes to the world's, (3, 3)."""
    up = usual_up if settings.model_up == "auto" else settings.model_up
    return turn(settings.model_azimuth_deg) @ WORLD_FROM_GLTF @ GLTF_FROM_UP[up]


def _stand(model: AnimatedModel, axes: np.ndarray, clip: str | None) -> AnimatedModel:
    """Freeze a model in a pose and turn it; its file's axes become the world's by `axes`."""
    turned = WORLD_FROM_GLTF.T @ axes @ WORLD_FROM_GLTF.T
    primitives = []
    for primitive, pose in zip(model.primitives, model.posed(clip), strict=True):
        primitives.append(
            replace(
                primitive,
                node=0,
                skin=None,
                joints=None,
                weights=None,
                targets=np.zeros((0, len(pose.positions), 3)),
                normal_targets=None,
                positions=pose.positions @ turned.T,
                normals=pose.normals @ turned.T,
                triangles=primitive.triangles[:, ::-1] if pose.mirrored else primitive.triangles,
            )
        )
    node = Node(-1, np.zeros(3), np.array([0, 0, 0, 1.0]), np.ones(3), None, np.zeros(0))
    return AnimatedModel(model.name, primitives, {}, [node], [], [0])


def _frame(path: Path, points: np.ndarray, cameras: Cameras, object_size: float) -> Framing:
    if not np.isfinite(points).all():
        raise InputError(f"{path} has vertices that are not finite")
    extent = float(np.ptp(points, axis=0).max()) if len(points) else 0.0
    if not 1 / MAX_SIZE < extent < MAX_SIZE or np.abs(points).max() > MAX_SIZE:
        raise InputError(f"{path} has no extent that can be drawn: its points are {extent:.3g} apart at most")
    return frame_reference([points], cameras[-1], object_size)

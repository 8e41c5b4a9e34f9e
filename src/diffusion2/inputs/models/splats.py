"""Trained 3D Gaussians in a PLY file, as the programs for Gaussian splatting write it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import Cameras, ModelFrame
from diffusion2.errors import InputError
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.gaussians import rgb_to_sh0
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.inputs.models.ply import Columns, Element, Header, Lists, read_elements, read_header
from diffusion2.pictures import to_bytes

MAX_GAUSSIANS = 1_500_000
DEGREES = {3, 8, 15}
"""Harmonics above degree 0, for the degrees 1, 2 and 3."""
PLACES = ("x", "y", "z")
COLORS = tuple(f"f_dc_{k}" for k in range(3))
PLAIN_COLORS = ("red", "green", "blue")
SCALES = tuple(f"scale_{k}" for k in range(3))
QUATS = tuple(f"rot_{k}" for k in range(4))
VISIBLE_OPACITY = 1 / 255
SOLID_OPACITY = 0.1
LARGEST_LOG_SCALE = 30.0
REACH = 3.0
"""Standard deviations that a Gaussian can be seen to, where many lie over each other."""
FEW = 1000
OUTLIERS = 0.002
"""Share of the solid Gaussians, at either end of an axis, that does not count for the size: strays."""


@dataclass(frozen=True)
class SplatFile:
    """Gaussians in the axes and units of their file.

    Attributes:
        gaussians: those that can be seen.
        up: the axis that the file says is up, or None.
    """

    gaussians: Gaussians
    up: str | None = None

    def solid_points(self) -> np.ndarray:
        """Find the (P, 3) places that say how large the object is: without haze, without strays.

        They are the centres, pushed outwards by how far a Gaussian can be seen.
        """
        gaussians = self.gaussians
        solid = gaussians.opacities > SOLID_OPACITY
        gaussians = gaussians.select(solid if bool(solid.any()) else torch.ones_like(solid))
        points = gaussians.means.double().numpy()
        if len(points) >= FEW:
            low, high = np.quantile(points, [OUTLIERS, 1 - OUTLIERS], axis=0)
            points = points[((points >= low) & (points <= high)).all(1)]
        outwards = points - (points.min(0) + points.max(0)) / 2
        outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-30)
        return points + outwards * (REACH * float(gaussians.scales.amax(1).median()))


def is_splats(path: Path) -> bool:
    """Tell whether a file is a PLY whose vertices are 3D Gaussians.

    Raises:
        InputError: they are compressed.
    """
    header = read_header(path)
    vertices = None if header is None else header.element("vertex")
    names = set() if vertices is None else set(vertices.names)
    if "packed_position" in names:
        raise InputError(f"{path} holds compressed Gaussians: export them as a plain PLY")
    return {"opacity", "scale_0", "rot_0"} <= names and ("f_dc_0" in names or "red" in names)


def read_splats(path: Path) -> SplatFile:
    """Read 3D Gaussians with their harmonics, as far as they are of degree 1, 2 or 3, or with plain colours.

    Raises:
        InputError: the file is cut off, a property is missing, or there are too many of them or none.
    """
    header = read_header(path)
    vertices = None if header is None else header.element("vertex")
    names = set() if vertices is None else set(vertices.names)
    wanted = (*PLACES, *(COLORS if "f_dc_0" in names else PLAIN_COLORS), "opacity", *SCALES, *QUATS)
    missing = [name for name in wanted if name not in names]
    if header is None or vertices is None or missing:
        raise InputError(f"{path} has no property {missing[0]}, which 3D Gaussians need")
    if vertices.count > MAX_GAUSSIANS:
        raise InputError(
            f"{path} has {vertices.count:,} Gaussians, at most {MAX_GAUSSIANS:,}: prune it first"
        )
    rows = read_elements(path, header, "vertex")["vertex"]
    columns = np.stack([_floats(rows, name) for name in wanted], axis=1)
    whole = np.isfinite(columns).all(1) & (columns[:, 7:10] < LARGEST_LOG_SCALE).all(1)
    whole &= np.abs(columns[:, 10:14]).max(1, initial=0) > 0
    values = torch.from_numpy(columns[whole])
    gaussians = Gaussians(
        means=values[:, 0:3],
        quats=values[:, 10:14],
        log_scales=values[:, 7:10],
        opacity_logits=values[:, 6],
        sh0=values[:, None, 3:6] if "f_dc_0" in names else rgb_to_sh0(values[:, 3:6] / _most(vertices)),
        shN=_harmonics(rows, whole),
    )
    gaussians = gaussians.select(gaussians.opacities >= VISIBLE_OPACITY)
    if not len(gaussians):
        raise InputError(f"{path} has no Gaussians that can be seen")
    return SplatFile(gaussians, _up(header))


def _most(vertices: Element) -> float:
    """Tell what full brightness of plain colours is: 255 of bytes, 65535 of 16 bits, 1 of floats."""
    kind = np.dtype(next(column.dtype for column in vertices.properties if column.name == "red"))
    return float(np.iinfo(kind).max) if kind.kind in "iu" else 1.0


def _up(header: Header) -> str | None:
    """Find the axis that is up where the file says so, as nerfstudio's do."""
    for comment in header.comments:
        key, _, value = comment.lower().partition(":")
        if key.strip() == "vertical axis" and value.strip() in ("x", "y", "z", "-x", "-y", "-z"):
            return value.strip()
    return None


def _floats(rows: Columns, name: str) -> np.ndarray:
    column = rows[name]
    return np.asarray(column.values if isinstance(column, Lists) else column, np.float32)


def render_splats(splats: SplatFile, frame: ModelFrame, cameras: Cameras) -> np.ndarray:
    """Draw Gaussians that stand in the world by `frame`.

    Returns:
        (V, H, W, 4) uint8, straight alpha.
    """
    still = splats.gaussians
    # The cameras are moved, not the Gaussians: their harmonics stay as they are in the file.
    center = frame.axes.T @ frame.center
    means = (torch.from_numpy(still.means.double().numpy() - center) * frame.scale).float()
    scales = still.scales * frame.scale
    turned = np.eye(4)
    turned[:3, :3] = frame.axes
    viewmats = torch.from_numpy(cameras.viewmats @ turned).float()
    Ks = torch.from_numpy(cameras.Ks).float()
    size, pictures = (cameras.width, cameras.height), []
    for viewmat, K in zip(viewmats[:, None], Ks[:, None], strict=True):  # one at a time, for the memory
        colors = still.colors_seen(means, viewmat)
        drawn = rasterize(
            means, still.quats, scales, still.opacities, colors, viewmat, K, *size, antialiased=True
        )
        straight = (drawn.rgb / drawn.alpha.clamp_min(1e-6)).clamp(0, 1)
        pictures.append(torch.cat([straight, drawn.alpha], -1)[0])
    return to_bytes(torch.stack(pictures)).numpy()


def _harmonics(rows: Columns, whole: np.ndarray) -> Tensor | None:
    """Read the harmonics above degree 0, (N, K, 3); in the file those of red come first, then green, blue.

    Those above degree 3 are left out.
    """
    count = sum(name.startswith("f_rest_") for name in rows) // 3
    read = max((degree for degree in DEGREES if degree <= count), default=0)
    if not read or not {f"f_rest_{k}" for k in range(3 * count)} <= rows.keys():
        return None
    values = np.empty((int(whole.sum()), read, 3), np.float32)
    for channel in range(3):
        for k in range(read):
            values[:, k, channel] = _floats(rows, f"f_rest_{channel * count + k}")[whole]
    return torch.from_numpy(np.nan_to_num(values))

"""Trained 3D Gaussians in a PLY file, as the programs for Gaussian splatting write it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.errors import InputError
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.model_frame import ModelFrame
from diffusion2.pictures import to_bytes

MAX_GAUSSIANS = 1_500_000
DEGREES = {3, 8, 15}
"""Harmonics above degree 0, for the degrees 1, 2 and 3."""
MAX_HEADER = 1 << 16
PLACES = ("x", "y", "z")
COLORS = tuple(f"f_dc_{k}" for k in range(3))
SCALES = tuple(f"scale_{k}" for k in range(3))
QUATS = tuple(f"rot_{k}" for k in range(4))
WANTED = (*PLACES, *COLORS, "opacity", *SCALES, *QUATS)
TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
VISIBLE_OPACITY = 1 / 255
SOLID_OPACITY = 0.1
LARGEST_LOG_SCALE = 30.0
FEW = 1000
OUTLIERS = 0.002
"""Share of the solid Gaussians, at either end of an axis, that does not count for the size: strays."""


@dataclass(frozen=True)
class SplatFile:
    """Gaussians in the axes and units of their file.

    Attributes:
        gaussians: those that can be seen.
    """

    gaussians: Gaussians

    def solid_points(self) -> np.ndarray:
        """Give the (P, 3) centres that say how large the object is: without haze, without strays."""
        gaussians = self.gaussians
        solid = gaussians.opacities > SOLID_OPACITY
        points = gaussians.means[solid if bool(solid.any()) else slice(None)].double().numpy()
        if len(points) < FEW:
            return points
        low, high = np.quantile(points, [OUTLIERS, 1 - OUTLIERS], axis=0)
        inside = ((points >= low) & (points <= high)).all(1)
        return points[inside]


@dataclass(frozen=True)
class _Header:
    order: str
    count: int
    names: list[str]
    types: list[str]
    size: int
    is_compressed: bool


def is_splats(path: Path) -> bool:
    """Tell whether a file is a PLY whose vertices are 3D Gaussians.

    Raises:
        InputError: they are compressed.
    """
    header = _read_header(path)
    if header is not None and header.is_compressed:
        raise InputError(f"{path} holds compressed Gaussians: export them as a plain PLY")
    return header is not None and {"opacity", "scale_0", "rot_0", "f_dc_0"} <= set(header.names)


def read_splats(path: Path) -> SplatFile:
    """Read 3D Gaussians with their harmonics, as far as they are of degree 1, 2 or 3.

    Raises:
        InputError: the file is cut off, a property is missing, or there are too many of them or none.
    """
    header = _read_header(path)
    missing = [name for name in WANTED if header is None or name not in header.names]
    if header is None or missing:
        raise InputError(f"{path} has no property {missing[0]}, which 3D Gaussians need")
    if header.count > MAX_GAUSSIANS:
        raise InputError(f"{path} has {header.count:,} Gaussians, at most {MAX_GAUSSIANS:,}: prune it first")
    rows = _read_rows(path, header)
    columns = np.stack([rows[name].astype(np.float32) for name in WANTED], axis=1)
    whole = np.isfinite(columns).all(1) & (columns[:, 7:10] < LARGEST_LOG_SCALE).all(1)
    whole &= np.abs(columns[:, 10:14]).max(1, initial=0) > 0
    values = torch.from_numpy(columns[whole])
    gaussians = Gaussians(
        means=values[:, 0:3],
        quats=values[:, 10:14],
        log_scales=values[:, 7:10],
        opacity_logits=values[:, 6],
        sh0=values[:, None, 3:6],
        shN=_harmonics(rows, whole),
    )
    gaussians = gaussians.select(gaussians.opacities >= VISIBLE_OPACITY)
    if not len(gaussians):
        raise InputError(f"{path} has no Gaussians that can be seen")
    return SplatFile(gaussians)


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


def _read_header(path: Path) -> _Header | None:
    """Read a PLY's header as far as its vertices; None where it is no PLY or does not begin with them."""
    with path.open("rb") as file:
        begin = file.read(MAX_HEADER)
    text, found, _ = begin.partition(b"end_header")
    if begin[:3] != b"ply" or not found:
        return None
    size = len(text) + len(b"end_header")
    size += 2 if begin[size : size + 2] == b"\r\n" else 1
    order, count, names, types = "", 0, [], []
    elements = 0
    for words in (line.split() for line in text.decode("ascii", "replace").splitlines()):
        if words[:1] == ["format"] and len(words) > 1:
            order = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "a"}.get(words[1], "")
        elif words[:1] == ["element"] and len(words) > 2:
            elements += 1
            if elements == 1 and words[1] == "vertex" and words[2].isdecimal():
                count = int(words[2])
        elif words[:1] == ["property"] and elements == 1:
            if len(words) != 3 or words[1] not in TYPES:
                return None
            types.append(TYPES[words[1]])
            names.append(words[2])
    if not order or len(set(names)) != len(names):
        return None
    return _Header(order, count, names, types, size, b"packed_position" in text)


def _read_rows(path: Path, header: _Header) -> np.ndarray:
    """Read the Gaussians as a table with names, from the file as it is needed."""
    if header.order == "a":
        row = np.dtype([(name, "f4") for name in header.names])
        with path.open("rb") as file:
            file.seek(header.size)
            rows = np.loadtxt(file, row, max_rows=header.count, ndmin=1)
        found = len(rows)
    else:
        row = np.dtype([(n, header.order + t) for n, t in zip(header.names, header.types, strict=True)])
        found = max(path.stat().st_size - header.size, 0) // row.itemsize
        rows = np.zeros(0, row)
        if found >= header.count > 0:
            rows = np.memmap(path, dtype=row, mode="r", offset=header.size, shape=(header.count,))
    if found < header.count:
        raise InputError(f"{path} is cut off: {found} of {header.count} Gaussians are there")
    return rows


def _harmonics(rows: np.ndarray, whole: np.ndarray) -> Tensor | None:
    """Read the harmonics above degree 0, (N, K, 3); in the file those of red come first, then green, blue."""
    names = rows.dtype.names or ()
    count = sum(name.startswith("f_rest_") for name in names) // 3
    if count not in DEGREES or not {f"f_rest_{k}" for k in range(3 * count)} <= set(names):
        return None
    values = np.empty((int(whole.sum()), count, 3), np.float32)
    for channel in range(3):
        for k in range(count):
            values[:, k, channel] = rows[f"f_rest_{channel * count + k}"][whole]
    return torch.from_numpy(np.nan_to_num(values))

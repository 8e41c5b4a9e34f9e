"""A USD stage as all of ours are: axes of glTF, units of the world as metres, 24 time codes a second."""

# pyright: reportAttributeAccessIssue=false
# pxr makes its names when it is imported, where pyright can't see them.
from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import ModelFrame
from diffusion2.exporters.axes import GLTF_FROM_WORLD, model_matrix
from diffusion2.gaussians import AssetMetadata

if TYPE_CHECKING:
    from pxr import Usd, UsdGeom, Vt

ROOT = "/object"
"""The path of the prim that holds everything."""
CODES_PER_SECOND = 24.0
"""USD's default, and Blender's speed, which takes time codes for frames whatever a file says."""


def make_stage(metadata: AssetMetadata, *, moves: bool) -> Usd.Stage:
    """Make a stage in memory, without prims.

    Args:
        metadata: of the asset; time code 0 is its first frame.
        moves: without motion it has no time codes.
    """
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, UsdGeom.LinearUnits.meters)
    stage.GetRootLayer().customLayerData = {"creator": f"diffusion2 {version('diffusion2')}"}
    if moves:
        stage.SetTimeCodesPerSecond(CODES_PER_SECOND)
        stage.SetFramesPerSecond(CODES_PER_SECOND)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(time_codes(metadata, torch.ones(1))[0])
    return stage


def time_codes(metadata: AssetMetadata, times: Tensor) -> list[float]:
    """Turn times (T,) from 0 to 1 into time codes."""
    return (times.double() * metadata.duration_s * CODES_PER_SECOND).tolist()


def add_root(
    stage: Usd.Stage, schema: type[UsdGeom.Xformable], model: ModelFrame | None = None
) -> UsdGeom.Xformable:
    """Add the prim that holds everything, which other stages may refer to without its name.

    Args:
        stage: where to.
        schema: what it is.
        model: moves all that it holds to where a given model stands.
    """
    from pxr import Gf, Kind, Usd

    root = schema.Define(stage, ROOT)
    if model is not None:
        rows = model_matrix(GLTF_FROM_WORLD, model).T  # USD multiplies from the left
        root.AddTransformOp().Set(Gf.Matrix4d(*rows.flatten().tolist()))
    stage.SetDefaultPrim(root.GetPrim())
    Usd.ModelAPI(root.GetPrim()).SetKind(Kind.Tokens.component)
    return root


def save_stage(stage: Usd.Stage, path: Path) -> None:
    """Write a stage as `.usda` or `.usdc`.

    Raises:
        OSError: it can't be written.
    """
    from pxr import Tf

    try:
        stage.GetRootLayer().Export(str(path))
    except Tf.ErrorException as error:
        reason = str(error).rpartition(" : '")[2].strip().rstrip("'")
        raise OSError(reason or "OpenUSD does not say why") from error


def vectors(values: Tensor) -> Vt.Vec3fArray:
    """Turn (N, 3) into an array of USD."""
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(values.numpy(), np.float32))


def quaternions(quats: Tensor) -> Vt.QuatfArray:
    """Turn (N, 4) wxyz into an array of USD, which takes xyzw from NumPy."""
    from pxr import Vt

    return Vt.QuatfArray.FromNumpy(np.ascontiguousarray(quats[:, [1, 2, 3, 0]].numpy(), np.float32))


def bounds(points: Tensor, radii: Tensor | float = 0.0) -> Vt.Vec3fArray:
    """Get the two corners of the box around balls at (..., 3) with radii (..., 1)."""
    low, high = (points - radii).reshape(-1, 3).amin(0), (points + radii).reshape(-1, 3).amax(0)
    return vectors(torch.stack([low, high]))

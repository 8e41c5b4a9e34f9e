"""The Gaussians as USD, with time samples: `ParticleField3DGaussianSplat` of OpenUSD 26.3 and later.

The schema has the numbers of Kerbl et al. (2023), scales and opacities as they act and not as they are
trained. It leaves the colour space of the harmonics to the prim's `ColorSpaceAPI`: ours is sRGB, as in PLY.
"""

# pyright: reportAttributeAccessIssue=false
# pxr makes its names when it is imported, where pyright can't see them.
from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from diffusion2.errors import BackendUnavailable
from diffusion2.events import Progress
from diffusion2.events import stage as reported
from diffusion2.exporters.axes import GLTF_FROM_WORLD, place_gaussians
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.keys import PLACES_PER_FRAME, key_times
from diffusion2.exporters.usd.scene import (
    ROOT,
    add_root,
    bounds,
    make_stage,
    quaternions,
    save_stage,
    time_codes,
    vectors,
)
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.harmonics import degree_of

if TYPE_CHECKING:
    from pxr import Usd, UsdVol

SUPPORT = 3.0
"""Standard deviations to which a Gaussian reaches, by the schema's documentation."""


def write_usd_splats(job: Job) -> None:
    """Write the Gaussians with their motion, or as they are at the time that is asked for.

    Raises:
        ExportError: the file can't be written.
        BackendUnavailable: OpenUSD is older than its schema of Gaussians.
    """
    from pxr import Usd, UsdVol

    if not hasattr(UsdVol, "ParticleField3DGaussianSplat"):
        year, month = Usd.GetVersion()[1:]
        raise BackendUnavailable(
            f"Gaussians in USD need OpenUSD 26.3, this is {year}.{month}: pip install -U 'diffusion2[usd]'"
        )
    with writing(job.path, "the Gaussians") as temporary, reported(job.report, "usd") as progress:
        save_stage(lay_out_splats(job, progress), temporary)


def lay_out_splats(job: Job, progress: Progress) -> Usd.Stage:
    """Make a stage of the Gaussians."""
    from pxr import Usd, UsdGeom, UsdUtils, UsdVol

    asset, moment = job.asset, job.settings.time
    moves = moment is None and asset.deformation is not None
    times = key_times(asset.metadata, PLACES_PER_FRAME) if moves else torch.tensor([moment or 0.0])
    codes = time_codes(asset.metadata, times) if moves else [Usd.TimeCode.Default()]
    stage = make_stage(asset.metadata, moves=moves)
    add_root(stage, UsdGeom.Xform)
    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, f"{ROOT}/splats")
    _set_constants(field, place_gaussians(asset.gaussians, GLTF_FROM_WORLD, job.model_frame))
    sparse = UsdUtils.SparseValueWriter()  # most assets don't change their scales
    progress(0, len(times))
    for number, (time, code) in enumerate(zip(times.tolist(), codes, strict=True)):
        now = place_gaussians(asset.at(time), GLTF_FROM_WORLD, job.model_frame)
        field.GetPositionsAttr().Set(vectors(now.means), code)
        field.GetOrientationsAttr().Set(quaternions(now.quats), code)
        sparse.SetAttribute(field.GetScalesAttr(), vectors(now.scales), code)
        extent = bounds(now.means, SUPPORT * now.scales.amax(1, keepdim=True))
        field.GetExtentAttr().Set(extent, code)
        progress(number + 1, len(times))
    return stage


def _set_constants(field: UsdVol.ParticleField3DGaussianSplat, gaussians: Gaussians) -> None:
    """Set what stays while everything moves: opacities and colours."""
    from pxr import Gf, Usd, Vt

    space = Usd.ColorSpaceAPI.Apply(field.GetPrim())
    space.CreateColorSpaceNameAttr(Gf.ColorSpaceNames.SRGBRec709)
    field.GetOpacitiesAttr().Set(Vt.FloatArray.FromNumpy(gaussians.opacities.numpy()))
    harmonics = gaussians.sh0 if gaussians.shN is None else torch.cat([gaussians.sh0, gaussians.shN], dim=1)
    field.CreateRadianceSphericalHarmonicsDegreeAttr(degree_of(harmonics.shape[1] - 1))
    field.GetRadianceSphericalHarmonicsCoefficientsAttr().Set(vectors(harmonics.reshape(-1, 3)))

"""Gaussians at one moment in compact formats: `.splat`, PlayCanvas' compressed PLY, and Niantic's SPZ.

They round, and what they round to differs; `docs/exports.md` has it. The order of the Gaussians stays. The
latter two are written by gsply, whose files were compared with what splat-transform reads from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from diffusion2.exporters.axes import GLTF_FROM_WORLD, PLY_FROM_WORLD, place_gaussians
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import Gaussians
from diffusion2.pictures import to_bytes

if TYPE_CHECKING:
    from gsply import GSData

SPLAT = np.dtype([("place", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
"""One Gaussian of a `.splat` file: standard deviations, colour and opacity as seen, a quaternion wxyz."""


def write_splat(job: Job) -> None:
    """Write the format of antimatter15's viewer: 32 bytes a Gaussian, colours without harmonics.

    Raises:
        ExportError: the file can't be written.
    """
    still = _turned(job, PLY_FROM_WORLD)
    rows = np.zeros(len(still), SPLAT)
    rows["place"], rows["scales"] = still.means.numpy(), still.scales.numpy()
    rows["rgba"] = to_bytes(torch.cat([still.colors, still.opacities[:, None]], dim=1)).numpy()
    rows["quat"] = (still.quats * 128 + 128).round().clamp(0, 255).to(torch.uint8).numpy()
    with writing(job.path, "the Gaussians") as temporary:
        temporary.write_bytes(rows.tobytes())


def write_compressed_ply(job: Job) -> None:
    """Write PlayCanvas' compressed PLY, a quarter of the plain one's size.

    Raises:
        ExportError: the file can't be written.
    """
    from gsply import compress_to_bytes

    with writing(job.path, "the Gaussians") as temporary:
        temporary.write_bytes(compress_to_bytes(_for_gsply(_turned(job, PLY_FROM_WORLD))))


def write_spz(job: Job) -> None:
    """Write SPZ, whose axes are x right, y up, z back by its specification, and so those of glTF.

    Raises:
        ExportError: the file can't be written.
    """
    from gsply import write_spz as write

    with writing(job.path, "the Gaussians") as temporary:
        write(temporary, _for_gsply(_turned(job, GLTF_FROM_WORLD)), version=job.settings.spz_version)


def _turned(job: Job, axes: Tensor) -> Gaussians:
    """The Gaussians at the moment that is asked for, in the axes of the file, with unit quaternions."""
    return place_gaussians(job.asset.at(job.settings.time or 0.0), axes, job.model_frame)


def _for_gsply(gaussians: Gaussians) -> GSData:
    from gsply import GSData

    shN = None if gaussians.shN is None else gaussians.shN.numpy()
    return GSData.from_arrays(
        gaussians.means.numpy(),
        gaussians.log_scales.numpy(),
        gaussians.quats.numpy(),
        gaussians.opacity_logits.numpy(),
        gaussians.sh0[:, 0].numpy(),
        shN,
        format="ply",
    )

"""3D Gaussians at one moment as binary glTF with KHR_gaussian_splatting.

Source: the extension's text as Khronos ratified it. A Gaussian is a point with attributes: a unit quaternion
xyzw, standard deviations (not their logarithms), an opacity (not its logit), and coefficients of harmonics,
whose sum is sRGB as in pictures. Programs without the extension draw points of `COLOR_0`, which is linear as
all of glTF's vertex colours are.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from diffusion2.exporters.axes import GLTF_FROM_WORLD, place_gaussians
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.gltf_file import GltfFile
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.harmonics import degree_of

EXTENSION = "KHR_gaussian_splatting"
POINTS = 0
HOW_DRAWN = {
    "kernel": "ellipse",
    "colorSpace": "srgb_rec709_display",
    "projection": "perspective",
    "sortingMethod": "cameraDistance",
}


def write_gltf_splats(job: Job) -> None:
    """Write the Gaussians as they are at the time that is asked for.

    Raises:
        ExportError: the file can't be written.
    """
    still = place_gaussians(job.asset.at(job.settings.time or 0.0), GLTF_FROM_WORLD, job.model_frame)
    with writing(job.path, "the Gaussians") as temporary:
        lay_out_splats(still).save(temporary)


def lay_out_splats(gaussians: Gaussians) -> GltfFile:
    """Lay Gaussians in glTF's axes, with unit quaternions, out as a file of one mesh of points."""
    file = GltfFile()
    attributes = {
        name: file.add_array(_plain(values), "vertices", bounds=name == "POSITION")
        for name, values in _attributes(gaussians).items()
    }
    file.use(EXTENSION, "KHR_materials_unlit")
    material = file.add("materials", name="points", extensions={"KHR_materials_unlit": {}})
    primitive = {
        "attributes": attributes,
        "mode": POINTS,
        "material": material,
        "extensions": {EXTENSION: HOW_DRAWN},
    }
    mesh = file.add("meshes", name="object", primitives=[primitive])
    file.content["scene"] = file.add("scenes", nodes=[file.add("nodes", name="object", mesh=mesh)])
    return file


def _attributes(gaussians: Gaussians) -> dict[str, Tensor]:
    """Name what the file says of N Gaussians: each (N,) or (N, 3 or 4)."""
    found = {
        "POSITION": gaussians.means,
        "COLOR_0": torch.cat([_linear(gaussians.colors), gaussians.opacities[:, None]], dim=1),
        f"{EXTENSION}:ROTATION": gaussians.quats[:, [1, 2, 3, 0]],
        f"{EXTENSION}:SCALE": gaussians.scales,
        f"{EXTENSION}:OPACITY": gaussians.opacities,
        f"{EXTENSION}:SH_DEGREE_0_COEF_0": gaussians.sh0[:, 0],
    }
    if gaussians.shN is not None:
        column = 0
        for degree in range(1, degree_of(gaussians.shN.shape[1]) + 1):
            for order in range(2 * degree + 1):
                found[f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{order}"] = gaussians.shN[:, column]
                column += 1
    return found


def _linear(colors: Tensor) -> Tensor:
    """Turn sRGB in [0, 1] into linear light (IEC 61966-2-1)."""
    return torch.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def _plain(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().float().cpu().numpy())

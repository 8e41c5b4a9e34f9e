"""Pictures as runs have them, lifted to Gaussians and drawn again."""

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.cameras import Cameras
from diffusion2.gaussians.gaussians import SH_C0, Gaussians
from diffusion2.gaussians.rasterize import Rendering, rasterize
from diffusion2.kernels.masks import estimate_alphas
from diffusion2.pictures import with_alpha
from diffusion2.priors.devices import choose_dtype
from diffusion2.priors.lifter import Lifter


@torch.no_grad()
def lift_pictures(lifter: Lifter, pictures: Tensor, elevation_deg: float) -> list[Gaussians | None]:
    """Lift pictures to Gaussians; None where one shows nothing.

    Args:
        lifter: the network.
        pictures: (N, P, H, W) in [0, 1], RGB on white and alpha, as the cameras of the project see the
            object; or RGB alone, in which alpha is estimated.
        elevation_deg: of these cameras, which stand at azimuth 0.
    """
    if pictures.shape[1] == 3:
        pictures = with_alpha(pictures, estimate_alphas(pictures)[0])
    shown = straight(pictures, int(lifter.config["sample_size"]))  # pyright: ignore[reportIndexIssue]
    elevations, dtype = torch.full((len(pictures),), elevation_deg), choose_dtype("auto")
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        raw = lifter(shown, elevations)
    return [
        lifter.assemble(raw[k : k + 1], picture[None], elevations[:1])[0].gaussians
        if lifter.sees_object(picture)
        else None
        for k, picture in enumerate(shown)
    ]


def straight(pictures: Tensor, size: int) -> Tensor:
    """Turn pictures (N, 4, H, W), RGB on white and alpha, into (N, 4, size, size) with straight alpha."""
    rgb, alpha = pictures[:, :3], pictures[:, 3:].clamp(0, 1)
    coloured = torch.cat([rgb - (1 - alpha), alpha], 1)
    if coloured.shape[-2:] != (size, size):
        coloured = F.interpolate(coloured, (size, size), mode="bilinear", antialias=True, align_corners=False)
    alpha = coloured[:, 3:].clamp(0, 1)
    return torch.cat([(coloured[:, :3] / alpha.clamp(min=1e-3)).clamp(0, 1), alpha], 1)


def draw_gaussians(gaussians: Gaussians, cameras: Cameras, background: Tensor) -> Rendering:
    """Draw Gaussians from V cameras on a background (3,), differentiably even where colours leave [0, 1]."""
    viewmats, Ks = (torch.as_tensor(m, dtype=torch.float32) for m in (cameras.viewmats, cameras.Ks))
    colors = 0.5 + SH_C0 * gaussians.sh0[:, 0]
    five = gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, colors
    backgrounds = background.expand(len(cameras), 3)
    return rasterize(*five, viewmats, Ks, cameras.width, cameras.height, backgrounds=backgrounds)

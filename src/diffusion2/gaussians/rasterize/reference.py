"""The rasteriser in plain PyTorch: every Gaussian at every pixel.

Slow (memory grows with C x N x H x W) and short: the twin that the fast back ends are tested
against. It works in the precision of its inputs, float64 included, and is differentiable in
everything. Source: Kerbl et al. (2023), "3D Gaussian Splatting", with gsplat's conventions.
"""

import torch

from diffusion2.gaussians.rasterize.rendering import (
    COVARIANCE_BLUR,
    GAUSSIAN_SHAPES,
    JACOBIAN_MARGIN,
    MAX_ALPHA,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    GaussianTensors,
    Rendering,
    Views,
)
from diffusion2.quaternions import rotation_matrices


def project(
    means: torch.Tensor,
    quats: torch.Tensor,
    scales: torch.Tensor,
    viewmat: torch.Tensor,
    K: torch.Tensor,
    width: int,
    height: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Project N Gaussians, all in front of one camera (EWA splatting, Zwicker et al., 2002).

    Args:
        means: (N, 3).
        quats: (N, 4).
        scales: (N, 3).
        viewmat: (4, 4) world to camera.
        K: (3, 3) in pixels.
        width: of the picture.
        height: of the picture.

    Returns:
        Means (N, 2) in pixels, inverse covariances (N, 2, 2) in px⁻², camera depths (N,), and by how much
        the blur has enlarged them, as a factor (N,) on the opacity that makes up for it.
    """
    rotation, translation = viewmat[:3, :3], viewmat[:3, 3]
    x, y, z = (means @ rotation.T + translation).unbind(-1)
    focal_x, focal_y, centre_x, centre_y = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    means2d = torch.stack([focal_x * x / z + centre_x, focal_y * y / z + centre_y], dim=-1)

    margin_x, margin_y = JACOBIAN_MARGIN * width / focal_x, JACOBIAN_MARGIN * height / focal_y
    x_over_z = (x / z).clamp(-centre_x / focal_x - margin_x, (width - centre_x) / focal_x + margin_x)
    y_over_z = (y / z).clamp(-centre_y / focal_y - margin_y, (height - centre_y) / focal_y + margin_y)
    zero = torch.zeros_like(z)
    jacobians = torch.stack(
        [
            torch.stack([focal_x / z, zero, -focal_x * x_over_z / z], dim=-1),
            torch.stack([zero, focal_y / z, -focal_y * y_over_z / z], dim=-1),
        ],
        dim=-2,
    )
    axes = jacobians @ rotation @ (rotation_matrices(quats) * scales[:, None, :])
    covariances = axes @ axes.mT + COVARIANCE_BLUR * torch.eye(2, dtype=z.dtype, device=z.device)
    areas = torch.linalg.cross(axes[:, 0], axes[:, 1]).square().sum(-1)  # det(axes axesᵀ), without cancelling
    smaller = (areas / torch.linalg.det(covariances)).clamp(min=1e-30).sqrt()
    return means2d, torch.linalg.inv(covariances), z, smaller


def rasterize_view(
    gaussians: GaussianTensors,
    viewmat: torch.Tensor,
    K: torch.Tensor,
    views: Views,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw N Gaussians with one camera.

    Returns:
        Foreground colours (H, W, 3), alpha (H, W, 1), accumulated depth (H, W, 1).
    """
    means, quats, scales, opacities, colors = gaussians
    width, height = views.width, views.height
    depths = means @ viewmat[2, :3] + viewmat[2, 3]
    order = torch.argsort(depths, stable=True)
    order = order[depths[order] >= views.near_plane]
    opacities, colors = opacities[order], colors[order]
    means2d, conics, depths, smaller = project(
        means[order], quats[order], scales[order], viewmat, K, width, height
    )
    if views.antialiased:
        opacities = opacities * smaller

    columns = torch.arange(width, dtype=means.dtype, device=means.device) + 0.5
    rows = torch.arange(height, dtype=means.dtype, device=means.device) + 0.5
    dx = columns[None, None, :] - means2d[:, 0, None, None]
    dy = rows[None, :, None] - means2d[:, 1, None, None]
    a, b, c = (conics[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    alphas = opacities[:, None, None] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
    alphas = alphas.clamp(max=MAX_ALPHA)
    alphas = torch.where(alphas >= MIN_ALPHA, alphas, 0.0)

    after = torch.cumprod(1 - alphas, dim=0)
    alphas = torch.where(after > MIN_TRANSMITTANCE, alphas, 0.0)
    after = torch.cumprod(1 - alphas, dim=0)
    before = torch.cat([torch.ones_like(after[:1]), after[:-1]])[: len(alphas)]
    weights = alphas * before
    rgb = torch.einsum("nhw,nc->hwc", weights, colors)
    return rgb, weights.sum(0)[..., None], torch.einsum("nhw,n->hw", weights, depths)[..., None]


def rasterize_reference(gaussians: GaussianTensors, views: Views) -> Rendering:
    """Draw Gaussians with C cameras; the arguments are those of `rasterize`, already checked."""
    dtype = gaussians.means.dtype
    drawn = []
    for k, (viewmat, K) in enumerate(zip(views.viewmats.to(dtype), views.Ks.to(dtype), strict=True)):
        seen = GaussianTensors(
            *(t if t.dim() == 1 + len(s) else t[k] for t, s in zip(gaussians, GAUSSIAN_SHAPES, strict=True))
        )
        drawn.append(rasterize_view(seen, viewmat, K, views))
    rgb, alpha, depth = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    if views.backgrounds is not None:
        rgb = rgb + (1 - alpha) * views.backgrounds[:, None, None, :].to(dtype)
    return Rendering(rgb, alpha, depth)

"""A set of 3D Gaussians, with the parameters that are optimised and the quantities that are drawn."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.gaussians.harmonics import degree_of, seen_colors

SH_C0 = 0.28209479177387814
"""Value of the constant spherical harmonic, 1 / (2 sqrt(pi))."""


@dataclass(frozen=True)
class Gaussians:
    """N 3D Gaussians; their order means nothing in itself but never changes over time.

    Attributes:
        means: (N, 3) float32, centres in world units.
        quats: (N, 4) float32, rotations as wxyz; need not be normalised.
        log_scales: (N, 3) float32, natural logarithms of the standard deviations in world units.
        opacity_logits: (N,) float32.
        sh0: (N, 1, 3) float32, spherical harmonics of degree 0.
        shN: (N, 3, 8 or 15, 3) float32, those of degrees up to 1, 2 or 3; None where colours are the same
            from every direction.

    Raises:
        InputError: when the parts have other shapes than these.
    """

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    opacity_logits: Tensor
    sh0: Tensor
    shN: Tensor | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together."""
        count = self.means.shape[0] if self.means.ndim else 0
        for name, shape in shapes_of(count).items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise InputError(f"Gaussians need {name} of shape {shape}, not {found}")
        if self.shN is not None:
            if self.shN.ndim != 3 or (self.shN.shape[0], self.shN.shape[2]) != (count, 3):
                raise InputError(f"Gaussians need shN of shape ({count}, K, 3), not {tuple(self.shN.shape)}")
            degree_of(self.shN.shape[1])

    def __len__(self) -> int:
        """Return the number of Gaussians, N."""
        return self.means.shape[0]

    @property
    def scales(self) -> Tensor:
        """(N, 3) standard deviations in world units."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """(N,) opacities in [0, 1]."""
        return self.opacity_logits.sigmoid()

    @property
    def colors(self) -> Tensor:
        """(N, 3) RGB in [0, 1], the same from every direction."""
        return sh0_to_rgb(self.sh0)

    def colors_seen(self, means: Tensor, viewmats: Tensor) -> Tensor:
        """Return the RGB in [0, 1] that C cameras (C, 4, 4) see: (C, N, 3), or (N, 3) where all see the same.

        Args:
            means: where the Gaussians are now, (N, 3) or for each camera (C, N, 3).
            viewmats: world to camera.
        """
        if self.shN is None:
            return self.colors
        return seen_colors(0.5 + SH_C0 * self.sh0[:, 0], self.shN, means, viewmats)

    def tensors(self) -> dict[str, Tensor]:
        """Return the stored parameters by name; shN only where there is one."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def to(self, device: torch.device | str) -> "Gaussians":
        """Return them on a device."""
        return Gaussians(**{name: tensor.to(device) for name, tensor in self.tensors().items()})

    def select(self, index: Tensor) -> "Gaussians":
        """Return those at an index: a boolean mask (N,) or integers (M,)."""
        return Gaussians(**{name: tensor[index] for name, tensor in self.tensors().items()})


def shapes_of(count: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter that so many Gaussians must have."""
    return {
        "means": (count, 3),
        "quats": (count, 4),
        "log_scales": (count, 3),
        "opacity_logits": (count,),
        "sh0": (count, 1, 3),
    }


def sh0_to_rgb(sh0: Tensor) -> Tensor:
    """Evaluate harmonics of degree 0, (N, 1, 3), as RGB (N, 3) in [0, 1]."""
    return (0.5 + SH_C0 * sh0[..., 0, :]).clamp(0.0, 1.0)


def rgb_to_sh0(rgb: Tensor) -> Tensor:
    """Return the harmonics of degree 0, (N, 1, 3), whose colour is RGB (N, 3)."""
    return ((rgb - 0.5) / SH_C0)[..., None, :]

"""Colours that depend on the direction: real spherical harmonics up to degree 3.

Signs and order are those of 3D Gaussian splatting (Kerbl et al., 2023), so that coefficients can be
exchanged with other programs. Directions are those of the world, whatever turns a Gaussian has made.
"""

import math

import torch
from torch import Tensor

from diffusion2.errors import InputError

MAX_DEGREE = 3


def coefficients(degree: int) -> int:
    """Return the number of harmonics of degrees 1 up to this one."""
    return (degree + 1) ** 2 - 1


def degree_of(count: int) -> int:
    """Return the degree that so many harmonics above degree 0 belong to.

    Raises:
        InputError: when there is none up to `MAX_DEGREE`.
    """
    for degree in range(MAX_DEGREE + 1):
        if coefficients(degree) == count:
            return degree
    raise InputError(f"harmonics above degree 0 come in 0, 3, 8 or 15 coefficients, not {count}")


def basis(directions: Tensor, degree: int) -> Tensor:
    """Evaluate the harmonics of degrees 1 up to `degree` at unit vectors (..., 3): (..., K)."""
    x, y, z = directions.unbind(-1)
    one = math.sqrt(3 / (4 * math.pi))
    values = [-one * y, one * z, -one * x] if degree >= 1 else []
    if degree >= 2:
        two = math.sqrt(15 / (4 * math.pi))
        values += [
            two * x * y,
            -two * y * z,
            math.sqrt(5 / (16 * math.pi)) * (2 * z * z - x * x - y * y),
            -two * x * z,
            0.5 * two * (x * x - y * y),
        ]
    if degree >= 3:
        a, b = math.sqrt(35 / (32 * math.pi)), math.sqrt(21 / (32 * math.pi))
        c = math.sqrt(105 / (4 * math.pi))
        values += [
            -a * y * (3 * x * x - y * y),
            c * x * y * z,
            -b * y * (4 * z * z - x * x - y * y),
            math.sqrt(7 / (16 * math.pi)) * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -b * x * (4 * z * z - x * x - y * y),
            0.5 * c * z * (x * x - y * y),
            -a * x * (x * x - 3 * y * y),
        ]
    return torch.stack(values, dim=-1) if values else directions[..., :0]


def seen_colors(base: Tensor, shN: Tensor, means: Tensor, viewmats: Tensor) -> Tensor:
    """Return the colours (C, N, 3) in [0, 1] that C cameras see.

    Args:
        base: (N, 3) what the harmonics of degree 0 contribute.
        shN: (N, K, 3) coefficients of the others.
        means: (N, 3) or (C, N, 3) centres in the world.
        viewmats: (C, 4, 4) world to camera.
    """
    eyes = -torch.einsum("cij,ci->cj", viewmats[:, :3, :3], viewmats[:, :3, 3]).to(means)
    directions = torch.nn.functional.normalize(means.detach() - eyes[:, None], dim=-1)
    values = basis(directions, degree_of(shN.shape[1]))
    return (base + torch.einsum("cnk,nkd->cnd", values, shN)).clamp(0, 1)


def turn_harmonics(shN: Tensor, rotation: Tensor) -> Tensor:
    """Turn colours along with the world: what was seen along d is then seen along `rotation @ d`.

    Turned harmonics of a degree are sums of those of the same degree. The sums are found from values in
    some directions, more than there are coefficients.

    Args:
        shN: (N, K, 3) coefficients above degree 0.
        rotation: (3, 3).
    """
    degree = degree_of(shN.shape[1])
    k = torch.arange(64, dtype=torch.float64) + 0.5
    z, angle = 1 - k / 32, k * math.pi * (3 - 5**0.5)
    around = (1 - z * z).sqrt()
    directions = torch.stack([angle.cos() * around, angle.sin() * around, z], dim=1)  # even, on a spiral
    before = basis(directions, degree)
    after = basis(directions @ rotation.double().cpu().T, degree)
    turned = torch.linalg.lstsq(after, before).solution
    return torch.einsum("jk,nkd->njd", turned.to(shN), shN)

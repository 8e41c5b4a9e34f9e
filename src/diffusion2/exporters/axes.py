"""The axes of other programs' worlds, as the rotations that lead from ours to theirs.

Ours has z up, and the reference camera stands on +x, looking at the object's front.
"""

from dataclasses import replace

import torch
from torch import Tensor

from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.harmonics import turn_harmonics
from diffusion2.quaternions import multiply_quats, rotation_matrices

GLTF_FROM_WORLD = torch.tensor([0.5, -0.5, -0.5, -0.5])
"""(x, y, z) becomes (y, z, x): y up, the front on +z. A quaternion wxyz."""

PLY_FROM_WORLD = torch.tensor([0.5, 0.5, -0.5, 0.5])
"""(x, y, z) becomes (-y, -z, x): y down, the front on +z, as scenes of trained Gaussians mostly lie. Programs
that show these files turn them by 180° about z, which gives glTF's axes."""


def turn_points(points: Tensor, axes: Tensor) -> Tensor:
    """Turn points (..., 3) into other axes, given as a quaternion (4,)."""
    return points @ rotation_matrices(axes).T


def turn_rotations(quats: Tensor, axes: Tensor) -> Tensor:
    """Turn rotations (..., 4) of the world, wxyz, into the same rotations about other axes, unit length."""
    axes = axes.expand_as(quats)
    back = axes * torch.tensor([1.0, -1, -1, -1])
    return torch.nn.functional.normalize(multiply_quats(multiply_quats(axes, quats), back), dim=-1)


def turn_gaussians(gaussians: Gaussians, axes: Tensor) -> Gaussians:
    """Turn Gaussians into other axes: places, rotations, and colours that depend on the direction.

    The quaternions have unit length then.
    """
    rotation = rotation_matrices(axes)
    shN = None if gaussians.shN is None else turn_harmonics(gaussians.shN, rotation)
    unit = torch.nn.functional.normalize(gaussians.quats, dim=1)
    quats = multiply_quats(axes.expand_as(unit), unit)
    return replace(gaussians, means=gaussians.means @ rotation.T, quats=quats, shN=shN)

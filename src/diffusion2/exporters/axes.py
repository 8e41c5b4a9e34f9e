"""The axes of other programs' worlds, as the rotations that lead from ours to theirs.

Ours has z up, and the reference camera stands on +x, looking at the object's front. Where an asset was made
from a 3D model or a capture, results can go to that one's place and size instead (`ModelFrame`).
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import ModelFrame
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.harmonics import turn_harmonics
from diffusion2.quaternions import multiply_quats, quats_from_matrices, rotation_matrices

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


def place_points(points: Tensor, axes: Tensor, model: ModelFrame | None) -> Tensor:
    """Move points (P, 3) to where a given model's file has them; without one, turn them into other axes."""
    if model is None:
        return turn_points(points, axes)
    return torch.from_numpy(model.to_model(points.double().numpy())).float()


def place_gaussians(gaussians: Gaussians, axes: Tensor, model: ModelFrame | None) -> Gaussians:
    """Move Gaussians to where they are in a given model's file; without one, turn them into other axes.

    The quaternions have unit length then.
    """
    if model is None:
        return turn_gaussians(gaussians, axes)
    return replace(
        turn_gaussians(gaussians, model_turn(model)),
        means=place_points(gaussians.means, axes, model),
        log_scales=gaussians.log_scales - math.log(model.scale),
    )


def model_matrix(axes: Tensor, model: ModelFrame) -> np.ndarray:
    """Return the 4 × 4 matrix that moves what has these axes already to where a given model's file has it."""
    matrix = np.eye(4)
    matrix[:3, :3] = model.axes.T @ rotation_matrices(axes).double().numpy().T / model.scale
    matrix[:3, 3] = model.axes.T @ model.center
    return matrix


def model_turn(model: ModelFrame) -> Tensor:
    """Return the rotation from our axes to those of a given model's file, a quaternion (4,)."""
    return quats_from_matrices(torch.from_numpy(model.axes.T).float())


def turn_gaussians(gaussians: Gaussians, axes: Tensor) -> Gaussians:
    """Turn Gaussians into other axes: places, rotations, and colours that depend on the direction.

    The quaternions have unit length then.
    """
    rotation = rotation_matrices(axes)
    shN = None if gaussians.shN is None else turn_harmonics(gaussians.shN, rotation)
    unit = torch.nn.functional.normalize(gaussians.quats, dim=1)
    quats = multiply_quats(axes.expand_as(unit), unit)
    return replace(gaussians, means=gaussians.means @ rotation.T, quats=quats, shN=shN)

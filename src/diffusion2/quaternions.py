"""Rotations as quaternions w, x, y, z."""

from typing import Any

import torch
from torch import Tensor


def rotation_entries(w: Any, x: Any, y: Any, z: Any) -> tuple[Any, ...]:
    """The nine entries, row by row, of the rotation matrices of unit quaternions.

    Plain arithmetic: of numbers, arrays and tensors, and compiled into kernels.
    """
    return (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip


def rotation_matrices(quats: Tensor) -> Tensor:
    """Turn quaternions (..., 4), wxyz and of any length but 0, into rotation matrices (..., 3, 3)."""
    unit = torch.nn.functional.normalize(quats, dim=-1)
    return torch.stack(rotation_entries(*unit.unbind(-1)), dim=-1).unflatten(-1, (3, 3))


def multiply_quats(a: Tensor, b: Tensor) -> Tensor:
    """Multiply quaternions (..., 4) wxyz: the rotation b first, then a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def quats_from_matrices(matrices: Tensor) -> Tensor:
    """Turn rotation matrices (..., 3, 3) into unit quaternions (..., 4) wxyz with w >= 0.

    A quaternion is the eigenvector of the largest eigenvalue of a symmetric matrix that is linear in the
    rotation (Bar-Itzhack, 2000), which has no special cases.
    """
    m = matrices.double()
    trace = m.diagonal(dim1=-2, dim2=-1).sum(-1)
    k = torch.zeros(*m.shape[:-2], 4, 4, dtype=torch.float64, device=m.device)
    k[..., 0, 0] = trace
    k[..., 1:, 1:] = m + m.mT - trace[..., None, None] * torch.eye(3, dtype=torch.float64, device=m.device)
    axis = torch.stack(
        [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1
    )
    k[..., 0, 1:] = k[..., 1:, 0] = axis
    quats = torch.linalg.eigh(k).eigenvectors[..., -1]
    return torch.where(quats[..., :1] < 0, -quats, quats).to(matrices.dtype)

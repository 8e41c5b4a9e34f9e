"""Covariances of Gaussian matrices: how the cells of an image matrix may be related."""

import torch
from torch import Tensor

DETAIL = 0.1
"""Share of the variance of `additive` that belongs to each cell alone."""


def correlation(count: int, length: float) -> Tensor:
    """Return correlations that fall as exp(-distance / length), (count, count); length 0: none."""
    index = torch.arange(count, dtype=torch.float64)
    distance = (index[:, None] - index).abs()
    return (distance == 0).double() if length == 0 else torch.exp(-distance / length)


def separable(view: Tensor, time: Tensor) -> Tensor:
    """Return the covariance view ⊗ time, (V, F, V, F); it meets assumption 3.1 at every cell."""
    return torch.einsum("vw,fg->vfwg", view, time)


def additive(view: Tensor, time: Tensor) -> Tensor:
    """Return that of a part per view, the same at all times, plus a part per time, plus detail of each cell.

    Look and motion that are independent of each other, as in figure 3 of the paper.
    """
    shared = separable(view, torch.ones_like(time)) + separable(torch.ones_like(view), time)
    detail = separable(correlation(len(view), 0), correlation(len(time), 0))
    return (1 - DETAIL) / 2 * shared + DETAIL * detail


def crossed(view: Tensor, time: Tensor) -> Tensor:
    """Return that of two fields, one related within columns only, the other within rows only."""
    return (separable(view, correlation(len(time), 0)) + separable(correlation(len(view), 0), time)) / 2


def patchwork(view: Tensor, time: Tensor) -> Tensor:
    """Return that of rows whose first half is related along the rows, the rest along the columns."""
    upper = (torch.arange(len(view)) < len(view) // 2).double()
    both_lower = (1 - upper)[:, None] * (1 - upper)
    rows = separable(upper.diag(), time)
    return rows + separable(view * both_lower, correlation(len(time), 0))


def one_cross(view: Tensor, time: Tensor) -> Tensor:
    """Get that of one row and one column that meet assumption 3.1 at their crossing; other cells are alone.

    Every step of the proof holds for it, as long as there is no noise.
    """
    middle_view, middle_frame = len(view) // 2, len(time) // 2
    to_cell = torch.zeros(len(view), len(time), dtype=torch.float64)
    to_cell[middle_view], to_cell[:, middle_frame] = time[middle_frame], view[middle_view]
    covariance = torch.einsum("vf,wg->vfwg", to_cell, to_cell)
    covariance[middle_view, :, middle_view, :] = time
    covariance[:, middle_frame, :, middle_frame] = view
    views, frames = (to_cell == 0).nonzero(as_tuple=True)
    covariance[views, frames, views, frames] = 1
    return covariance


def composes_exactly(covariance: Tensor, tolerance: float = 1e-12) -> bool:
    """Tell whether eq. 3 is exact at every noise level, for a Gaussian matrix without references.

    It is if, and only if, no two cells are related unless they share a row or a column, and no cell is
    related both to another one of its row and to another one of its column. docs/theorem.md has the proof.

    Args:
        covariance: (V, F, V, F).
        tolerance: what counts as related.
    """
    related = covariance.abs() > tolerance
    views, frames = covariance.shape[:2]
    same_view = torch.eye(views, dtype=torch.bool)[:, None, :, None]
    same_frame = torch.eye(frames, dtype=torch.bool)[None, :, None, :]
    along_row = (related & same_view & ~same_frame).any(-1).any(-1)
    along_column = (related & same_frame & ~same_view).any(-1).any(-1)
    across = related & ~same_view & ~same_frame
    return not bool(across.any() or (along_row & along_column).any())

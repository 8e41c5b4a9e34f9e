"""Gaussian priors in closed form: what sampling and the theorem can be tested against."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from diffusion2.errors import InputError


class GaussianPrior:
    """Sequences of T images whose numbers are Gaussian: correlated between images, independent within.

    Its condition is the sequences' mean, (N, T, C, h, w).

    Args:
        covariance: (T, T) between the images of a sequence, the same for every position and channel.
    """

    def __init__(self, covariance: Tensor) -> None:
        self.covariance = covariance.double()
        self._values, self._vectors = torch.linalg.eigh(self.covariance)

    def denoise(self, latents: Tensor, sigma: float, condition: Tensor) -> Tensor:
        """Return the mean of the clean latents given the noisy ones: `m + K (K + sigma²)⁻¹ (x - m)`."""
        gain = self.gain(sigma).to(latents)
        return condition + torch.einsum("st,ntchw->nschw", gain, latents - condition)

    def gain(self, sigma: float) -> Tensor:
        """Return `K (K + sigma²)⁻¹`, (T, T) float64."""
        shrunk = self._values / (self._values + sigma**2)
        return (self._vectors * shrunk) @ self._vectors.T


@dataclass(frozen=True)
class Scores:
    """Score functions of a noisy Gaussian matrix at one noise level: linear in what is seen.

    Each is (n, n + m): what it gives for the n noisy cells from the n noisy cells and the m known ones.

    Attributes:
        joint: the score of the whole matrix, from everything.
        rows: of each row by itself and its own known cell, as a video prior sees it.
        columns: of each column by itself and its own known cell, as a multi-view prior sees it.
        cells: of each cell alone, given the corner where references are known.
        moments: (n + m, n + m), second moments of what is seen, noise included.
    """

    joint: Tensor
    rows: Tensor
    columns: Tensor
    cells: Tensor
    moments: Tensor


@dataclass(frozen=True)
class GaussianMatrix:
    """A matrix of numbers with mean 0 and a known covariance, of which the priors see rows and columns.

    With references, the covariance is that of the augmented matrix (eq. 6): its row 0 and column 0 are known
    and without noise. A row's estimator sees the known cell of its own row only, a column's that of its
    column, a single cell's the corner, which is the picture that everything starts from; the joint
    distribution knows them all. Cells are counted row by row.

    Attributes:
        covariance: (V, F, V, F), between any two cells; with references V + 1 and F + 1 of them.
        references: whether row 0 and column 0 are known.
    """

    covariance: Tensor
    references: bool = False

    def __post_init__(self) -> None:
        """Refuse what is not a covariance between cells."""
        shape = tuple(self.covariance.shape)
        smallest = 2 if self.references else 1
        if len(shape) != 4 or shape[:2] != shape[2:] or min(shape) < smallest:
            raise InputError(f"a matrix's covariance has shape (V, F, V, F), not {shape}")

    @property
    def views(self) -> int:
        """Return the number of rows that are not known."""
        return self.covariance.shape[0] - self.references

    @property
    def frames(self) -> int:
        """Return the number of columns that are not known."""
        return self.covariance.shape[1] - self.references

    @property
    def cells(self) -> int:
        """Return n, the number of cells that are not known."""
        return self.views * self.frames

    @cached_property
    def ordered(self) -> Tensor:
        """Return the covariance, (n + m, n + m): the n cells, the known column, the known row, the corner."""
        index = torch.arange(self.covariance.shape[0] * self.covariance.shape[1])
        index = index.view(self.covariance.shape[:2])
        order = index.flatten()
        if self.references:
            order = torch.cat([index[1:, 1:].flatten(), index[1:, 0], index[0, 1:], index[0, :1]])
        flat = self.covariance.double().flatten(2).flatten(0, 1)
        return flat[order[:, None], order]

    @cached_property
    def rows(self) -> Tensor:
        """Return which cells the estimator of each row sees, (V, F or F + 1); its known one comes last."""
        index = torch.arange(self.cells).view(self.views, self.frames)
        known = self.cells + torch.arange(self.views)
        return torch.cat([index, known[:, None]], 1) if self.references else index

    @cached_property
    def columns(self) -> Tensor:
        """Return which cells the estimator of each column sees, (F, V or V + 1); its known one comes last."""
        index = torch.arange(self.cells).view(self.views, self.frames).T
        known = self.cells + self.views + torch.arange(self.frames)
        return torch.cat([index, known[:, None]], 1) if self.references else index

    @cached_property
    def singles(self) -> Tensor:
        """Return which cells the estimator of each single cell sees, (n, 1 or 2): itself and the corner."""
        index = torch.arange(self.cells)[:, None]
        corner = torch.full_like(index, len(self.ordered) - 1)
        return torch.cat([index, corner], 1) if self.references else index

    def scores(self, sigma: float) -> Scores:
        """Return the score functions at a noise level.

        The score of some cells given others is that of all of them together, taken at these cells: minus
        the inverse of their covariance, noise included, times what is seen.
        """
        noisy = torch.zeros(len(self.ordered), dtype=torch.float64)
        noisy[: self.cells] = sigma**2
        moments = self.ordered + noisy.diag()
        everything = torch.arange(len(moments))[None]
        return Scores(
            self._scores_of(moments, everything),
            self._scores_of(moments, self.rows),
            self._scores_of(moments, self.columns),
            self._scores_of(moments, self.singles),
            moments,
        )

    def _scores_of(self, moments: Tensor, groups: Tensor) -> Tensor:
        """Return the scores of cells that are seen in groups (N, T), each by itself, (n, n + m)."""
        inverses = torch.linalg.inv(moments[groups[:, :, None], groups[:, None, :]])
        scores = torch.zeros_like(moments)
        scores[groups[:, :, None], groups[:, None, :]] = -inverses
        return scores[: self.cells]

    def posterior(self) -> tuple[Tensor, Tensor]:
        """Return the cells' mean as a map of the known ones, (n, m), and their covariance, (n, n)."""
        return _condition(self.ordered, self.cells)

    def row_prior(self) -> tuple[GaussianPrior, Tensor]:
        """Return the video prior of one row, and its mean per unit of the row's known cell, (F,).

        Raises:
            InputError: the rows differ, so that no one prior serves them all.
        """
        return self._prior(self.rows, self.frames, "rows")

    def column_prior(self) -> tuple[GaussianPrior, Tensor]:
        """Return the multi-view prior of one column, and its mean per unit of the column's known cell, (V,).

        Raises:
            InputError: the columns differ, so that no one prior serves them all.
        """
        return self._prior(self.columns, self.views, "columns")

    def _prior(self, groups: Tensor, length: int, name: str) -> tuple[GaussianPrior, Tensor]:
        seen = self.ordered[groups[:, :, None], groups[:, None, :]]
        if not torch.allclose(seen, seen[:1], atol=1e-12):
            raise InputError(f"the {name} of this Gaussian matrix differ: one prior can't serve them all")
        mean, covariance = _condition(seen[0], length)
        return GaussianPrior(covariance), mean.sum(1)


def _condition(covariance: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Condition the first `count` numbers on the others: their mean as a map of these, their covariance."""
    own, shared, known = covariance[:count, :count], covariance[:count, count:], covariance[count:, count:]
    mean = torch.linalg.solve(known, shared.T).T
    covariance = own - mean @ shared.T
    return mean, (covariance + covariance.T) / 2

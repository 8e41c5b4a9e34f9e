"""How far the composed scores are from the true one, for Gaussian matrices, in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.priors.gaussian import GaussianMatrix, Scores


@dataclass(frozen=True)
class CompositionError:
    """How far compositions of a row's and a column's score are from the true score at one noise level.

    Errors are relative and root mean square over noisy matrices: the length of the difference divided by the
    length of the true value. Those of the score weigh noise levels as the score does, which is mostly noise;
    those of the clean estimate `x + sigma² score` say how far off the picture is that a step aims at.

    Attributes:
        sigma: the noise level.
        eq3: of the score, row + column - cell.
        eq5: of the score, half of the row's and half of the column's.
        eq5_best: of the score, the best share of both.
        best_s: that share of the column's (multi-view) score.
        best_three: of the score, the best of all weights of row, column and cell.
        video: of the score, the row's alone.
        estimate_eq3: of the clean estimate, as `eq3`.
        estimate_eq5: of the clean estimate, as `eq5`.
        estimate_eq5_best: of the clean estimate, as `eq5_best`.
        estimate_best_three: of the clean estimate, as `best_three`.
        estimate_video: of the clean estimate, as `video`.
    """

    sigma: float
    eq3: float
    eq5: float
    eq5_best: float
    best_s: float
    best_three: float
    video: float
    estimate_eq3: float
    estimate_eq5: float
    estimate_eq5_best: float
    estimate_best_three: float
    estimate_video: float


def composition_error(matrix: GaussianMatrix, sigma: float) -> CompositionError:
    """Measure both compositions against the true score of a Gaussian matrix, in expectation.

    Args:
        matrix: its covariance, and whether references are known.
        sigma: the noise level, > 0.
    """
    scores = matrix.scores(sigma)
    best_s = _best_share(scores)
    candidates = {
        "eq3": eq3(scores),
        "eq5": eq5(scores, 0.5),
        "eq5_best": eq5(scores, best_s),
        "best_three": _best_three(scores),
        "video": scores.rows,
    }
    truth = _mean_product(scores.joint, scores.joint, scores.moments)
    identity = torch.eye(*scores.joint.shape, dtype=torch.float64)
    estimate = identity + sigma**2 * scores.joint
    clean = _mean_product(estimate, estimate, scores.moments) / sigma**4
    errors: dict[str, float] = {}
    for name, score in candidates.items():
        off = score - scores.joint
        squared = _mean_product(off, off, scores.moments)
        errors[name] = float((squared / truth).sqrt())
        errors[f"estimate_{name}"] = float((squared / clean).sqrt())
    return CompositionError(sigma=sigma, best_s=best_s, **errors)


def composition_errors(matrix: GaussianMatrix, sigmas: Sequence[float]) -> list[CompositionError]:
    """Measure at several noise levels; see `composition_error`."""
    return [composition_error(matrix, sigma) for sigma in sigmas]


def eq3(scores: Scores) -> Tensor:
    """Compose as theorem 3.1 says: the row's plus the column's minus the cell's, (n, n + m).

    With references known this is the theorem given the picture: all three are conditioned on it, the row and
    the column through their own known cell.
    """
    return scores.rows + scores.columns - scores.cells


def eq5(scores: Scores, multiview_weight: float | Tensor) -> Tensor:
    """Compose as the sampler does: the columns' score times s plus the rows' times 1 - s, (n, n + m).

    Args:
        scores: of rows and columns.
        multiview_weight: s; a number, or (n, 1) per cell.
    """
    return multiview_weight * scores.columns + (1 - multiview_weight) * scores.rows


@dataclass(frozen=True)
class ProofGap:
    """How far a Gaussian matrix is from what the proof of theorem 3.1 uses, at one cell and noise level.

    Mutual information in nats; each is 0 where its step of the proof holds.

    Attributes:
        sigma: the noise level.
        across: between the cell and those that share neither its row nor its column, given its row and column
            (eq. 10).
        crossing: between the rest of its row and the rest of its column, given the cell (eq. 8).
    """

    sigma: float
    across: float
    crossing: float


def proof_gap(matrix: GaussianMatrix, sigma: float) -> ProofGap:
    """Measure both steps of the proof at the middle cell of a Gaussian matrix without references.

    Args:
        matrix: its covariance.
        sigma: the noise level; 0 for the clean matrix, whose covariance must be regular then.
    """
    moments = matrix.scores(sigma).moments
    view, frame = matrix.views // 2, matrix.frames // 2
    index = torch.arange(matrix.cells).view(matrix.views, matrix.frames)
    cell = index[view, frame][None]
    row, column = _without(matrix.rows[view], cell), _without(matrix.columns[frame], cell)
    rest = _without(_without(_without(index.flatten(), cell), row), column)
    return ProofGap(
        sigma,
        _conditional_information(moments, cell, rest, torch.cat([row, column])),
        _conditional_information(moments, row, column, cell),
    )


def _without(cells: Tensor, others: Tensor) -> Tensor:
    return cells[~torch.isin(cells, others)]


def _conditional_information(moments: Tensor, first: Tensor, second: Tensor, given: Tensor) -> float:
    """Return the mutual information of two sets of Gaussian numbers given a third, in nats."""

    def log_volume(*sets: Tensor) -> Tensor:
        chosen = torch.cat(sets)
        return torch.logdet(moments[chosen[:, None], chosen])

    together = log_volume(first, given) + log_volume(second, given)
    return float((together - log_volume(given) - log_volume(first, second, given)) / 2)


def _mean_product(first: Tensor, second: Tensor, moments: Tensor) -> Tensor:
    """Return the expected inner product of two linear functions of what is seen."""
    return ((first @ moments) * second).sum()


def _best_share(scores: Scores) -> float:
    """Get the s in [0, 1] with which eq. 5 is closest to the true score; a half where it does not matter."""
    difference = scores.columns - scores.rows
    length = _mean_product(difference, difference, scores.moments)
    if length <= 1e-24:
        return 0.5
    share = _mean_product(scores.joint - scores.rows, difference, scores.moments) / length
    return float(share.clamp(0, 1))


def _best_three(scores: Scores) -> Tensor:
    """Get row's, column's and cell's score with the weights that bring their sum closest to the true one."""
    parts = (scores.rows, scores.columns, scores.cells)
    products = torch.stack([torch.stack([_mean_product(a, b, scores.moments) for b in parts]) for a in parts])
    wanted = torch.stack([_mean_product(a, scores.joint, scores.moments) for a in parts])
    weights = torch.linalg.lstsq(products, wanted[:, None], driver="gelsd").solution[:, 0]
    return torch.einsum("p,pij->ij", weights, torch.stack(parts))

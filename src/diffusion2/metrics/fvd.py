"""FVD: Fréchet distance between two sets of videos, in the space of I3D's logits.

Source: Unterthiner et al., "Towards Accurate Generative Models of Video" (2018). Two definitions are in use,
and both are here: the distance between two sets, and the one that the evaluation scripts of video-to-4D
compute for pairs of single clips. Their numbers can't be compared with each other, so each result says
which it is.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.metrics.i3d import I3D, MIN_FRAMES

SETS = (
    "Fréchet distance between two sets of clips: I3D Kinetics-400 logits, one vector per clip over all of "
    "its frames, covariances with N - 1"
)
PAIRS = (
    "mean over pairs of single clips of |a - b|² + (sd(a) - sd(b))², with a and b the I3D Kinetics-400 "
    "logits of the two clips and sd over the 400 logits: what the scripts of video-to-4D compute as FVD"
)


@dataclass(frozen=True)
class Fvd:
    """A distance between videos, and what it means.

    Attributes:
        value: never negative, never NaN; None where it is not defined.
        clips: how many clips were measured.
        references: how many they were compared with.
        definition: what was computed.
        note: why there is no value; else empty.
    """

    value: float | None
    clips: int
    references: int
    definition: str
    note: str = ""


def fvd(clips: Tensor, references: Tensor, i3d: I3D) -> Fvd:
    """Measure the Fréchet video distance between two sets of clips.

    With few clips it is dominated by the estimate of the covariances: compare values only for equal numbers.

    Args:
        clips: (N, T, 3, H, W) in [0, 1].
        references: (M, T, 3, H, W).
        i3d: the network.

    Returns:
        A result without value where a set has one clip only or the clips are too short.

    Raises:
        InputError: the clips differ in their number of frames, or have values that are not finite.
    """
    missing = _why_not(clips, references)
    if missing:
        return Fvd(None, len(clips), len(references), SETS, missing)
    return fvd_of_logits(i3d(clips), i3d(references))


def paired_fvd(clips: Tensor, references: Tensor, i3d: I3D) -> Fvd:
    """Measure what the evaluation scripts of video-to-4D call FVD, clip against clip.

    They compare sets of one clip. NumPy's covariance of a single row used to be the variance over its
    columns, a scalar; in today's version it is a matrix of NaN.

    Args:
        clips: (N, T, 3, H, W) in [0, 1].
        references: (N, T, 3, H, W), the references of these clips in the same order.
        i3d: the network.

    Raises:
        InputError: the clips differ in their number or in their number of frames, or are not finite.
    """
    missing = _why_not(clips, references)
    if missing:
        return Fvd(None, len(clips), len(references), PAIRS, missing)
    return paired_fvd_of_logits(i3d(clips), i3d(references))


def fvd_of_logits(logits: Tensor, others: Tensor) -> Fvd:
    """Return the distance between two sets of logits (N, 400) and (M, 400)."""
    counts = len(logits), len(others)
    if min(counts) < 2:
        return Fvd(None, *counts, SETS, "a covariance needs at least 2 clips in each set")
    return Fvd(frechet_distance(logits, others), *counts, SETS)


def paired_fvd_of_logits(logits: Tensor, others: Tensor) -> Fvd:
    """Return the mean over pairs of the distances between single vectors, (N, 400) each."""
    if logits.shape != others.shape or logits.ndim != 2:
        shapes = f"{tuple(logits.shape)} and {tuple(others.shape)}"
        raise InputError(f"pairs of clips need equally many vectors (N, D), not {shapes}")
    if not len(logits):
        return Fvd(None, 0, 0, PAIRS, "there are no clips")
    a, b = _finite(logits), _finite(others)
    distances = (a - b).square().sum(1) + (a.std(1) - b.std(1)).square()
    return Fvd(float(distances.mean()), len(a), len(b), PAIRS)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the Fréchet distance between Gaussians fitted to two sets of vectors.

    |mean(a) - mean(b)|² + Tr(A + B - 2 (A B)^½), where A and B are the covariances with N - 1. With
    A = XᵀX and B = YᵀY the last trace is the sum of the singular values of X Yᵀ. So no matrix root is
    taken, nothing becomes complex, and covariances may be singular.

    Args:
        a: (N, D), at least 2 vectors.
        b: (M, D), at least 2 vectors.

    Raises:
        InputError: the shapes do not fit, there are too few vectors, or values are not finite.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(
            "the Fréchet distance takes two sets of at least 2 vectors of one length, not "
            f"{tuple(a.shape)} and {tuple(b.shape)}"
        )
    a, b = _finite(a), _finite(b)
    x, y = _covariance_root(a), _covariance_root(b)
    trace = x.square().sum() + y.square().sum() - 2 * torch.linalg.svdvals(x @ y.T).sum()
    # Rounding may leave a tiny negative number for equal sets.
    return max(float((a.mean(0) - b.mean(0)).square().sum() + trace), 0.0)


def _covariance_root(vectors: Tensor) -> Tensor:
    """Return an X, of at most D rows, with XᵀX = the covariance."""
    root = (vectors - vectors.mean(0)) / math.sqrt(len(vectors) - 1)
    return torch.linalg.qr(root, mode="r")[1] if len(root) > root.shape[1] else root


def _finite(vectors: Tensor) -> Tensor:
    if not vectors.isfinite().all():
        raise InputError("FVD needs finite numbers: a clip has values that are not")
    return vectors.double()


def _why_not(clips: Tensor, references: Tensor) -> str:
    """Say why the clips can't be measured; refuse what should not be compared."""
    if clips.ndim != 5 or references.ndim != 5 or clips.shape[1] != references.shape[1]:
        shapes = f"{tuple(clips.shape)} and {tuple(references.shape)}"
        raise InputError(f"FVD compares clips (N, T, 3, H, W) with equally many frames, not {shapes}")
    if clips.shape[1] < MIN_FRAMES:
        return f"I3D needs at least {MIN_FRAMES} frames, these clips have {clips.shape[1]}"
    if not len(clips) or not len(references):
        return "there are no clips"
    return ""

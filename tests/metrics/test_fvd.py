"""The Fréchet distance against closed forms, and what FVD says where it can't be computed."""

import math

import numpy as np
import pytest
import torch

from diffusion2.errors import InputError
from diffusion2.metrics.fvd import (
    frechet_distance,
    fvd,
    fvd_of_logits,
    paired_fvd,
    paired_fvd_of_logits,
)
from diffusion2.metrics.i3d import I3D

DIMENSIONS = 6


def vectors_with(mean: torch.Tensor, covariance: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Make vectors whose sample mean and covariance (with N - 1) are exactly the given ones."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count, len(mean), generator=generator, dtype=torch.float64)
    white = torch.linalg.qr(white - white.mean(0))[0] * math.sqrt(count - 1)
    return mean + white @ torch.linalg.cholesky(covariance).T


def random_covariance(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(DIMENSIONS, DIMENSIONS, generator=generator, dtype=torch.float64)
    return root @ root.T + 0.1 * torch.eye(DIMENSIONS, dtype=torch.float64)


@pytest.mark.parametrize("count", [DIMENSIONS + 2, 200])
def test_it_is_the_closed_form_for_independent_dimensions(count):
    mean, other = torch.arange(6.0).double(), torch.ones(6).double()
    a, b = torch.linspace(0.5, 3, 6).double(), torch.linspace(4, 0.1, 6).double()
    expected = float((mean - other).square().sum() + (a.sqrt() - b.sqrt()).square().sum())
    distance = frechet_distance(
        vectors_with(mean, a.diag(), count, 0), vectors_with(other, b.diag(), count + 3, 1)
    )
    assert distance == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("count", [DIMENSIONS + 2, 200])
def test_it_is_the_closed_form_for_any_covariances(count):
    a, b = random_covariance(0), random_covariance(1)
    zero = torch.zeros(6).double()
    root = float(torch.linalg.eigvals(a @ b).real.sqrt().sum())  # of a product of positive matrices
    expected = float(a.trace() + b.trace()) - 2 * root
    distance = frechet_distance(vectors_with(zero, a, count, 2), vectors_with(zero, b, 2 * count, 3))
    assert distance == pytest.approx(expected, rel=1e-10)


def test_equal_sets_are_at_no_distance():
    logits = torch.randn(12, 400, generator=torch.Generator().manual_seed(0))
    assert 0 <= frechet_distance(logits, logits) < 1e-10 * float(logits.square().sum())
    assert 0 <= frechet_distance(logits, logits.flip(0)) < 1e-10 * float(logits.square().sum())


def test_it_is_symmetric():
    a, b = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


def test_singular_covariances_give_what_the_subspace_gives():
    """Few vectors in many dimensions: the distance is that in the few dimensions that they span."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 40, 3, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(400, 3, generator=generator, dtype=torch.float64))[0]
    distance = frechet_distance(a @ basis.T, (b + 1) @ basis.T)
    assert distance == pytest.approx(frechet_distance(a, b + 1), rel=1e-10)


def test_sets_without_spread_are_as_far_apart_as_their_points():
    a, b = torch.zeros(3, 4), torch.full((5, 4), 2.0)
    assert frechet_distance(a, b) == pytest.approx(16, abs=1e-12)


@pytest.mark.parametrize(("shape", "other"), [((1, 4), (5, 4)), ((5, 4), (5, 3)), ((4,), (4,))])
def test_sets_that_have_no_distance_are_refused(shape, other):
    with pytest.raises(InputError, match="at least 2 vectors"):
        frechet_distance(torch.zeros(shape), torch.zeros(other))


@pytest.mark.parametrize("measure", [fvd_of_logits, paired_fvd_of_logits])
def test_values_that_are_not_finite_are_refused(measure):
    logits = torch.zeros(3, 400)
    with pytest.raises(InputError, match="finite"):
        measure(logits, logits.log())


def test_one_clip_has_no_value_and_says_why():
    result = fvd_of_logits(torch.zeros(1, 400), torch.zeros(4, 400))
    assert result.value is None
    assert (result.clips, result.references) == (1, 4)
    assert "at least 2 clips" in result.note


@pytest.mark.parametrize("measure", [fvd, paired_fvd])
def test_short_clips_have_no_value_and_say_why(measure):
    result = measure(torch.zeros(3, 8, 3, 16, 16), torch.zeros(3, 8, 3, 16, 16), I3D({}))
    assert result.value is None
    assert "at least 9 frames" in result.note


@pytest.mark.parametrize("measure", [fvd, paired_fvd])
def test_clips_of_different_length_are_refused(measure):
    with pytest.raises(InputError, match="equally many frames"):
        measure(torch.zeros(3, 9, 3, 16, 16), torch.zeros(3, 12, 3, 16, 16), I3D({}))


def test_pairs_need_equally_many_clips():
    with pytest.raises(InputError, match="equally many"):
        paired_fvd_of_logits(torch.zeros(3, 400), torch.zeros(2, 400))


def test_the_paired_value_is_what_a_scalar_covariance_gives():
    """The Fréchet formula with 1 × 1 covariances, the variances over a clip's logits."""
    a, b = torch.randn(2, 3, 400, generator=torch.Generator().manual_seed(0)).double()
    expected = []
    for one, other in zip(a.numpy(), b.numpy(), strict=True):
        variances = np.cov(one), np.cov(other)
        spread = sum(variances) - 2 * np.sqrt(np.prod(variances))
        expected.append(((one - other) ** 2).sum() + spread)
    result = paired_fvd_of_logits(a, b)
    assert result.value == pytest.approx(np.mean(expected), rel=1e-12)
    assert result.definition != fvd_of_logits(a, b).definition


class MeanColours(torch.nn.Module):
    """Stands for I3D: a vector of three numbers for each clip."""

    def forward(self, videos):
        return videos.mean((1, 3, 4))


def test_fvd_is_the_distance_between_the_clips_vectors():
    clips, references = torch.rand(2, 5, 9, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network = MeanColours()
    result = fvd(clips, references, network)
    assert result == fvd_of_logits(network(clips), network(references))
    assert result.value is not None
    assert result.value > 0
    assert paired_fvd(clips, clips, network).value == 0

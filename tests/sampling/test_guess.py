"""Sampling that begins with a guess: of references, and of the matrix where the views were not given."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion2.distributed import ALONE
from diffusion2.image_matrix import Conditions
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling import sample_matrix, sample_references
from diffusion2.sampling.conditioning import guess_columns

from .test_generate import SETTINGS

SHADE = 0.9


@pytest.fixture
def picture() -> Tensor:
    return torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def guessing(gaussian_pair: PriorPair) -> PriorPair:
    """A pair that takes all orbits to be of one shade."""
    return replace(
        gaussian_pair,
        guess=lambda pictures, cameras: torch.full((len(pictures), len(cameras), 3, 16, 16), SHADE),
    )


def guessed(sigma: float | None):
    return replace(SETTINGS, sampling=replace(SETTINGS.sampling, guess_sigma=sigma))


def test_little_noise_keeps_the_guess_of_the_views_and_much_forgets_it(
    guessing: PriorPair, gaussian_pair: PriorPair, picture: Tensor
) -> None:
    kept = sample_references(guessing, Conditions(picture), guessed(0.01))
    assert (kept.views[:-1] - SHADE).abs().max() < 0.1
    assert torch.equal(kept.views[-1], picture)
    plain = sample_references(gaussian_pair, Conditions(picture), SETTINGS)
    assert torch.equal(kept.video, plain.video)
    far = sample_references(guessing, Conditions(picture), guessed(500.0))
    assert (far.views - SHADE).abs().mean() > 2 * (far.views - picture).abs().mean()


def test_the_matrix_begins_with_a_guess_of_every_frame(guessing: PriorPair, picture: Tensor) -> None:
    asked: list[Tensor] = []
    pair = replace(guessing, guess=lambda p, cameras: asked.append(p) or guessing.guess(p, cameras))
    references = sample_references(pair, Conditions(picture), guessed(0.01))
    latents = sample_matrix(pair, references, guessed(0.01))
    column = pair.codec.encode_scaled(references.views)
    assert (latents - column[:, None]).abs().max() < 0.1
    assert [len(pictures) for pictures in asked] == [1, 5]
    assert torch.equal(asked[1], references.video)


def test_a_guess_is_the_given_column_moved_as_the_lifters_drawings_move(
    gaussian_pair: PriorPair, picture: Tensor
) -> None:
    def guess(pictures: Tensor, cameras: object) -> Tensor:
        brightness = pictures.mean((1, 2, 3)).view(-1, 1, 1, 1, 1)
        return 0.1 + brightness * torch.ones(len(pictures), 4, 3, 16, 16)

    video = torch.stack([picture * factor for factor in (1.0, 0.9, 0.7, 0.9, 1.0)])
    views = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    views[-1] = picture
    conditions = Conditions(picture, video, views)
    latents = sample_matrix(replace(gaussian_pair, guess=guess), conditions, guessed(0.001))
    moved = (video - picture).mean((1, 2, 3)).view(1, -1, 1, 1, 1)
    expected = gaussian_pair.codec.encode_scaled(views)[:, None] + moved
    assert (latents - expected).abs().max() < 0.02


def test_a_column_that_was_given_gets_as_much_noise_as_its_guess_was_wrong(
    guessing: PriorPair, picture: Tensor
) -> None:
    settings = guessed(0.2)
    settings = replace(settings, sampling=replace(settings.sampling, guess_error_factor=3.0))
    pictures = picture[None].expand(5, -1, -1, -1)
    drawn = torch.full((4, 3, 16, 16), SHADE)
    for off, sigma in ((0.0, 0.2), (0.05, 0.2), (-0.5, 1.5), (1.0, 3.0)):
        guess = guess_columns(guessing, pictures, settings, ALONE, drawn + off)
        assert guess is not None
        error = guessing.codec.encode_scaled(drawn + off) - SHADE
        assert guess.sigma == pytest.approx(max(0.2, 3 * float(error.square().mean().sqrt())))
        assert guess.sigma == pytest.approx(sigma, rel=0.2)
    alone = guess_columns(guessing, pictures, settings, ALONE)
    assert alone is not None
    assert alone.sigma == pytest.approx(0.2)


def test_the_matrix_begins_under_the_noise_that_its_guess_needs(guessing: PriorPair, picture: Tensor) -> None:
    settings = guessed(0.01)
    far = replace(settings, sampling=replace(settings.sampling, guess_error_factor=1000.0))
    conditions = sample_references(guessing, Conditions(picture), guessed(None))
    column = guessing.codec.encode_scaled(conditions.views)[:, None]
    near = (sample_matrix(guessing, conditions, settings) - column).abs().mean()
    assert near < 0.1
    assert (sample_matrix(guessing, conditions, far) - column).abs().mean() > 2 * near


def test_nothing_is_guessed_where_no_guess_is_wanted_or_there_is_none(
    guessing: PriorPair, gaussian_pair: PriorPair, picture: Tensor
) -> None:
    references = sample_references(gaussian_pair, Conditions(picture), SETTINGS)
    expected = sample_matrix(gaussian_pair, references, SETTINGS)
    assert torch.equal(sample_matrix(guessing, references, SETTINGS), expected)
    assert torch.equal(sample_matrix(gaussian_pair, references, guessed(0.01)), expected)


def test_it_goes_on_from_every_checkpoint(guessing: PriorPair, picture: Tensor) -> None:
    settings = guessed(5.0)
    settings = replace(settings, sampling=replace(settings.sampling, checkpoint_every=1, loop_rounds=1))
    references = sample_references(guessing, Conditions(picture), settings)
    kept: dict[int, dict[str, Tensor]] = {}

    def redraw(images: Tensor) -> Tensor:
        return images.flip(0)

    whole = sample_matrix(guessing, references, settings, on_checkpoint=kept.__setitem__, redraw=redraw)
    assert len(kept) > 3
    for start in kept.items():
        assert torch.equal(sample_matrix(guessing, references, settings, start=start, redraw=redraw), whole)

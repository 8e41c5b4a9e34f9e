"""References and matrix from a picture, with priors in closed form behind the networks' face."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion2.config import GenerateSettings, SamplingSettings
from diffusion2.errors import InputError
from diffusion2.events import Event, StageFinished, StageProgress, StageStarted
from diffusion2.image_matrix import Conditions
from diffusion2.pictures import as_written
from diffusion2.priors.guidance import Guidance
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling import (
    assemble_matrix,
    decode_matrix,
    matrix_images,
    sample_matrix,
    sample_references,
)

SETTINGS = GenerateSettings(
    seed=3, views=4, frames=5, size=16, sampling=SamplingSettings(steps=6, rollback_steps=2, threads=1)
)


@pytest.fixture
def picture() -> Tensor:
    return torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def conditions(gaussian_pair: PriorPair, picture: Tensor) -> Conditions:
    return sample_references(gaussian_pair, Conditions(picture), SETTINGS)


def test_references_have_the_shapes_of_the_matrix_and_follow_the_picture(
    conditions: Conditions, picture: Tensor
) -> None:
    assert conditions.video.shape == (5, 3, 16, 16)
    assert conditions.views.shape == (4, 3, 16, 16)
    assert torch.equal(conditions.video[0], picture)
    assert torch.equal(conditions.views[-1], picture)
    # standard deviation 0.2 around it
    assert 0 < (conditions.video[1:] - picture).abs().mean() < 0.3
    # the two references are drawn independently
    assert (conditions.video[1:4] - conditions.views[:3]).abs().mean() > 0.05


def test_references_that_keep_less_noise_differ_less(
    gaussian_pair: PriorPair, conditions: Conditions, picture: Tensor
) -> None:
    settings = replace(SETTINGS, sampling=replace(SETTINGS.sampling, reference_noise_kept=0.8))
    less = sample_references(gaussian_pair, Conditions(picture), settings)
    assert (less.video[1:] - picture).std() < 0.9 * (conditions.video[1:] - picture).std()
    assert (less.views[:-1] - picture).std() < 0.9 * (conditions.views[:-1] - picture).std()


def test_references_side_by_side_are_those_one_after_the_other(
    gaussian_pair: PriorPair, conditions: Conditions, picture: Tensor
) -> None:
    settings = replace(SETTINGS, sampling=replace(SETTINGS.sampling, threads=2))
    got = sample_references(gaussian_pair, Conditions(picture), settings)
    assert torch.equal(got.video, conditions.video)
    assert torch.equal(got.views, conditions.views)


def test_known_references_are_kept(gaussian_pair: PriorPair, picture: Tensor, conditions: Conditions) -> None:
    video = torch.rand(5, 3, 16, 16)
    got = sample_references(gaussian_pair, Conditions(picture, video=video), SETTINGS)
    assert got.video is video
    assert torch.equal(got.views, conditions.views)
    whole = replace(got, views=conditions.views)
    kept = sample_references(gaussian_pair, whole, SETTINGS)
    assert all(getattr(kept, name) is getattr(whole, name) for name in ("picture", "video", "views"))


def test_the_same_seed_gives_the_same_matrix_and_another_seed_another(
    gaussian_pair: PriorPair, conditions: Conditions
) -> None:
    latents = sample_matrix(gaussian_pair, conditions, SETTINGS)
    assert latents.shape == (4, 5, 3, 16, 16)
    assert latents.dtype == torch.float32
    assert torch.equal(latents, sample_matrix(gaussian_pair, conditions, SETTINGS))
    assert not torch.equal(latents, sample_matrix(gaussian_pair, conditions, replace(SETTINGS, seed=4)))


def test_rows_follow_the_views_and_columns_the_video(gaussian_pair: PriorPair, picture: Tensor) -> None:
    video = torch.arange(5.0)[:, None, None, None].expand(-1, 3, 16, 16)
    views = 10 * torch.arange(4.0)[:, None, None, None].expand(-1, 3, 16, 16)
    conditions = Conditions(picture, video, views)

    def means(weight: float) -> Tensor:
        sampling = replace(SETTINGS.sampling, multiview_weight=weight)
        latents = sample_matrix(gaussian_pair, conditions, replace(SETTINGS, sampling=sampling))
        return latents.mean((2, 3, 4)).round()

    assert torch.equal(means(0.0), 10 * torch.arange(4.0)[:, None].expand(4, 5))
    assert torch.equal(means(1.0), torch.arange(5.0)[None].expand(4, 5))


def test_a_run_goes_on_from_its_checkpoint_to_the_same_result(
    gaussian_pair: PriorPair, conditions: Conditions
) -> None:
    settings = replace(SETTINGS, sampling=replace(SETTINGS.sampling, checkpoint_every=2))
    kept: dict[int, dict[str, Tensor]] = {}
    whole = sample_matrix(gaussian_pair, conditions, settings, on_checkpoint=kept.__setitem__)
    assert sorted(kept) == [2, 4]
    for start in kept.items():
        assert torch.equal(sample_matrix(gaussian_pair, conditions, settings, start=start), whole)


def test_stages_are_reported_with_their_units(gaussian_pair: PriorPair, conditions: Conditions) -> None:
    events: list[Event] = []
    sample_references(gaussian_pair, Conditions(conditions.picture), SETTINGS, events.append)
    progress = [e for e in events if isinstance(e, StageProgress)]
    assert (progress[0].done, progress[-1].done) == (0, 12)
    assert {e.total for e in progress} == {12}
    latents = sample_matrix(gaussian_pair, conditions, SETTINGS, events.append)
    decode_matrix(gaussian_pair, latents, events.append)
    stages = [event.stage for event in events if isinstance(event, StageStarted)]
    assert stages == ["references", "matrix", "decode"]
    assert [e.stage for e in events if isinstance(e, StageFinished)] == stages
    progress = [e for e in events if isinstance(e, StageProgress) and e.stage == "matrix"]
    assert [(e.done, e.total) for e in progress] == [(k, 8) for k in range(9)]
    assert progress[0].eta is None
    assert progress[-1].eta == 0
    assert progress[3].detail.startswith("sigma ")


def test_decoding_gives_images(gaussian_pair: PriorPair, conditions: Conditions) -> None:
    latents = sample_matrix(gaussian_pair, conditions, SETTINGS)
    images = decode_matrix(gaussian_pair, latents, threads=2)
    assert torch.equal(images, latents.clamp(0, 1))


def test_alpha_goes_with_the_pictures_where_latents_hold_it(gaussian_pair: PriorPair) -> None:
    pair = replace(gaussian_pair, codec=replace(gaussian_pair.codec, channels=4, picture_channels=4))
    picture = as_written(torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(0)))
    conditions = sample_references(pair, Conditions(picture), SETTINGS)
    assert conditions.video.shape == (5, 4, 16, 16)
    assert torch.equal(conditions.views[-1], picture)
    images = decode_matrix(pair, sample_matrix(pair, conditions, SETTINGS))
    given = Conditions(picture, video=conditions.video)
    matrix = assemble_matrix(images, given, SETTINGS)
    assert matrix.images.shape == (4, 5, 3, 16, 16)
    assert matrix.alphas.shape == (4, 5, 1, 16, 16)
    assert torch.equal(matrix.alphas[-1], conditions.video[:, 3:])
    with pytest.raises(InputError, match="need pictures with alpha"):
        sample_references(pair, Conditions(picture[:3]), SETTINGS)


def test_alpha_is_left_out_where_latents_do_not_hold_it(gaussian_pair: PriorPair, picture: Tensor) -> None:
    with_it = torch.cat([picture, torch.ones(1, 16, 16)])
    made = sample_references(gaussian_pair, Conditions(with_it), SETTINGS)
    expected = sample_references(gaussian_pair, Conditions(picture), SETTINGS)
    assert torch.equal(made.video, expected.video)
    assert torch.equal(made.views, expected.views)
    images = decode_matrix(gaussian_pair, sample_matrix(gaussian_pair, made, SETTINGS))
    assert assemble_matrix(images, Conditions(picture), SETTINGS).alphas is None


@pytest.mark.parametrize("frame", ["first", "last"])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_matrix_gives_back_the_images_that_it_was_made_of(channels: int, frame: str) -> None:
    images = torch.rand(4, 5, channels, 16, 16)
    settings = replace(SETTINGS, reference_frame=frame)
    matrix = assemble_matrix(images.clone(), Conditions(images[-1, 0]), settings)
    assert torch.equal(matrix_images(matrix, settings, channels), images)


@pytest.mark.parametrize("missing", ["video", "views"])
def test_incomplete_conditions_are_refused(
    missing: str, gaussian_pair: PriorPair, conditions: Conditions
) -> None:
    with pytest.raises(InputError, match=f"reference {missing}, there are none"):
        sample_matrix(gaussian_pair, replace(conditions, **{missing: None}), SETTINGS)
    short = replace(conditions, **{missing: getattr(conditions, missing)[:3]})
    with pytest.raises(InputError, match="there are 3"):
        sample_matrix(gaussian_pair, short, SETTINGS)


def test_references_of_another_size_are_refused(gaussian_pair: PriorPair, conditions: Conditions) -> None:
    with pytest.raises(InputError, match="differ from the reference picture in shape"):
        sample_matrix(gaussian_pair, replace(conditions, views=torch.zeros(4, 3, 8, 8)), SETTINGS)


def test_the_reference_video_may_have_a_guidance_of_its_own(
    gaussian_pair: PriorPair, picture: Tensor, conditions: Conditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales = []
    prepare = type(gaussian_pair.video).prepare

    def listen(prior, *arguments, **options):
        scales.extend(a.scales.tolist() for a in arguments if isinstance(a, Guidance))
        return prepare(prior, *arguments, **options)

    monkeypatch.setattr(type(gaussian_pair.video), "prepare", listen)
    sampling = replace(SETTINGS.sampling, video_guidance=3.0, last_video_guidance=4.0, views_guidance=2.0)
    for own, video in ((None, [3.0, 3.25, 3.5, 3.75, 4.0]), (1.5, [1.5] * 5)):
        scales.clear()
        settings = replace(SETTINGS, sampling=replace(sampling, reference_video_guidance=own))
        sample_references(gaussian_pair, Conditions(picture), settings)
        assert scales == [video, [2.0] * 4]
        scales.clear()
        sample_matrix(gaussian_pair, conditions, settings)
        assert scales == [[3.0, 3.25, 3.5, 3.75, 4.0], [2.0] * 4]

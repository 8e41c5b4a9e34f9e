"""What each method makes of a creature, with tiny networks of random weights."""

from dataclasses import replace

import pytest
import torch

from diffusion2.config import SamplingSettings
from diffusion2.errors import InputError
from diffusion2.pictures import with_alpha
from diffusion2.research.benchmark.methods import (
    METHODS,
    Reconstructed,
    Sampled,
    check_methods,
    complete_references,
    encode_and_decode,
    hold,
    rebuild,
    sample_method,
    task_conditions,
    vary,
    without_references,
)

from .tiny_bench import FRAMES, SETTINGS, SIZE, VIEWS, disc_truth


def test_a_task_gives_no_more_than_its_name_says():
    truth = disc_truth()
    image, video, completion = (task_conditions(truth, task) for task in ("image", "video", "completion"))
    images = with_alpha(truth.images, truth.alphas)
    for conditions in (image, video, completion):
        assert torch.equal(conditions.picture, images[-1, 0])
    assert (image.video, image.views, video.views) == (None, None, None)
    assert torch.equal(video.video, images[-1])
    assert torch.equal(completion.video, images[-1])
    assert torch.equal(completion.views, images[:, 0])
    # priors that know no alpha are given what is on white
    assert torch.equal(completion.with_channels(3).views, truth.images[:, 0])


def test_what_a_task_does_not_give_is_generated_and_what_it_gives_is_kept(pair):
    conditions = complete_references(pair, task_conditions(disc_truth(), "video"), SETTINGS)
    assert torch.equal(conditions.video, disc_truth().images[-1])
    assert conditions.views.shape == (VIEWS, 3, SIZE, SIZE)
    assert torch.equal(torch.round(conditions.views * 255) / 255, conditions.views)
    assert not torch.equal(conditions.views, disc_truth().images[:, 0])


def test_a_given_row_or_column_stands_in_the_matrix_as_it_is(pair):
    truth = disc_truth()
    conditions = task_conditions(truth, "completion")
    free = sample_method(METHODS["preset"], pair, conditions, SETTINGS)
    for task in ("image", "video", "completion"):
        got = sample_method(METHODS["preset"], pair, conditions, SETTINGS, task_conditions(truth, task))
        assert torch.equal(got.images[-1], free.images[-1] if task == "image" else truth.images[-1])
        column = truth.images if task == "completion" else free.images
        assert torch.equal(got.images[:-1, 0], column[:-1, 0])
        assert torch.equal(without_references(got).images, without_references(free).images)


def test_neither_the_reference_row_nor_the_reference_column_is_measured():
    truth = disc_truth()
    part = without_references(truth)
    assert torch.equal(part.images, truth.images[:-1, 1:])
    assert torch.equal(part.alphas, truth.alphas[:-1, 1:])
    assert part.cameras.azimuths_deg.tolist() == truth.cameras.azimuths_deg[:-1].tolist()
    assert torch.equal(part.times, truth.times[1:])


SAMPLED = [name for name, method in METHODS.items() if isinstance(method, Sampled)]


def test_every_sampled_method_gives_another_matrix(pair):
    conditions = task_conditions(disc_truth(), "completion")
    # of its own the preset equals "composed, VRS": here its weight is another
    settings = replace(SETTINGS, sampling=replace(SETTINGS.sampling, multiview_weight=0.3))
    methods = {name: METHODS[name] for name in SAMPLED if name != "composed-vrs"}
    made = {
        name: sample_method(method, pair, conditions, settings).images for name, method in methods.items()
    }
    for name, images in made.items():
        assert images.shape == (VIEWS, FRAMES, 3, SIZE, SIZE)
        assert [other for other in made if torch.equal(made[other], images)] == [name]


def test_a_method_of_one_prior_does_not_hear_the_other(pair):
    class Silent:
        def __init__(self, prior):
            self.prepare = prior.prepare

        def denoise(self, latents, sigma, condition):
            raise AssertionError

    conditions = task_conditions(disc_truth(), "completion")
    for name, silent in (("multiview-vrs", "video"), ("video", "multiview")):
        expected = sample_method(METHODS[name], pair, conditions, SETTINGS)
        half = replace(pair, **{silent: Silent(getattr(pair, silent))})
        assert torch.equal(sample_method(METHODS[name], half, conditions, SETTINGS).images, expected.images)


def test_variations_change_what_their_names_say_and_nothing_else():
    sampling = SamplingSettings(
        steps=40, rollback_steps=7, multiview_weight=0.4, last_multiview_weight=0.9, weight_schedule="linear"
    )
    assert vary(sampling, METHODS["preset"], 12) == sampling
    assert vary(sampling, METHODS["composed"], 12) == replace(sampling, rollback_steps=0)
    assert vary(sampling, METHODS["composed-vrs"], 12) == sampling
    preserving = replace(sampling, rollback_noise="variance-preserving")
    assert vary(sampling, METHODS["composed-preserving"], 12) == preserving
    alone = replace(sampling, multiview_weight=1.0, last_multiview_weight=None, weight_schedule="constant")
    assert vary(sampling, METHODS["multiview-vrs"], 12) == alone
    blended = replace(alone, rollback_steps=0, batch_size=12)
    assert vary(sampling, METHODS["multiview-blend"], 12) == blended


def test_where_the_preset_has_no_rollbacks_they_act_in_the_papers_tenth_of_the_steps():
    sampling = SamplingSettings(steps=50, rollback_steps=0)
    assert vary(sampling, METHODS["composed-vrs"], 12).rollback_steps == 5
    assert vary(replace(sampling, steps=3), METHODS["composed-vrs"], 12).rollback_steps == 1


def test_the_static_baseline_repeats_the_true_column():
    truth = disc_truth()
    held = hold(truth)
    assert held.images.shape == truth.images.shape
    assert all(torch.equal(held.images[:, frame], truth.images[:, 0]) for frame in range(FRAMES))


def test_the_ceiling_is_each_picture_through_the_autoencoder(pair):
    truth = disc_truth()
    ceiling = encode_and_decode(pair, truth)
    picture = truth.images[1, 4]
    expected = pair.codec.decode(pair.codec.encode_scaled(picture[None]))[0]
    assert torch.allclose(ceiling.images[1, 4], expected, atol=1e-5)  # convolutions over other batches


def test_an_asset_is_rendered_where_the_pictures_were_taken():
    truth = disc_truth()
    settings = replace(
        SETTINGS,
        reconstruction=replace(SETTINGS.reconstruction, warmup_iterations=40, joint_iterations=100),
    )
    matrix, asset = rebuild(Reconstructed("", "preset"), truth, settings, video_given=True)
    assert matrix.images.shape == truth.images.shape
    assert asset.metadata.frames == FRAMES
    overlap = (matrix.alphas > 0.5) & (truth.alphas > 0.5)
    assert overlap.sum() > 0.7 * (truth.alphas > 0.5).sum()


def test_without_decoupling_all_cells_weigh_alike_and_the_gaussians_keep_their_rate(monkeypatch):
    seen = []

    def spy(matrix, settings, *, seed, video_given):
        assert not video_given
        seen.append(settings)
        raise InputError("seen")

    monkeypatch.setattr("diffusion2.research.benchmark.methods.reconstruct_matrix", spy)
    for decoupled in (True, False):
        with pytest.raises(InputError, match="seen"):
            rebuild(Reconstructed("", "preset", decoupled), disc_truth(), SETTINGS, video_given=False)
    assert seen[0] == SETTINGS.reconstruction
    assert seen[1] == replace(
        SETTINGS.reconstruction, weight_floor=1.0, canonical_rate=1.0, generated_canonical_rate=None
    )


def test_every_reconstruction_is_of_a_sampled_method():
    for method in METHODS.values():
        if isinstance(method, Reconstructed):
            assert isinstance(METHODS[method.of], Sampled)


def test_unknown_methods_are_named_with_the_known_ones():
    with pytest.raises(InputError, match="no method 'sv4d': choose from preset, composed"):
        check_methods(("preset", "sv4d"))
    with pytest.raises(InputError, match=r"no method 'multivew' \(did you mean multiview\?\)"):
        check_methods(("preset", "multivew"))
    with pytest.raises(InputError, match="at least one"):
        check_methods(())

"""Priors that see mirror images: what is symmetric stays as it is, what is not is asked about both sides."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion2.cameras import Cameras, make_cameras, orbit
from diffusion2.config import GenerateSettings, SamplingSettings
from diffusion2.errors import InputError
from diffusion2.image_matrix import Conditions
from diffusion2.priors.guidance import Guidance, triangle_scale
from diffusion2.priors.prior import PriorPair
from diffusion2.sampling import sample_matrix, sample_references
from diffusion2.sampling.joint import JointSchedule
from diffusion2.sampling.mirroring import mirroring
from diffusion2.sampling.schedule import karras_sigmas

SETTINGS = GenerateSettings(
    views=4, frames=5, size=16, sampling=SamplingSettings(steps=6, rollback_steps=2, threads=1, mirror=True)
)
TOLD = {"cond_aug": 0.0, "seed": 0}


class Pushing:
    """A prior that is not symmetric: it moves what it is shown one pixel to the right."""

    def __init__(self) -> None:
        self.told: list[tuple[Tensor, Cameras | None, Tensor]] = []

    def reusing_features(self, fresh: frozenset[float]) -> "Pushing":
        return self

    def prepare(self, pictures: Tensor, *where: Guidance | Cameras, **told: float) -> Tensor:
        cameras = where[0] if isinstance(where[0], Cameras) else None
        guidance = where[-1]
        assert isinstance(guidance, Guidance)
        self.told.append((pictures, cameras, guidance.scales))
        return pictures

    def denoise(self, latents: Tensor, sigma: float, condition: Tensor) -> Tensor:
        return latents.roll(1, -1) + condition[:, None]


def projected(cameras: Cameras, points: np.ndarray) -> np.ndarray:
    """Return where cameras see points (N, 3), (V, N, 2) in pixels from the middle."""
    seen = np.einsum("vij,nj->vni", cameras.viewmats[:, :3, :3], points) + cameras.viewmats[:, None, :3, 3]
    return seen[..., :2] / seen[..., 2:] * cameras.Ks[0, 0, 0]


@pytest.mark.parametrize(
    "cameras", [orbit(6, 15.0), make_cameras([20, 75, 200, 360], [0.0, 30.0, -10.0, 5.0])]
)
def test_mirrored_cameras_see_the_mirror_images(cameras: Cameras) -> None:
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 3))
    there = projected(cameras.mirrored(), points * [1, -1, 1]) * [-1, 1]
    order = [*range(len(cameras) - 2, -1, -1), len(cameras) - 1]
    np.testing.assert_allclose(there, projected(cameras, points)[order], atol=1e-9)
    azimuths = cameras.mirrored().azimuths_deg
    assert (np.diff(azimuths) > 0).all()
    assert azimuths[-1] == cameras.azimuths_deg[-1] == 360


def test_at_its_noise_levels_a_prior_sees_the_mirror_image(gaussian_pair: PriorPair) -> None:
    video, multiview = Pushing(), Pushing()
    pair = mirroring(replace(gaussian_pair, video=video, multiview=multiview), frozenset({2.0}))
    pictures, latents = torch.rand(3, 3, 4, 4), torch.rand(3, 5, 3, 4, 4)
    scales = triangle_scale(5, 1.0, 3.0)
    rows = pair.video.prepare(pictures, Guidance(scales), fps_id=1, motion_bucket_id=1, **TOLD)
    assert torch.equal(pair.video.denoise(latents, 1.0, rows), latents.roll(1, -1) + pictures[:, None])
    there = latents.roll(-1, -1) + pictures[:, None]  # to the right, of the mirror image, is to the left
    torch.testing.assert_close(pair.video.denoise(latents, 2.0, rows), there)
    torch.testing.assert_close(pair.video.denoise(latents[1:2], 2.0, rows[1:2]), there[1:2])
    assert len(rows) == 3

    cameras = make_cameras([20, 75, 200, 300, 360])
    columns = pair.multiview.prepare(pictures, cameras, Guidance(scales), **TOLD)
    torch.testing.assert_close(pair.multiview.denoise(latents, 2.0, columns), there)
    (_, _, plain), (flipped, turned, told) = multiview.told
    assert torch.equal(flipped, pictures.flip(-1))
    assert turned is not None
    np.testing.assert_allclose(turned.azimuths_deg, [60, 160, 285, 340, 360])
    assert torch.equal(told[[3, 2, 1, 0, 4]], plain)


def test_orbits_are_mirrored_with_their_views_turned_around(gaussian_pair: PriorPair) -> None:
    class First(Pushing):
        """Finds in every view what the first one shows."""

        def denoise(self, latents: Tensor, sigma: float, condition: Tensor) -> Tensor:
            return latents[:, :1].expand_as(latents)

    pair = mirroring(replace(gaussian_pair, multiview=First()), frozenset({2.0}))
    columns = pair.multiview.prepare(torch.rand(1, 3, 4, 4), orbit(4), Guidance(torch.ones(4)), **TOLD)
    latents = torch.rand(1, 4, 3, 4, 4)
    first_of_the_mirrored = latents[:, 2:3].expand_as(latents)
    torch.testing.assert_close(pair.multiview.denoise(latents, 2.0, columns), first_of_the_mirrored)


def test_latents_that_cannot_be_mirrored_are_refused_at_once(gaussian_pair: PriorPair) -> None:
    class Codec(type(gaussian_pair.codec)):
        def mirror(self, latents: Tensor) -> Tensor:
            raise InputError("no mirror images")

    with pytest.raises(InputError, match="no mirror images"):
        sample_references(replace(gaussian_pair, codec=Codec()), Conditions(torch.rand(3, 16, 16)), SETTINGS)


def test_symmetric_priors_sample_the_same(gaussian_pair: PriorPair) -> None:
    picture = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = replace(SETTINGS, sampling=replace(SETTINGS.sampling, mirror=False))
    # what is correlated along the orbit is so either way around, but for the last view, which stays
    pair = replace(gaussian_pair, multiview=type(gaussian_pair.multiview)(0.04 * torch.eye(4)))
    conditions = sample_references(pair, Conditions(picture), SETTINGS)
    expected = sample_references(pair, Conditions(picture), plain)
    torch.testing.assert_close(conditions.video, expected.video)
    torch.testing.assert_close(conditions.views, expected.views)
    torch.testing.assert_close(
        sample_matrix(pair, conditions, SETTINGS), sample_matrix(pair, expected, plain)
    )


def test_every_second_step_is_mirrored_with_what_it_shares() -> None:
    def turns(rollback_steps: int, feature_reuse: int) -> list[bool]:
        schedule = JointSchedule(
            karras_sigmas(7), torch.full((7, 4), 0.5), rollback_steps, feature_reuse=feature_reuse
        )
        return [float(sigma) in schedule.alternate_sigmas for sigma in schedule.sigmas[:-1]]

    no, yes = False, True
    assert turns(0, 1) == turns(2, 1) == [no, yes, no, yes, no, yes, no]
    assert turns(0, 3) == [no, no, no, yes, yes, yes, no]
    assert turns(1, 2) == [no, yes, yes, no, no, yes, yes]

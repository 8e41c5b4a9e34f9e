"""Single calls of the networks, added vectors, guidance and noise levels against the released numbers."""

import pytest
import torch

from diffusion2.priors.checkpoint_keys import RELEASED_PREFIX, diffusers_key, unet_sources
from diffusion2.priors.embeddings import orbit_vector, video_vector
from diffusion2.priors.guidance import constant_scale, linear_scale, triangle_scale
from diffusion2.priors.released import ORBIT_VALUES, UNET, VIDEO_VALUES
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.sampling.schedule import karras_sigmas

from ..priors.full_size_files import released_unet_key

TOLERANCE = 1e-5  # of the largest number: float32 sums in another order; an error in a formula gives 1e-2


def count_videos(c_noise: torch.Tensor, context: torch.Tensor) -> int:
    """Count the videos in flat order: images of one have the same noise level and context."""
    per_image = torch.cat([c_noise[:, None], context.flatten(1)], dim=1)
    return 1 + int((per_image[1:] != per_image[:-1]).any(dim=1).sum())


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("kind", ["svd", "sv3d"])
def test_full_size_parameters_map_one_to_one(kind: str, parity, network_config) -> None:
    shapes = parity.keys[f"{kind}_full"]
    with torch.device("meta"):
        network = SpatioTemporalUNet(**network_config(shapes))
    ours = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    theirs = {diffusers_key(name): shape for name, shape in shapes.items()}
    assert len(shapes) == len(theirs) == 1428
    assert ours == theirs


@pytest.mark.parametrize("kind", ["svd", "sv3d"])
def test_what_files_without_a_configuration_are_read_as_is_the_full_size(kind: str, parity) -> None:
    width = 256 * (VIDEO_VALUES if kind == "svd" else ORBIT_VALUES)
    with torch.device("meta"):
        network = SpatioTemporalUNet(**{**UNET, "projection_class_embeddings_input_dim": width})
    shapes = {name: tuple(shape) for name, shape in parity.keys[f"{kind}_full"].items()}
    found = {name: source.shape for name, source in unet_sources(shapes).items()}
    assert found == {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("kind", ["svd", "sv3d"])
def test_the_small_files_of_other_tests_are_named_as_the_release_names_them(kind: str, parity) -> None:
    for name in parity.keys[f"{kind}_full"]:
        assert RELEASED_PREFIX + released_unet_key(diffusers_key(name), {1, 2, 3}) == name


@pytest.mark.parametrize("kind", ["svd", "sv3d"])
def test_network_call(kind: str, parity) -> None:
    x, c_noise, context, vector, out = (
        parity[f"{kind}_unet_{name}"] for name in ("x", "c_noise", "context", "vector", "out")
    )
    by_video = (count_videos(c_noise, context), -1)
    got = parity.network(kind, "small")(
        x.unflatten(0, by_video),
        c_noise.unflatten(0, by_video)[:, 0],
        context.unflatten(0, by_video)[:, 0],
        vector.unflatten(0, by_video),
    )
    assert relative_error(got.flatten(0, 1), out) <= TOLERANCE


def test_added_vectors(parity) -> None:
    assert relative_error(video_vector(24, 127, 0.02), parity["svd_vector"]) <= TOLERANCE
    ours = orbit_vector(parity["sv3d_polars_rad"], parity["sv3d_azimuths_rad"], 1e-5)
    assert relative_error(ours, parity["sv3d_vector"]) <= TOLERANCE


def test_guidance_scales(parity) -> None:
    for name, scale in (
        ("svd_guidance", lambda n: linear_scale(n, 1.5, 3.0)),
        ("sv3d_guidance_released", lambda n: constant_scale(n, 2.5)),
        ("sv3d_guidance_triangle", lambda n: triangle_scale(n, 1.0, 2.5)),
    ):
        expected = parity[name]
        assert relative_error(scale(len(expected)), expected) <= TOLERANCE


def test_noise_levels(parity) -> None:
    names = [name for name in parity.arrays if name.startswith("sigmas_")]
    assert names
    for name in names:
        expected = parity[name]
        ours = karras_sigmas(len(expected) - 1)
        # each level by itself: the small ones matter as much as the large ones
        assert ((ours - expected).abs() <= TOLERANCE * expected).all(), name

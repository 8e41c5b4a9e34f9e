"""Single calls of the networks, added vectors, guidance and noise levels against the released numbers."""

import pytest
import torch

from diffusion2.priors.checkpoint_keys import diffusers_key
from diffusion2.priors.embeddings import orbit_vector, video_vector
from diffusion2.priors.guidance import constant_scale, linear_scale, triangle_scale
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.sampling.schedule import karras_sigmas

TOLERANCE = 1e-5  # of the largest number: float32 sums in another order; an error in a formula gives 1e-2


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
def test_network_call(kind: str, parity) -> None:
    x, c_noise, context, vector, out = (
        parity[f"{kind}_unet_{name}"] for name in ("x", "c_noise", "context", "vector", "out")
    )
    by_video = (2, -1)
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


@pytest.mark.parametrize("name", ["sigmas_50", "sigmas_25"])
def test_noise_levels(name: str, parity) -> None:
    expected = parity[name]
    ours = karras_sigmas(len(expected) - 1)
    # each level by itself: the small ones matter as much as the large ones
    assert ((ours - expected).abs() <= TOLERANCE * expected).all()

"""I3D against known numbers, and its parts against their definitions."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from diffusion2.errors import InputError, WeightsError
from diffusion2.metrics.i3d import (
    I3D,
    NORMALISATION_EPSILON,
    _convolutions,
    load_i3d,
    prepare_frames,
    same_padding,
)

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="module")
def network() -> I3D:
    try:
        return load_i3d()
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("clip", [0, 1])
def test_known_logits_are_reproduced(network, clip):
    video = np.random.RandomState(7).rand(2, 16, 224, 224, 3).astype("float32")[clip]
    known = torch.from_numpy(np.load(FIXTURES / "i3d_logits.npy"))[clip]
    found = network(torch.from_numpy(video).permute(0, 3, 1, 2)[None])[0]
    # Another library and another order of sums; measured 1.6e-6.
    assert float((found - known).abs().max() / known.abs().max()) < 2e-5


def test_nine_frames_are_enough_and_frames_of_any_size_are_resized(network):
    logits = network(torch.rand(1, 9, 3, 20, 30, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (1, 400)
    assert logits.isfinite().all()


def test_clips_that_are_too_short_are_refused():
    with pytest.raises(InputError, match="at least 9 frames"):
        I3D({})(torch.zeros(2, 8, 3, 32, 32))


@pytest.mark.parametrize("shape", [(2, 3, 9, 32, 32), (9, 3, 32, 32)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match="videos"):
        I3D({})(torch.zeros(shape))


@pytest.mark.parametrize("size", [5, 6, 7, 16])
@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_gives_the_size_divided_by_the_stride_rounded_up(size, kernel, stride):
    padded = same_padding(torch.ones(1, 1, size, 1, 1), (kernel, 1, 1), (stride, 1, 1))[0, 0, :, 0, 0]
    assert (len(padded) - kernel) // stride + 1 == -(-size // stride)
    before = int(padded.argmax())
    after = len(padded) - size - before
    assert after - before in (0, 1)  # the odd one comes last


def test_the_normalisation_is_folded_into_the_kernels():
    rng = np.random.RandomState(0)
    kernel = rng.randn(1, 3, 3, 4, 5).astype("float32")
    bias, mean, variance = (rng.rand(5).astype("float32") for _ in range(3))
    params = {"Mixed": {"Unit": {"Conv_0": {"kernel": kernel}, "BatchNorm_0": {"bias": bias}}}}
    statistics = {"Mixed": {"Unit": {"BatchNorm_0": {"mean": mean[None], "var": variance[None]}}}}
    ((name, folded),) = _convolutions(params, statistics, "")
    assert name == "Mixed/Unit"
    x = torch.from_numpy(rng.randn(2, 4, 3, 6, 6).astype("float32"))
    plain = F.conv3d(x, torch.from_numpy(kernel.transpose(4, 3, 0, 1, 2).copy()))
    mean, variance, bias = (torch.from_numpy(values) for values in (mean, variance, bias))
    expected = F.batch_norm(plain, mean, variance, bias=bias, eps=NORMALISATION_EPSILON)
    # Sums of 36 products of order 1, scaled by up to 1 / sqrt(0.02).
    assert torch.allclose(F.conv3d(x, *folded), expected, atol=1e-4)


@pytest.mark.parametrize("size", [(128, 128), (300, 260)])
def test_frames_are_resized_as_pillow_does(size):
    pixels = np.random.RandomState(0).rand(*size).astype("float32")
    found = prepare_frames(torch.from_numpy(pixels).expand(1, 3, *size))[0]
    resized = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.asarray(resized) * 2 - 1)
    # Both compute the kernel's weights in float32; measured 3e-5.
    assert float((found - expected).abs().max()) < 2e-4


def test_frames_of_the_right_size_are_only_scaled():
    frames = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prepare_frames(frames), frames * 2 - 1)

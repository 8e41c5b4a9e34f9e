"""LPIPS against known numbers, and what it promises about batches, gradients and bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from diffusion2.errors import InputError, WeightsError
from diffusion2.metrics import lpips
from diffusion2.metrics.lpips import BACKBONES, LPIPS, ROUNDED, load_lpips, load_rounded_lpips
from diffusion2.weights.tensor_files import to_8_bits

from ..tiny_lpips import tiny_lpips

FIXTURES = Path(__file__).parent / "fixtures"


def picture(name: str) -> torch.Tensor:
    pixels = np.asarray(Image.open(FIXTURES / name).convert("RGB"), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def network() -> LPIPS:
    return tiny_lpips()


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(5, 3, 40, 48, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("backbone", "name"), [("alex", "alexnet"), ("vgg", "vgg16")])
def test_known_distances_are_reproduced(backbone, name):
    try:
        network = load_lpips(backbone)
    except WeightsError as error:
        pytest.skip(str(error))
    known = json.loads((FIXTURES / "lpips.json").read_text())[name]
    for other, expected in known.items():
        distance = float(network(picture("ex_ref.png"), picture(f"ex_{other}.png")))
        assert distance == pytest.approx(expected, abs=2e-6)  # the known numbers have six digits


def test_rounded_weights_give_about_the_known_distances():
    network = load_rounded_lpips()
    for other, expected in json.loads((FIXTURES / "lpips.json").read_text())["alexnet"].items():
        distance = float(network(picture("ex_ref.png"), picture(f"ex_{other}.png")))
        assert distance == pytest.approx(expected, rel=0.02)


def test_rounded_weights_are_those_of_the_package():
    try:
        exact = load_lpips()
    except WeightsError as error:
        pytest.skip(str(error))
    rounded, stored = to_8_bits(exact.state_dict()), load_file(ROUNDED)
    assert rounded.keys() == stored.keys()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in rounded.items())


def test_vgg_compares_the_last_layer_of_each_block():
    compared = [i for i, layer in enumerate(BACKBONES["vgg"].layers) if layer.compared]
    assert compared == [1, 3, 6, 9, 12]


def test_a_picture_is_at_no_distance_from_itself(network, pictures):
    assert torch.equal(network(pictures, pictures), torch.zeros(5))
    assert (network(pictures, pictures.flip(0))[:2] > 0).all()


def test_distances_do_not_depend_on_what_is_measured_together(network, pictures, monkeypatch):
    others = pictures.flip(3)
    together = network(pictures, others)
    monkeypatch.setattr(lpips, "PIXELS_AT_ONCE", 2 * 40 * 48)
    # Other batch sizes sum in another order: float32 rounding.
    assert torch.allclose(network(pictures, others), together, rtol=1e-5)


def test_the_gradient_is_that_of_finite_differences(network, pictures):
    network = LPIPS(
        network.layers,
        *([p.double() for p in ps] for ps in (network.kernels, network.biases, network.heads)),
    )
    a, b = pictures[:1].double().requires_grad_(), pictures[1:2].double()
    network(a, b).sum().backward()
    assert a.grad is not None
    direction = torch.randn(a.shape, dtype=a.dtype, generator=torch.Generator().manual_seed(2))
    step = 1e-6
    with torch.no_grad():
        slope = float(network(a + step * direction, b) - network(a - step * direction, b)) / (2 * step)
    # The error of central differences is of the order of step², that of rounding 1e-16 / step.
    assert float((a.grad * direction).sum()) == pytest.approx(slope, rel=1e-5)


def test_the_gradient_is_finite_where_all_features_are_zero(network, pictures):
    dark = LPIPS(network.layers, network.kernels, [b - 1e3 for b in network.biases], network.heads)
    images = pictures.clone().requires_grad_()
    dark(images, pictures.flip(0)).sum().backward()
    assert images.grad is not None
    assert torch.equal(images.grad, torch.zeros_like(images))


@pytest.mark.parametrize(
    ("shape", "other"),
    [((2, 3, 64, 64), (1, 3, 64, 64)), ((3, 64, 64), (3, 64, 64)), ((1, 4, 64, 64), (1, 4, 64, 64))],
)
def test_batches_of_other_shapes_are_refused(network, shape, other):
    with pytest.raises(InputError, match="one shape"):
        network(torch.zeros(shape), torch.zeros(other))


def test_pictures_that_are_too_small_are_refused(network):
    with pytest.raises(InputError, match="at least 32 px"):
        network(torch.zeros(1, 3, 31, 64), torch.zeros(1, 3, 31, 64))


def test_a_foreign_weight_file_is_refused(tmp_path):
    (tmp_path / "alexnet.ckpt").write_bytes(b"something else")
    with pytest.raises(WeightsError, match="sha256"):
        load_lpips(path=tmp_path / "alexnet.ckpt")

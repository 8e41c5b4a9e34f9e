"""Tensors in files of 8 bits, and networks that are filled from them."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from diffusion2.errors import WeightsError
from diffusion2.priors.stored_network import StoredNetwork
from diffusion2.weights.tensor_files import SCALES, TensorFiles, to_8_bits


def _tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 5, 3, 3, generator=generator) * torch.logspace(-6, 3, 6).view(-1, 1, 1, 1)
    rows[2] = 0
    return {"conv.weight": rows, "conv.bias": torch.randn(6, generator=generator)}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "network.safetensors"
    save_file(to_8_bits(_tensors()), path)
    return path


def test_a_matrix_is_off_by_half_a_step_of_its_row_at_most(file):
    files, tensors = TensorFiles([file]), _tensors()
    assert files.shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    read, true = files.read("conv.weight"), tensors["conv.weight"]
    steps = true.abs().amax((1, 2, 3)) / 127
    assert ((read - true).abs().amax((1, 2, 3)) <= 0.501 * steps).all()  # a scale has 16 bits itself
    assert torch.equal(read[2], true[2])
    assert torch.equal(files.read("conv.bias"), tensors["conv.bias"].half())


def test_the_error_is_half_a_percent_of_gaussian_rows(tmp_path):
    true = torch.randn(64, 256, generator=torch.Generator().manual_seed(1))
    save_file(to_8_bits({"weight": true}), tmp_path / "network.safetensors")
    read = TensorFiles([tmp_path / "network.safetensors"]).read("weight")
    assert 0.003 < float((read - true).square().mean().sqrt()) < 0.01


def test_what_was_read_becomes_the_same_file_again(file):
    files = TensorFiles([file])
    again, once = to_8_bits({name: files.read(name) for name in files.shapes}), load_file(file)
    assert again.keys() == once.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in once.items())


def test_a_network_is_filled_from_it(file):
    with torch.device("meta"):
        network = nn.Sequential()
        network.add_module("conv", nn.Conv2d(5, 6, 3))
    files = TensorFiles([file])
    filled = StoredNetwork(network, files, files.as_they_are()).load()
    assert filled.conv.weight.dtype == torch.float32
    assert torch.equal(filled.conv.weight, files.read("conv.weight"))


@pytest.mark.parametrize("scales", [None, torch.ones(5), torch.ones(6, 1)])
def test_missing_or_misshapen_scales_are_refused(tmp_path, scales):
    stored = to_8_bits(_tensors())
    del stored["conv.weight" + SCALES]
    if scales is not None:
        stored["conv.weight" + SCALES] = scales
    save_file(stored, tmp_path / "network.safetensors")
    with pytest.raises(WeightsError, match=r"damaged: it lacks scales for the rows of conv\.weight"):
        TensorFiles([tmp_path / "network.safetensors"]).read("conv.weight")

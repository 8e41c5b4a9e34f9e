"""A tiny pair of priors with random weights, in the layout of the shipped one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from diffusion2.priors.mini import WEIGHTS_FILE
from diffusion2.priors.unet import SpatioTemporalUNet

UNET = {
    "in_channels": 8,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "cross_attention_dim": 64,
    "addition_time_embed_dim": 16,
    "num_attention_heads": 2,
}
VAE = {
    "in_channels": 12,
    "out_channels": 12,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "block_out_channels": (8, 8),
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "scaling_factor": 0.5,
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads would mostly wait for each other on networks this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_network(network: torch.nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True)
    config = {k: v for k, v in network.config.items() if not k.startswith("_")}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, folder / WEIGHTS_FILE)


@pytest.fixture
def pair_folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    write_network(AutoencoderKL(**VAE), tmp_path / "vae")
    for part, values in (("video", 3), ("multiview", 5)):
        network = SpatioTemporalUNet(**UNET, projection_class_embeddings_input_dim=16 * values)
        write_network(network, tmp_path / part)
    return tmp_path

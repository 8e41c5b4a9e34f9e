"""A tiny pair of priors with random weights, in the layout of the shipped one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from diffusion2.priors.mini import WEIGHTS_FILE
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.priors.unet import SpatioTemporalUNet

from ..one_thread import one_thread as one_thread
from ..tiny_networks import UNET, VAE


def write_network(network: torch.nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True)
    config = {k: v for k, v in network.config.items() if not k.startswith("_")}
    config["_class_name"] = type(network).__name__
    (folder / "config.json").write_text(json.dumps(config))
    save_file({k: v.half().contiguous() for k, v in network.state_dict().items()}, folder / WEIGHTS_FILE)


@pytest.fixture
def pair_folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    write_network(PatchAutoencoder(**VAE), tmp_path / "vae")
    for part, values in (("video", 3), ("multiview", 5)):
        network = SpatioTemporalUNet(**UNET, projection_class_embeddings_input_dim=16 * values)
        write_network(network, tmp_path / part)
    return tmp_path

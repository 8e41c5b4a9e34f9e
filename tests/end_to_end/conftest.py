"""Networks of random weights, tiny, in the layout of the mini pair: what is tested here is the flow."""

import json

import pytest
from PIL import Image, ImageDraw

from ..tiny_networks import UNET

SIZE = 32
SETTINGS = [
    *("--size", str(SIZE), "--views", "4", "--frames", "3", "--sampling.steps", "4"),
    *("--sampling.guess-sigma", "1.35"),  # of four steps, two are below it
    *("--sampling.rollback-steps", "1", "--sampling.checkpoint-every", "2"),
    *("--reconstruction.warmup-iterations", "4", "--reconstruction.joint-iterations", "3"),
    *("--reconstruction.gaussians", "200"),
]


@pytest.fixture(scope="session")
def mini_weights(tmp_path_factory):
    """A folder with vae/, lifter/, video/ and multiview/ of random weights."""
    import torch
    from safetensors.torch import save_file

    from diffusion2.priors.lifter import Lifter
    from diffusion2.priors.mini import WEIGHTS_FILE
    from diffusion2.priors.patch_autoencoder import PatchAutoencoder
    from diffusion2.priors.unet import SpatioTemporalUNet
    from diffusion2.weights.tensor_files import to_8_bits

    torch.manual_seed(0)
    vae = PatchAutoencoder(
        in_channels=12,
        out_channels=12,
        latent_channels=8,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    folder = tmp_path_factory.mktemp("weights")
    lifter = Lifter(SIZE, (16, 32), layers_per_block=1, transformer_layers=1, attention_head_dim=16)
    networks = {"vae": vae, "lifter": lifter}
    for name, width in (("video", 48), ("multiview", 80)):
        config = {**UNET, "in_channels": 16, "out_channels": 8, "block_out_channels": (32, 32)}
        config |= {"cross_attention_dim": 128, "num_attention_heads": (1, 1)}
        networks[name] = SpatioTemporalUNet(**config, projection_class_embeddings_input_dim=width)
    for name, network in networks.items():
        (folder / name).mkdir()
        config = {key: value for key, value in network.config.items() if not key.startswith("_")}
        config["_class_name"] = type(network).__name__
        (folder / name / "config.json").write_text(json.dumps(config))
        save_file(to_8_bits(network.state_dict()), folder / name / WEIGHTS_FILE)
    return folder


@pytest.fixture(autouse=True)
def no_other_weights(tmp_path_factory, monkeypatch):
    """Let no full-size weights that this machine may have be found, nor fetched ones stay."""
    empty = str(tmp_path_factory.getbasetemp() / "no_hub")
    monkeypatch.setenv("HF_HUB_CACHE", empty)  # for other processes
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", empty)  # for this one, which has read it
    for name in ("DIFFUSION2_WEIGHTS", "DIFFUSION2_SVD", "DIFFUSION2_SV3D"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def use_mini_weights(mini_weights, monkeypatch):
    """Let commands of this test use the random weights."""
    monkeypatch.setenv("DIFFUSION2_MINI_WEIGHTS", str(mini_weights))


@pytest.fixture
def picture(tmp_path):
    """A red disc with an eye, with alpha."""
    image = Image.new("RGBA", (100, 80))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 10, 80, 70), fill=(200, 40, 30, 255))
    draw.ellipse((40, 30, 50, 40), fill=(255, 255, 255, 255))
    image.save(tmp_path / "disc.png")
    return tmp_path / "disc.png"

"""SVD-XT and SV3D_p, tiny and with random weights, in the layouts in which the real ones come."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from diffusion2.priors.autoencoder_keys import autoencoder_sources
from diffusion2.priors.image_encoder_keys import PREFIX, image_encoder_sources
from diffusion2.priors.unet import SpatioTemporalUNet

from .released_networks import ConditionEncoder, Encoder, OpenClipVision, VideoDecoder, shake

WIDTHS = (32, 64)
UNET = {
    "in_channels": 8,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "block_out_channels": (32, 64),
    "layers_per_block": 2,
    "num_attention_heads": (1, 2),
    "cross_attention_dim": 24,
    "addition_time_embed_dim": 16,
    "projection_class_embeddings_input_dim": 48,
}
AUTOENCODER = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "block_out_channels": WIDTHS,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
IMAGE_ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "projection_dim": 24,
    "hidden_act": "gelu",
}
CONFIGS = {"unet": UNET, "vae": AUTOENCODER, "image_encoder": IMAGE_ENCODER}

OUTER = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RES_BLOCK = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
MIDDLE = {("resnets", "0"): 0, ("attentions", "0"): 1, ("resnets", "1"): 2}


def released_unet_key(ours: str, levels_with_attention: set[int]) -> str:
    """Say what the release calls a parameter of ours: the way back from the code under test.

    Args:
        ours: its name in diffusers.
        levels_with_attention: those of the way up that have any; upsampling is numbered after it.
    """
    module, _, leaf = ours.rpartition(".")
    if module in OUTER:
        return f"{OUTER[module]}.{leaf}"
    side, *rest = ours.split(".")
    if side == "mid_block":
        kind, number, *inner = rest
        return f"middle_block.{MIDDLE[kind, number]}.{inner_key(kind, inner)}"
    level, kind, number, *inner = rest
    if kind == "downsamplers":
        return f"input_blocks.{3 * (int(level) + 1)}.0.op.{leaf}"
    if kind == "upsamplers":
        return f"output_blocks.{3 * int(level) + 2}.{1 + (int(level) in levels_with_attention)}.conv.{leaf}"
    block = 3 * int(level) + int(number)
    place = f"input_blocks.{block + 1}" if side == "down_blocks" else f"output_blocks.{block}"
    return f"{place}.{int(kind == 'attentions')}.{inner_key(kind, inner)}"


def inner_key(kind: str, inner: list[str]) -> str:
    first, *rest = inner
    if first == "time_mixer":
        return ".".join(inner)
    if kind == "resnets":
        module = RES_BLOCK[rest[0]]
        return ".".join([*(["time_stack"] if first == "temporal_res_block" else []), module, *rest[1:]])
    if first == "temporal_transformer_blocks":
        return ".".join(["time_stack", *rest])
    if first == "time_pos_embed":
        return f"time_pos_embed.{ {'linear_1': 0, 'linear_2': 2}[rest[0]] }.{rest[1]}"
    return ".".join(inner)


class FullSizeFiles:
    """The networks, and the files that hold them."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.condition_encoder = shake(ConditionEncoder(WIDTHS, 4), 1)
        self.unused_encoder = shake(Encoder(WIDTHS, 4), 2)
        self.decoder = shake(VideoDecoder(WIDTHS, 4), 3)
        self.vision = shake(OpenClipVision(32, 2, 2, 2, 14, 24), 4)
        self.video = shake(SpatioTemporalUNet(**UNET), 5)
        self.multiview = shake(SpatioTemporalUNet(**{**UNET, "projection_class_embeddings_input_dim": 80}), 6)

    def released(self, network: SpatioTemporalUNet, embedder: int) -> dict[str, Tensor]:
        """Return what a released file holds."""
        tensors = {
            f"model.diffusion_model.{released_unet_key(name, {1})}": tensor
            for name, tensor in network.state_dict().items()
        }
        tensors |= prefixed(self.vision, PREFIX)
        tensors["conditioner.embedders.0.open_clip.model.ln_final.bias"] = torch.zeros(4)
        tensors |= prefixed(self.condition_encoder, f"conditioner.embedders.{embedder}.encoder.")
        tensors |= prefixed(self.decoder, "first_stage_model.decoder.")
        return tensors

    def write_svd_file(self, path: Path) -> Path:
        tensors = self.released(self.video, 3) | prefixed(self.unused_encoder, "first_stage_model.encoder.")
        save_file(tensors, path)
        return path

    def write_sv3d_file(self, path: Path) -> Path:
        save_file(self.released(self.multiview, 1), path)
        return path

    def write_svd_folder(self, folder: Path) -> Path:
        """Write SVD-XT as diffusers has it, in fp16."""
        tensors = self.released(self.video, 3)
        vae = AutoencoderKLTemporalDecoder(**AUTOENCODER)
        fill(vae, tensors, autoencoder_sources({n: tuple(t.shape) for n, t in tensors.items()}, len(WIDTHS)))
        encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_ENCODER))
        fill(encoder, tensors, image_encoder_sources({n: tuple(t.shape) for n, t in tensors.items()}))
        write_part(self.video, folder / "unet", "diffusion_pytorch_model.fp16.safetensors")
        write_part(vae, folder / "vae", "diffusion_pytorch_model.fp16.safetensors")
        write_part(encoder, folder / "image_encoder", "model.fp16.safetensors")
        return folder


def prefixed(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor.clone() for name, tensor in network.state_dict().items()}


def fill(network: nn.Module, tensors: dict[str, Tensor], sources: dict) -> None:
    network.load_state_dict(
        {
            name: source.change(tensors[source.name]) if source.change else tensors[source.name]
            for name, source in sources.items()
        }
    )


def write_part(network: nn.Module, folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    config = network.config if isinstance(network.config, dict) else network.config.to_dict()
    (folder / "config.json").write_text(json.dumps(dict(config)))
    save_file(
        {key: tensor.half().contiguous() for key, tensor in network.state_dict().items()}, folder / name
    )

"""A pair of tiny networks with random weights, and a creature that is drawn in an instant."""

from dataclasses import replace

import torch
from torch import Tensor

from diffusion2.cameras import orbit
from diffusion2.config import PRESETS, GenerateSettings
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.image_encoder import PooledLatentEncoder
from diffusion2.priors.network import NetworkMultiviewPrior, NetworkVideoPrior
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.priors.prior import PriorPair
from diffusion2.priors.unet import SpatioTemporalUNet

from ...tiny_networks import UNET, VAE

VIEWS, FRAMES, SIZE = 3, 10, 32

SETTINGS = replace(
    PRESETS["mini"],
    views=VIEWS,
    frames=FRAMES,
    size=SIZE,
    sampling=replace(PRESETS["mini"].sampling, steps=2, rollback_steps=1, threads=1, precision="float32"),
    reconstruction=replace(
        PRESETS["mini"].reconstruction, warmup_iterations=3, joint_iterations=3, gaussians=60
    ),
)


def tiny_pair(settings: GenerateSettings = SETTINGS) -> PriorPair:
    torch.manual_seed(0)
    codec, encoder = LatentCodec(PatchAutoencoder(**VAE), 2), PooledLatentEncoder()
    video, multiview = (
        SpatioTemporalUNet(
            **{**UNET, "block_out_channels": (32, 32), "projection_class_embeddings_input_dim": width}
        )
        for width in (48, 80)
    )
    return PriorPair(
        "mini",
        NetworkVideoPrior(video, codec, encoder),
        NetworkMultiviewPrior(multiview, codec, encoder),
        codec,
    )


def disc_truth(name: str = "disc") -> ImageMatrix:
    """A striped disc that grows over the time, with another colour from each view."""
    place = torch.arange(SIZE) + 0.5 - SIZE / 2
    y, x = torch.meshgrid(place, place, indexing="ij")
    radii = SIZE * (0.2 + 0.15 * frame_times(FRAMES))
    alphas = (
        ((x**2 + y**2).sqrt() < radii[:, None, None]).float()[None, :, None].expand(VIEWS, -1, -1, -1, -1)
    )
    tints = torch.linspace(0.2, 0.8, VIEWS)[:, None, None, None, None]
    colours = torch.stack([0.5 + 0.3 * torch.sin(x + y), 0.3 + 0 * x, 0.4 + 0.2 * torch.cos(x)]) * tints
    images = colours * alphas + 1 - alphas
    images, alphas = torch.round(images * 255) / 255, alphas.contiguous()
    return ImageMatrix(images, orbit(VIEWS, 10.0, height=SIZE), frame_times(FRAMES), 8.0, alphas)


def mean_difference(images: Tensor, others: Tensor) -> Tensor:
    return (images - others).abs().mean(dim=(1, 2, 3))


def three_numbers(videos: Tensor) -> Tensor:
    """Stands for I3D: few numbers that depend on the clip."""
    moved = (videos[:, 1:] - videos[:, :-1]).abs()
    parts = videos.mean(dim=(1, 2, 3, 4)), videos.std(dim=(1, 2, 3, 4)), moved.mean(dim=(1, 2, 3, 4))
    return torch.stack(parts, dim=1)

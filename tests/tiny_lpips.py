"""LPIPS's network with weights made by rule, where the real ones would say nothing more."""

import torch

from diffusion2.metrics.lpips import BACKBONES, LPIPS


def tiny_lpips() -> LPIPS:
    """Return AlexNet with random weights."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3)]
    kernels = [torch.randn(shape, generator=generator) / 30 for shape in shapes]
    heads = [torch.rand(shape[0], 1, 1, generator=generator) for shape in shapes]
    return LPIPS(BACKBONES["alex"].layers, kernels, [torch.zeros(shape[0]) for shape in shapes], heads)

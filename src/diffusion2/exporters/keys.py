"""The moments at which a file keeps a motion: programs go straight from one to the next."""

import torch
from torch import Tensor

from diffusion2.gaussians import AssetMetadata

BONES_PER_FRAME = 4
"""Keys of bones in the time of a frame. The mesh of a fish in 12 frames, whose tail beats once, is at most
0.066 of its size off with one, 0.048 with two, 0.015 with four and 0.012 with eight, and 0.011 is the bones'
own error."""
PLACES_PER_FRAME = 2
"""The same where each vertex or Gaussian has its place in every key, which is large."""


def key_times(metadata: AssetMetadata, per_frame: int) -> Tensor:
    """Choose key times (T,) from 0 to 1: the times of the frames, and evenly between them."""
    return torch.linspace(0, 1, max(metadata.frames - 1, 1) * per_frame + 1)

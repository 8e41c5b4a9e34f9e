"""What latents look like, for a look in passing: a decoder that is one matrix."""

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion2.priors.prior import Codec

WIDTH_PX = 768
"""About how wide all frames of a view are together."""
_PICTURES = 12
_RIDGE = 1e-3
"""Added to the sum of squares of each latent, so that what never varies gets no weight."""


class Preview:
    """Turns latents into small pictures by the matrix that does so best for pictures whose latents are known.

    A pair's own decoder takes a second for the matrix of the mini pair, and minutes at the full size; this
    takes milliseconds. The mini pair's latents are linear in the pictures, so that little is lost; of SVD's,
    colours and shapes are right, and details are soft.

    Args:
        codec: encodes the pictures.
        pictures: (N, P, H, W) in [0, 1], such as the references of a run; 12 of them are looked at, at most.
        frames: how many pictures stand side by side; they are so large that 768 pixels are about filled.
    """

    def __init__(self, codec: Codec, pictures: Tensor, frames: int) -> None:
        chosen = pictures[:: -(-len(pictures) // _PICTURES)]
        latents = codec.encode_scaled(chosen)
        self.scale = codec.factor  # pixels of a small picture per latent
        while self.scale % 2 == 0 and frames * latents.shape[-1] * self.scale > WIDTH_PX:
            self.scale //= 2
        rgb = F.interpolate(chosen[:, :3], scale_factor=self.scale / codec.factor, mode="area")
        known = _with_one(latents).permute(0, 2, 3, 1).flatten(0, 2).double()
        wanted = F.pixel_unshuffle(rgb, self.scale).permute(0, 2, 3, 1).flatten(0, 2).double()
        squares = known.T @ known
        squares += _RIDGE * torch.diag(squares.diagonal())
        self.matrix = torch.linalg.solve(squares, known.T @ wanted).float()

    def __call__(self, latents: Tensor) -> Tensor:
        """Show latents (V, F, C, h, w) as (V, F, 3, H', W') in [0, 1]."""
        flat = _with_one(latents.float().cpu().flatten(0, 1))
        patches = torch.einsum("nchw,cd->ndhw", flat, self.matrix)
        pictures = F.pixel_shuffle(patches, self.scale).clamp(0, 1)
        return pictures.unflatten(0, latents.shape[:2])


def _with_one(latents: Tensor) -> Tensor:
    """Add a channel of ones to (N, C, h, w)."""
    return torch.cat([latents, torch.ones_like(latents[:, :1])], 1)
